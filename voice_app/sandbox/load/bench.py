"""Load: many calls at once against a running server, and what they cost it.

It posts the signed voice webhook, opens the session that the TwiML names and talks, as Twilio would; only
the voice is left out, so that one process can be hundreds of callers.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import aiohttp

from voice_app.sandbox.load.figures import IdleFigures, TalkFigures, WebhookFigures, latency
from voice_app.sandbox.load.target import (
    LoadError,
    LoadTarget,
    ProcessError,
    ServerProcesses,
    new_call_sid,
    tick_seconds,
)
from voice_app.sandbox.load.virtual_caller import TurnTally, VirtualCaller, answer
from voice_app.sandbox.load.webhook_load import send_webhooks
from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.twilio import RemoteTranscriber, Transcriber

AT_ONCE: Final = 32
"""How many calls are opened, or ended, at the same time."""
FIRST_CALLS: Final = 8
"""Calls before memory is measured, so that what a server sets up only once does not count as theirs."""
SETTLE_SECONDS: Final = 0.5
"""Time before the CPU clock or the memory is read: what is written behind the calls belongs to them."""
USED: Final = "calls before these have left memory behind, which is used again: start a fresh server"
SPREAD: Final = (0.5, 1.5)
"""A pause is drawn from this range around its length, so that the callers do not march in step."""


@dataclass(slots=True, frozen=True, kw_only=True)
class LoadPlan:
    """What the callers do."""

    calls: int = 100
    turns: int = 20
    """Turns of each call that count."""
    warm_up: int = 2
    """Turns of each call before them, which do not."""
    pause: float = 0.5
    """Seconds that a caller thinks before a turn, on average."""
    interrupts: float = 0.1
    """Share of the turns that are cut off in mid-reply."""
    agent_delay_ms: float = 0.0
    """What the agent itself takes to its first word; it is not the server's and is taken off."""
    seed: int = 1
    """Who pauses how long, and who cuts in where, is drawn from this."""


class LoadTest:
    """Puts one server under load.

    ``server`` is the server's processes, or why they cannot be measured. Each method raises `LoadError` if
    the server cannot be reached or does not put calls through.
    """

    def __init__(
        self,
        target: LoadTarget,
        server: ServerProcesses | ProcessError,
        *,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._target = target
        self._server = server
        self._settle_seconds = settle_seconds
        self._used = False
        self._transcriber: Transcriber | None = None

    async def talk(self, plan: LoadPlan) -> TalkFigures:
        """Have every caller talk, and measure the turns after the warm-up."""
        unknown: dict[str, str] = {}
        rng = random.Random(plan.seed)  # noqa: S311 - to be repeatable
        tally = TurnTally()
        async with _http() as http:
            await self._make_first_calls(http)
            before = await self._resident_kib()
            async with self._calls(http, plan.calls) as callers:
                memory = await self._resident_kib()
                await _converse(callers, plan, plan.warm_up, rng, TurnTally())
                meter = await self._meter()
                with _undisturbed():
                    await _converse(callers, plan, plan.turns, rng, tally)
                meter.stop()
                await asyncio.sleep(self._settle_seconds)
                cpu = meter.cpu_seconds()
        if isinstance(self._server, ProcessError):
            unknown["server_cpu_ms_per_turn"] = unknown["kib_per_call"] = str(self._server)
            unknown["server_cpu_percent"] = str(self._server)
        elif self._used:
            unknown |= {"kib_per_call": USED}
        if not tally.first_token_ms:
            unknown |= {"first_token": "no turn was answered"}
        if not tally.interrupts:
            unknown |= {"stale_frames": "no reply was interrupted"}
        self._used = True
        return TalkFigures(
            calls=plan.calls,
            turns=tally.turns,
            seconds=round(meter.seconds, 3),
            turns_per_second=round(tally.turns / meter.seconds, 1),
            first_token=latency(tally.first_token_ms, less_ms=plan.agent_delay_ms),
            server_cpu_ms_per_turn=_each(cpu, 1000, tally.turns),
            cpu_grain_ms_per_turn=round(tick_seconds() * 1000 / tally.turns, 5),
            server_cpu_percent=_each(cpu, 100, meter.seconds),
            client_cpu_percent=round(100 * meter.own_cpu_seconds / meter.seconds, 1),
            kib_per_call=None if "kib_per_call" in unknown else _growth(before, memory, plan.calls),
            interrupts=tally.interrupts,
            under_way_frames=tally.under_way,
            stale_frames=tally.stale if tally.interrupts else None,
            unanswered_turns=tally.unanswered,
            unknown=unknown,
        )

    async def idle(self, calls: int) -> IdleFigures:
        """Open calls on which nobody speaks, and measure the memory that they take."""
        async with _http() as http:
            await self._make_first_calls(http)
            before = await self._resident_kib()
            async with self._calls(http, calls):
                memory = await self._resident_kib()
        unknown = {}
        if isinstance(self._server, ProcessError):
            unknown = dict.fromkeys(
                ("rss_before_kib", "rss_with_calls_kib", "kib_per_call"), str(self._server)
            )
        elif self._used:
            unknown = {"kib_per_call": USED}
        self._used = True
        return IdleFigures(
            calls=calls,
            rss_before_kib=before,
            rss_with_calls_kib=memory,
            kib_per_call=None if unknown else _growth(before, memory, calls),
            unknown=unknown,
        )

    async def webhooks(self, requests: int, connections: int = 16) -> WebhookFigures:
        """Ask the voice webhook ``requests`` times, as fast as it answers.

        A tenth as many go before and do not count.
        """
        await send_webhooks(self._target, max(1, requests // 10), connections)
        meter = await self._meter()
        with _undisturbed():
            result = await send_webhooks(self._target, requests, connections)
        meter.stop()
        await asyncio.sleep(self._settle_seconds)
        cpu = meter.cpu_seconds()
        figures = WebhookFigures(
            requests=requests,
            connections=min(connections, requests),
            seconds=round(result.seconds, 3),
            per_second=round(len(result.answer_ms) / result.seconds, 1),
            answer=latency(result.answer_ms),
            server_cpu_ms_per_webhook=_each(cpu, 1000, requests),
            cpu_grain_ms_per_webhook=round(tick_seconds() * 1000 / requests, 5),
            client_cpu_percent=round(100 * meter.own_cpu_seconds / meter.seconds, 1),
            refused={str(status): count for status, count in result.refused.items()},
        )
        if isinstance(self._server, ProcessError):
            figures.unknown["server_cpu_ms_per_webhook"] = str(self._server)
        if figures.answer is None:
            figures.unknown["answer"] = "no request was answered with 200"
        return figures

    # --- calls -----------------------------------------------------------------------------------

    async def _make_first_calls(self, http: aiohttp.ClientSession) -> None:
        self._transcriber = await self._find_transcriber(http)
        async with self._calls(http, FIRST_CALLS) as callers:
            tally = TurnTally()
            await asyncio.gather(*(caller.ask(tally) for caller in callers))
        if tally.unanswered == tally.turns:
            raise LoadError(
                "calls are put through, but nobody answers: no prompt got a complete reply; "
                "see the log of the server"
            )

    async def _find_transcriber(self, http: aiohttp.ClientSession) -> Transcriber | None:
        """Where to report calls, as Twilio does to itself; `None` if the server is not in the sandbox."""
        base = self._target.network.base
        try:
            async with http.get(f"{base}/sandbox.json") as response:
                found = await response.json() if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LoadError(f"nothing answers at {base}: {error}") from None
        url = found.get("twilio_base_url")
        return RemoteTranscriber(http, url) if url else None

    @asynccontextmanager
    async def _calls(self, http: aiohttp.ClientSession, count: int) -> AsyncIterator[list[VirtualCaller]]:
        """Open ``count`` calls, each in its session. They are hung up when the block ends."""
        callers: list[VirtualCaller] = []
        places = asyncio.Semaphore(AT_ONCE)

        async def dial() -> None:
            async with places:
                call_sid = new_call_sid()
                form = self._target.form(call_sid)
                twiml = await self._target.network.post(http, self._target.webhook, form)
                callers.append(caller := await answer(self._target, call_sid, twiml))
                if self._transcriber is not None:
                    await caller.report_to(self._transcriber)

        async def hang_up(caller: VirtualCaller) -> None:
            async with places:
                await caller.hang_up()
                if (goodbye := caller.goodbye()) is not None:
                    with suppress(WebhookError):  # the figures are in; what it answers is of no use
                        await self._target.network.post(http, *goodbye)

        try:
            await _all(dial() for _ in range(count))
            yield callers
        finally:
            await asyncio.gather(*(hang_up(caller) for caller in callers))

    # --- meters ----------------------------------------------------------------------------------

    async def _resident_kib(self) -> float | None:
        await asyncio.sleep(self._settle_seconds)
        return None if isinstance(self._server, ProcessError) else self._server.resident_kib()

    async def _meter(self) -> _Meter:
        await asyncio.sleep(self._settle_seconds)
        return _Meter(self._server)


class _Meter:
    """What a stretch of time cost the server and us. Runs from the start."""

    def __init__(self, server: ServerProcesses | ProcessError) -> None:
        self.seconds = 0.0
        self.own_cpu_seconds = 0.0
        self._server = server
        self._cpu_before = 0.0 if isinstance(server, ProcessError) else server.cpu_seconds()
        self._own_before, self._began = _own_cpu_seconds(), perf_counter()

    def stop(self) -> None:
        """Stop the clock and our own CPU time; the server's runs on, for what it does behind its answers."""
        self.seconds = perf_counter() - self._began
        self.own_cpu_seconds = _own_cpu_seconds() - self._own_before

    def cpu_seconds(self) -> float | None:
        """The server's CPU time since the start, or `None` if it cannot be measured."""
        if isinstance(self._server, ProcessError):
            return None
        return self._server.cpu_seconds() - self._cpu_before


async def _all(tasks: Iterable[Coroutine[None, None, None]]) -> None:
    """Run them side by side; the first failure stops the others. Raises `LoadError`."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise LoadError(str(first)) if isinstance(first, LoadError | WebhookError) else first from None


def _own_cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


async def _converse(
    callers: Sequence[VirtualCaller], plan: LoadPlan, turns: int, rng: random.Random, tally: TurnTally
) -> None:
    """Every caller takes ``turns`` turns. Each has its own dice: who is served first changes nothing."""

    async def talk(caller: VirtualCaller, dice: random.Random) -> None:
        for _ in range(turns):
            await asyncio.sleep(plan.pause * dice.uniform(*SPREAD))
            cuts_in = dice.random() < plan.interrupts
            await caller.ask(
                tally, cut_after=dice.randint(1, max(1, caller.usual_frames // 2)) if cuts_in else 0
            )

    dice = [random.Random(rng.random()) for _ in callers]  # noqa: S311 - to be repeatable
    await asyncio.gather(*(talk(caller, own) for caller, own in zip(callers, dice, strict=True)))


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE), trust_env=False)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the garbage collector's pauses of our own in the figures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _growth(before: float | None, after: float | None, calls: int) -> float | None:
    return None if before is None or after is None else _each(after - before, 1, calls)


def _each(value: float | None, scale: float, count: float) -> float | None:
    return None if value is None else round(value * scale / count, 3)

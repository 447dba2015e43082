"""Load: many calls at once against a running server, and what they cost it.

It posts the signed voice webhook, opens the session that the TwiML names and talks, as Twilio would; only
the voice is left out, so that one process can be hundreds of callers.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp

from voice_app.sandbox.load.figures import IdleFigures, TalkFigures, WebhookFigures, each, latency
from voice_app.sandbox.load.meter import LoadMeter
from voice_app.sandbox.load.open_calls import LoadPlan, OpenCalls
from voice_app.sandbox.load.target import LoadError, LoadTarget, new_call_sid, tick_seconds
from voice_app.sandbox.load.virtual_caller import TurnTally, VirtualCaller, answer
from voice_app.sandbox.load.webhook_load import send_webhooks
from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.twilio import RemoteTranscriber, Transcriber

AT_ONCE: Final = 32
"""How many calls are opened, or ended, at the same time."""
FIRST_CALLS: Final = 8
"""Calls before memory is measured, so that what a server sets up only once does not count as theirs."""
USED: Final = "calls before these have left memory behind, which is used again: start a fresh server"


class LoadTest:
    """Puts one server under load, and reads its meter.

    Each method raises `LoadError` if the server cannot be reached, does not put calls through, or answers
    wrongly: what is wrong is not measured.
    """

    def __init__(self, target: LoadTarget, meter: LoadMeter) -> None:
        self._target = target
        self._meter = meter
        self._used = False
        self._transcriber: Transcriber | None = None

    async def talk(self, plan: LoadPlan) -> TalkFigures:
        """Have every caller talk, and measure the turns after the warm-up."""
        async with _http() as http:
            await self._make_first_calls(http)
            before = await self._meter.resident_kib()
            async with self._calls(http, plan.calls) as callers:
                memory = await self._meter.resident_kib()
                talking = OpenCalls(callers, plan, self._meter)
                await talking.warm_up()
                figures = await talking.measure()
        if reason := self._meter.problem or (USED if self._used else ""):
            figures.unknown["kib_per_call"] = reason
        else:
            figures = dataclasses.replace(figures, kib_per_call=_growth(before, memory, plan.calls))
        self._used = True
        return figures

    @asynccontextmanager
    async def open_calls(self, plan: LoadPlan) -> AsyncIterator[OpenCalls]:
        """The calls of a plan after their warm-up, to be measured as often as one likes."""
        async with _http() as http:
            await self._make_first_calls(http)
            async with self._calls(http, plan.calls) as callers:
                talking = OpenCalls(callers, plan, self._meter)
                await talking.warm_up()
                self._used = True
                yield talking

    async def idle(self, calls: int, *, already: int = 0) -> IdleFigures:
        """Open calls on which nobody speaks, and measure the memory that they take.

        ``already`` calls are open before them: what calls cost that come to many others.
        """
        async with _http() as http:
            await self._make_first_calls(http)
            async with self._calls(http, already):
                before = await self._meter.resident_kib()
                async with self._calls(http, calls):
                    memory = await self._meter.resident_kib()
        unknown = {}
        if self._meter.problem:
            measured = ("rss_before_kib", "rss_with_calls_kib", "kib_per_call")
            unknown = dict.fromkeys(measured, self._meter.problem)
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
        meter = self._meter
        await send_webhooks(self._target, max(1, requests // 10), connections)
        async with meter.measuring():
            result = await send_webhooks(self._target, requests, connections)
        figures = WebhookFigures(
            requests=requests,
            connections=min(connections, requests),
            seconds=round(result.seconds, 3),
            per_second=round(len(result.answer_ms) / result.seconds, 1),
            answer=latency(result.answer_ms),
            server_cpu_ms_per_webhook=each(meter.cpu_seconds, 1000, requests),
            cpu_grain_ms_per_webhook=round(tick_seconds() * 1000 / requests, 5),
            client_cpu_percent=round(meter.client_cpu_percent, 1),
            refused={str(status): count for status, count in result.refused.items()},
        )
        if meter.problem:
            figures.unknown["server_cpu_ms_per_webhook"] = meter.problem
        if figures.answer is None:
            figures.unknown["answer"] = "no request was answered with 200"
        return figures

    # --- calls -----------------------------------------------------------------------------------

    async def _make_first_calls(self, http: aiohttp.ClientSession) -> None:
        """Two questions on each of a few calls: an answer has to come, and to be the question's own."""
        self._transcriber = await self._find_transcriber(http)
        async with self._calls(http, FIRST_CALLS) as callers:
            tally = TurnTally()
            for _ in range(2):
                await asyncio.gather(*(caller.ask(tally) for caller in callers))
        if tally.unanswered == tally.turns:
            raise LoadError(
                "calls are put through, but nobody answers: no prompt got a complete reply; "
                "see the log of the server"
            )
        if tally.wrong:
            raise LoadError(
                f"{tally.wrong} of {tally.turns} replies name another turn, or lack words; the last words "
                f"were: {callers[0].last_reply[-100:]!r}"
            )

    async def _find_transcriber(self, http: aiohttp.ClientSession) -> Transcriber | None:
        """Where to report calls, as Twilio does to itself; `None` if the server is not in the sandbox."""
        base = self._target.network.base
        found: object = None
        try:
            async with http.get(f"{base}/sandbox.json") as response:
                if response.status == 200 and response.content_type == "application/json":
                    found = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LoadError(f"nothing answers at {base}: {error}") from None
        url = found.get("twilio_base_url") if isinstance(found, dict) else None
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


async def _all(tasks: Iterable[Coroutine[None, None, None]]) -> None:
    """Run them side by side; the first failure stops the others. Raises `LoadError`."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise LoadError(str(first)) if isinstance(first, LoadError | WebhookError) else first from None


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE), trust_env=False)


def _growth(before: float | None, after: float | None, calls: int) -> float | None:
    return None if before is None or after is None else each(after - before, 1, calls)

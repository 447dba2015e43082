"""Measures servers in turns: every run asks each of them the same, one right after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from support.rivals.cores import Cores, pin
from support.rivals.correctness import check
from support.rivals.scenarios import Reply, Scenario
from support.rivals.servers import Contestant, Running, Surroundings, running
from voice_app.cli.child_processes import child
from voice_app.sandbox.load.bench import LoadTest
from voice_app.sandbox.load.figures import LatencyFigures, TalkFigures
from voice_app.sandbox.load.open_calls import OpenCalls
from voice_app.sandbox.load.target import LoadError, ServerProcesses
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN

_T = TypeVar("_T")
Values = dict[str, float | None]


@dataclass(slots=True, frozen=True, kw_only=True)
class Measurement:
    """One run of one scenario with one server."""

    scenario: str
    contestant: str
    run: int
    values: Values = field(default_factory=dict)
    load_cpu_percent: float = 0.0
    """What the load took of its core: near 100 it was the limit, and times are not the server's."""
    wrong: str = ""
    """What the server did wrong; then nothing of it is timed."""


@dataclass(slots=True)
class Comparison:
    """Who is compared in what, and what has been found so far."""

    scenarios: Sequence[Scenario]
    contestants: Sequence[Contestant]
    runs: int
    cores: Cores
    tell: Callable[[str], None]
    """Called before every step, of which there are `steps`."""
    found: list[Measurement] = field(default_factory=list)

    @property
    def steps(self) -> int:
        return sum(self.runs + 1 for _ in self.scenarios) * len(self.contestants)

    async def run(self) -> list[Measurement]:
        """Measure everything; the results come in the order in which they were measured."""
        pin(0, self.cores.load)
        by_servers = groupby(self.scenarios, key=lambda scenario: (scenario.reply, scenario.fresh))
        for (reply, fresh), scenarios in by_servers:
            async with _surroundings(reply, self.cores) as around:
                if fresh:
                    await self._measure_fresh(list(scenarios), reply, around)
                else:
                    await self._measure_standing(list(scenarios), reply, around)
        return self.found

    # --- servers that stay ------------------------------------------------------------------------

    async def _measure_standing(self, scenarios: list[Scenario], reply: Reply, around: Surroundings) -> None:
        async with AsyncExitStack() as stack:
            servers: list[Running] = []
            for contestant in self.contestants:
                try:
                    server = await stack.enter_async_context(running(contestant, reply, around))
                    await check(server, reply)
                except LoadError as error:
                    self._exclude(contestant, scenarios, str(error))
                else:
                    servers.append(server)
            for scenario in scenarios:
                if scenario.kind == "talk":
                    await self._measure_talk(scenario, servers)
                else:
                    await self._measure_webhooks(scenario, servers)

    async def _measure_talk(self, scenario: Scenario, servers: list[Running]) -> None:
        async with AsyncExitStack() as stack:
            talking: list[tuple[Running, OpenCalls]] = []
            for server in servers:
                self._tell(scenario, server.contestant, "opening calls")
                try:
                    load = LoadTest(server.target, server.meter)
                    calls = await stack.enter_async_context(load.open_calls(scenario.plan))
                except LoadError as error:
                    self._exclude(server.contestant, [scenario], str(error))
                else:
                    talking.append((server, calls))
            for run in range(self.runs):
                for server, calls in _in_turn(talking, run):
                    self._tell(scenario, server.contestant, f"run {run + 1} of {self.runs}")
                    talk = await calls.measure()
                    self._keep(scenario, server, run, _of_talk(talk), talk.client_cpu_percent, _wrong(talk))

    async def _measure_webhooks(self, scenario: Scenario, servers: list[Running]) -> None:
        for server in servers:
            self._tell(scenario, server.contestant, "getting warm")
            await LoadTest(server.target, server.meter).webhooks(max(1, scenario.requests // 4))
        for run in range(self.runs):
            for server in _in_turn(servers, run):
                self._tell(scenario, server.contestant, f"run {run + 1} of {self.runs}")
                asked = await LoadTest(server.target, server.meter).webhooks(scenario.requests)
                values: Values = {
                    "cpu_ms_per_webhook": asked.server_cpu_ms_per_webhook,
                    "webhooks_per_second": asked.per_second,
                    "webhook_p50_ms": asked.answer.p50_ms if asked.answer else None,
                    "webhook_p99_ms": asked.answer.p99_ms if asked.answer else None,
                }
                wrong = f"refused webhooks: {asked.refused}" if asked.refused else ""
                self._keep(scenario, server, run, values, asked.client_cpu_percent, wrong)

    # --- servers that are new ---------------------------------------------------------------------

    async def _measure_fresh(self, scenarios: list[Scenario], reply: Reply, around: Surroundings) -> None:
        excluded: set[str] = set()
        for run in range(self.runs):
            for contestant in _in_turn(self.contestants, run):
                if contestant.key in excluded:
                    continue
                try:
                    async with running(contestant, reply, around) as server:
                        for scenario in scenarios:
                            self._tell(scenario, contestant, f"run {run + 1} of {self.runs}")
                            values = await self._of_fresh(scenario, server)
                            self._keep(scenario, server, run, values, 0.0, "")
                except LoadError as error:
                    excluded.add(contestant.key)
                    self._exclude(contestant, scenarios, str(error))

    async def _of_fresh(self, scenario: Scenario, server: Running) -> Values:
        if scenario.kind == "idle":
            half = scenario.plan.calls // 2
            idle = await LoadTest(server.target, server.meter).idle(half, already=half)
            return {"kib_per_call": idle.kib_per_call}
        resident = await server.meter.resident_kib()
        return {
            "ready_seconds": server.ready_seconds,
            "ready_cpu_seconds": server.ready_cpu_seconds,
            "resident_mib": None if resident is None else resident / 1024,
            "installed_mb": await asyncio.to_thread(server.contestant.megabytes),
        }

    # --- results ----------------------------------------------------------------------------------

    def _tell(self, scenario: Scenario, contestant: Contestant, what: str) -> None:
        self.tell(f"{scenario.key}: {scenario.title}: {contestant.title}, {what}")

    def _keep(
        self, scenario: Scenario, server: Running, run: int, values: Values, load: float, wrong: str
    ) -> None:
        self.found.append(
            Measurement(
                scenario=scenario.key,
                contestant=server.contestant.key,
                run=run,
                values={} if wrong else values,
                load_cpu_percent=load,
                wrong=wrong,
            )
        )

    def _exclude(self, contestant: Contestant, scenarios: Sequence[Scenario], why: str) -> None:
        self.found += (
            Measurement(scenario=scenario.key, contestant=contestant.key, run=0, wrong=why)
            for scenario in scenarios
        )


def _in_turn(items: Sequence[_T], run: int) -> Sequence[_T]:
    """Another one is first in each run."""
    first = run % len(items) if items else 0
    return [*items[first:], *items[:first]]


def _of_talk(talk: TalkFigures) -> Values:
    def part(figures: LatencyFigures | None, name: str) -> float | None:
        return None if figures is None else float(getattr(figures, name))

    return {
        "cpu_ms_per_turn": talk.server_cpu_ms_per_turn,
        "first_token_p50_ms": part(talk.first_token, "p50_ms"),
        "first_token_p99_ms": part(talk.first_token, "p99_ms"),
        "stop_p50_ms": part(talk.stop, "p50_ms"),
        "stop_p99_ms": part(talk.stop, "p99_ms"),
        "stale_words": talk.stale_words,
        "words_ahead": talk.words_ahead,
    }


def _wrong(talk: TalkFigures) -> str:
    if not talk.unanswered_turns and not talk.wrong_replies:
        return ""
    return f"of {talk.turns} turns {talk.unanswered_turns} were not answered, {talk.wrong_replies} wrongly"


@asynccontextmanager
async def _surroundings(reply: Reply, cores: Cores) -> AsyncIterator[Surroundings]:
    """Twilio's APIs, in this process, and the model, if there is one, in its own."""
    account = SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)
    async with AsyncExitStack() as stack:
        twilio_base_url = await stack.enter_async_context(serve(double_app(account)))
        if not reply.by_model:
            yield Surroundings(twilio_base_url, "", None, cores)
            return
        said = (str(reply.words), str(max(0.0, reply.word_ms)), str(reply.first_ms))
        model = await stack.enter_async_context(child("voice_app.sandbox.load.model", *said, settings={}))
        pin(model.pid, cores.model)
        yield Surroundings(twilio_base_url, model.base_url, ServerProcesses((model.pid,)), cores)

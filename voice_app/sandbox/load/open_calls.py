"""Calls that are open, and talk as often as they are asked to."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voice_app.sandbox.load.figures import TalkFigures, each, latency
from voice_app.sandbox.load.meter import LoadMeter
from voice_app.sandbox.load.target import tick_seconds
from voice_app.sandbox.load.virtual_caller import TurnTally, VirtualCaller

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
    cut_seconds: tuple[float, float] | None = None
    """When after the first word they are cut off, drawn from this range; `None`: within half their frames."""
    agent_delay_ms: float = 0.0
    """What the agent itself takes to its first word; it is not the server's and is taken off."""
    seed: int = 1
    """Who pauses how long, and who cuts in where, is drawn from this."""


class OpenCalls:
    """Many callers on one server, each in its session."""

    def __init__(self, callers: Sequence[VirtualCaller], plan: LoadPlan, meter: LoadMeter) -> None:
        self._callers = callers
        self._plan = plan
        self._meter = meter
        self._rng = random.Random(plan.seed)  # noqa: S311 - to be repeatable

    async def warm_up(self) -> None:
        """The turns that do not count."""
        await self._converse(self._plan.warm_up, TurnTally())

    async def measure(self) -> TalkFigures:
        """Have every caller talk. What memory a call takes is not known here."""
        plan, meter, tally = self._plan, self._meter, TurnTally()
        async with meter.measuring():
            await self._converse(plan.turns, tally)
        unknown: dict[str, str] = {}
        if meter.problem:
            unknown |= dict.fromkeys(("server_cpu_ms_per_turn", "server_cpu_percent"), meter.problem)
        if not tally.first_token_ms:
            unknown |= {"first_token": "no turn was answered"}
        if not tally.interrupts:
            unknown |= dict.fromkeys(("stale_words", "stop", "words_ahead"), "no reply was interrupted")
        return TalkFigures(
            calls=plan.calls,
            turns=tally.turns,
            seconds=round(meter.seconds, 3),
            turns_per_second=round(tally.turns / meter.seconds, 1),
            first_token=latency(tally.first_token_ms, less_ms=plan.agent_delay_ms),
            server_cpu_ms_per_turn=each(meter.cpu_seconds, 1000, tally.turns),
            cpu_grain_ms_per_turn=round(tick_seconds() * 1000 / tally.turns, 5),
            server_cpu_percent=each(meter.cpu_seconds, 100, meter.seconds),
            client_cpu_percent=round(meter.client_cpu_percent, 1),
            kib_per_call=None,
            interrupts=tally.interrupts,
            under_way_words=tally.under_way,
            stale_words=tally.stale if tally.interrupts else None,
            stop=latency(tally.stop_ms),
            words_ahead=statistics.median(tally.words_ahead) if tally.words_ahead else None,
            wrong_replies=tally.wrong,
            unanswered_turns=tally.unanswered,
            unknown=unknown,
        )

    async def _converse(self, turns: int, tally: TurnTally) -> None:
        """Every caller takes ``turns`` turns. Each has its own dice: who is served first changes nothing."""
        dice = [random.Random(self._rng.random()) for _ in self._callers]  # noqa: S311 - to be repeatable
        await asyncio.gather(
            *(self._talk(caller, own, turns, tally) for caller, own in zip(self._callers, dice, strict=True))
        )

    async def _talk(self, caller: VirtualCaller, dice: random.Random, turns: int, tally: TurnTally) -> None:
        plan = self._plan
        for _ in range(turns):
            await asyncio.sleep(plan.pause * dice.uniform(*SPREAD))
            if dice.random() >= plan.interrupts:
                await caller.ask(tally)
            elif plan.cut_seconds is not None:
                await caller.ask(tally, cut_seconds=dice.uniform(*plan.cut_seconds))
            else:
                await caller.ask(tally, cut_after=dice.randint(1, max(1, caller.usual_frames // 2)))

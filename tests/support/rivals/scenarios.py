"""What is measured: the scenarios, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from voice_app.sandbox.load.open_calls import LoadPlan

_NO_PLAN: Final = LoadPlan()
Kind = Literal["talk", "webhooks", "idle", "start"]


@dataclass(slots=True, frozen=True)
class Reply:
    """What the agents say: so many words, and when."""

    words: int = 20
    first_ms: float = 0.0
    word_ms: float = -1.0
    """Milliseconds between two words; negative: all are there at once."""
    by_model: bool = False
    """Whether a model says it, over HTTP, and not the agent itself."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Scenario:
    """One thing to measure, the same for every server."""

    key: str
    """Its letter first: ``a100``."""
    title: str
    kind: Kind
    reply: Reply = Reply()
    plan: LoadPlan = _NO_PLAN
    """Of talk; of idle calls only how many there are, half of them open before memory is read."""
    requests: int = 0
    fresh: bool = False
    """Whether every run needs a server that was not used before."""


_AT_ONCE: Final = Reply()
_PACED: Final = Reply(word_ms=30)
_MODEL: Final = Reply(words=30, word_ms=0, by_model=True)
_SLOW_MODEL: Final = Reply(words=30, first_ms=200, word_ms=15, by_model=True)

SCENARIOS: Final = (
    Scenario(
        key="a100",
        title="20 words at once, 100 calls",
        kind="talk",
        plan=LoadPlan(calls=100, turns=20, warm_up=4, pause=0.1, interrupts=0.0),
    ),
    Scenario(
        key="a1000",
        title="20 words at once, 1,000 calls",
        kind="talk",
        plan=LoadPlan(calls=1000, turns=2, warm_up=1, pause=1.0, interrupts=0.0),
    ),
    Scenario(
        key="e",
        title="signed voice webhooks, 16 connections",
        kind="webhooks",
        requests=2000,
    ),
    Scenario(
        key="b",
        title="20 words 30 ms apart, 200 calls",
        kind="talk",
        reply=_PACED,
        plan=LoadPlan(calls=200, turns=3, warm_up=1, pause=0.5, interrupts=0.1, cut_seconds=(0.05, 0.5)),
    ),
    Scenario(
        key="c",
        title="a model streams 30 words, 50 calls",
        kind="talk",
        reply=_MODEL,
        plan=LoadPlan(calls=50, turns=8, warm_up=2, pause=0.1, interrupts=0.0),
    ),
    Scenario(
        key="d",
        title="a slow model, pauses and barge-ins, 200 calls",
        kind="talk",
        reply=_SLOW_MODEL,
        plan=LoadPlan(
            calls=200,
            turns=2,
            warm_up=1,
            pause=1.0,
            interrupts=0.3,
            cut_seconds=(0.05, 0.4),
            agent_delay_ms=200,
        ),
    ),
    Scenario(
        key="f",
        title="idle calls, the 501st to the 1,000th",
        kind="idle",
        plan=LoadPlan(calls=1000),
        fresh=True,
    ),
    Scenario(key="g", title="start to the first answered call", kind="start", fresh=True),
)
"""Those with the same reply stand together: they share their servers."""


def chosen(letters: str, *, quick: bool) -> list[Scenario]:
    """The scenarios of a list of letters or keys (``a,d`` or ``a100,d``); of an empty one all.

    Raises `ValueError` if a letter has no scenario. ``quick`` makes them so small that their figures mean
    nothing, and only what is said and done is seen.
    """
    asked = [letter.strip() for letter in letters.split(",") if letter.strip()]
    for letter in asked:
        if not any(letter in (scenario.key, scenario.key[0]) for scenario in SCENARIOS):
            keys = ", ".join(scenario.key for scenario in SCENARIOS)
            raise ValueError(f"there is no scenario {letter!r}; there are {keys}")
    found = [item for item in SCENARIOS if not asked or {item.key, item.key[0]} & set(asked)]
    return [_small(scenario) for scenario in found] if quick else found


def _small(scenario: Scenario) -> Scenario:
    plan = replace(scenario.plan, calls=4, turns=2, warm_up=1, pause=0.0)
    return replace(scenario, plan=plan, requests=min(scenario.requests, 40))

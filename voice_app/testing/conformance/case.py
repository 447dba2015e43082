"""What a case is, and the registry of all of them.

A case is a sentence on the protocol and a function that plays Twilio until it holds or does not. What is not
certain can only warn: a best practice, a fact that nobody could confirm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import Frame

Play: TypeAlias = Callable[[Trial], Awaitable[None]]
P = TypeVar("P", bound=Play)


class Grade(StrEnum):
    """How certain it is that a backend has to do so."""

    RULE = "rule"
    """Documented by Twilio or by the RFC, or recorded on calls: whoever breaks it, fails."""
    ADVICE = "advice"
    """A best practice: warns."""
    UNCONFIRMED = "unconfirmed"
    """Nobody could confirm that Twilio does this: warns."""


class Need(StrEnum):
    """What a case cannot be tried without; the value tells how to give it."""

    WEBHOOK = "the voice webhook: --url"
    TOKEN = "the account's token: --auth-token"  # noqa: S105 - how to give one
    HANDOFF = "words that end the session: --end-say"


@dataclass(slots=True, frozen=True, kw_only=True)
class ConformanceCase:
    """One thing that a backend has to do."""

    name: str
    sends: str
    """What is sent to it."""
    holds: str
    """What must hold then."""
    source: str
    """Where that is written: a section of ``docs/protocol.md``, or of an RFC."""
    heard: str
    """What the caller hears where it does not hold."""
    grade: Grade = Grade.RULE
    needs: frozenset[Need] = frozenset()
    play: Play


_registry: Final[dict[str, ConformanceCase]] = {}
CASES: Final[Mapping[str, ConformanceCase]] = MappingProxyType(_registry)
"""Every case by its name, in the order in which they are told."""


def case(
    name: str,
    *,
    sends: str,
    holds: str,
    source: str,
    heard: str,
    grade: Grade = Grade.RULE,
    needs: tuple[Need, ...] = (),
) -> Callable[[P], P]:
    """Register a case together with the function that plays it. Raises `ValueError` for a name twice."""

    def register(play: P) -> P:
        if name in _registry:
            raise ValueError(f"there are two cases {name}")
        _registry[name] = ConformanceCase(
            name=name,
            sends=sends,
            holds=holds,
            source=source,
            heard=heard,
            grade=grade,
            needs=frozenset(needs),
            play=play,
        )
        return play

    return register


def survives(
    name: str,
    *frames: Frame,
    sends: str,
    source: str,
    heard: str,
    grade: Grade = Grade.RULE,
) -> None:
    """Register a case in which frames are taken in without a word, and the next prompt is answered."""

    @case(
        name,
        sends=sends,
        holds="nothing is said to it, and the next prompt is answered",
        source=source,
        heard=heard,
        grade=grade,
    )
    async def _(trial: Trial) -> None:
        async with trial.call() as call:
            since = call.position
            await call.send(*frames)
            await call.says_nothing(since)
            await call.ask()

"""Callers who are somebody: what they do next depends on what they hear.

Who decides is a `Persona`: a model (`model_persona`), or a script with a seed (`scripted_persona`).
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Protocol, TypeAlias

import msgspec

from voice_app.testing.caller import Caller, CallFailure
from voice_app.testing.scenario import PersonaLimits

MAX_BURSTS: Final = 5
_Words: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"\S")]


class _Deed(msgspec.Struct, frozen=True, tag_field="act", forbid_unknown_fields=True):
    pass


class CutsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Into the answer, once so many words of it were heard, or at its end."""

    after_words: Annotated[int, msgspec.Meta(ge=1, le=200)]
    says: _Words


class Speaks(_Deed, frozen=True, tag="say"):
    """In one go, or in bursts: each is a prompt of its own."""

    bursts: Annotated[list[_Words], msgspec.Meta(min_length=1, max_length=MAX_BURSTS)]
    cuts_in: CutsIn | None = None


class PressesKeys(_Deed, frozen=True, tag="press"):
    """One after another."""

    keys: Annotated[str, msgspec.Meta(pattern="^[0-9*#]{1,64}$")]


class StaysSilent(_Deed, frozen=True, tag="silent"):
    """Says nothing, once the agent is done."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=120)]


class HangsUp(_Deed, frozen=True, tag="hang_up"):
    """Whoever is speaking."""

    because: Annotated[str, msgspec.Meta(max_length=500)] = ""


CallerAction: TypeAlias = Speaks | PressesKeys | StaysSilent | HangsUp
"""One thing that a caller does; as JSON it is ``{"act": "say", "bursts": ["Hello"]}``."""


class Persona(Protocol):
    """Who decides what the caller does."""

    async def acts(self, heard: str) -> CallerAction:
        """What they do next, after they have heard this."""
        ...


async def play(persona: Persona, caller: Caller, limits: PersonaLimits) -> str:
    """Have them talk until the call is over, a person has it, or a limit is reached. Returns which it was.

    Raises whatever the persona raises, and `CallFailure` where the phone cannot do what it wants.
    """
    told = 0
    try:
        async with asyncio.timeout(limits.seconds):
            for _ in range(limits.turns):
                await caller.listens()
                heard, told = " ".join(caller.heard[told:]), len(caller.heard)
                if over := _over(caller):
                    return over
                action = await persona.acts(heard)
                await _perform(action, caller)
                if isinstance(action, HangsUp):
                    return f"the caller hung up: {action.because}" if action.because else "the caller hung up"
            await caller.listens()
            return _over(caller) or f"it was stopped after {limits.turns} turns"
    except TimeoutError:
        return f"it was stopped after {limits.seconds:g} seconds"


def _over(caller: Caller) -> str:
    """Why there is nobody to talk with any more; empty: the agent is there."""
    if caller.call.over.is_set():
        return "the call was ended"
    if any(event.kind == "bridged" for _, event in caller.happenings):
        return "a person has taken the call"
    return ""


async def _perform(action: CallerAction, caller: Caller) -> None:
    if caller.call.over.is_set():
        return
    try:
        match action:
            case Speaks():
                await caller.says(*action.bursts)
                if action.cuts_in is not None:
                    await _cut_in(action.cuts_in, caller)
            case PressesKeys():
                await caller.presses(action.keys)
            case StaysSilent():
                await caller.is_silent(action.seconds)
            case HangsUp():
                await caller.hangs_up()
    except CallFailure:
        if not caller.call.over.is_set():
            raise
        caller.dialogue.forgive()  # the agent was faster, and that is as it may be


async def _cut_in(wanted: CutsIn, caller: Caller) -> None:
    """Cut in, unless the answer was shorter, or there was none: then it is let be."""
    try:
        await caller.interrupts(wanted.says, after_words=wanted.after_words)
    except CallFailure:
        caller.dialogue.forgive()
        if (session := caller.call.session) is not None:
            session.voice.release()

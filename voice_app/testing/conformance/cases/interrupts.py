"""The caller cuts in."""

from __future__ import annotations

from typing import Any

from voice_app.testing.conformance.case import Grade, case
from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import BreachError, CaseSkippedError, WireCall, shown

_SOURCE = "§2.1 interrupt"
_LOST = "silence after they cut in"


async def _cut_in(trial: Trial, call: WireCall, **changes: Any) -> None:
    """Ask, and cut in at the first word of the answer. Raises `BreachError` if there is none."""
    since = call.position
    await call.prompt()
    if not await call.seen(lambda: bool(call.words(since).strip()), trial.patience.reply):
        raise BreachError(f"no words within {trial.patience.reply:g} s; {call.state}")
    await call.interrupt(**changes)


@case(
    "interrupt-stops-the-reply",
    sends="an interrupt at the first word of an answer",
    holds="no word of that answer is sent any more",
    source="§2.1 interrupt; §7 Interruption",
    heard="the agent talks on over them, or says later what they had cut off",
)
async def interrupt_stops_the_reply(trial: Trial) -> None:
    async with trial.call() as call:
        await _cut_in(trial, call)
        if call.is_answered():
            raise CaseSkippedError("the answer was whole before anybody could cut in: --say something longer")
        await call.round_trip()
        late = call.position
        await call.seen(lambda: False, trial.patience.quiet)
        if words := call.words(late).strip():
            raise BreachError(f"{len(words.split())} words came after the interrupt was read: {shown(words)}")
        call.must_be_open()


def _answers_after(
    name: str,
    sends: str,
    *,
    source: str = _SOURCE,
    grade: Grade = Grade.RULE,
    **changes: Any,
) -> None:
    """After an interrupt of some kind, the next prompt is answered."""

    @case(name, sends=sends, holds="the next prompt is answered", source=source, heard=_LOST, grade=grade)
    async def _(trial: Trial) -> None:
        async with trial.call() as call:
            await _cut_in(trial, call, **changes)
            await call.round_trip()
            await call.ask()


_answers_after("interrupt-then-prompt", "an interrupt, then a prompt")
_answers_after(
    "interrupt-heard-nothing",
    "an interrupt whose `utteranceUntilInterrupt` is empty",
    utteranceUntilInterrupt="",
    durationUntilInterruptMs=0,
)
_answers_after(
    "interrupt-with-other-words",
    "an interrupt whose `utteranceUntilInterrupt` is not what was sent (the greeting; normalised text)",
    utteranceUntilInterrupt="Welcome to our house; it is twenty past nine.",
)
_answers_after(
    "interrupt-duration-as-text",
    "an interrupt whose `durationUntilInterruptMs` is a string",
    source="§8.7 (an old page)",
    grade=Grade.UNCONFIRMED,
    durationUntilInterruptMs="460",
)
_answers_after("interrupt-new-fields", "an interrupt with a field that nobody knows yet", reason="speech")


@case(
    "interrupt-and-prompt-at-once",
    sends="interrupt and prompt without a pause between them",
    holds="the prompt is answered",
    source="§7 Interruption (interrupt, then prompt)",
    heard=_LOST,
)
async def interrupt_and_prompt_at_once(trial: Trial) -> None:
    async with trial.call() as call:
        await _cut_in(trial, call)
        since = call.position
        await call.prompt()
        await call.answer(since)


@case(
    "interrupt-first",
    sends="an interrupt right after the setup: the greeting was cut off",
    holds="the session goes on, and a prompt is answered",
    source="§1.2 welcomeGreetingInterruptible",
    heard="silence, because they were quicker than the greeting",
)
async def interrupt_first(trial: Trial) -> None:
    async with trial.call() as call:
        await call.interrupt(utteranceUntilInterrupt="Hello, how", durationUntilInterruptMs=700)
        await call.ask()


@case(
    "interrupt-after-last",
    sends="an interrupt after the whole answer was sent, while it is spoken",
    holds="the next prompt is answered",
    source=_SOURCE,
    heard=_LOST,
)
async def interrupt_after_last(trial: Trial) -> None:
    async with trial.call() as call:
        await call.ask()
        await call.interrupt()
        await call.ask()


@case(
    "interrupt-twice",
    sends="two interrupts of one answer, speech and a key",
    holds="the next prompt is answered",
    source="§1.2 interruptible (a key press is a barge-in)",
    heard=_LOST,
)
async def interrupt_twice(trial: Trial) -> None:
    async with trial.call() as call:
        await _cut_in(trial, call)
        await call.interrupt()
        await call.round_trip()
        await call.ask()


@case(
    "interrupt-each-turn",
    sends="five turns, each cut off",
    holds="the prompt after them is answered",
    source=_SOURCE,
    heard="an agent that gives up on callers who are in a hurry",
)
async def interrupt_each_turn(trial: Trial) -> None:
    async with trial.call() as call:
        for _ in range(5):
            await _cut_in(trial, call)
            await call.round_trip()
        await call.ask()

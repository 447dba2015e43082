"""What the backend sends: every frame is one that Twilio takes."""

from __future__ import annotations

import re
from typing import Final

from voice_app.sandbox.phone.frames import RefusedFrameError, decode
from voice_app.testing.conformance.case import Grade, case
from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import BreachError, CaseSkippedError, WireCall, shown

KINDS: Final = frozenset({"text", "play", "sendDigits", "language", "end", "config", "hints"})
_REFUSED: Final = "words are missing: Twilio drops the frame (64107), and after ten the line"
_MARKUP: Final = re.compile(r"\*\*|^#+ |`|^\s*[-*] |\]\(https?:|[\U0001F300-\U0001FAFF]", re.MULTILINE)
_UNKNOWN_FIELD: Final = "unknown field"


async def _answered(trial: Trial, call: WireCall) -> None:
    """Two answers, to look at their frames."""
    await call.ask()
    await call.ask()


@case(
    "frames-are-text",
    sends="two prompts",
    holds="every message is a text message, not a binary one",
    source="§2 (JSON text frames)",
    heard=_REFUSED,
)
async def frames_are_text(trial: Trial) -> None:
    async with trial.call() as call:
        try:
            await _answered(trial, call)
        finally:
            if any(isinstance(message.data, bytes) for message in call.messages):
                raise BreachError("a message was binary")


@case(
    "frames-are-objects",
    sends="two prompts",
    holds="every message is one JSON object with a `type` that Twilio knows",
    source="§2.2; §8.3 (no `interrupt`, `clear` or `mark`)",
    heard=_REFUSED,
)
async def frames_are_objects(trial: Trial) -> None:
    async with trial.call() as call:
        try:
            await _answered(trial, call)
        finally:
            for message in call.messages:
                if message.frame.get("type") not in KINDS:
                    raise BreachError(f"Twilio does not take {shown(str(message.data))}")


@case(
    "frames-are-valid",
    sends="two prompts",
    holds="every field has the type that Twilio wants: `token` a string and not null, flags booleans",
    source="§2.2 Validation",
    heard=_REFUSED,
)
async def frames_are_valid(trial: Trial) -> None:
    async with trial.call() as call:
        try:
            await _answered(trial, call)
        finally:
            _refused(call, unknown_fields=False)


@case(
    "frames-have-no-other-fields",
    sends="two prompts",
    holds="no frame has a field that Twilio does not document",
    source="§2.2; what Twilio does with one is not known",
    heard="perhaps words are missing",
    grade=Grade.UNCONFIRMED,
)
async def frames_have_no_other_fields(trial: Trial) -> None:
    async with trial.call() as call:
        await _answered(trial, call)
        _refused(call, unknown_fields=True)


def _refused(call: WireCall, *, unknown_fields: bool) -> None:
    """Raises `BreachError` for the first frame of a known kind that Twilio would not take."""
    for message in call.messages:
        if message.frame.get("type") not in KINDS:
            continue
        try:
            decode(message.data)
        except RefusedFrameError as error:
            if (_UNKNOWN_FIELD in str(error)) is unknown_fields:
                raise BreachError(f"{error}: {shown(str(message.data))}") from None


@case(
    "reply-is-closed",
    sends="a prompt",
    holds="the answer ends with `last` true",
    source="§2.2 text (`last:true` closes the talk cycle)",
    heard="the end of the answer comes late, or not at all",
)
async def reply_is_closed(trial: Trial) -> None:
    async with trial.call() as call:
        await call.prompt()
        await call.seen(lambda: call.is_answered(), trial.patience.reply)
        if not any(message.is_last for message in call.messages):
            raise BreachError(f"no `last` came within {trial.patience.reply:g} s; {call.state}")


@case(
    "tokens-keep-spaces",
    sends="a prompt",
    holds="the tokens of the answer, put together, have spaces between words",
    source="§2.2 text (don't trim tokens)",
    heard="words that run together: goodmorninghow",
)
async def tokens_keep_spaces(trial: Trial) -> None:
    async with trial.call() as call:
        said = await call.ask()
        tokens = [message.token for message in call.messages if message.token.strip()]
        if len(tokens) < 4:
            raise CaseSkippedError("the answer has fewer than four tokens")
        if not re.search(r"\S\s+\S", said):
            raise BreachError(f"no space in {shown(said)}")


@case(
    "reply-can-be-spoken",
    sends="a prompt",
    holds="no Markdown and no emoji in the answer",
    source="§7 Voice prompt",
    heard="asterisk asterisk, hash, backtick",
    grade=Grade.ADVICE,
)
async def reply_can_be_spoken(trial: Trial) -> None:
    async with trial.call() as call:
        said = await call.ask()
        if found := _MARKUP.search(said):
            raise BreachError(f"{shown(found[0])} in {shown(said)}")


@case(
    "reply-streams",
    sends="a prompt",
    holds="the answer comes in more than one frame",
    source="§7 Streaming",
    heard="a pause before every longer answer",
    grade=Grade.ADVICE,
)
async def reply_streams(trial: Trial) -> None:
    async with trial.call() as call:
        said = await call.ask()
        spoken = [message for message in call.messages if message.token.strip()]
        if len(spoken) == 1 and len(said.split()) >= 12:
            raise BreachError(f"{len(said.split())} words came in one frame")


@case(
    "silent-after-reply",
    sends="a prompt; after its answer, nothing",
    holds="the socket stays open, and nobody talks on at once",
    source="§3.2 64105; §3.3 Silence",
    heard="the line breaks off after the answer",
)
async def silent_after_reply(trial: Trial) -> None:
    async with trial.call() as call:
        await call.ask()
        await call.seen(lambda: call.ending is not None, trial.patience.idle)
        call.must_be_open()
        await call.ask()

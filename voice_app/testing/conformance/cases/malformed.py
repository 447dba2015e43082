"""What is no frame, or none that Twilio would send: a peer that is not Twilio, a proxy, a bug."""

from __future__ import annotations

from typing import Final

from voice_app.testing.conformance.case import Grade, case
from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import BreachError, Frame, WireCall

ORDERLY: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009})
"""Close codes that say that a message was not taken; 1011 and 1006 say that the server broke."""
_DEPTH: Final = 20_000


def _must_be_orderly(call: WireCall) -> None:
    code = call.connection.close_code
    if code not in ORDERLY:
        raise BreachError(f"{call.state}: the server broke, instead of refusing the message")


def _refused(name: str, sends: str, message: Frame | str | bytes) -> None:
    """A message is passed over, or the socket closed with a code that says why."""

    @case(
        name,
        sends=sends,
        holds="it is passed over, or the socket is closed with 1002, 1003, 1007 or 1008; nothing breaks",
        source="RFC 6455 §7.4.1; §3.2 64107 (gateways write into the socket)",
        heard="the line breaks off",
        grade=Grade.ADVICE,
    )
    async def _(trial: Trial) -> None:
        async with trial.call() as call:
            await call.send(message)
            await call.round_trip()
            await call.seen(lambda: False, trial.patience.quiet / 2)
            if call.is_closed:
                _must_be_orderly(call)
                return
            try:
                await call.ask()
            except BreachError:
                if not call.is_closed:
                    raise
                _must_be_orderly(call)


_refused("not-json", "`not JSON`", "not JSON")
_refused("no-message", "an empty message", "")
_refused("json-array", "`[]`", "[]")
_refused("json-null", "`null`", "null")
_refused("no-type", "an object without `type`", {"voicePrompt": "Hello."})
_refused("type-is-a-number", "an object whose `type` is a number", {"type": 7})
_refused("prompt-without-words", "a prompt without `voicePrompt`", {"type": "prompt", "last": True})
_refused(
    "prompt-of-a-number",
    "a prompt whose `voicePrompt` is a number",
    {"type": "prompt", "voicePrompt": 7, "lang": "en-US", "last": True},
)
_refused("key-without-digit", "`dtmf` without `digit`", {"type": "dtmf"})
_refused("interrupt-without-fields", "`interrupt` without fields", {"type": "interrupt"})
_refused("deep-nesting", f"{_DEPTH:,} brackets, one in the other", "[" * _DEPTH + "]" * _DEPTH)
_refused("binary-message", "a prompt as a binary message", b'{"type":"prompt","voicePrompt":"Hi."}')


@case(
    "not-utf-8",
    sends="a text message that is not UTF-8",
    holds="the socket is closed, and not with 1011 or without a word",
    source="RFC 6455 §8.1",
    heard="the line breaks off, and the log does not say why",
)
async def not_utf_8(trial: Trial) -> None:
    async with trial.call() as call:
        await call.send_raw(b'{"type":"prompt","voicePrompt":"\xff\xfe","last":true}')
        if not await call.seen(lambda: call.is_closed, trial.patience.close):
            raise BreachError("it was taken")
        _must_be_orderly(call)


@case(
    "malformed-without-end",
    sends="twenty messages that are no frames",
    holds="the socket is closed with such a code, or a prompt is still answered",
    source="§2.2 Validation (Twilio itself closes at the tenth)",
    heard="the line breaks off",
    grade=Grade.ADVICE,
)
async def malformed_without_end(trial: Trial) -> None:
    async with trial.call() as call:
        await call.send(*["{"] * 20)
        await call.round_trip()
        await call.seen(lambda: call.is_closed, trial.patience.quiet)
        if call.is_closed:
            _must_be_orderly(call)
        else:
            await call.ask()


@case(
    "prompt-before-setup",
    sends="a prompt, and no setup before it",
    holds="it is not answered: the socket is closed, or nothing is said",
    source="§2.1 setup (first)",
    heard="nothing; but whoever finds the address talks with the agent",
    grade=Grade.ADVICE,
)
async def prompt_before_setup(trial: Trial) -> None:
    async with trial.opened(await trial.session()) as call:
        await call.prompt()
        await call.round_trip()
        if await call.seen(lambda: bool(call.words().strip()), trial.patience.quiet):
            raise BreachError("it was answered")
        if call.is_closed:
            _must_be_orderly(call)


@case(
    "next-call-after-all-that",
    sends="a malformed message and a lost connection; then another call",
    holds="that call is answered",
    source="§3.2 64105",
    heard="silence, because of what happened on somebody else's call",
)
async def next_call_after_all_that(trial: Trial) -> None:
    async with trial.call() as broken:
        await broken.send("{", b"\x00")
        broken.drop()
    async with trial.call() as call:
        await call.ask()

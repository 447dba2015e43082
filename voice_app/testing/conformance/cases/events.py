"""Keys, events, errors, and frames that nobody knows yet."""

from __future__ import annotations

from typing import Any

from voice_app.testing.conformance.case import Grade, case, survives
from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import CaseSkippedError

_BREAKS = "the agent answers what nobody said, or the line breaks off"


def _info(name: str, value: object, sends: str, grade: Grade = Grade.RULE, **more: Any) -> None:
    survives(
        name,
        {"type": "info", "name": more.pop("event"), "value": value, **more},
        sends=sends,
        source="§2.1 info",
        heard=_BREAKS,
        grade=grade,
    )


_info("info-agent-speaking", "on", "`info` `agentSpeaking` `on`", event="agentSpeaking")
_info("info-client-speaking", "off", "`info` `clientSpeaking` `off`", event="clientSpeaking")
_info("info-tokens-played", "Hello, how can I help?", "`info` `tokensPlayed`", event="tokensPlayed")
_info("info-round-trip", "109", "`info` `roundTripDelayMs`, a number as a string", event="roundTripDelayMs")
_info("info-with-a-time", "on", "`info` with `ts`", event="agentSpeaking", ts=1_790_000_000_000)
_info("info-unknown", "x", "`info` of a name that nobody knows yet", event="somethingNew")
_info(
    "info-config-updated",
    {"ttsProvider": "Google", "voice": "en-US-Journey-O"},
    "`info` `configUpdated` with an object as its value",
    Grade.UNCONFIRMED,
    event="configUpdated",
)
survives(
    "error-frame",
    {"type": "error", "description": "Invalid message received, code: 64107, {}"},
    sends="`error` 64107: Twilio did not take a frame",
    source="§2.1 error; §2.2 Validation (the session goes on)",
    heard=_BREAKS,
)
survives(
    "unknown-type",
    {"type": "somethingNew", "value": {"a": 1}},
    sends="a frame of a type that nobody knows yet",
    source="§2.1: `info` came as one",
    heard=_BREAKS,
)


def _keys(name: str, keys: str, sends: str, heard: str, *, asked: bool = False) -> None:
    """Keys are taken, and a prompt is answered, unless the backend ends the session for them."""

    @case(
        name,
        sends=sends,
        holds="the session goes on, and a prompt is answered; or it ends with `end`",
        source="§2.1 dtmf",
        heard=heard,
    )
    async def _(trial: Trial) -> None:
        async with trial.call() as call:
            if asked:
                since = call.position
                await call.prompt()
                await call.seen(lambda: bool(call.words(since).strip()), trial.patience.reply)
            for digit in keys:
                await call.send({"type": "dtmf", "digit": digit})
            await call.round_trip()
            if await call.seen(lambda: call.ending is not None, trial.patience.quiet):
                raise CaseSkippedError("the backend ended the session for these keys")
            await call.ask()


_keys("key-first", "1", "a key right after the setup, during the greeting", "silence after a key")
_keys("keys-in-a-row", "1234#", "`1` `2` `3` `4` `#`, one frame each", "silence after they typed a number")
_keys("key-star", "*", "`*`", "silence after a key")
_keys("key-during-reply", "5", "a key while an answer streams", "silence after a key", asked=True)

"""How a session ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed

from voice_app.testing.conformance.case import Grade, Need, case
from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import CLOSING, BreachError, CaseSkippedError, WireCall, shown


async def _close(trial: Trial, call: WireCall) -> None:
    """The caller hangs up. Raises `BreachError` where the backend does not close its side in time."""
    closing = call.connection.close(*CLOSING)
    with suppress(TimeoutError):
        async with asyncio.timeout(trial.patience.close):
            await closing
    sent = call.connection.protocol.close_rcvd
    if sent is None:
        raise BreachError(f"the close was not answered within {trial.patience.close:g} s")


@case(
    "hang-up",
    sends="a close with 1000 after an answer",
    holds="the backend closes its side too",
    source="§3.1 caller hangs up; RFC 6455 §5.5.1",
    heard="nothing; but the line stays open at the backend, and is paid for",
)
async def hang_up(trial: Trial) -> None:
    async with trial.call() as call:
        await call.ask()
        await _close(trial, call)


@case(
    "hang-up-during-reply",
    sends="a close with 1000 while an answer streams",
    holds="the backend closes its side too",
    source="§3.1 caller hangs up; RFC 6455 §5.5.1",
    heard="nothing; but the backend goes on thinking, and that is paid for",
)
async def hang_up_during_reply(trial: Trial) -> None:
    async with trial.call() as call:
        await call.prompt()
        await call.seen(lambda: bool(call.words().strip()), trial.patience.reply)
        await _close(trial, call)


@case(
    "hang-up-at-once",
    sends="a close with 1000 right after the setup",
    holds="the backend closes its side too",
    source="§3.1 caller hangs up; RFC 6455 §5.5.1",
    heard="nothing; but the line stays open at the backend",
)
async def hang_up_at_once(trial: Trial) -> None:
    async with trial.call() as call:
        await _close(trial, call)


@case(
    "ping",
    sends="a ping with some bytes",
    holds="a pong with the same bytes",
    source="RFC 6455 §5.5.3",
    heard="the line breaks off after a minute, where a proxy asks",
)
async def ping(trial: Trial) -> None:
    async with trial.call() as call:
        try:
            async with asyncio.timeout(trial.patience.close):
                await (await call.connection.ping(b"are you there?"))
        except (TimeoutError, ConnectionClosed):
            raise BreachError(f"no pong within {trial.patience.close:g} s; {call.state}") from None


@case(
    "silence",
    sends="nothing after the setup",
    holds="the socket stays open, and a prompt is answered then",
    source="§3.3 Silence (CR never ends a call for it)",
    heard="the line breaks off, because they thought for a moment",
)
async def silence(trial: Trial) -> None:
    async with trial.call() as call:
        await call.seen(lambda: call.ending is not None, trial.patience.idle)
        call.must_be_open()
        await call.ask()


# --- the backend ends it ---------------------------------------------------------------------------


async def _ended(trial: Trial, call: WireCall) -> dict[str, Any]:
    """Say what makes the backend end the session. Gives its ``end``; raises `BreachError` without one."""
    since = call.position
    await call.prompt(trial.end_say)
    if await call.seen(lambda: call.is_answered(since), trial.patience.reply):
        await call.play(since)  # some wait until their last words were heard
        await call.seen(lambda: call.ending is not None, trial.patience.reply)
    if call.ending is None:
        raise BreachError(f"no `end` within {trial.patience.reply:g} s; {call.state}")
    return call.ending


@case(
    "end",
    sends="what makes the backend end the session",
    holds="`end`, with nothing but `handoffData`, a string",
    source="§2.2 end (no `reason`)",
    heard="they are never put through",
    needs=(Need.HANDOFF,),
)
async def end(trial: Trial) -> None:
    async with trial.call() as call:
        frame = await _ended(trial, call)
        if wrong := set(frame) - {"type", "handoffData"}:
            raise BreachError(f"`end` has {', '.join(sorted(wrong))}")
        if not isinstance(frame.get("handoffData", ""), str):
            raise BreachError("handoffData is no string: Twilio drops the frame (64107)")


@case(
    "nothing-after-end",
    sends="what makes the backend end the session; then the close that Twilio sends",
    holds="no frame after `end`, and the backend closes its side",
    source="§3.1 app sends `end` (1000 within ~90 ms)",
    heard="the last words are cut off",
    needs=(Need.HANDOFF,),
)
async def nothing_after_end(trial: Trial) -> None:
    async with trial.call() as call:
        await _ended(trial, call)
        place = next(n for n, message in enumerate(call.messages) if message.frame.get("type") == "end")
        await call.seen(lambda: call.position > place + 1, trial.patience.quiet)
        if call.position > place + 1:
            raise BreachError(f"after `end` came {shown(str(call.messages[place + 1].data))}")
        await _close(trial, call)


@case(
    "handoff-data-is-json",
    sends="what makes the backend end the session",
    holds="`handoffData` is JSON in a string",
    source="§2.2 end (serialise JSON yourself); §6.2",
    heard="whoever takes the call over knows nothing of it",
    grade=Grade.ADVICE,
    needs=(Need.HANDOFF,),
)
async def handoff_data_is_json(trial: Trial) -> None:
    async with trial.call() as call:
        data = (await _ended(trial, call)).get("handoffData")
        if data is None:
            raise CaseSkippedError("`end` came without handoffData")
        try:
            json.loads(data)
        except (TypeError, ValueError):
            raise BreachError(f"it is {shown(str(data))}") from None

"""The voice webhook, its TwiML, and what Twilio asks when a session is over."""

from __future__ import annotations

from voice_app.sandbox.load.target import new_call_sid
from voice_app.sandbox.phone.twiml import read
from voice_app.testing.conformance.case import Grade, Need, case
from voice_app.testing.conformance.trial import CallSession, Trial
from voice_app.testing.conformance.wire import BreachError, CaseSkippedError

_NEEDS = (Need.WEBHOOK,)
_FAILS = "an application error has occurred, goodbye"


@case(
    "twiml",
    sends="a call to the voice webhook",
    holds='TwiML that Twilio takes, with `<Connect><ConversationRelay url="wss://…">` in it',
    source="§1.1; §3.3 Content type; §3.2 64101",
    heard=_FAILS,
    needs=_NEEDS,
)
async def twiml(trial: Trial) -> None:
    session = await trial.session()
    if session.relay.refused:
        raise BreachError(f"64101: {session.relay.refused}")


@case(
    "twiml-is-all-read",
    sends="a call to the voice webhook",
    holds="no attribute that Twilio would ignore",
    source="§1.2 Wrong names",
    heard="nothing; but what the attribute should do does not happen",
    grade=Grade.ADVICE,
    needs=_NEEDS,
)
async def twiml_is_all_read(trial: Trial) -> None:
    source = await trial.voice(new_call_sid())
    trial.document(source)
    if problems := read(source, trial.target.vocabulary).problems:
        raise BreachError("; ".join(problems))


@case(
    "webhook-with-new-fields",
    sends="a call with fields that nobody knows yet, a name in Unicode, and an anonymous caller",
    holds="it is answered with TwiML that Twilio takes",
    source="§4 (new fields appear without notice); §6.1",
    heard=_FAILS,
    needs=_NEEDS,
)
async def webhook_with_new_fields(trial: Trial) -> None:
    fields = {"Tomorrow": "1", "CallerName": "Łucja & Ænne", "StirVerstat": "TN-Validation-Passed-A"}
    anonymous = {"From": "anonymous", "Caller": "anonymous"}
    trial.document(await trial.voice(new_call_sid(), **fields, **anonymous))


@case(
    "action",
    sends="a call to the voice webhook",
    holds="`<Connect>` has an `action`",
    source="§7 Failure; §3.1",
    heard="the line goes dead when the socket is lost",
    grade=Grade.ADVICE,
    needs=_NEEDS,
)
async def action(trial: Trial) -> None:
    if not (await trial.session()).action:
        raise BreachError("there is none: nothing follows on a session")


async def _after(trial: Trial, **fields: str) -> tuple[CallSession, str]:
    """What follows on a session that is over. Raises `BreachError`, and skips where nothing is asked."""
    session = await trial.session()
    if not session.action:
        raise CaseSkippedError("the TwiML has no `action`")
    async with trial.call(session) as call:
        await call.ask()
    answer = await trial.ended(session, **fields)
    trial.document(answer)
    return session, answer


@case(
    "action-after-hang-up",
    sends="the action URL with `SessionStatus` `completed`, the call over",
    holds="2xx, and TwiML or nothing",
    source="§3.1 action",
    heard="nothing; but an alert is logged, 11200 or 12300",
    needs=_NEEDS,
)
async def action_after_hang_up(trial: Trial) -> None:
    await _after(trial, SessionStatus="completed")


@case(
    "action-after-end",
    sends="the action URL with `SessionStatus` `ended`, no `HandoffData`",
    holds="2xx, and TwiML that Twilio takes",
    source="§3.1 app sends `end`",
    heard=_FAILS,
    needs=_NEEDS,
)
async def action_after_end(trial: Trial) -> None:
    await _after(trial, SessionStatus="ended")


@case(
    "action-with-strange-handoff",
    sends="the action URL with `HandoffData` that is no JSON",
    holds="2xx, and TwiML that Twilio takes",
    source="§3.1 (`HandoffData` verbatim); §4 untrusted text",
    heard=_FAILS,
    needs=_NEEDS,
)
async def action_with_strange_handoff(trial: Trial) -> None:
    await _after(trial, SessionStatus="ended", HandoffData='{"reason": "<Say>&')


@case(
    "action-after-loss",
    sends="the action URL with `failed` and `ErrorCode` 64105: the socket was lost",
    holds="TwiML with something in it: the call is in progress",
    source="§3.1 app drops the socket; §7 Failure",
    heard="the line goes dead",
    grade=Grade.ADVICE,
    needs=_NEEDS,
)
async def action_after_loss(trial: Trial) -> None:
    _, answer = await _after(trial, SessionStatus="failed", ErrorCode="64105", ErrorMessage="Websocket ended")
    if not trial.document(answer):
        raise BreachError("the answer is empty: Twilio hangs up")

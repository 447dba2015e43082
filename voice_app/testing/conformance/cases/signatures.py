"""Who is not Twilio is let in nowhere."""

from __future__ import annotations

from voice_app.sandbox.load.target import new_call_sid
from voice_app.sandbox.network import Network
from voice_app.testing.conformance.case import Grade, Need, case
from voice_app.testing.conformance.trial import CallSession, Trial
from voice_app.testing.conformance.wire import BreachError, SocketRefusedError

_TOKEN = (Need.TOKEN,)
_BOTH = (Need.TOKEN, Need.WEBHOOK)
_OPEN = "nothing; but anybody may talk with the agent, at your cost"
_LEAK = "nothing; but anybody gets addresses that open the agent's socket"


def _forged(trial: Trial, url: str, form: dict[str, str] | None = None) -> str:
    """A signature with a token that is not the account's."""
    return Network(trial.network.base, trial.network.origin, "no token of this account").sign(url, form)


async def _must_be_refused(trial: Trial, session: CallSession, signature: str | None) -> None:
    """Raises `BreachError` where a socket is opened, and not closed at once with 1008."""
    try:
        call = await trial.open(session, signature)
    except SocketRefusedError:
        return
    async with call:
        await call.send(trial.setup(session))
        if not await call.seen(lambda: call.is_closed, trial.patience.close):
            raise BreachError("the socket was opened")
        if call.connection.close_code not in (1008, 1002, 3000, 3003):
            raise BreachError(f"the socket was opened, and then {call.state}")


@case(
    "socket-unsigned",
    sends="a handshake without `X-Twilio-Signature`",
    holds="it is refused",
    source="§4 WebSocket upgrade",
    heard=_OPEN,
    needs=_TOKEN,
)
async def socket_unsigned(trial: Trial) -> None:
    await _must_be_refused(trial, await trial.session(), None)


@case(
    "socket-forged",
    sends="a handshake signed with another token",
    holds="it is refused",
    source="§4 WebSocket upgrade",
    heard=_OPEN,
    needs=_TOKEN,
)
async def socket_forged(trial: Trial) -> None:
    session = await trial.session()
    await _must_be_refused(trial, session, _forged(trial, session.url))


@case(
    "socket-signed-for-another",
    sends="a handshake with the right signature of another address",
    holds="it is refused",
    source="§4 WebSocket upgrade (the `url` as written)",
    heard=_OPEN,
    needs=_TOKEN,
)
async def socket_signed_for_another(trial: Trial) -> None:
    session = await trial.session()
    await _must_be_refused(trial, session, trial.network.sign(f"{session.url}x"))


@case(
    "socket-of-another-call",
    sends="a setup whose `callSid` is not that of the call which the address was made for",
    holds="nobody answers",
    source="§4 (replayable: compare with `setup.callSid`)",
    heard=_OPEN,
    grade=Grade.ADVICE,
    needs=_BOTH,
)
async def socket_of_another_call(trial: Trial) -> None:
    async with trial.call(callSid=new_call_sid()) as call:
        await call.prompt()
        if await call.seen(lambda: bool(call.words().strip()), trial.patience.quiet * 2):
            raise BreachError("it was answered")


@case(
    "socket-of-another-account",
    sends="a setup with another account's `accountSid`",
    holds="nobody answers",
    source="§4 (the setup is all that tells whose call it is)",
    heard=_OPEN,
    grade=Grade.ADVICE,
    needs=_TOKEN,
)
async def socket_of_another_account(trial: Trial) -> None:
    async with trial.call(accountSid="AC" + "0f" * 16) as call:
        await call.prompt()
        if await call.seen(lambda: bool(call.words().strip()), trial.patience.quiet * 2):
            raise BreachError("it was answered")


async def _webhook_must_refuse(trial: Trial, *, signed: bool) -> None:
    form, url = trial.target.form(new_call_sid()), trial.target.webhook
    answer = await trial.post(url, form, _forged(trial, url, form) if signed else None)
    if answer.status < 400:
        raise BreachError(f"it was answered with {answer.status}")


@case(
    "webhook-unsigned",
    sends="a voice webhook without a signature",
    holds="it is refused with 4xx",
    source="§4 POST form",
    heard=_LEAK,
    needs=_BOTH,
)
async def webhook_unsigned(trial: Trial) -> None:
    await _webhook_must_refuse(trial, signed=False)


@case(
    "webhook-forged",
    sends="a voice webhook signed with another token",
    holds="it is refused with 4xx",
    source="§4 POST form",
    heard=_LEAK,
    needs=_BOTH,
)
async def webhook_forged(trial: Trial) -> None:
    await _webhook_must_refuse(trial, signed=True)


@case(
    "webhook-altered",
    sends="a signed voice webhook with a field added afterwards",
    holds="it is refused with 4xx",
    source="§4 POST form (every field is signed)",
    heard=_LEAK,
    needs=_BOTH,
)
async def webhook_altered(trial: Trial) -> None:
    form, url = trial.target.form(new_call_sid()), trial.target.webhook
    answer = await trial.post(url, form | {"Extra": "1"}, trial.network.sign(url, form))
    if answer.status < 400:
        raise BreachError(f"it was answered with {answer.status}")


@case(
    "webhook-blank-fields",
    sends="a signed voice webhook with fields that are empty, or have spaces, plus and Unicode",
    holds="it is answered",
    source="§4 blank fields",
    heard="an application error has occurred, goodbye",
    needs=_BOTH,
)
async def webhook_blank_fields(trial: Trial) -> None:
    await trial.voice(new_call_sid(), ForwardedFrom="", CallerName="A + B  Zoë", FromZip="")

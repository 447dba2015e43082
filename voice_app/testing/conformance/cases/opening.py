"""The handshake and the setup."""

from __future__ import annotations

from typing import Any

from voice_app.testing.conformance.case import Grade, Need, case
from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import BreachError, CaseSkippedError

_BUSY = "nothing: the call fails with 64102, the line is busy"


def _setup(
    name: str,
    sends: str,
    changes: dict[str, Any],
    *,
    source: str = "§2.1 setup",
    heard: str = "silence: this caller is never answered",
    grade: Grade = Grade.RULE,
    without: str = "",
) -> None:
    """A setup of some kind is taken, and a prompt answered."""

    @case(name, sends=sends, holds="a prompt is answered", source=source, heard=heard, grade=grade)
    async def _(trial: Trial) -> None:
        session = await trial.session()
        async with trial.opened(session) as call:
            frame = {
                name: value for name, value in trial.setup(session, **changes).items() if name != without
            }
            await call.send(frame)
            await call.ask()


@case(
    "handshake",
    sends="a WebSocket handshake without subprotocols and extensions",
    holds="101, and neither is chosen",
    source="§3.2 64102; RFC 6455 §4.2.2",
    heard=_BUSY,
)
async def handshake(trial: Trial) -> None:
    session = await trial.session()
    async with trial.opened(session) as call:
        if call.connection.subprotocol is not None:
            raise BreachError(f"it chose the subprotocol {call.connection.subprotocol}")


@case(
    "handshake-with-compression",
    sends="a handshake that offers permessage-deflate, and a prompt",
    holds="it is answered, compressed or not",
    source="RFC 7692 §5; whether Twilio offers it is not known",
    heard=_BUSY,
    grade=Grade.UNCONFIRMED,
)
async def handshake_with_compression(trial: Trial) -> None:
    session = await trial.session()
    async with trial.opened(session, compression="deflate") as call:
        await call.send(trial.setup(session))
        await call.ask()


@case(
    "first-word-is-twilios",
    sends="a handshake, and nothing else",
    holds="nothing is sent before the setup",
    source="§2.1 setup (sent once, first)",
    heard="words that are lost, or meant for another caller",
    grade=Grade.ADVICE,
)
async def first_word_is_twilios(trial: Trial) -> None:
    async with trial.opened(await trial.session()) as call:
        if await call.seen(lambda: call.position > 0, trial.patience.quiet):
            raise BreachError("it sent a message before it knew whose call it is")


_setup("setup-inbound", 'the setup of an inbound call, with `""` for what is missing', {})
_setup(
    "setup-outbound",
    "a setup with `direction` `outbound-api` and `callStatus` `IN_PROGRESS`",
    {"direction": "outbound-api", "callStatus": "IN_PROGRESS"},
)
_setup(
    "setup-sip",
    "a setup with `callType` `SIP` and a SIP address",
    {"callType": "SIP", "from": "sip:anna@example.com"},
)
_setup(
    "setup-client",
    "a setup with `callType` `CLIENT` and `client:…`",
    {"callType": "CLIENT", "from": "client:anna"},
)
_setup(
    "setup-anonymous",
    "a setup whose `from` is `anonymous`",
    {"from": "anonymous"},
    source="§6.1 From",
)
_setup(
    "setup-names",
    "a setup with `callerName`, `forwardedFrom` and `parentCallSid`",
    {"callerName": 'Łucja O\'Neil "LO"', "forwardedFrom": "+15550100077", "parentCallSid": "CA" + "1" * 32},
)
_setup(
    "setup-parameters",
    "`customParameters` with Unicode, quotes and an empty value",
    {"customParameters": {"name": 'Zoë 🎧 "x" & <y>', "empty": "", "with space": "1"}},
    source="§1.3 Parameter",
)
_setup(
    "setup-new-fields",
    "a setup with fields that nobody knows yet",
    {"tomorrow": "x", "more": {"a": [1, None]}},
    source="§2.1: fields appear without notice",
)
_setup(
    "setup-nulls",
    "a setup with null for what is missing",
    {"forwardedFrom": None, "callerName": None, "parentCallSid": None},
    grade=Grade.UNCONFIRMED,
)
_setup(
    "setup-without-parameters",
    "a setup without `customParameters`",
    {},
    without="customParameters",
    grade=Grade.UNCONFIRMED,
)


@case(
    "setup-and-prompt-at-once",
    sends="setup and prompt without a pause between them",
    holds="the prompt is answered",
    source="§2.1 setup (then any message may follow)",
    heard="silence after their first words",
)
async def setup_and_prompt_at_once(trial: Trial) -> None:
    async with trial.call() as call:
        await call.ask()


@case(
    "setup-twice",
    sends="the setup a second time",
    holds="the session goes on",
    source="§9.5 applicationReconnect: whether `setup` is sent again is not known",
    heard="the line breaks off, or the agent begins anew",
    grade=Grade.UNCONFIRMED,
)
async def setup_twice(trial: Trial) -> None:
    session = await trial.session()
    frame = trial.setup(session)
    async with trial.call(session, **frame) as call:
        await call.ask()
        await call.send(frame)
        await call.ask()


@case(
    "second-session",
    sends="the socket is lost; then a new session of the same call: same `callSid`, new `sessionId`",
    holds="a prompt in it is answered",
    source="§3.1 new session",
    heard="silence after a moment's trouble on the line",
)
async def second_session(trial: Trial) -> None:
    session = await trial.session()
    async with trial.call(session) as call:
        await call.ask()
        call.drop()
    async with trial.call(await trial.next_session(session)) as call:
        await call.ask()


def _reconnects(name: str, sends: str, *, setup: bool) -> None:
    """Where the TwiML asks Twilio to come back to a session, the backend knows it again."""

    @case(
        name,
        sends=sends,
        holds="a prompt is answered",
        source="§1.2 applicationReconnect; §9.5 (what `setup` looks like then is not known)",
        heard="silence after a moment's trouble on the line",
        grade=Grade.UNCONFIRMED,
        needs=(Need.WEBHOOK,),
    )
    async def _(trial: Trial) -> None:
        session = await trial.session()
        if not session.relay.is_true("applicationReconnect"):
            raise CaseSkippedError("the TwiML has no applicationReconnect")
        frame = trial.setup(session)
        async with trial.call(session, **frame) as call:
            await call.ask()
            call.drop()
        async with trial.opened(session) as call:
            if setup:
                await call.send(frame)
            await call.ask()


_reconnects("reconnect", "the socket is lost; its address again, with the same setup", setup=True)
_reconnects("reconnect-without-setup", "the socket is lost; its address again, and no setup", setup=False)


@case(
    "two-calls-at-once",
    sends="prompts on two calls at the same time",
    holds="both are answered",
    source="§3.3 Concurrency",
    heard="silence, while somebody else is on the phone",
)
async def two_calls_at_once(trial: Trial) -> None:
    async with trial.call() as one, trial.call() as other:
        first, second = one.position, other.position
        await one.prompt()
        await other.prompt()
        await one.answer(first)
        await other.answer(second)

"""The call report: everything that is known of one call, as one JSON document, version 1.

It is made from the journal alone, so the same call gives the same report on any machine, later too; what
became known in between is in the later one, which has a higher ``revision``. Fields are only ever added
within a version: readers should leave aside what they do not know. Times are seconds since the epoch (UTC),
``…_s`` are seconds and ``…_ms`` milliseconds. Keys that were a secret are never in it, and neither are
credentials.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, Final

import msgspec

from voice_app.calls import CallCost, CallState, HandoffState, PriceList, SpokenLine, cost_of
from voice_app.followups.revisions import Revisions, entries_of
from voice_app.journal import CallRecord, Entry, Journal
from voice_app.journal.events import (
    Acted,
    AgentAssigned,
    Alerted,
    Analysed,
    Closed,
    Concluded,
    Failed,
    FollowedUp,
    HandedOff,
    Pressed,
    Speculated,
    Stored,
    Transcription,
    Voicemail,
)
from voice_app.twilio.alerts import meaning

VERSION: Final = 1


class _Part(msgspec.Struct):
    pass


class ReportedLine(_Part, kw_only=True):
    """One line of the conversation."""

    at: float
    who: str
    """``caller``, ``agent``, or ``person`` for somebody the caller was handed to."""
    text: str
    """What was said; of the agent, what was sent to be spoken."""
    heard: str
    """What the caller heard of it: less than ``text`` where the agent was interrupted."""
    first_token_ms: float | None = None
    total_ms: float | None = None


class ReportedStatement(_Part, kw_only=True):
    """Something that the caller had to hear to its end: the disclosure, or what an agent said like that."""

    at: float
    text: str
    heard_whole: bool
    """Whether it was; one that was cut off is said again, and stands here twice."""


class ReportedSession(_Part, kw_only=True):
    """One ConversationRelay session. A call has several if the line to us broke."""

    session_id: str
    at: float
    status: str = ""
    """Twilio's ``SessionStatus``; empty if it never told."""
    error_code: str = ""
    error_message: str = ""
    duration_s: float | None = None


class ReportedTool(_Part, kw_only=True):
    """A tool that the agent's model called. Without an outcome: it is not known whether it finished."""

    at: float
    name: str
    arguments: str
    outcome: str | None = None
    duration_ms: float | None = None


class ReportedHandoffStep(_Part, kw_only=True):
    """A step on the way to a person."""

    at: float
    step: str
    target: str
    attempt: int


class ReportedHandoff(_Part, kw_only=True):
    """How the caller was handed to people, and what came of it."""

    reason: str
    summary: str
    outcome: str
    """Where it ended: ``talking`` or ``over`` once somebody took the call, ``with-agent``, ``recording`` …"""
    accepted: bool
    """Whether somebody took the call."""
    steps: list[ReportedHandoffStep]


class ReportedMessage(_Part, kw_only=True):
    """A message that the caller left."""

    recording_sid: str
    url: str
    duration_s: float | None
    text: str
    """What was said in it, if Twilio was asked to write it down, and has."""
    transcription: str = ""
    """``completed`` or ``failed``; empty where nobody asked for it, or it is still awaited."""
    file: str | None = None
    """Its name in ``VOICE_APP_RECORDINGS``, once it was fetched."""
    size: int | None = None
    sha256: str | None = None


class ReportedNote(_Part, kw_only=True):
    """Something that happened, with a word about it."""

    at: float
    what: str
    detail: str


class ReportedAnalysis(_Part, kw_only=True):
    """What an operator of Conversation Intelligence said, as far as it is known by now."""

    operator_id: str
    result: str
    trigger: str
    at: str


class ReportedAlert(_Part, kw_only=True):
    """What Twilio's Debugger reported of the call."""

    at: float
    code: str
    level: str
    meaning: str
    text: str
    url: str
    status: str


class ReportedOutcome(_Part, kw_only=True):
    """What came of the call, as a model reads what was heard of it."""

    schema: str
    """``DefaultOutcome``, or the name of the pydantic model of ``VOICE_APP_OUTCOME``."""
    values: dict[str, Any]
    lines: dict[str, str]
    """What was said on the call that proves each value."""
    dropped: list[str]
    """What the model has answered without proof."""


class ReportedLatency(_Part, kw_only=True):
    """Of all replies that have one, in milliseconds."""

    replies: int
    median: float
    worst: float


class ReportedNumbers(_Part, kw_only=True):
    """The call in figures."""

    turns: int
    """How often the caller said something or pressed keys."""
    interruptions: int
    resumes: int
    """How often a broken session was taken up again."""
    guesses_right: int
    guesses_wrong: int
    first_token_ms: ReportedLatency | None
    total_ms: ReportedLatency | None


class CallReport(_Part, kw_only=True, rename={"from_": "from"}):
    """The whole call."""

    type: str = "call.report"
    version: int = VERSION
    revision: int
    """1 is the first report of a call; what became known later makes another one, with a higher number."""
    call_sid: str
    from_: str
    to: str
    direction: str
    status: str
    opened_at: float
    closed_at: float | None
    duration_s: float | None
    """As Twilio counts it, if it told; else from the first event to the last."""
    webhook: dict[str, str]
    """What else Twilio told of it: ``StirVerstat``, ``CallerName``, ``ForwardedFrom``, ``SipHeader_…``."""
    agent: str
    """Who had the call last, as the settings name it; empty if no agent had it."""
    agent_version: str
    variant: str
    """Which of ``VOICE_APP_VARIANTS`` the call was given to; empty: to none."""
    conversation_id: str | None
    configuration_id: str | None
    profile_id: str | None
    """Who called, in Twilio's Memory."""
    numbers: ReportedNumbers
    sessions: list[ReportedSession]
    dialogue: list[ReportedLine]
    statements: list[ReportedStatement]
    keys: list[str]
    tools: list[ReportedTool]
    actions: list[ReportedNote]
    handoff: ReportedHandoff | None
    voicemail: list[ReportedMessage]
    failures: list[ReportedNote]
    alerts: list[ReportedAlert]
    analysed: list[ReportedAnalysis]
    outcome: ReportedOutcome | None
    cost: CallCost | None
    """Where the prices are known to whoever makes the report."""
    follow_ups: list[ReportedNote]


async def report_of(journal: Journal, call_sid: str, prices: PriceList | None = None) -> CallReport | None:
    """The report of a call as the journal knows it now; None if it does not. Raises `JournalError`."""
    record = await journal.call(call_sid)
    if record is None:
        return None
    return call_report(record, await entries_of(journal, call_sid), prices)


def call_report(record: CallRecord, entries: Sequence[Entry], prices: PriceList | None = None) -> CallReport:
    """The report of a call. ``entries``: what was written of it, and of its conversations."""
    state = CallState.of(entries)
    said, assigned = state.transcript.lines(), state.last(AgentAssigned)
    told = [event.duration_s for event in state.events(Closed) if event.duration_s is not None]
    return CallReport(
        revision=Revisions.of(entries).current,
        call_sid=record.call_sid,
        from_=record.from_,
        to=record.to,
        direction=record.direction,
        status=record.status,
        opened_at=record.opened_at,
        closed_at=record.closed_at,
        duration_s=told[-1] if told else record.duration_s,
        webhook=dict(state.webhook),
        agent="" if assigned is None else assigned.agent,
        agent_version="" if assigned is None else assigned.version,
        variant=state.variant,
        conversation_id=state.conversation_id,
        configuration_id=state.configuration_id,
        profile_id=state.profile_id,
        numbers=_numbers(said, state),
        sessions=_sessions(state),
        dialogue=[_said(line) for line in said],
        statements=[
            ReportedStatement(at=line.at, text=line.text, heard_whole=line.heard_whole)
            for line in said
            if not line.interruptible
        ],
        keys=[event.digits for event in state.events(Pressed) if event.digits],
        tools=_tools(state),
        actions=[
            ReportedNote(at=at, what=event.action, detail=event.detail) for at, event in state.timed(Acted)
        ],
        handoff=_handoff(state),
        voicemail=_voicemail(state),
        failures=_failures(state),
        alerts=[
            ReportedAlert(
                at=at,
                code=event.code,
                level=event.level,
                meaning=meaning(event.code).what,
                text=event.text,
                url=event.url,
                status=event.status,
            )
            for at, event in state.timed(Alerted)
        ],
        analysed=[
            ReportedAnalysis(
                operator_id=event.operator_id, result=event.result, trigger=event.trigger, at=event.at
            )
            for event in state.events(Analysed)
        ],
        outcome=_outcome(state),
        cost=None if prices is None else cost_of(state, prices),
        follow_ups=[
            ReportedNote(at=at, what=event.step, detail=f"{event.outcome} {event.detail}".strip())
            for at, event in state.timed(FollowedUp)
        ],
    )


def _said(line: SpokenLine) -> ReportedLine:
    who = {"user": "caller", "assistant": "agent"}.get(line.role, "person")
    return ReportedLine(
        at=line.at,
        who=who,
        text=line.text,
        heard=line.content,
        first_token_ms=line.first_token_ms,
        total_ms=line.total_ms,
    )


def _numbers(said: Sequence[SpokenLine], state: CallState) -> ReportedNumbers:
    guesses = [event.hit for event in state.events(Speculated)]
    return ReportedNumbers(
        turns=sum(line.role == "user" and not line.transcribed for line in said),
        interruptions=sum(line.heard is not None and line.heard != line.text for line in said),
        resumes=state.sessions.resumes,
        guesses_right=sum(guesses),
        guesses_wrong=len(guesses) - sum(guesses),
        first_token_ms=_latency(line.first_token_ms for line in said),
        total_ms=_latency(line.total_ms for line in said),
    )


def _latency(values: Iterable[float | None]) -> ReportedLatency | None:
    known = [value for value in values if value is not None]
    return ReportedLatency(replies=len(known), median=median(known), worst=max(known)) if known else None


def _sessions(state: CallState) -> list[ReportedSession]:
    return [
        ReportedSession(
            session_id=session.id,
            at=session.at,
            status=session.status,
            error_code=session.error_code,
            error_message=session.error_message,
            duration_s=session.duration_s,
        )
        for session in state.sessions
        if session.connected or session.reports
    ]


def _tools(state: CallState) -> list[ReportedTool]:
    return [
        ReportedTool(
            at=use.at,
            name=use.called.name,
            arguments=use.called.arguments,
            outcome=None if use.returned is None else use.returned.outcome,
            duration_ms=None if use.returned is None else use.returned.duration_ms,
        )
        for use in state.tools.values()
    ]


def _handoff(state: CallState) -> ReportedHandoff | None:
    handoff = state.handoff
    if handoff.state is HandoffState.NONE:
        return None
    steps = [
        ReportedHandoffStep(at=at, step=event.step, target=event.target, attempt=event.attempt)
        for at, event in state.timed(HandedOff)
    ]
    return ReportedHandoff(
        reason=handoff.reason,
        summary=handoff.summary,
        outcome=str(handoff.state),
        accepted=any(step.step == "accepted" for step in steps),
        steps=steps,
    )


def _failures(state: CallState) -> list[ReportedNote]:
    """What went wrong, in the order in which it did, with Twilio's codes and messages."""
    failures = [
        ReportedNote(at=at, what=event.what, detail=event.detail) for at, event in state.timed(Failed)
    ]
    failures += [
        ReportedNote(at=at, what="transcription", detail=event.detail)
        for at, event in state.timed(Transcription)
        if event.state == "error"
    ]
    return sorted(failures, key=lambda failure: failure.at)


def _outcome(state: CallState) -> ReportedOutcome | None:
    told = state.last(Concluded)
    if told is None:
        return None
    return ReportedOutcome(
        schema=told.schema,
        values={field.name: _read(field.value) for field in told.fields},
        lines={field.name: field.line for field in told.fields},
        dropped=list(told.dropped),
    )


def _read(value: str) -> Any:
    """JSON of a journal; what is none, as an older hand may have written it, is text."""
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _voicemail(state: CallState) -> list[ReportedMessage]:
    """The messages, each put together from what was told of it bit by bit."""
    messages: dict[str, ReportedMessage] = {}
    for part in state.events(Voicemail):
        sid = part.recording_sid
        message = messages.setdefault(
            sid, ReportedMessage(recording_sid=sid, url="", duration_s=None, text="")
        )
        message.url = part.url or message.url
        message.text = part.text or message.text
        message.transcription = part.transcription or message.transcription
        message.duration_s = message.duration_s if part.duration_s is None else part.duration_s
    for stored in state.events(Stored):
        if (found := messages.get(stored.recording_sid)) is not None:
            found.file, found.size, found.sha256 = stored.file, stored.size, stored.sha256
    return list(messages.values())


def encode(document: CallReport) -> bytes:
    """The report as JSON."""
    return msgspec.json.encode(document)

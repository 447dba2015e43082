"""Makes the report of a call out of what the journal has of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from voice_app.calls import CallState, HandoffState, SpokenLine
from voice_app.followups.report import (
    Analysis,
    CallReport,
    HandoffPart,
    HandoffStep,
    Latency,
    Message,
    Note,
    Numbers,
    Said,
    Session,
    Tool,
)
from voice_app.journal import CallRecord, Journal
from voice_app.journal.events import (
    Acted,
    Analysed,
    Closed,
    Conversed,
    Failed,
    FollowedUp,
    HandedOff,
    Pressed,
    Speculated,
    Stored,
    Voicemail,
)


async def report_of(journal: Journal, call_sid: str) -> CallReport | None:
    """The report of a call as the journal knows it now; None if it does not. Raises `JournalError`."""
    record = await journal.call(call_sid)
    if record is None:
        return None
    state = CallState.of(await journal.events(call_sid))
    # What operators said may have been told of the conversation before it was known which call it is.
    for conversation_id in dict.fromkeys(event.conversation_id for event in state.events(Conversed)):
        for entry in await journal.events(conversation_id):
            state.take(entry)
    return report(record, state)


def report(record: CallRecord, state: CallState) -> CallReport:
    """The report of a call. ``state``: what was written of it, and of its conversation."""
    said = state.transcript.lines()
    told = [event.duration_s for event in state.events(Closed) if event.duration_s is not None]
    return CallReport(
        call_sid=record.call_sid,
        from_=record.from_,
        to=record.to,
        direction=record.direction,
        status=record.status,
        opened_at=record.opened_at,
        closed_at=record.closed_at,
        duration_s=told[-1] if told else record.duration_s,
        conversation_id=state.conversation_id,
        configuration_id=state.configuration_id,
        profile_id=state.profile_id,
        numbers=_numbers(said, state),
        sessions=_sessions(state),
        dialogue=[_said(line) for line in said],
        keys=[event.digits for event in state.events(Pressed) if event.digits],
        tools=_tools(state),
        actions=[Note(at=at, what=event.action, detail=event.detail) for at, event in state.timed(Acted)],
        handoff=_handoff(state),
        voicemail=_voicemail(state),
        failures=[Note(at=at, what=event.what, detail=event.detail) for at, event in state.timed(Failed)],
        analysed=[
            Analysis(operator_id=event.operator_id, result=event.result, trigger=event.trigger, at=event.at)
            for event in state.events(Analysed)
        ],
        follow_ups=[
            Note(at=at, what=event.step, detail=f"{event.outcome} {event.detail}".strip())
            for at, event in state.timed(FollowedUp)
        ],
    )


def _said(line: SpokenLine) -> Said:
    who = {"user": "caller", "assistant": "agent"}.get(line.role, "person")
    return Said(
        at=line.at,
        who=who,
        text=line.text,
        heard=line.content,
        first_token_ms=line.first_token_ms,
        total_ms=line.total_ms,
    )


def _numbers(said: Sequence[SpokenLine], state: CallState) -> Numbers:
    guesses = [event.hit for event in state.events(Speculated)]
    return Numbers(
        turns=sum(line.role == "user" and not line.transcribed for line in said),
        interruptions=sum(line.heard is not None and line.heard != line.text for line in said),
        resumes=state.sessions.resumes,
        guesses_right=sum(guesses),
        guesses_wrong=len(guesses) - sum(guesses),
        first_token_ms=_latency(line.first_token_ms for line in said),
        total_ms=_latency(line.total_ms for line in said),
    )


def _latency(values: Iterable[float | None]) -> Latency | None:
    known = [value for value in values if value is not None]
    return Latency(replies=len(known), median=median(known), worst=max(known)) if known else None


def _sessions(state: CallState) -> list[Session]:
    return [
        Session(
            session_id=session.id,
            at=session.at,
            status=session.status,
            error_code=session.error_code,
            duration_s=session.duration_s,
        )
        for session in state.sessions
        if session.connected or session.reports
    ]


def _tools(state: CallState) -> list[Tool]:
    return [
        Tool(
            at=use.at,
            name=use.called.name,
            arguments=use.called.arguments,
            outcome=None if use.returned is None else use.returned.outcome,
            duration_ms=None if use.returned is None else use.returned.duration_ms,
        )
        for use in state.tools.values()
    ]


def _handoff(state: CallState) -> HandoffPart | None:
    handoff = state.handoff
    if handoff.state is HandoffState.NONE:
        return None
    steps = [
        HandoffStep(at=at, step=event.step, target=event.target, attempt=event.attempt)
        for at, event in state.timed(HandedOff)
    ]
    return HandoffPart(
        reason=handoff.reason,
        summary=handoff.summary,
        outcome=str(handoff.state),
        accepted=any(step.step == "accepted" for step in steps),
        steps=steps,
    )


def _voicemail(state: CallState) -> list[Message]:
    """The messages, each put together from what was told of it bit by bit."""
    messages: dict[str, Message] = {}
    for part in state.events(Voicemail):
        sid = part.recording_sid
        message = messages.setdefault(sid, Message(recording_sid=sid, url="", duration_s=None, text=""))
        message.url = part.url or message.url
        message.text = part.text or message.text
        message.duration_s = message.duration_s if part.duration_s is None else part.duration_s
    for stored in state.events(Stored):
        if (found := messages.get(stored.recording_sid)) is not None:
            found.file, found.size, found.sha256 = stored.file, stored.size, stored.sha256
    return list(messages.values())

"""Makes the report of a call out of what the journal has of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import TypeVar

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
from voice_app.handoff import Handoff, State
from voice_app.journal import CallRecord, Entry, Journal, Utterance, dialogue
from voice_app.journal.events import (
    Acted,
    Analysed,
    Closed,
    Connected,
    Conversed,
    Event,
    Failed,
    FollowedUp,
    HandedOff,
    Pressed,
    Recognised,
    Reconnected,
    SessionEnded,
    Speculated,
    Stored,
    ToolCalled,
    ToolReturned,
    Voicemail,
)

_E = TypeVar("_E", bound=Event)


async def report_of(journal: Journal, call_sid: str) -> CallReport | None:
    """The report of a call as the journal knows it now; None if it does not. Raises `JournalError`."""
    record = await journal.call(call_sid)
    if record is None:
        return None
    entries = list(await journal.events(call_sid))
    # What operators said may have been told of the conversation before it was known which call it is.
    for conversation_id in dict.fromkeys(event.conversation_id for _, event in _of(entries, Conversed)):
        entries += await journal.events(conversation_id)
    return report(record, entries)


def report(record: CallRecord, entries: Sequence[Entry]) -> CallReport:
    """The report of a call. ``entries``: what was written of it and of its conversation, in order."""
    said = dialogue(entries)
    told = [event.duration_s for _, event in _of(entries, Closed) if event.duration_s is not None]
    conversed = [event for _, event in _of(entries, Conversed)]
    recognised = [event.profile_id for _, event in _of(entries, Recognised)]
    return CallReport(
        call_sid=record.call_sid,
        from_=record.from_,
        to=record.to,
        direction=record.direction,
        status=record.status,
        opened_at=record.opened_at,
        closed_at=record.closed_at,
        duration_s=told[-1] if told else record.duration_s,
        conversation_id=conversed[-1].conversation_id if conversed else None,
        configuration_id=(conversed[-1].configuration_id or None) if conversed else None,
        profile_id=recognised[-1] if recognised else None,
        numbers=_numbers(said, entries),
        sessions=_sessions(entries),
        dialogue=[_said(line) for line in said],
        keys=[event.digits for _, event in _of(entries, Pressed) if event.digits],
        tools=_tools(entries),
        actions=[Note(at=at, what=event.action, detail=event.detail) for at, event in _of(entries, Acted)],
        handoff=_handoff(entries),
        voicemail=_voicemail(entries),
        failures=[Note(at=at, what=event.what, detail=event.detail) for at, event in _of(entries, Failed)],
        analysed=[
            Analysis(operator_id=event.operator_id, result=event.result, trigger=event.trigger, at=event.at)
            for _, event in _of(entries, Analysed)
        ],
        follow_ups=[
            Note(at=at, what=event.step, detail=f"{event.outcome} {event.detail}".strip())
            for at, event in _of(entries, FollowedUp)
        ],
    )


def _of(entries: Iterable[Entry], kind: type[_E]) -> Iterator[tuple[float, _E]]:
    return ((entry.at, entry.event) for entry in entries if isinstance(entry.event, kind))


def _said(line: Utterance) -> Said:
    who = {"user": "caller", "assistant": "agent"}.get(line.role, "person")
    return Said(
        at=line.at,
        who=who,
        text=line.text,
        heard=line.content,
        first_token_ms=line.first_token_ms,
        total_ms=line.total_ms,
    )


def _numbers(said: Sequence[Utterance], entries: Sequence[Entry]) -> Numbers:
    guesses = [event.hit for _, event in _of(entries, Speculated)]
    sessions = len({event.session_id for _, event in _of(entries, Connected)})
    reconnected = sum(1 for _ in _of(entries, Reconnected))
    return Numbers(
        turns=sum(line.role == "user" and not line.transcribed for line in said),
        interruptions=sum(line.heard is not None and line.heard != line.text for line in said),
        resumes=max(0, sessions - 1) + reconnected,
        guesses_right=sum(guesses),
        guesses_wrong=len(guesses) - sum(guesses),
        first_token_ms=_latency(line.first_token_ms for line in said),
        total_ms=_latency(line.total_ms for line in said),
    )


def _latency(values: Iterable[float | None]) -> Latency | None:
    known = [value for value in values if value is not None]
    return Latency(replies=len(known), median=median(known), worst=max(known)) if known else None


def _sessions(entries: Sequence[Entry]) -> list[Session]:
    sessions: dict[str, Session] = {}
    for at, begun in _of(entries, Connected):
        sessions.setdefault(begun.session_id, Session(session_id=begun.session_id, at=at))
    for at, ended in _of(entries, SessionEnded):
        session = sessions.setdefault(ended.session_id, Session(session_id=ended.session_id, at=at))
        session.status, session.error_code, session.duration_s = (
            ended.status,
            ended.error_code,
            ended.duration_s,
        )
    return list(sessions.values())


def _tools(entries: Sequence[Entry]) -> list[Tool]:
    tools: dict[tuple[int, str], Tool] = {}
    for at, called in _of(entries, ToolCalled):
        tools[called.round, called.id] = Tool(at=at, name=called.name, arguments=called.arguments)
    for _, returned in _of(entries, ToolReturned):
        if (tool := tools.get((returned.round, returned.id))) is not None:
            tool.outcome, tool.duration_ms = returned.outcome, returned.duration_ms
    return list(tools.values())


def _handoff(entries: Sequence[Entry]) -> HandoffPart | None:
    handoff = Handoff.of(entries)
    if handoff.state is State.NONE:
        return None
    steps = [
        HandoffStep(at=at, step=event.step, target=event.target, attempt=event.attempt)
        for at, event in _of(entries, HandedOff)
    ]
    return HandoffPart(
        reason=handoff.reason,
        summary=handoff.summary,
        outcome=str(handoff.state),
        accepted=any(step.step == "accepted" for step in steps),
        steps=steps,
    )


def _voicemail(entries: Sequence[Entry]) -> list[Message]:
    """The messages, each put together from what was told of it bit by bit."""
    messages: dict[str, Message] = {}
    for _, part in _of(entries, Voicemail):
        sid = part.recording_sid
        message = messages.setdefault(sid, Message(recording_sid=sid, url="", duration_s=None, text=""))
        message.url = part.url or message.url
        message.text = part.text or message.text
        message.duration_s = message.duration_s if part.duration_s is None else part.duration_s
    for _, stored in _of(entries, Stored):
        if (found := messages.get(stored.recording_sid)) is not None:
            found.file, found.size, found.sha256 = stored.file, stored.size, stored.sha256
    return list(messages.values())

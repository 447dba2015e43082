"""One call as console and API show it: where it stands while it goes on, and all that is to be read of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from voice_app.calls import CallState, HandoffState, Parties, SpokenLine
from voice_app.console.calls import MOST, CallQuery, CallRow, call_row
from voice_app.followups.report import ReportedHandoff, ReportedMessage, ReportedTool, call_report
from voice_app.journal import CallRecord, Entry, Journal
from voice_app.journal.events import (
    Acted,
    Alerted,
    Closed,
    Failed,
    HandedOff,
    Remembered,
    SessionEnded,
    Supervised,
    Transcription,
)

Whereabouts: TypeAlias = Literal["connecting", "agent", "waiting", "person", "message", "over"]
"""Who has the caller: nobody yet, the agent, ringing or a queue, a person, the voicemail, nobody any more."""


class LiveCall(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """A call that goes on."""

    call_sid: str
    caller: str
    caller_name: str
    number: str
    agent: str
    """One of ``VOICE_APP_AGENTS``; empty: that of the number."""
    state: Whereabouts
    opened_at: float
    last_words: str
    last_speaker: str
    """``caller``, ``agent`` or ``person``."""
    last_at: float
    """When something was said last: since then it is silent."""
    failures: int
    """Turns in a row in which the agent failed."""
    muted: bool
    reason: str
    """Why a person is asked for."""
    target: str
    """Who is rung, or talks."""


async def live_calls(journal: Journal) -> list[LiveCall]:
    """The calls that go on now, on all servers, the newest first. Raises `JournalError`."""
    wanted = CallQuery(state="live").selection(time.time())
    found = [call async for call in journal.select(wanted, limit=MOST)]
    return [live_call(call, await journal.events(call.call_sid)) for call in found]


def live_call(call: CallRecord, entries: Sequence[Entry]) -> LiveCall:
    """A call that goes on, folded from what happened on it."""
    state = CallState.of(entries)
    lines = state.transcript.lines()
    last = lines[-1] if lines else None
    parties = Parties.of(call)
    return LiveCall(
        call_sid=call.call_sid,
        caller=parties.caller,
        caller_name=state.webhook.get("CallerName", ""),
        number=parties.number,
        agent=state.agent,
        state=whereabouts(state),
        opened_at=call.opened_at,
        last_words="" if last is None else last.content,
        last_speaker="" if last is None else _WHO[last.role],
        last_at=call.opened_at if last is None else last.at,
        failures=_failures(state, lines),
        muted=state.muted,
        reason=state.handoff.reason,
        target=state.handoff.target,
    )


def whereabouts(state: CallState) -> Whereabouts:
    """Who has the caller."""
    if state.events(Closed):
        return "over"
    match state.handoff.state:
        case HandoffState.REQUESTED | HandoffState.RINGING | HandoffState.MISSED:
            return "waiting"
        case HandoffState.TALKING:
            return "person"
        case HandoffState.RECORDING | HandoffState.OVER:
            return "message" if state.handoff.state is HandoffState.RECORDING else "over"
        case _:
            return "agent" if state.with_agent else "connecting"


def _failures(state: CallState, lines: Sequence[SpokenLine]) -> int:
    answered = max((line.at for line in lines if line.role == "assistant" and line.total_ms), default=0.0)
    return sum(at > answered for at, event in state.timed(Failed) if event.what == "agent")


_WHO: Final = {"user": "caller", "assistant": "agent", "person": "person"}
_SHOWN: Final = (Acted, Alerted, Closed, Failed, HandedOff, SessionEnded, Supervised, Transcription)
"""Events that stand between the lines of a dialogue."""


class DialogueLine(msgspec.Struct, kw_only=True):
    """What somebody said, or what happened in between."""

    id: str
    at: float
    who: str
    """``caller``, ``agent``, ``person``; empty: nobody said anything, see ``event``."""
    text: str = ""
    """What was said, or sent to be spoken."""
    heard: str = ""
    """What the caller heard of it."""
    unheard: str = ""
    """What the caller did not hear any more, or was said otherwise."""
    first_token_ms: float | None = None
    total_ms: float | None = None
    interruptible: bool = True
    event: dict[str, Any] | None = None
    """What happened, with its ``kind``."""


class CallDetail(msgspec.Struct, kw_only=True):
    """One call, with all that is to be read of it."""

    call: CallRow
    state: Whereabouts
    agent: str
    muted: bool
    dialogue: list[DialogueLine]
    tools: list[ReportedTool]
    handoff: ReportedHandoff | None
    voicemail: list[ReportedMessage]
    memory: list[str]
    """What was known of the caller, as the agent was given it."""
    webhook: dict[str, str]
    """What else Twilio told of the caller: name, STIR/SHAKEN, SIP headers."""
    conversation_id: str | None
    configuration_id: str | None
    profile_id: str | None
    last_id: str
    """The entry up to which this tells: the feed goes on from it (``Last-Event-ID``)."""


async def call_detail(journal: Journal, call_sid: str) -> CallDetail | None:
    """One call as it is known now; `None` if it is not. Raises `JournalError`."""
    entries = await journal.events(call_sid)
    if not entries or (record := await journal.call(call_sid)) is None:
        return None
    labels = await journal.labels([call_sid])
    state, report = CallState.of(entries), call_report(record, entries)
    return CallDetail(
        call=call_row(record, labels[call_sid]),
        state=whereabouts(state),
        agent=state.agent,
        muted=state.muted,
        dialogue=dialogue(state, entries),
        tools=report.tools,
        handoff=report.handoff,
        voicemail=report.voicemail,
        memory=[] if (remembered := state.last(Remembered)) is None else list(remembered.lines),
        webhook=dict(state.webhook),
        conversation_id=state.conversation_id,
        configuration_id=state.configuration_id,
        profile_id=state.profile_id,
        last_id=entries[-1].id,
    )


def dialogue(state: CallState, entries: Iterable[Entry]) -> list[DialogueLine]:
    """Who said what and what was heard of it, and what happened in between, in order."""
    said = {line.entry_id: line for line in state.transcript.lines()}
    lines = []
    for entry in entries:
        if (line := said.get(entry.id)) is not None:
            lines.append(_spoken(line))
        elif isinstance(entry.event, _SHOWN):
            lines.append(
                DialogueLine(id=entry.id, at=entry.at, who="", event=msgspec.to_builtins(entry.event))
            )
    return lines


def _spoken(line: SpokenLine) -> DialogueLine:
    heard = line.content
    rest = line.text.removeprefix(heard)
    return DialogueLine(
        id=line.entry_id,
        at=line.at,
        who=_WHO[line.role],
        text=line.text,
        heard=heard,
        unheard=rest if rest.strip() else "",
        first_token_ms=line.first_token_ms,
        total_ms=line.total_ms,
        interruptible=line.interruptible,
    )


def as_text(call: CallRecord, entries: Sequence[Entry]) -> str:
    """The dialogue for people, a line for each; what was not heard stands in brackets."""
    told = [f"{call.call_sid}: {call.from_} to {call.to}, {_clock(call.opened_at)} UTC", ""]
    for line in dialogue(CallState.of(entries), entries):
        if line.who:
            unheard = f" [not heard: {line.unheard.strip()}]" if line.unheard else ""
            words = line.heard if line.text.startswith(line.heard) else f"{line.heard} "
            told.append(f"{_clock(line.at)[11:]}  {line.who}: {' '.join((words + unheard).split())}")
    return "\n".join(told) + "\n"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")

"""Calls as console and API show them: the list with its filters, those that go on, and one with all of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Self, TypeAlias, cast

import msgspec

from voice_app.calls import CallState, HandoffState, Parties, SpokenLine
from voice_app.followups.report import ReportedHandoff, ReportedMessage, ReportedTool, call_report
from voice_app.journal import CallRecord, Entry, Journal, Selection
from voice_app.journal.events import (
    Acted,
    Alerted,
    Closed,
    Failed,
    HandedOff,
    SessionEnded,
    Supervised,
    Transcription,
)
from voice_app.journal.search import FLAGS
from voice_app.settings import plain_address

MOST: Final = 500
"""Calls on a page of the list."""
LIVE_SECONDS: Final = 24 * 3600.0
"""No call lasts longer at Twilio: one that is older and not closed was lost."""
MAX_VALUE: Final = 200
"""Characters of a filter."""

Whereabouts: TypeAlias = Literal["connecting", "agent", "waiting", "person", "message", "over"]
"""Who has the caller: nobody yet, the agent, ringing or a queue, a person, the voicemail, nobody any more."""


class CallQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls of the list are wanted, the newest first."""

    state: Literal["", "live", "over"] = ""
    number: str = ""
    """From or to this address."""
    agent: str = ""
    """This one had it: one of ``VOICE_APP_AGENTS``, a built-in, or ``module:name``."""
    variant: str = ""
    """One of ``VOICE_APP_VARIANTS``."""
    outcome: str = ""
    reason: str = ""
    """Of the handoff."""
    flags: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    """Opened since and before, in seconds since the epoch."""
    said: str = ""
    """All of these words were said at once, on a call that is over."""
    limit: int = 50
    after: tuple[float, str] | None = None
    """The call that was read last: when it was opened, and its SID."""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Self:
        """What a query string asks for: the names of the fields, and ``from``, ``to``, ``text``, ``cursor``.

        Raises:
            ValueError: something in it cannot be used. The message says what, and what would do.
        """
        unknown = given.keys() - _PARAMETERS
        if unknown:
            raise ValueError(
                f"there is no filter {min(unknown)!r}: there are {', '.join(sorted(_PARAMETERS))}"
            )
        long = next((name for name, value in given.items() if len(value) > MAX_VALUE), None)
        if long is not None:
            raise ValueError(f"{long}: it should have {MAX_VALUE} characters or less")
        flags = tuple(filter(None, given.get("flags", "").split(",")))
        if wrong := [flag for flag in flags if flag not in FLAGS]:
            raise ValueError(f"flags: {wrong[0]!r} is none: there are {', '.join(FLAGS)}")
        if (state := given.get("state", "")) not in ("", "live", "over"):
            raise ValueError(f"state: {state!r} should be live or over")
        return cls(
            state=cast(Literal["", "live", "over"], state),
            number=plain_address(given.get("number", "")),
            agent=given.get("agent", ""),
            variant=given.get("variant", ""),
            outcome=given.get("outcome", ""),
            reason=given.get("reason", ""),
            flags=flags,
            since=moment("from", given.get("from", "")),
            until=moment("to", given.get("to", ""), end=True),
            said=given.get("text", ""),
            limit=_limit(given.get("limit", "50")),
            after=_cursor(given.get("cursor", "")),
        )

    def selection(self, now: float) -> Selection:
        """The same for the journal. ``now``: seconds since the epoch."""
        named = {
            "address": self.number,
            "agent": self.agent,
            "variant": self.variant,
            "outcome": self.outcome,
            "reason": self.reason,
        }
        labels = {f"{kind}:{value}" for kind, value in named.items() if value}
        live = self.state == "live"
        return Selection(
            labels=frozenset(labels | {f"flag:{flag}" for flag in self.flags}),
            since=max(self.since or 0.0, now - LIVE_SECONDS) if live else self.since,
            until=self.until,
            closed=None if not self.state else not live,
            said=self.said,
        )


_PARAMETERS: Final = frozenset(
    {
        "state",
        "number",
        "agent",
        "variant",
        "outcome",
        "reason",
        "flags",
        "from",
        "to",
        "text",
        "limit",
        "cursor",
    }
)


class CallRow(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """A call in the list."""

    call_sid: str
    from_: str
    to: str
    caller: str
    """The other person's address, whoever placed the call."""
    number: str
    """Ours."""
    direction: str
    status: str
    opened_at: float
    closed_at: float | None
    duration_s: float | None
    agents: list[str]
    """Those that had it."""
    variant: str
    """Which of ``VOICE_APP_VARIANTS`` it was given to; empty: to none."""
    outcomes: list[str]
    """What came of it, as it is filtered by: ``resolved=true`` …"""
    reasons: list[str]
    """Why a person was asked for."""
    flags: list[str]


class CallPage(msgspec.Struct):
    """A part of the list."""

    calls: list[CallRow]
    next: str | None
    """The ``cursor`` of what follows; `None` at the end."""


async def list_calls(journal: Journal, query: CallQuery) -> CallPage:
    """The calls that are wanted. Raises `JournalError`."""
    after = None if query.after is None else _place(*query.after)
    wanted = query.selection(time.time())
    found = [call async for call in journal.select(wanted, limit=query.limit + 1, after=after)]
    shown = found[: query.limit]
    labels = await journal.labels([call.call_sid for call in shown])
    more = f"{shown[-1].opened_at!r}-{shown[-1].call_sid}" if len(found) > len(shown) else None
    return CallPage([call_row(call, labels[call.call_sid]) for call in shown], more)


def call_row(call: CallRecord, labels: Iterable[str]) -> CallRow:
    """A call with what its labels tell."""
    named: dict[str, list[str]] = {}
    for label in labels:
        kind, _, value = label.partition(":")
        named.setdefault(kind, []).append(value)
    parties = Parties.of(call)
    return CallRow(
        call_sid=call.call_sid,
        from_=call.from_,
        to=call.to,
        caller=parties.caller,
        number=parties.number,
        direction=call.direction,
        status=call.status,
        opened_at=call.opened_at,
        closed_at=call.closed_at,
        duration_s=call.duration_s,
        agents=named.get("agent", []),
        variant=next(iter(named.get("variant", [])), ""),
        outcomes=named.get("outcome", []),
        reasons=[reason for reason in named.get("reason", []) if reason],
        flags=named.get("flag", []),
    )


# --- those that go on -----------------------------------------------------------------------------


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


# --- one call ---------------------------------------------------------------------------------------

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


# --- what a query string says -----------------------------------------------------------------------


def moment(name: str, text: str, *, end: bool = False) -> float | None:
    """A date or time in UTC, or with its own offset, in seconds since the epoch; empty: `None`.

    The ``end`` of a day is the beginning of the next. Raises `ValueError`.
    """
    if not text:
        return None
    try:
        if re.fullmatch(r"\d{9,11}(\.\d{1,6})?", text):
            return float(text)
        found = datetime.fromisoformat(text.replace(" ", "+"))
        if end and len(text) <= len("2026-11-22"):
            found += timedelta(days=1)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{name}: {text!r} should look like 2026-11-22 or 2026-11-22T14:30Z") from None


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST:
        raise ValueError(f"limit: {text!r} should be a number from 1 to {MOST}")
    return int(text)


def _cursor(text: str) -> tuple[float, str] | None:
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,12}\.\d{1,9})-(CA[0-9A-Za-z]{1,64})", text)
    if found is None:
        raise ValueError("cursor: it should be the `next` of the page before")
    return float(found[1]), found[2]


def _place(opened_at: float, call_sid: str) -> CallRecord:
    return CallRecord(call_sid, "", "", "", "", opened_at, None, opened_at)

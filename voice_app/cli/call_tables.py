"""Calls as people read them, and as programs do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from voice_app.calls import CallCost, CallerAddress, CallState, PriceList, SpokenLine, cost_of
from voice_app.cli.output import plain
from voice_app.findings import printable
from voice_app.journal import CallRecord, Entry
from voice_app.journal.events import (
    AgentAssigned,
    Alerted,
    Concluded,
    Connected,
    Costed,
    Event,
    FollowedUp,
    Framed,
    Heard,
    ModelUsed,
    Notified,
    Partial,
    Played,
    Prompted,
    Remembered,
    Replied,
    SocketOpened,
    ToolCalled,
    ToolReturned,
    Transcribed,
    Typing,
    UnknownEvent,
)
from voice_app.twilio.alerts import meaning

_WHO: Final = {
    "user": Text("caller", "cyan"),
    "assistant": Text("agent", "green"),
    "person": Text("person", "magenta"),
}

_TOLD: Final = {
    "CallerName": "caller's name",
    "ForwardedFrom": "forwarded from",
    "StirVerstat": "caller verified",
    "ParentCallSid": "parent call",
}
"""What of the voice webhook people want to know, beside SIP headers."""
_WITHIN: Final = (
    *(Prompted, Partial, Replied, Played, Heard, Typing, Transcribed),
    *(SocketOpened, Framed, ModelUsed, Costed),
)
"""What the dialogue tells already, or what nobody wants to read."""


def sheet(call: CallRecord, entries: Sequence[Entry], prices: PriceList) -> Group:
    """One call: what is known of it, then who said what, and what happened in between."""
    state = CallState.of(entries)
    return Group(_summary(call, state, cost_of(state, prices)), "", _dialogue_table(call, entries, state))


def table(calls: Iterable[CallRecord]) -> Table:
    """One line for each."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("Call", no_wrap=True)
    for title in ("Opened", "From", "To", "Direction", "Status"):
        grid.add_column(title, overflow="fold")
    grid.add_column("Length", justify="right")
    for call in calls:
        grid.add_row(
            plain(call.call_sid),
            time_of(call.opened_at),
            plain(CallerAddress.read(call.from_).shown),
            plain(CallerAddress.read(call.to).shown),
            plain(call.direction),
            plain(call.status),
            _length(call.duration_s),
        )
    return grid


def _summary(call: CallRecord, state: CallState, cost: CallCost) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    assigned = state.last(AgentAssigned)
    agent = "" if assigned is None else f"{assigned.agent} (version {assigned.version or 'unknown'})"
    rows = [
        ("call", call.call_sid),
        ("from", CallerAddress.read(call.from_).shown),
        ("to", CallerAddress.read(call.to).shown),
        ("direction", call.direction),
        ("status", call.status),
        ("opened", time_of(call.opened_at)),
        ("length", _length(call.duration_s)),
        *(
            (_TOLD.get(name, name), value)
            for name, value in state.webhook.items()
            if _is_worth_it(name, value)
        ),
        ("agent", agent),
        ("variant", state.variant),
        ("cost", _cost(cost)),
    ]
    for name, value in filter(lambda row: row[1], rows):
        grid.add_row(name, plain(value))
    return grid


def _cost(cost: CallCost) -> str:
    """E.g. ``about 0.16 USD: call 2 minutes 0.02, relay 2 minutes 0.14 (prices of 2026-11 that ship)``."""
    parts = [f"{line.what} {line.quantity:,.0f} {line.unit} {line.amount:.4f}" for line in cost.lines]
    ships = " that ship" if cost.shipped_prices else ""
    told = (
        f"about {cost.total:.4f} {cost.currency}: {', '.join(parts)} (prices of {cost.prices_as_of}{ships})"
    )
    return told if parts else ""


def _is_worth_it(name: str, value: str) -> bool:
    return bool(value) and (name in _TOLD or name.startswith("SipHeader_"))


def _dialogue_table(call: CallRecord, entries: Sequence[Entry], state: CallState) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(justify="right", style="dim", no_wrap=True)
    lines = {line.entry_id: line for line in state.transcript.lines()}
    for entry in entries:
        at = _length(max(0.0, entry.at - call.opened_at))
        if line := lines.get(entry.id):
            who = _WHO[line.role]
            quickness = line.first_token_ms
            grid.add_row(at, who, _said(line), "" if quickness is None else f"{quickness:.0f} ms")
        elif not isinstance(entry.event, _WITHIN) and not _is_echo(entry.event):
            grid.add_row(at, Text("·", "dim"), plain(_note(entry.event), "dim"), "")
    return grid


def _is_echo(event: Event | UnknownEvent) -> bool:
    """Whether Twilio only told that somebody spoke: one event for each clause of what stands here already."""
    return isinstance(event, Notified) and event.event_type.startswith("COMMUNICATION_")


def _said(line: SpokenLine) -> Text:
    """What was said; of an interrupted reply also what the caller didn't hear of it."""
    text, heard = plain(line.text), line.heard
    if heard is None or heard == line.text:
        return text
    if line.text.startswith(heard):
        unheard = Text(f"[not heard: {printable(line.text[len(heard) :]).strip()}]", "dim")
        return Text(" ").join([plain(heard.rstrip()), unheard]) if heard.strip() else unheard
    return Text(" ").join([plain(heard), Text(f"[was to be: {text.plain}]", "dim")])


def _note(event: Event | UnknownEvent) -> str:
    """An event beside the dialogue, with what it holds."""
    match event:
        case UnknownEvent(kind=kind, data=data):
            return f"{kind} {data}"
        case Connected(session_id=session_id, language=language):
            return f"connected: session_id {session_id}, language {language}"
        case Concluded(fields=fields):
            told = "; ".join(f"{field.name} {field.value} (“{field.line}”)" for field in fields)
            return f"outcome: {told or 'nothing that the call proves'}"
        case Alerted(code=code, text=text, url=url, status=status):
            answered = " ".join(filter(None, [url, f"({status})" if status else ""]))
            told = f"twilio: {code} {meaning(code).what}{f' at {answered}' if answered else ''}"
            return f"{told}: {text}" if text else told
        case Remembered(lines=lines):
            return f"memory: {'; '.join(lines)}"
        case ToolCalled(name=name, arguments=arguments):
            return f"tool: {name} {arguments}".rstrip()
        case ToolReturned(name=name, outcome=outcome, duration_ms=duration_ms):
            after = "" if duration_ms is None else f" after {duration_ms:.0f} ms"
            return f"tool: {name} returned{after}" + (f": {outcome}" if outcome else "")
        case FollowedUp(step=step, outcome=outcome, detail=detail):
            return f"follow-up: {step} {outcome} {detail}".rstrip()
        case _:
            fields = msgspec.to_builtins(event)
            kind = fields.pop("kind")
            fields.pop("webhook", None)  # stands above
            fields.pop("document", None)  # the console shows it
            details = ", ".join(f"{name} {value}" for name, value in fields.items() if value != "")
            return f"{kind}: {details}" if details else kind


def time_of(at: float) -> str:
    """A time of the day where this runs."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:04.1f}"

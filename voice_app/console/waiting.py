"""Who waits: callers for a person, and callers who left without one, for somebody to see to them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from voice_app.calls import CallState
from voice_app.console.calls import CallRow, call_row
from voice_app.console.one_call import LiveCall, live_calls
from voice_app.followups.report import ReportedHandoff, ReportedMessage, call_report
from voice_app.journal import CallRecord, Entry, Journal, Selection
from voice_app.journal.events import CallbackWanted, CalledBack, FollowedUp, Supervised

DAYS: Final = 14
"""So far back is looked for what nobody has seen to."""
MOST: Final = 200
DONE: Final = "done"
"""`Supervised`: somebody has seen to it."""


class MissedHandoff(msgspec.Struct, kw_only=True):
    """Somebody wanted a person, and reached none."""

    call: CallRow
    handoff: ReportedHandoff
    done_by: str
    """Who has seen to it; empty: nobody yet."""


class LeftMessage(msgspec.Struct, kw_only=True):
    """A call on which a message was left."""

    call: CallRow
    messages: list[ReportedMessage]
    done_by: str


class CallbackRequest(msgspec.Struct, kw_only=True):
    """Somebody was turned away, and wants to be called back."""

    call: CallRow
    to: str
    attempts: list[CallbackAttempt]
    outcome: str
    """``called back``, ``not reached`` …; empty while it is still to be done."""
    done_by: str


class CallbackAttempt(msgspec.Struct, kw_only=True):
    """One call back."""

    at: float
    number: int
    """1 is the first."""
    call_sid: str
    """Empty: it is only meant to be placed."""


class Waiting(msgspec.Struct, kw_only=True):
    """Everybody who waits."""

    ringing: list[LiveCall]
    """On the line, until somebody picks up."""
    missed: list[MissedHandoff]
    callbacks: list[CallbackRequest]


async def waiting(journal: Journal) -> Waiting:
    """Who waits now, and who could not wait any longer within `DAYS`. Raises `JournalError`."""
    ringing = [call for call in await live_calls(journal) if call.state == "waiting"]
    missed = [
        MissedHandoff(call=row, handoff=handoff, done_by=_done_by(state))
        async for row, record, entries, state in _flagged(journal, "handoff")
        if state.is_over and (handoff := call_report(record, entries).handoff) and not handoff.accepted
    ]
    callbacks = [_callback(row, state) async for row, _, _, state in _flagged(journal, "callback")]
    return Waiting(ringing=ringing, missed=missed, callbacks=callbacks)


async def voicemails(journal: Journal) -> list[LeftMessage]:
    """The messages of the last `DAYS`, the newest first. Raises `JournalError`."""
    return [
        LeftMessage(call=row, messages=call_report(record, entries).voicemail, done_by=_done_by(state))
        async for row, record, entries, state in _flagged(journal, "voicemail")
    ]


async def _flagged(
    journal: Journal, flag: str
) -> AsyncIterator[tuple[CallRow, CallRecord, list[Entry], CallState]]:
    wanted = Selection(labels=frozenset({f"flag:{flag}"}), since=time.time() - DAYS * 86_400)
    found = [call async for call in journal.select(wanted, limit=MOST)]
    labels = await journal.labels([call.call_sid for call in found])
    for call in found:
        entries = await journal.events(call.call_sid)
        yield call_row(call, labels[call.call_sid]), call, entries, CallState.of(entries)


def _callback(row: CallRow, state: CallState) -> CallbackRequest:
    wish = state.last(CallbackWanted)
    outcomes = [event.outcome for event in state.events(FollowedUp) if event.step == "callback"]
    return CallbackRequest(
        call=row,
        to="" if wish is None else wish.to,
        attempts=[
            CallbackAttempt(at=at, number=event.number, call_sid=event.call_sid)
            for at, event in state.timed(CalledBack)
        ],
        outcome=outcomes[-1] if outcomes else "",
        done_by=_done_by(state),
    )


def _done_by(state: CallState) -> str:
    done = [event.by for event in state.events(Supervised) if event.act == DONE]
    return done[-1] if done else ""

"""Calls as console and API show them: the list with its filters, those that go on, and one with all of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, Self, cast

import msgspec

from voice_app.calls import Parties
from voice_app.journal import CallRecord, Journal, Selection
from voice_app.journal.search import FLAGS
from voice_app.settings import plain_address

MOST: Final = 500
"""Calls on a page of the list."""
LIVE_SECONDS: Final = 24 * 3600.0
"""No call lasts longer at Twilio: one that is older and not closed was lost."""
MAX_VALUE: Final = 200
"""Characters of a filter."""


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
    def of(cls, given: Mapping[str, str], zone: tzinfo = UTC) -> Self:
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
            since=moment("from", given.get("from", ""), zone),
            until=moment("to", given.get("to", ""), zone, end=True),
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


# --- what a query string says -----------------------------------------------------------------------


def moment(name: str, text: str, zone: tzinfo = UTC, *, end: bool = False) -> float | None:
    """A date or time in a zone, or with its own offset, in seconds since the epoch; empty: `None`.

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
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
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

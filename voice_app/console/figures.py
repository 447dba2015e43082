"""Calls in figures: how many, what became of them, how quick the replies were. Console, API and
``voice-app stats`` ask here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

import msgspec

from voice_app.calls.spreadsheet import line
from voice_app.console.calls import moment
from voice_app.journal import Journal
from voice_app.journal.statistics import APART, BUCKET_MS, GROUPINGS, GroupCount, Grouping, together
from voice_app.settings import zone_named

DAYS: Final = 7
"""As many are counted where nothing else is asked for."""
MOST_DAYS: Final = 400
_UTC: Final = ZoneInfo("UTC")


class FigureRow(msgspec.Struct, kw_only=True):
    """One group of calls. A call that several agents had, or that was handed over twice, is in several."""

    key: str
    """A day, an hour, a number, an agent, a variant, a reason, an outcome; empty in the total."""
    calls: int
    live: int
    contained: int
    """Over, and neither handed over nor turned away, nor was a message or a call back wanted."""
    handed_over: int
    voicemails: int
    callbacks: int
    turned_away: int
    silent: int
    """Ended because nobody spoke."""
    unanswered: int
    """A question of the caller's got no answer, as the outcome tells."""
    interrupted: int
    """The caller cut in at least once."""
    agent_failed: int
    failed: int
    """Something else failed."""
    alerts: int
    mean_seconds: float | None
    """Of those that are over."""
    replies: int
    first_token_p50_ms: float | None
    first_token_p95_ms: float | None
    sound_p50_ms: float | None
    """From the prompt to the voice, which is what a caller waits: where ``speaker-events`` tell of it."""
    sound_p95_ms: float | None
    costs: dict[str, float]
    """By currency, of the calls that are over."""

    @property
    def cost(self) -> str:
        """For people: ``1.25 USD``."""
        return ", ".join(f"{amount:.2f} {currency}" for currency, amount in sorted(self.costs.items()))


class CallFigures(msgspec.Struct, kw_only=True):
    """Calls of a time, in groups."""

    by: Grouping
    since: float
    until: float
    """Opened since and before, in seconds since the epoch."""
    zone: str
    """Where hours and days begin."""
    total: FigureRow
    rows: list[FigureRow]


class FigureQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which figures are wanted."""

    by: Grouping = "day"
    since: float
    until: float
    zone: ZoneInfo = _UTC
    """Where hours and days begin."""

    @classmethod
    def of(cls, given: Mapping[str, str], zone: ZoneInfo = _UTC) -> Self:
        """What a query string asks for: ``by``, ``from``, ``to``, ``zone``, which is else the one given here.

        Raises:
            ValueError: something in it cannot be used. The message says what, and what would do.
        """
        by = given.get("by", "day")
        if by not in GROUPINGS:
            raise ValueError(f"by: {by!r} should be {', '.join(GROUPINGS)}")
        try:
            zone = zone_named(name) if (name := given.get("zone", "")) else zone
        except ValueError as error:
            raise ValueError(f"zone: {error}") from None
        until = moment("to", given.get("to", ""), zone, end=True) or time.time()
        since = moment("from", given.get("from", ""), zone)
        since = until - DAYS * 86_400 if since is None else since
        if not 0 <= until - since <= MOST_DAYS * 86_400:
            raise ValueError(f"from, to: they should be at most {MOST_DAYS} days apart, the earlier first")
        return cls(by=by, since=since, until=until, zone=zone)

    @property
    def before(self) -> FigureQuery:
        """The same of the week before, to compare."""

        def earlier(at: float) -> float:
            return (datetime.fromtimestamp(at, self.zone) - timedelta(days=7)).timestamp()

        return msgspec.structs.replace(self, since=earlier(self.since), until=earlier(self.until))


async def figures(journal: Journal, query: FigureQuery) -> CallFigures:
    """Count calls. Raises `JournalError`."""
    asked = (query.since, query.until, query.zone)
    groups = await journal.count(query.by, *asked)
    total = groups if query.by in APART else await journal.count("total", *asked)
    return CallFigures(
        by=query.by,
        since=query.since,
        until=query.until,
        zone=query.zone.key,
        total=_row(together(total), ""),
        rows=[_row(group, _key(query, group.key)) for group in groups],
    )


def _key(query: FigureQuery, key: str) -> str:
    match query.by:
        case "day":
            return datetime.fromtimestamp(int(key), UTC).date().isoformat()
        case "hour":  # with its offset: an hour in autumn is there twice
            return datetime.fromtimestamp(int(key), query.zone).isoformat(timespec="minutes")
        case _:
            return key


def _row(group: GroupCount, key: str) -> FigureRow:
    flags = group.flags
    return FigureRow(
        key=key,
        calls=group.calls,
        live=group.calls - group.closed,
        contained=group.contained or 0,
        handed_over=flags.get("handoff", 0),
        voicemails=flags.get("voicemail", 0),
        callbacks=flags.get("callback", 0),
        turned_away=flags.get("turned-away", 0),
        silent=flags.get("silence", 0),
        unanswered=flags.get("unanswered", 0),
        interrupted=flags.get("interrupted", 0),
        agent_failed=flags.get("agent-failed", 0),
        failed=flags.get("failure", 0),
        alerts=flags.get("alert", 0),
        mean_seconds=group.seconds / group.closed if group.closed else None,
        replies=sum(group.delays.values()),
        first_token_p50_ms=_percentile(group.delays, 0.5),
        first_token_p95_ms=_percentile(group.delays, 0.95),
        sound_p50_ms=_percentile(group.sounds, 0.5),
        sound_p95_ms=_percentile(group.sounds, 0.95),
        costs=group.costs,
    )


def _percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Within which this share of delays was: the end of their step."""
    wanted, seen = share * sum(counts.values()), 0
    for step in sorted(counts):
        seen += counts[step]
        if seen >= wanted:
            return float((step + 1) * BUCKET_MS)
    return None


def as_csv(rows: Iterable[FigureRow]) -> str:
    """The rows as a table for a spreadsheet."""
    names = FigureRow.__struct_fields__
    cells = ((row.cost if name == "costs" else getattr(row, name) for name in names) for row in rows)
    return "".join(map(line, [names, *cells]))

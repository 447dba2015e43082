"""Calls counted by the database, in groups: nothing but the counts leaves it, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from math import inf, nextafter
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, get_args

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.sql.elements import ColumnElement

from voice_app.journal.database import Database
from voice_app.journal.tables import calls, events, labels

_Key = TypeVar("_Key")
_Number = TypeVar("_Number", int, float)
Grouping: TypeAlias = Literal["total", "hour", "day", "number", "agent", "variant", "reason", "outcome"]
GROUPINGS: Final[tuple[Grouping, ...]] = get_args(Grouping)
APART: Final[frozenset[Grouping]] = frozenset({"total", "hour", "day", "number"})
"""Those whose groups share no call."""
BUCKET_MS: Final = 10
"""Delays are counted in steps of so many milliseconds."""
_AT_ONCE: Final = 5_000
"""Calls that one question is about: PostgreSQL gives up what takes seconds, as it has calls to serve."""
_SECONDS: Final = {"hour": 3600, "day": 86_400}
_NOT_CONTAINED: Final = ("flag:handoff", "flag:turned-away", "flag:voicemail", "flag:callback")


class GroupCount(msgspec.Struct, kw_only=True):
    """What was counted of one group of calls."""

    key: str
    """As the grouping has it; of an hour the seconds since the epoch at which it begins, and of a day those
    at which it would begin in UTC."""
    calls: int = 0
    closed: int = 0
    contained: int = 0
    """Over, and neither handed over nor turned away, nor was a message or a call back wanted."""
    seconds: float = 0.0
    """Of the closed ones, from first event to end."""
    flags: dict[str, int] = {}
    """How many calls have each flag."""
    delays: dict[int, int] = {}
    """Replies by the time from the prompt to the first token, in steps of `BUCKET_MS`."""
    sounds: dict[int, int] = {}
    """Likewise by the time from the prompt to the voice, where Twilio tells of it."""
    costs: dict[str, float] = {}
    """What the calls cost that are over, by currency."""


def count(
    database: Database, grouping: Grouping, since: float, until: float, zone: tzinfo = UTC
) -> list[GroupCount]:
    """Count the calls that were opened since then and before, by group, in the order of their keys.

    Args:
        since: in seconds since the epoch.
        until: likewise.
        zone: where hours and days begin, also on days on which its clocks are changed.
    """
    found: dict[str, GroupCount] = {}

    def group(key: object) -> GroupCount:
        return found.setdefault(str(key), GroupCount(key=str(key), flags={}, delays={}, sounds={}, costs={}))

    with database.reading() as connection:
        for query, take in _queries(database, grouping, since, until, zone):
            for row in connection.execute(query):
                take(group(row[0]), row)
    return sorted(found.values(), key=lambda item: item.key)


def end_of_part(database: Database, since: float, until: float) -> float:
    """Until when calls are few enough to be counted at once, of those that were opened since then."""
    opened_at = calls.c.opened_at
    query = select(opened_at).where(opened_at >= since, opened_at < until).order_by(opened_at)
    with database.reading() as connection:
        following = connection.scalar(query.offset(_AT_ONCE).limit(1))
    return until if following is None else max(float(following), nextafter(since, inf))


def merged(parts: Iterable[Iterable[GroupCount]]) -> list[GroupCount]:
    """Counts of calls that are in one part each, in the order of their keys."""
    groups: dict[str, list[GroupCount]] = {}
    for part in parts:
        for group in part:
            groups.setdefault(group.key, []).append(group)
    return [replace(together(groups[key]), key=key) for key in sorted(groups)]


def together(groups: Iterable[GroupCount]) -> GroupCount:
    """The total of groups that share no call."""
    total = GroupCount(key="", flags={}, delays={}, sounds={}, costs={})
    for group in groups:
        total.calls += group.calls
        total.closed += group.closed
        total.contained += group.contained
        total.seconds += group.seconds
        _add(total.flags, group.flags)
        _add(total.delays, group.delays)
        _add(total.sounds, group.sounds)
        _add(total.costs, group.costs)
    return total


def _add(total: dict[_Key, _Number], more: Mapping[_Key, _Number]) -> None:
    for key, number in more.items():
        total[key] = total[key] + number if key in total else number


def _queries(
    database: Database, grouping: Grouping, since: float, until: float, zone: tzinfo
) -> Iterator[tuple[Select[Any], Any]]:
    """What to ask, each with what its rows are for."""
    key, base = _grouped(database, grouping, shifts(zone, since, until))
    within = (calls.c.opened_at >= since, calls.c.opened_at < until, calls.c.call_sid.startswith("CA"))
    over = calls.c.closed_at.is_not(None)
    # Counted, not asked for by EXISTS: PostgreSQL would look those labels up for all calls there ever were.
    lost = (
        select(func.count())
        .where(labels.c.call_id == calls.c.id, labels.c.label.in_(_NOT_CONTAINED))
        .scalar_subquery()
    )
    yield (
        base(
            select(
                key,
                func.count(calls.c.id),
                func.count(calls.c.closed_at),
                func.sum(case((over & (lost == 0), 1), else_=0)),
                func.sum(func.coalesce(calls.c.closed_at - calls.c.opened_at, 0.0)),
            )
        ).where(*within),
        _take_calls,
    )
    flagged = labels.alias()
    yield (
        base(select(key, flagged.c.label, func.count()), flagged, flagged.c.call_id == calls.c.id)
        .where(*within, _is_of_kind(flagged.c.label, "flag"))
        .group_by(text("2")),
        _take_flags,
    )
    told = _told(database)
    yield (
        base(
            select(key, *told.columns, func.count(), func.sum(told.amount)),
            events,
            events.c.call_id == calls.c.id,
        )
        .where(*within, told.condition)
        .group_by(*map(text, "234")),
        _take_told,
    )


def _is_of_kind(label: ColumnElement[str], kind: str) -> ColumnElement[bool]:
    """Whether a label of a call is one of this kind.

    In a form that no index has: labels are looked up by their call, since calls of a week are few. By the
    beginning of the label SQLite would go through those of all calls that there ever were.
    """
    return func.substr(label, 1, len(kind) + 1) == f"{kind}:"


class _Told(NamedTuple):
    """What single events tell: delays and costs, in one walk through the events of the calls."""

    columns: tuple[ColumnElement[Any], ...]
    """Kind, delay in steps of `BUCKET_MS`, currency."""
    amount: ColumnElement[float]
    condition: ColumnElement[bool]


def _told(database: Database) -> _Told:
    kind, data = events.c.kind, events.c.data
    delay = case(
        (kind == "reply", database.json_number(data, "first_token_ms")),
        (kind == "played", database.json_number(data, "sound_ms")),
    )
    step = cast(func.floor(delay / BUCKET_MS) if database.shared else delay / BUCKET_MS, Integer)
    later = events.alias()
    corrected = exists().where(
        later.c.call_id == events.c.call_id, later.c.kind == "cost", later.c.id > events.c.id
    )
    return _Told(
        columns=(kind, step, case((kind == "cost", database.json_word(data, "currency")))),
        amount=case((kind == "cost", database.json_number(data, "amount"))),
        condition=or_(
            and_(kind == "reply", data.contains('"ends_turn":true')),  # once for each answer
            and_(kind == "played", data.contains('"sound_ms":')),
            and_(kind == "cost", not_(corrected)),
        ),
    )


def _take_calls(group: GroupCount, row: Any) -> None:
    group.calls, group.closed, group.contained, group.seconds = row[1], row[2], row[3], float(row[4])


def _take_flags(group: GroupCount, row: Any) -> None:
    group.flags[row[1].partition(":")[2]] = row[2]


def _take_told(group: GroupCount, row: Any) -> None:
    _, kind, step, currency, number, amount = row
    if currency is not None:
        group.costs[currency] = float(amount)
    elif step is not None:
        (group.delays if kind == "reply" else group.sounds)[step] = number


def shifts(zone: tzinfo, since: float, until: float) -> list[tuple[float, int]]:
    """From when on a zone is how many seconds before UTC, in this time: one pair, and one for each change."""

    def offset(at: float) -> int:
        found = datetime.fromtimestamp(at, zone).utcoffset() or timedelta()
        return int(found.total_seconds())

    found, at = [(since, offset(since))], since
    while at < until:
        day = min(at + _SECONDS["day"], until)
        if offset(day) != found[-1][1]:
            low, high = int(at), int(day) + 1
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == found[-1][1] else (low, middle)
            found.append((float(high), offset(high)))
        at = day
    return found


def _offset(changes: list[tuple[float, int]]) -> ColumnElement[int]:
    """How many seconds the zone is before UTC when a call is opened."""
    if len(changes) == 1:
        return literal(changes[0][1], Integer)
    whens = [(calls.c.opened_at < following, offset) for (_, offset), (following, _) in pairwise(changes)]
    return case(*whens, else_=changes[-1][1])


def _grouped(
    database: Database, grouping: Grouping, changes: list[tuple[float, int]]
) -> tuple[ColumnElement[Any], Any]:
    """The key of a group, and what makes a query one by groups."""
    labelled = labels.alias()
    key: ColumnElement[Any]
    match grouping:
        case "total":
            key = literal("")
        case "hour" | "day":
            seconds, offset = _SECONDS[grouping], _offset(changes)
            moved = calls.c.opened_at + offset
            # PostgreSQL rounds where SQLite cuts.
            whole = cast(func.floor(moved) if database.shared else moved, BigInteger)
            key = whole - whole % seconds - (offset if grouping == "hour" else 0)
        case "number":
            outbound = calls.c.direction.startswith("outbound")
            key = case((outbound, calls.c.from_address), else_=calls.c.to_address)
        case _:
            key = func.substr(labelled.c.label, len(grouping) + 2)

    def by_group(query: Select[Any], other: Any = None, on: Any = None) -> Select[Any]:
        joined: Any = calls if other is None else calls.join(other, on)
        if grouping in ("agent", "variant", "reason", "outcome"):
            joined = joined.join(labelled, labelled.c.call_id == calls.c.id)
            query = query.where(_is_of_kind(labelled.c.label, grouping))
        return query.select_from(joined).group_by(text("1"))

    return key, by_group

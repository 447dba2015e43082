"""A list of calls costs what it costs with few calls, however many there are.

What is compared is work, not time: steps of SQLite's machine, and pages that PostgreSQL looks at. The plans
are looked at, too: they are the same for few calls and for many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import event

from support.many_calls import FIRST, OURS, PAUSE, RARE, caller, fill
from voice_app.journal import CallRecord, Entry, Journal, Selection
from voice_app.journal.events import Opened
from voice_app.journal.statistics import GROUPINGS, count
from voice_app.journal.store import Store

FEW: Final = 1_000
PAGE: Final = 50


def wanted(calls: int) -> dict[str, Selection]:
    """What is asked for of so many calls."""
    middle = FIRST + calls // 2 * PAUSE
    past: dict[str, Any] = {"since": middle - 100 * PAUSE, "until": middle}
    return {
        "all": Selection(),
        "live": Selection(closed=False, since=FIRST),
        "live ones of a number": Selection(closed=False, labels=frozenset({f"address:{OURS}"})),
        "of our number": Selection(labels=frozenset({f"address:{OURS}"})),
        "of a caller": Selection(labels=frozenset({f"address:{caller(7)}"})),
        "messages": Selection(labels=frozenset({"flag:voicemail"})),
        "something rare": Selection(labels=frozenset({"flag:alert"})),
        "something rare of an agent": Selection(labels=frozenset({"flag:alert", "agent:receptionist"})),
        "long ago": Selection(**past),
        "of an agent, long ago": Selection(labels=frozenset({"agent:receptionist"}), **past),
        "with common words": Selection(said="hello"),
        "with rare words": Selection(said="zebra looking"),
        "with common words, handed over": Selection(said="hello", labels=frozenset({"flag:handoff"})),
        "with words that nobody said": Selection(said="elephant"),
    }


def steps_of_sqlite(store: Store, ask: Callable[[], Any]) -> int:
    """How many hundreds of instructions of its virtual machine were done."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def watched(driver: Any, *_: Any) -> None:
        driver.set_progress_handler(count, 100)

    event.listen(store.database.engine, "checkout", watched)
    try:
        ask()
    finally:
        event.remove(store.database.engine, "checkout", watched)
    return steps


def statements_of(store: Store, ask: Callable[[], Any]) -> list[tuple[str, Any]]:
    """What a database is asked, with the parameters."""
    asked: list[tuple[str, Any]] = []

    def taken(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(store.database.engine, "before_cursor_execute", taken)
    try:
        ask()
    finally:
        event.remove(store.database.engine, "before_cursor_execute", taken)
    return [(statement, parameters) for statement, parameters in asked if "SELECT" in statement]


def pages_of_postgresql(store: Store, ask: Callable[[], Any]) -> int:
    """How many pages of its buffers were looked at."""
    pages = 0
    asked = statements_of(store, ask)
    with store.database.reading() as connection:
        for statement, parameters in asked:
            explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            (found,) = connection.exec_driver_sql(explained, parameters).one()
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return pages


def plan_of(store: Store, ask: Callable[[], Any]) -> list[str]:
    """The steps in which the database finds what is asked: the table, and the index where there is one."""
    steps: list[str] = []
    asked = statements_of(store, ask)
    with store.database.reading() as connection:
        if store.shared:  # of a small table it reads all: what counts is whether an index fits
            connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in asked:
            if store.shared:
                (found,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).one()
                steps += _nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
            else:
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                steps += [row[3] for row in rows]
        if store.shared:
            connection.exec_driver_sql("RESET enable_seqscan")
    return steps


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    names = (plan.get(name, "") for name in ("Node Type", "Relation Name", "Index Name"))
    yield " ".join(filter(None, names))
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def reads_all(step: str) -> bool:
    """Whether a step goes through all of a table that grows with the calls."""
    whole = re.fullmatch(r"(?:SCAN|Seq Scan) (calls|events|labels|said)(?: AS \w+)?", step)
    return whole is not None


@contextmanager
def filled(url: str, calls: int) -> Iterator[Store]:
    store = Store(url)
    store.create()
    fill(store, calls)
    if store.shared:  # as autovacuum does by itself
        with psycopg.connect(url, autocommit=True) as connection:  # the store's own gives up after seconds
            connection.execute("VACUUM ANALYZE")
    yield store
    store.close()


def questions(store: Store, calls: int) -> dict[str, Callable[[], Any]]:
    """What is asked of so many calls: a page of a list, or a hundred calls counted."""
    lists = {name: partial(store.select, item, PAGE) for name, item in wanted(calls).items()}
    time = (FIRST + calls // 2 * PAUSE, FIRST + (calls // 2 + 100) * PAUSE)
    counts = {f"counted by {by}": partial(count, store.database, by, *time) for by in GROUPINGS}
    missed = {"without words": partial(store.without_words, 100 * PAUSE)}
    return {**lists, **counts, **missed}


def work(store: Store, ask: Callable[[], Any]) -> int:
    """What a question costs."""
    ask()  # what is done once for each connection is done
    return (pages_of_postgresql if store.shared else steps_of_sqlite)(store, ask)


def compare(few: Store, many: Store, calls: int) -> None:
    """Whether a question costs about as much of many calls as of few."""
    dear, of_few = {}, questions(few, FEW)
    for name, ask in questions(many, calls).items():
        before, after = work(few, of_few[name]), work(many, ask)
        if after > before * 2 + 300:
            dear[name] = (before, after)
    assert dear == {}


def right(store: Store, calls: int) -> None:
    """What is found is what is meant."""
    found = {name: store.select(selection, PAGE) for name, selection in wanted(calls).items()}
    oldest = [f"CA{number:032x}" for number in range(RARE)]
    for name in ("something rare", "something rare of an agent", "with rare words"):
        assert [call.call_sid for call in found[name]] == oldest[::-1], name
    assert len(found["live"]) == len(found["live ones of a number"]) == RARE
    assert found["with words that nobody said"] == []
    for name in ("all", "of our number", "long ago", "of an agent, long ago", "with common words"):
        assert len(found[name]) == PAGE, name
    last = store.select(Selection(), PAGE, CallRecord("CA", "", "", "", "", FIRST + 10 * PAUSE, None, 0.0))
    assert [call.opened_at for call in last] == [FIRST + number * PAUSE for number in range(9, -1, -1)]


INDEXES: Final = {
    "all": "ix_calls_opened_at",
    "live": "ix_calls_open",
    "live ones of a number": "ix_calls_open",
    "of our number": "ix_labels_newest",
    "of a caller": "ix_labels_newest",
    "messages": "ix_labels_newest",
    "something rare": "ix_labels_newest",
    "something rare of an agent": "ix_labels_newest",
    "long ago": "ix_calls_opened_at",
    "of an agent, long ago": "ix_labels_newest",
    "with common words": "ix_calls_opened_at",
    "with rare words": "said",
    "with common words, handed over": "ix_labels_newest",
    "with words that nobody said": "said",
}
"""By which index calls are found; words by that of what was said."""


def test_calls_are_found_by_an_index_whatever_is_asked(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sqlite", "postgresql"):  # what everybody says is said often, here too
        monkeypatch.setattr(f"voice_app.journal.{module}.FEW", FEW // 2)
    with filled(database_url, FEW) as store:
        for name, selection in wanted(FEW).items():
            steps = plan_of(store, partial(store.select, selection, PAGE))
            assert not list(filter(reads_all, steps)), (name, steps)
            assert any(INDEXES[name] in step for step in steps), (name, steps)


def test_so_are_those_that_are_counted_and_those_whose_words_are_in_no_index(database_url: str) -> None:
    with filled(database_url, FEW) as store:
        for name, ask in questions(store, FEW).items():
            if name not in INDEXES:
                steps = plan_of(store, ask)
                assert not list(filter(reads_all, steps)), (name, steps)
                assert not [step for step in steps if "label>" in step], (name, steps)
                assert any("ix_calls_opened_at" in step for step in steps), (name, steps)


def test_no_calls_but_those_of_the_time_are_looked_at_to_count_them(postgres_url: str) -> None:
    with filled(postgres_url, FEW) as store:
        for by in GROUPINGS:  # of all calls there are, which is when it would be worth while
            steps = plan_of(store, partial(count, store.database, by, FIRST, FIRST + FEW * PAUSE))
            assert not [step for step in steps if "ix_labels_newest" in step], (by, steps)


async def test_calls_are_counted_a_few_at_a_time_and_each_of_them_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = FIRST + 200 * PAUSE
    with filled(database_url, 200) as store:
        store.append([Entry(f"{number:032x}", last, f"CA{number:031x}b", Opened()) for number in range(30)])
        whole = {by: count(store.database, by, 0, last + 1) for by in GROUPINGS}
    monkeypatch.setattr("voice_app.journal.statistics._AT_ONCE", 7)
    async with Journal(database_url) as journal:
        assert {by: await journal.count(by, 0, last + 1) for by in GROUPINGS} == whole
        assert await journal.count("total", last + 1, last + 2) == await journal.count("total", 2, 1) == []


def test_a_list_of_many_calls_costs_what_one_of_few_does(tmp_path: Path) -> None:
    many = 12_000
    with (
        filled(f"sqlite:///{tmp_path}/few.db", FEW) as few,
        filled(f"sqlite:///{tmp_path}/many.db", many) as store,
    ):
        right(store, many)
        compare(few, store, many)


@pytest.mark.slow
def test_so_does_one_of_a_million(tmp_path: Path) -> None:
    with (
        filled(f"sqlite:///{tmp_path}/few.db", FEW) as few,
        filled(f"sqlite:///{tmp_path}/many.db", 1_000_000) as store,
    ):
        right(store, 1_000_000)
        compare(few, store, 1_000_000)


@pytest.mark.slow
def test_so_does_one_of_a_million_on_postgresql(postgres_url: str) -> None:
    with filled(postgres_url, 1_000_000) as store:
        right(store, 1_000_000)
        asked = questions(store, 1_000_000)
        dear = {name: pages for name, ask in asked.items() if (pages := work(store, ask)) > 5_000}
        assert dear == {}

"""A list of calls costs what it costs with few calls, however many there are.

What is compared is work, not time: steps of SQLite's machine, and pages that PostgreSQL looks at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import event

from support.many_calls import FIRST, OURS, PAUSE, RARE, caller, fill
from voice_app.journal import CallRecord, Selection
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


def pages_of_postgresql(store: Store, ask: Callable[[], Any]) -> int:
    """How many pages of its buffers were looked at."""
    asked: list[tuple[str, Any]] = []

    def taken(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(store.database.engine, "before_cursor_execute", taken)
    try:
        ask()
    finally:
        event.remove(store.database.engine, "before_cursor_execute", taken)
    pages = 0
    with store.database.reading() as connection:
        for statement, parameters in asked:
            explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            (found,) = connection.exec_driver_sql(explained, parameters).one()
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return pages


@contextmanager
def filled(url: str, calls: int) -> Iterator[Store]:
    store = Store(url)
    store.create()
    fill(store, calls)
    if store.shared:  # as autovacuum does by itself
        with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    yield store
    store.close()


def work(store: Store, selection: Selection) -> int:
    """What a page of these calls costs."""
    ask = partial(store.select, selection, PAGE)
    ask()  # what is done once for each connection is done
    return (pages_of_postgresql if store.shared else steps_of_sqlite)(store, ask)


def compare(few: Store, many: Store, calls: int) -> None:
    """Whether a page costs about as much of many calls as of few."""
    dear = {}
    for name, selection in wanted(calls).items():
        before, after = work(few, wanted(FEW)[name]), work(many, selection)
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
        dear = {
            name: pages for name, item in wanted(1_000_000).items() if (pages := work(store, item)) > 5_000
        }
        assert dear == {}

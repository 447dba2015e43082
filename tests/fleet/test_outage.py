"""PostgreSQL is stopped for ten seconds while callers come, talk and leave: nothing of it is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.call_fleet import CheckingCaller, CounterScript
from support.figures import Record, show
from support.fleet import closed, fleet
from support.postgres import Postgres
from support.waiting import until
from voice_app.calls import CallState
from voice_app.journal import Journal
from voice_app.journal.events import Prompted

CALLS = 20
SECONDS = 10.0


async def test_no_event_is_lost_while_postgresql_is_stopped(
    tmp_path: Path, postgres: Postgres, empty_postgres_url: str, record_property: Record
) -> None:
    async with fleet(tmp_path, empty_postgres_url) as fleet_:
        crowd = fleet_.crowd
        crowd.keep_calling(CounterScript(turns=5, pause=0.4), CALLS // 2)
        crowd.call(CounterScript(turns=1000, pause=0.4), CALLS - CALLS // 2)
        await until(lambda: len(crowd.talking) >= CALLS // 2, "calls to talk")
        before, over = crowd.turns, sum(caller.over for caller in crowd.callers)
        await asyncio.to_thread(postgres.stop)
        try:
            await asyncio.sleep(SECONDS)
            during = crowd.turns - before
            ended = sum(caller.over for caller in crowd.callers) - over
        finally:
            await asyncio.to_thread(postgres.start)
        await until(lambda: crowd.turns >= before + during + 2 * CALLS, "calls to go on")
        await crowd.finish()
        async with asyncio.timeout(30), Journal(empty_postgres_url, create=False) as journal:
            kept = [await differences(journal, caller) for caller in crowd.callers]
    wrong = [line for lines in kept for line in lines]
    figures = {
        "seconds without PostgreSQL": SECONDS,
        "calls": len(crowd.callers),
        "calls that ended meanwhile": ended,
        "answers": crowd.turns,
        "answers meanwhile": during,
        "slowest answer, to its last word, s": round(crowd.slowest, 3),
        "things said or heard that are not in the journal once, in order": len(wrong),
        "calls lost": len(crowd.lost),
    }
    show(record_property, "PostgreSQL is stopped under load", figures)
    assert crowd.lost == [], fleet_.said()
    assert wrong == []
    assert during > 0
    assert ended > 0


async def differences(journal: Journal, caller: CheckingCaller) -> list[str]:
    """What the caller said and heard against what the journal has of it: each once, in order."""
    entries = await closed(journal, caller.call_sid)
    asked = [entry.event.text for entry in entries if isinstance(entry.event, Prompted)]
    answers = [
        " ".join(line.content.split())
        for line in CallState.of(entries).transcript.lines()
        if line.role == "assistant" and "Answer" in line.content
    ]
    found = []
    if asked != caller.asked:
        found.append(f"{caller.call_sid}: asked {caller.asked}, kept {asked}")
    if answers != caller.heard:
        found.append(f"{caller.call_sid}: heard {caller.heard}, kept {answers}")
    if len({entry.id for entry in entries}) != len(entries):
        found.append(f"{caller.call_sid}: an entry is there twice")
    return found

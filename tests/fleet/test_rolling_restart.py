"""Two servers are restarted, one after the other, while callers come, talk and leave."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest

from support.call_fleet import CounterScript
from support.figures import Record, show
from support.fleet import fleet
from support.waiting import until


async def restart(
    folder: Path, database_url: str, record: Record, *, calls: int, rounds: int, drain: int
) -> None:
    async with fleet(folder, database_url, VOICE_APP_DRAIN_SECONDS=str(drain)) as fleet_:
        crowd = fleet_.crowd
        # Short calls, most of which end by themselves while a server drains, and long ones that do not.
        crowd.keep_calling(CounterScript(turns=4, pause=0.4), calls // 2)
        crowd.keep_calling(CounterScript(turns=40, pause=0.4), calls - calls // 2)
        await until(lambda: len(crowd.talking) >= calls // 2, "calls to talk")
        drained = []
        for server in fleet_.servers * rounds:
            began = monotonic()
            assert await server.stop(seconds=60) == 0
            drained.append(round(monotonic() - began, 2))
            await server.start()
            turns = crowd.turns
            await until(lambda wanted=turns + calls: crowd.turns >= wanted, "calls to go on")  # type: ignore[misc]
        await crowd.finish()
    figures = {
        "restarts": len(drained),
        "seconds from SIGTERM to the exit": drained,
        "calls": len(crowd.callers),
        "answers": crowd.turns,
        "calls taken over by the other server": crowd.resumes,
        "slowest answer, to its last word, s": round(crowd.slowest, 3),
        "longest pause, s": round(max(crowd.pauses(), default=0), 3),
        "goodbyes of the agent that were cut short": crowd.cut_short,
        "calls lost": len(crowd.lost),
    }
    show(record, "A rolling restart under load", figures)
    assert crowd.lost == [], fleet_.said()
    assert crowd.resumes > 0


async def test_no_call_is_lost_while_two_servers_are_restarted(
    tmp_path: Path, empty_postgres_url: str, record_property: Record
) -> None:
    await restart(tmp_path, empty_postgres_url, record_property, calls=12, rounds=1, drain=1)


@pytest.mark.slow
async def test_no_call_is_lost_while_they_are_restarted_again_and_again(
    tmp_path: Path, empty_postgres_url: str, record_property: Record
) -> None:
    await restart(tmp_path, empty_postgres_url, record_property, calls=20, rounds=5, drain=5)

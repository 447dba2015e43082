"""``kill -9`` of a server in mid-call: the other one has the calls, with their histories."""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path
from time import monotonic

from support.call_fleet import CheckingCaller, CounterScript
from support.figures import Record, show
from support.fleet import closed, fleet
from support.waiting import until
from voice_app.journal import Journal
from voice_app.journal.events import Conversed

CALLS = 10


async def test_ten_talking_calls_go_on_where_their_server_is_killed(
    tmp_path: Path, empty_postgres_url: str, record_property: Record
) -> None:
    async with fleet(tmp_path, empty_postgres_url) as fleet_:
        crowd, (first, second) = fleet_.crowd, fleet_.servers
        fleet_.network.lose(second.base_url)  # so that all calls are on the first one
        callers = crowd.call(CounterScript(turns=1000, pause=0.3, crashes=True), CALLS)
        await until(lambda: all(caller.turns >= 3 for caller in callers), "ten calls to talk")
        fleet_.network.regain(second.base_url)
        await until(lambda: sum(map(is_in_mid_turn, callers)) >= CALLS // 3, "some to be in mid-turn")
        turns = [caller.turns for caller in callers]
        in_mid_turn = sum(map(is_in_mid_turn, callers))
        killed_at = monotonic()
        await first.kill()
        await until(
            lambda: all(
                caller.over or caller.turns >= before + 3
                for caller, before in zip(callers, turns, strict=True)
            ),
            "all of them to go on",
        )
        await crowd.finish()
        conversations = await conversations_of(empty_postgres_url, [caller.call_sid for caller in callers])
    resumed = [after(killed_at, caller.sessions) for caller in callers]
    figures = {
        "calls on the server that was killed": CALLS,
        "of them between a question and the end of its answer": in_mid_turn,
        "calls taken up by the other server": sum(seconds < inf for seconds in resumed),
        "first connected again after, s": round(min(resumed), 3),
        "last connected again after, s": round(max(resumed), 3),
        "last one heard something after, s": round(
            max(after(killed_at, caller.spoken_to) for caller in callers), 3
        ),
        "said in the last second before, and forgotten": crowd.forgotten,
        "calls lost": len(crowd.lost),
    }
    show(record_property, "kill -9 of a server with ten calls", figures)
    assert crowd.lost == [], fleet_.said()
    assert all(len(caller.sessions) == 2 for caller in callers)
    assert [len(found) for found in conversations] == [1] * CALLS
    assert max(resumed) < 3  # the number; it takes a tenth of that


def is_in_mid_turn(caller: CheckingCaller) -> bool:
    """Whether a question was asked that is not answered to its end."""
    return len(caller.asked) > caller.turns


def after(moment: float, moments: list[float]) -> float:
    """Seconds from a moment to the next of these."""
    return min((at for at in moments if at > moment), default=inf) - moment


async def conversations_of(database_url: str, call_sids: list[str]) -> list[set[str]]:
    """The conversations that each call was written to, once it is over."""
    async with asyncio.timeout(30), Journal(database_url, create=False) as journal:
        return [
            {entry.event.conversation_id for entry in entries if isinstance(entry.event, Conversed)}
            for call_sid in call_sids
            for entries in [await closed(journal, call_sid)]
        ]

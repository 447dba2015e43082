"""The proofs of a chaos run: each fails where its promise is broken. And, slow, the run itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.chaos.command import chaos, figures, table
from support.chaos.faults import FAULTS, plan
from support.chaos.proofs import all_proofs
from support.chaos.story import (
    CallStory,
    ChaosRun,
    FaultWindow,
    JournalRow,
    Sample,
    Span,
    asked_about,
    question,
)
from support.figures import Record
from support.tools import required

SID = "CA" + "1" * 32
POLITE = "every call ended politely or was resumed"
ONCE = "every event once and in order"
KNOWN = "nothing forgotten, nobody mixed up"
STALE = "zero stale words after an interrupt"
ENGINES = "never two engines on a call"
SILENCE = "every silence over 2 s explained"
FLAT = "descriptors, tasks and memory flat"


def sample(at: float, **changes: Any) -> Sample:
    usual: dict[str, Any] = {
        "server": "server-1", "pid": 7, "descriptors": 30, "tasks": 16, "kib": 90_000.0, "sessions": 0
    }  # fmt: skip
    return Sample(at=at, **(usual | changes))


def rows(*texts: str) -> list[JournalRow]:
    kinds = [("opened", ""), ("connected", ""), *(("prompt", text) for text in texts), ("closed", "")]
    return [JournalRow(f"{number:04}", kind, text) for number, (kind, text) in enumerate(kinds)]


def good_run() -> ChaosRun:
    """A call that was well served, with a server that was killed on the way."""
    asked = [question(1, 1), question(1, 2)]
    story = CallStory(
        caller=1,
        call_sid=SID,
        said=[(10.0, asked[0]), (20.0, asked[1])],
        answers=[(12.0, 1), (26.0, 2)],
        interrupts=1,
        silences=[Span(20.0, 24.0)],
        sessions=[9.0, 23.0],
        breaks=[21.5],
        problems=[(21.5, "the server's socket ended without a close frame: it has crashed")],
        ending="goodbye",
        began=8.0,
        ended=30.0,
    )
    return ChaosRun(
        seed=1,
        calls=[story],
        faults=[FaultWindow("kill -9", 21.0, 25.0, explains=6, excuses="without a close frame", deaf=0.5)],
        journal={SID: rows(*asked)},
        samples=[sample(float(at)) for at in range(200)],
    )


def broken(run: ChaosRun) -> set[str]:
    """The promises that were not kept."""
    return {proof.promise for proof in all_proofs(run) if proof.breaches}


def test_a_good_run_breaks_no_promise() -> None:
    assert broken(good_run()) == set()


def impolite(run: ChaosRun) -> None:
    run.calls[0].ending = "cut off"


def without_end(run: ChaosRun) -> None:
    run.calls[0].ending = ""


def error_of_ours(run: ChaosRun) -> None:
    run.calls[0].problems = [(22.0, "11200: /voice answered 502")]


def crash_of_its_own(run: ChaosRun) -> None:
    run.faults = [replace(run.faults[0], excuses="")]


def not_kept(run: ChaosRun) -> None:
    run.journal[SID] = rows(question(1, 2))


def kept_twice(run: ChaosRun) -> None:
    run.journal[SID] = rows(question(1, 1), question(1, 1), question(1, 2))


def out_of_order(run: ChaosRun) -> None:
    run.journal[SID] = rows(question(1, 2), question(1, 1))


def entry_twice(run: ChaosRun) -> None:
    run.journal[SID] = [*run.journal[SID], run.journal[SID][-1]]


def session_twice(run: ChaosRun) -> None:
    run.journal[SID][1:2] = [JournalRow("0001", "connected", once="connected VX1")] * 2
    run.journal[SID] = [replace(row, id=f"{place:04}") for place, row in enumerate(run.journal[SID])]


def never_said(run: ChaosRun) -> None:
    run.journal[SID] = rows(question(1, 1), question(1, 2), question(2, 1))


def never_closed(run: ChaosRun) -> None:
    run.journal[SID].pop()


def unknown_call(run: ChaosRun) -> None:
    run.journal.clear()


def entries_lost(run: ChaosRun) -> None:
    run.samples.append(sample(201.0, lost=3))


def forgotten(run: ChaosRun) -> None:
    run.forgotten.append((25.0, 1, 1))


def mixed_up(run: ChaosRun) -> None:
    run.mixed.append("the model was asked for caller 1, and told of [2]")


def anothers_words(run: ChaosRun) -> None:
    run.calls[0].strange.append("another caller's words: c2q1w1")


def stale(run: ChaosRun) -> None:
    run.calls[0].stale.append("c1q1w7")


def two_engines(run: ChaosRun) -> None:
    run.calls[0].overlaps.append("<ConversationRelay> VX1 and <Transcription> GT1")


def silent_without_a_fault(run: ChaosRun) -> None:
    run.calls[0].silences = [Span(10.0, 12.1)]


def silent_for_longer_than_the_fault_explains(run: ChaosRun) -> None:
    run.calls[0].silences = [Span(20.0, 28.1)]


def silent_while_a_fault_that_nobody_hears(run: ChaosRun) -> None:
    run.faults = [replace(run.faults[0], explains=0)]


def more_descriptors(run: ChaosRun) -> None:
    run.samples.append(sample(201.0, descriptors=100))


def more_tasks(run: ChaosRun) -> None:
    run.samples.append(sample(201.0, tasks=40))


def more_memory(run: ChaosRun) -> None:
    run.samples = [sample(float(at), kib=90_000.0 + 300 * at) for at in range(200)]


@pytest.mark.parametrize(
    ("breaks", "promise"),
    [
        *((breaks, POLITE) for breaks in (impolite, without_end, error_of_ours, crash_of_its_own)),
        *((breaks, ONCE) for breaks in (not_kept, kept_twice, out_of_order, entry_twice, session_twice)),
        *((breaks, ONCE) for breaks in (never_said, never_closed, unknown_call, entries_lost)),
        *((breaks, KNOWN) for breaks in (forgotten, mixed_up, anothers_words)),
        (stale, STALE),
        (two_engines, ENGINES),
        (silent_without_a_fault, SILENCE),
        (silent_for_longer_than_the_fault_explains, SILENCE),
        (silent_while_a_fault_that_nobody_hears, SILENCE),
        *((breaks, FLAT) for breaks in (more_descriptors, more_tasks, more_memory)),
    ],
)
def test_a_promise_that_is_broken_is_told(breaks: Callable[[ChaosRun], None], promise: str) -> None:
    run = good_run()
    breaks(run)
    assert broken(run) == {promise}
    told = table(run, all_proofs(run))
    assert "scripts/chaos --seed 1" in told
    assert figures(run, all_proofs(run))["seed"] == 1


def test_what_was_said_as_the_line_broke_may_be_lost_with_it() -> None:
    run = good_run()
    run.calls[0].said.append((21.0, question(1, 2, 2)))
    assert broken(run) == set()
    run.calls[0].problems.clear()
    run.faults = [FaultWindow("SIGTERM", 20.5, 25.0, explains=6)]
    assert broken(run) == {ONCE}


def test_what_was_said_to_a_server_that_read_nothing_may_be_lost_with_the_line() -> None:
    run = good_run()
    run.calls[0].said.append((18.0, question(1, 2, 2)))
    assert broken(run) == {ONCE}
    run.faults.append(FaultWindow("server: frozen", 17.5, 21.0, explains=0, deaf=5))
    assert broken(run) == set()


def test_a_call_that_is_taken_up_while_the_database_is_away_may_be_forgotten_for_a_while() -> None:
    run = good_run()
    run.forgotten.append((25.0, 1, 1))
    assert broken(run) == {KNOWN}
    run.faults.append(FaultWindow("database: away", 22.5, 24.0, explains=0, blind=True))
    assert broken(run) == set()
    run.forgotten.append((39.5, 1, 1))
    assert broken(run) == {KNOWN}


def test_what_a_killed_server_did_last_may_be_known_to_nobody_for_a_while() -> None:
    run = good_run()
    nothing_to_stop = "<Stop><Transcription name='handoff'>: there is none of that name; running: none"
    run.calls[0].problems.append((28.0, nothing_to_stop))
    assert broken(run) == {POLITE}
    killed = next(fault for fault in FAULTS if fault.name == "kill -9")
    run.calls[0].breaks.append(22.0)
    run.faults.append(FaultWindow(killed.name, 21.5, 23.0, explains=0, excuses=killed.excuses))
    assert broken(run) == set()


def test_what_a_server_was_told_just_before_it_was_killed_may_be_lost_with_it() -> None:
    run = good_run()
    never_closed(run)
    run.faults.append(FaultWindow("kill -9", 33.0, 35.0, explains=6, kills=True))
    assert broken(run) == {ONCE}
    run.faults.append(FaultWindow("agent: blocks", 29.0, 33.0, explains=0, deaf=6))
    assert broken(run) == set()


def test_what_this_machine_was_late_for_explains_a_silence() -> None:
    run = good_run()
    run.calls[0].silences.append(Span(10.0, 13.0))
    assert broken(run) == {SILENCE}
    run.late.append(Span(10.5, 12.0))
    assert broken(run) == set()


def test_a_plan_is_repeated_by_its_seed_and_has_every_fault() -> None:
    first, again, other = (plan(seed, 600, FAULTS) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert {strike.fault.name for strike in first} == {fault.name for fault in FAULTS}
    assert all(0 < strike.at < 600 for strike in first)


def test_questions_that_were_said_one_after_another_are_told_apart() -> None:
    assert asked_about(f"{question(3, 1)} {question(3, 2, 2)}") == [(3, 1), (3, 2)]
    assert asked_about("Caller 3, goodbye, try 1.") == []


@pytest.mark.slow
async def test_a_minute_of_chaos_breaks_no_promise(tmp_path: Path, record_property: Record) -> None:
    required("nginx")
    run = await chaos(seed=14, seconds=60, callers=40, keep=tmp_path)
    proofs = all_proofs(run)
    record_property("table", table(run, proofs))
    assert [breach for proof in proofs for breach in proof.breaches] == []
    assert len(run.calls) >= 40

"""A caller who notices every loss, and a crowd of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import call_fleet as callers
from support.call_fleet import CallFleet, CheckingCaller, CounterScript
from support.sandbox import Sandbox, sandbox
from support.waiting import until

NUMBER = "+15550200000"
PACE = 200.0
OURS: dict[str, Any] = {"agent": "support.counting:counting", "silence_seconds": 0}


def crowd(running: Sandbox) -> CallFleet:
    origin = running.settings.origin
    return CallFleet(running.phone, f"{origin}/voice", f"{origin}/voice/status")


async def called(running: Sandbox, script: CounterScript) -> CheckingCaller:
    """A call from its beginning to its end."""
    ours = crowd(running)
    (one,) = ours.call(script)
    await until(lambda: one.over, "the end of the call")
    return one


async def test_a_call_on_which_all_is_well(tmp_path: Path) -> None:
    async with sandbox(tmp_path, PACE, **OURS) as running:
        one = await called(running, CounterScript(turns=3, pause=0.01))
    assert one.complaints == []
    assert one.asked == ["Question 1.", "Question 2.", "Question 3.", "Goodbye."]
    assert one.heard == [
        f"Answer {number}. Questions missing: none. Answers missing: none." for number in (1, 2, 3)
    ]
    assert (one.turns, len(one.sessions), one.breaks) == (3, 1, [])


async def test_a_line_that_breaks_in_mid_call_is_no_loss(tmp_path: Path) -> None:
    async with sandbox(tmp_path, PACE, **OURS) as running:
        ours = crowd(running)
        (one,) = ours.call(CounterScript(turns=1000, pause=0.01))
        await until(lambda: one.turns >= 2, "answers")
        (call,) = running.phone.calls.values()
        await call.drop()
        await until(lambda: len(one.sessions) == 2, "the line to be back")
        turns = one.turns
        await until(lambda: one.turns >= turns + 2, "the call to go on")
        await ours.finish()
    assert one.complaints == []
    assert len(one.breaks) == 1
    (pause,) = ours.pauses()
    assert pause > 0
    assert (ours.resumes, ours.lost) == (1, [])


async def test_what_is_forgotten_is_noticed(tmp_path: Path) -> None:
    async with sandbox(tmp_path, PACE, **(OURS | {"agent": "support.agents:forgetful"})) as running:
        one = await called(running, CounterScript(turns=3, pause=0.01))
    assert one.complaints[:2] == ["question 1 was forgotten", "answer 1 was forgotten"]


async def test_a_call_that_ends_too_early_is_noticed(tmp_path: Path) -> None:
    async with sandbox(tmp_path, PACE, **(OURS | {"agent": "support.agents:impatient"})) as running:
        one = await called(running, CounterScript(turns=3, pause=0.01))
    assert one.complaints == ["after 1 answers: the call is over"]


async def test_a_question_without_its_answer_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "PATIENCE_SECONDS", 0.5)
    async with sandbox(tmp_path, PACE, **(OURS | {"agent": "support.agents:reluctant"})) as running:
        one = await called(running, CounterScript(turns=3, pause=0.01))
    assert one.complaints == ["after 0 answers: nothing fitting was heard for 0.5 s"]

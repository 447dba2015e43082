"""Personas that call, judges that read the calls, and what it costs: against a model over real HTTP."""

from __future__ import annotations

import asyncio
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import voice_app
from voice_app.calls import CallState
from voice_app.testing.judge import HeardCall
from voice_app.testing.line import line_settings, open_line
from voice_app.testing.line_thread import LineThread
from voice_app.testing.model import ScriptedModel, serve_model
from voice_app.testing.rates import SuccessRate
from voice_app.testing.rehearsal import Rehearsed, Spending, run_variant
from voice_app.testing.scenario import ScenarioError, read_scenarios
from voice_app.testing.virtual_time import VirtualLoop

PROJECT = Path(__file__).parent / "project"
KEY = "sk-of-the-rehearsal"
PLAYED = """
name: A refund
agent: a_desk:agent
settings: {greeting: "Hello, how can I help?"}
persona: in a hurry, mumbles the order number
goal: the money back
success: The refund is promised.
criteria:
  kind: The agent says that it is sorry.
  ended: {outcome: ended}
"""
SCRIPTED = """
name: A refund
agent: a_desk:agent
settings: {greeting: "Hello, how can I help?"}
persona:
  opens: {en-US: I want my money back, de-DE: Ich will mein Geld}
  facts: {order number: 4711}
  answers: {anything else: "No!"}
success: {heard: on its way, outcome: ended}
criteria:
  found: {not_heard: {pattern: cannot find order \\d+}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(PROJECT / "a_desk.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def brain(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedModel]:
    """The model that plays and judges, at an endpoint of its own."""
    scripted = ScriptedModel()
    with LineThread() as stage, stage.entered(serve_model(scripted)):
        for name, value in environment(scripted).items():
            monkeypatch.setenv(name, value)
        yield scripted


def environment(brain: ScriptedModel) -> dict[str, str]:
    return {
        "VOICE_APP_REHEARSE_MODEL": "scripted",
        "VOICE_APP_REHEARSE_BASE_URL": brain.base_url,
        "VOICE_APP_REHEARSE_API_KEY": KEY,
    }


def run(folder: Path, text: str, attempt: int = 1, money: float | None = None) -> Rehearsed:
    """One run of a scenario."""
    (folder / "one.yaml").write_text(text)
    (variant,) = read_scenarios([folder / "one.yaml"])
    return run_variant(variant, attempt, money)


def act(brain: ScriptedModel, name: str, **fields: Any) -> None:
    brain.says(json.dumps({"act": name, **fields}))


def verdict(name: str, *evidence: str, verdict: str = "met") -> dict[str, Any]:
    return {"criterion": name, "verdict": verdict, "evidence": evidence, "why": "it was said"}


def judge(brain: ScriptedModel, *verdicts: dict[str, Any]) -> None:
    brain.says(json.dumps({"verdicts": verdicts}))


PROMISE = verdict("success", "agent: Thank you. Your refund for order 4711 is on its way")
SORRY = verdict("kind", "I am sorry to hear that")


# --- a model that plays ---------------------------------------------------------------------------


def test_a_model_speaks_in_bursts_cuts_in_presses_keys_and_is_silent(
    folder: Path, brain: ScriptedModel
) -> None:
    act(
        brain,
        "say",
        bursts=["Hello", "I want my money back"],
        cuts_in={"after_words": 4, "says": "My money!"},
    )
    act(brain, "silent", seconds=12)
    act(brain, "press", keys="4711")
    act(brain, "say", bursts=["No!"])
    judge(brain, PROMISE, SORRY)
    result = run(folder, PLAYED, attempt=3)
    assert result.passed, f"{result.failure}\n{result.dialogue}"
    for shown in ("caller  Hello\n", "caller  I want my money back\n", "agent   I am sorry to —\n"):
        assert shown in result.dialogue
    assert "caller  My money!\n" in result.dialogue
    assert "caller  presses 4\n" in result.dialogue
    assert result.simulated is not None
    told = result.simulated
    assert (told.seed, told.temperature, told.played_by) == (3, 0.7, "scripted")
    assert result.simulated.ended == "the call was ended"
    assert [item.by for item in result.verdicts] == ["scripted", "scripted", "rules"]
    assert [asked["seed"] for asked in brain.requests] == [3] * 5
    assert [asked["temperature"] for asked in brain.requests] == [0.7] * 4 + [0]
    heard = [asked["messages"][-1]["content"] for asked in brain.requests[:4]]
    assert heard[0] == "You hear: Hello, how can I help?"
    assert "Are you still there?" in heard[2]


def test_a_model_hangs_up_while_it_is_not_content(folder: Path, brain: ScriptedModel) -> None:
    act(brain, "hang_up", because="it took too long")
    judge(
        brain,
        verdict("success", "agent: Hello, how can I help?", verdict="not met"),
        verdict("kind", verdict="not proven"),
    )
    result = run(folder, PLAYED)
    assert result.simulated is not None
    assert result.simulated.ended == "the caller hung up: it took too long"
    assert "success: not met: it was said; kind: not proven" in result.failure
    assert "ended: not met: the call was open, not ended" in result.failure


def test_what_is_no_action_is_asked_for_once_more_and_then_it_is_a_failure(
    folder: Path, brain: ScriptedModel
) -> None:
    brain.says("I jump.")
    brain.says('```json\n{"act": "say", "bursts": ["4711"]}\n```')
    brain.says('{"act": "jump"}')
    brain.says('{"act": "say", "bursts": []}')
    result = run(folder, PLAYED)
    assert "caller  4711\n" in result.dialogue
    assert result.failure.startswith("scripted at http://127.0.0.1:")
    assert "did not answer in the form that it was asked for, twice" in result.failure
    assert "VOICE_APP_REHEARSE_MODEL" in result.failure
    assert "Invalid value 'jump'" in brain.requests[3]["messages"][-1]["content"]


def test_a_persona_stops_at_its_limits(folder: Path, brain: ScriptedModel) -> None:
    brain.whenever("You hear", text='{"act": "say", "bursts": ["My money!"]}')
    brain.whenever("Transcript", text=json.dumps({"verdicts": [PROMISE, SORRY]}))
    result = run(folder, f"{PLAYED}limits: {{turns: 2}}")
    assert result.simulated is not None
    assert result.simulated.ended == "it was stopped after 2 turns"
    assert result.dialogue.count("My money!") == 2
    result = run(folder, f"{PLAYED}limits: {{seconds: 30}}")
    assert result.simulated is not None
    assert result.simulated.ended == "it was stopped after 30 seconds"
    result = run(folder, f"{PLAYED}limits: {{tokens: 2600}}")
    assert result.simulated is not None
    assert result.simulated.ended.endswith("more than the 2600 tokens of a run (limits: tokens)")
    assert result.failure.startswith("it was not judged")


def test_an_endpoint_that_fails_is_told_and_its_key_is_not(folder: Path, brain: ScriptedModel) -> None:
    brain.whenever("", status=401)
    result = run(folder, PLAYED)
    assert "refuses the key (401)" in result.failure
    assert "VOICE_APP_REHEARSE_API_KEY" in result.failure
    assert KEY not in repr(result)


def test_an_endpoint_that_knows_no_seed_is_asked_without_one(folder: Path, brain: ScriptedModel) -> None:
    brain.answers(status=400, text="Extra inputs are not permitted: seed")
    act(brain, "hang_up", because="enough")
    judge(brain, PROMISE, SORRY)
    result = run(folder, PLAYED)
    assert result.simulated is not None
    assert result.simulated.ended == "the caller hung up: enough"
    assert ["seed" in asked for asked in brain.requests] == [True, False, True]


# --- a judge --------------------------------------------------------------------------------------


def test_evidence_that_is_not_in_the_call_proves_nothing(folder: Path, brain: ScriptedModel) -> None:
    act(brain, "say", bursts=["My money, for order 4711"])
    act(brain, "say", bursts=["No!"])
    judge(
        brain,
        verdict(
            "success", "agent: thank you.  your refund", "caller: Your refund for order 4711 is on its way"
        ),
        verdict("kind", "I am sorry to hear that"),
    )
    result = run(folder, PLAYED)
    success, kind, ended = result.verdicts
    assert (success.verdict, success.evidence) == ("not proven", ["agent: thank you.  your refund"])
    assert success.refused == ["caller: Your refund for order 4711 is on its way"]
    assert (kind.verdict, kind.refused) == ("not proven", ["I am sorry to hear that"])
    assert (ended.verdict, ended.by) == ("met", "rules")
    assert not result.passed


LINES: Final = (
    "agent: Hello, how can I help?",
    "caller: No!",
    "agent: I’m sorry to hear — (cut off here)",
    'tool: refund({"order":4711}) returns done',
)


@pytest.mark.parametrize(
    ("evidence", "stands"),
    [
        *((line, True) for line in LINES),
        ("no!", True),
        ("agent: I'm sorry to hear", True),
        ('refund({"order":4711})', True),
        ("HELLO,  how can", True),
        ("agent: No!", False),
        ("caller: Hello, how can I help?", False),
        ("agent:", False),
        ("Hello", False),
        ("", False),
        ("agent: I'm sorry to hear that", False),
    ],
)
def test_evidence_is_a_line_of_its_speaker_or_a_good_part_of_it(evidence: str, stands: bool) -> None:
    call = HeardCall(CallState())
    call.lines = [*LINES]
    assert call.has(evidence) == stands


def test_a_verdict_without_evidence_proves_nothing(folder: Path, brain: ScriptedModel) -> None:
    act(brain, "hang_up")
    judge(brain, verdict("success"), verdict("kind", " . "))
    result = run(folder, PLAYED)
    assert [item.verdict for item in result.verdicts[:2]] == ["not proven", "not proven"]


def test_a_judge_that_forgets_a_criterion_is_asked_once_more(folder: Path, brain: ScriptedModel) -> None:
    act(brain, "hang_up")
    judge(brain, PROMISE)
    judge(brain, PROMISE, SORRY)
    assert len(run(folder, PLAYED).verdicts) == 3
    assert "judge each of success, kind, once" in brain.requests[-1]["messages"][-1]["content"]


def test_a_judge_reads_what_was_heard_and_not_what_was_sent(folder: Path, brain: ScriptedModel) -> None:
    act(brain, "say", bursts=["My money!"], cuts_in={"after_words": 4, "says": "4711"})
    act(brain, "say", bursts=["No!"])
    judge(brain, PROMISE, verdict("kind", "agent: I am sorry to — (cut off here)"))
    result = run(folder, PLAYED)
    assert result.passed, result.failure
    read = brain.requests[-1]["messages"][-1]["content"]
    assert "agent: I am sorry to — (cut off here)\ncaller: 4711\n" in read
    assert "gladly" not in read


# --- rates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "of", "low", "high"),
    [(0, 0, 0, 1), (5, 5, 0.5655, 1), (0, 5, 0, 0.4345), (4, 5, 0.3755, 0.9638), (50, 100, 0.4038, 0.5962)],
)
def test_intervals_are_wilsons(passed: int, of: int, low: float, high: float) -> None:
    found = SuccessRate(passed, of).interval
    assert [round(end, 4) for end in found] == [low, high]


@given(of=st.integers(1, 1000), data=st.data())
def test_an_interval_holds_its_rate_and_narrows_with_more_runs(of: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, of))
    rate, more = SuccessRate(passed, of), SuccessRate(4 * passed, 4 * of)
    low, high = rate.interval
    assert 0 <= low <= rate.share + 1e-12
    assert rate.share - 1e-12 <= high <= 1
    assert math.dist(rate.interval[:1], rate.interval[1:]) > math.dist(more.interval[:1], more.interval[1:])


async def test_runs_are_told_as_rates_with_intervals(folder: Path) -> None:
    text = SCRIPTED.replace("  facts", "  behaves: [mumbles, corrects itself]\n  facts")
    (folder / "many.yaml").write_text(f"{text}  kind: The agent is kind.\nruns: 4\nat_least: 0.5\n")
    result = await voice_app(folder, "rehearse", "many.yaml", "--junit", "results.xml", "--parallel", "2")
    assert result.code == 0, result.out + result.err
    assert re.search(r"(?m)^scenario +passed +95 % interval +call$", result.out), result.out
    assert re.search(r"(?m)^A refund +4/4 +51–100 % +\d+ s$", result.out), result.out
    assert re.search(r"(?m)^  found +4/4 +51–100 %", result.out)
    assert re.search(r"(?m)^  kind +not judged", result.out)
    suite = ElementTree.parse(folder / "results.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("4", "0", 4)


HALF = """
from pathlib import Path

from a_desk import agent as desk

CALLS = Path("calls")


async def agent(call, turn):
    calls = CALLS.read_text().split() if CALLS.exists() else []
    if call.sid not in calls:
        calls.append(call.sid)
        CALLS.write_text(" ".join(calls))
    if calls.index(call.sid) == 0:
        yield "I am broken."
        return
    async for piece in desk(call, turn):
        yield piece
"""


@pytest.mark.parametrize(("at_least", "code"), [("0.5", 0), ("0.75", 1)])
async def test_a_scenario_passes_as_often_as_it_has_to(folder: Path, at_least: str, code: int) -> None:
    (folder / "half_a_desk.py").write_text(HALF)
    text = SCRIPTED.replace("a_desk", "half_a_desk")
    (folder / "many.yaml").write_text(f"{text}runs: 2\nat_least: {at_least}\n")
    result = await voice_app(folder, "rehearse", "many.yaml", "--json", "--junit", "results.xml")
    assert result.code == code, result.out + result.err
    told = json.loads(result.out)
    (scenario,) = told["scenarios"]
    assert (scenario["passed"], scenario["of"], scenario["rate"], scenario["ok"]) == (1, 2, 0.5, code == 0)
    assert [round(scenario[end], 2) for end in ("low", "high")] == [0.09, 0.91]
    assert scenario["criteria"]["found"]["rate"] == 1
    suite = ElementTree.parse(folder / "results.xml").getroot()[0]
    assert (suite.get("failures"), len(suite.findall("*/system-out"))) == (
        ("0", 1) if code == 0 else ("1", 0)
    )


# --- scripted personas ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "pattern"),
    [
        ("in a hurry", r"agent +I am( \w+){0,3} —\n.*caller +I want my money back\n"),
        ("mumbles", r"caller +(?!I want my money back\n)[^\n]+\n"),
        ("corrects itself", r"caller +(?!4711)\d{4}\n.*caller +No, sorry: 4711\n"),
        ("spells", r"caller +4 7 1 1\n"),
        ("presses keys", r"presses 4\n.*presses 7\n.*presses 1\n.*presses 1\n"),
        ("speaks in bursts", r"caller +I( \w+)*\n.*caller +(\w+ )*back\n"),
        ("goes silent", r"Are you still there\?\n"),
        ("wrong language", r"caller +Ich will mein Geld\n.*caller +I want my money back\n"),
    ],
)
def test_a_scripted_persona_has_its_ways_and_reaches_its_goal(
    folder: Path, behaviour: str, pattern: str
) -> None:
    result = run(folder, SCRIPTED.replace("  facts", f"  behaves: [{behaviour}]\n  facts"))
    assert result.verdicts[0].verdict == "met", f"{result.failure}\n{result.dialogue}"
    assert re.search(pattern, result.dialogue, re.DOTALL), result.dialogue


def test_who_gives_up_hangs_up_and_who_is_not_understood_too(folder: Path) -> None:
    result = run(
        folder, SCRIPTED.replace("4711", "4712").replace("  facts", "  behaves: [gives up]\n  facts")
    )
    assert result.simulated is not None
    assert result.simulated.ended == "the caller hung up: asked 3 times"
    result = run(folder, SCRIPTED.replace("order number:", "zip:"))
    assert result.simulated is not None
    assert result.simulated.ended == "the caller hung up: not understood"


@pytest.mark.parametrize(
    ("people", "ended"), [("answers", "a person has taken the call"), ("busy", "the call was ended")]
)
def test_a_persona_is_done_once_a_person_has_the_call(folder: Path, people: str, ended: str) -> None:
    shutil.copy(PROJECT / "an_agent.py", folder)
    persona = "persona: {opens: 'A person, please'}\nsuccess: {outcome: transferred}\n"
    result = run(folder, f"name: A person\nagent: an_agent:agent\ngiven: {{people: [{people}]}}\n{persona}")
    assert result.passed, f"{result.failure}\n{result.dialogue}"
    assert result.simulated is not None
    assert result.simulated.ended == ended, result.dialogue


def test_the_same_seed_is_the_same_caller(folder: Path) -> None:
    text = SCRIPTED.replace("  facts", "  behaves: [mumbles, corrects itself, speaks in bursts]\n  facts")
    said = [re.findall("caller .*", run(folder, f"{text}seed: {seed}\n").dialogue) for seed in (5, 5, 6, 7)]
    assert said[0] == said[1]
    assert len(set(map(tuple, said))) > 1


def test_what_is_wrong_with_a_persona_is_told_with_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "name: bad\n"
        "persona: {opns: hi, behaves: [in a hury]}\n"
        "success: {herd: x}\n"
        "criteria: {polite: {outcom: ended}, x: {outcome: endd}}\n"
        "limits: {turn: 3}\n"
        "runs: 0\n"
        "---\n"
        "name: no call\n"
        "---\n"
        "name: languages\n"
        "matrix: {language: [de-DE]}\n"
        'persona: {opens: {en-US: hi}, answers: {"(": x}, behaves: [wrong language]}\n'
        "---\n"
        "name: words\n"
        "matrix: {language: [de-DE]}\n"
        "persona: {opens: {en-US: hi}}\n"
        "---\n"
        "name: nothing said\n"
        "persona: {opens: ' '}\n"
        "---\n"
        "name: nothing known\n"
        "persona: {opens: hi, facts: {zip: ''}}\n"
    )
    with pytest.raises(ScenarioError) as caught:
        read_scenarios([tmp_path])
    assert [problem.removeprefix(f"{tmp_path}/bad.yaml:") for problem in caught.value.problems] == [
        "2: opns is no key here: did you mean opens?",
        "2: persona.behaves: in a hury is none of what can stand here: did you mean in a hurry?",
        "2: persona.opens is missing",
        "3: herd is no key here: did you mean heard?",
        "4: criteria.outcome: endd is none of what can stand here: did you mean ended?",
        "4: outcom is no key here: did you mean outcome?",
        "5: turn is no key here: did you mean turns?",
        "6: runs: Input should be greater than or equal to 1",
        "8: a scenario has `steps`, a `persona`, or `success` of calls to judge",
        "12: persona: '(' is no regular expression: missing ), unterminated subpattern at position 0",
        " persona: opens has no words in de-DE",
        "19: persona: `opens`, `answers` and `corrects_with` are words: none is empty",
        "22: persona.facts: String should match pattern '\\S'",
    ]


# --- without a model, and what it costs -----------------------------------------------------------


@pytest.mark.parametrize("text", [PLAYED, SCRIPTED.split("success")[0] + "success: It is kind.\n"])
async def test_without_a_model_nothing_is_played_or_judged_by_one(folder: Path, text: str) -> None:
    (folder / "one.yaml").write_text(text)
    result = await voice_app(folder, "rehearse", "one.yaml")
    assert result.code == 2
    assert "A refund: " in result.err
    assert "by a model: name one in VOICE_APP_REHEARSE_MODEL" in result.err


PRICES = '[models."scripted"]\nsent = 100.0\nreceived = 10.0\n'


async def test_what_it_costs_is_told_first_and_a_cap_is_not_exceeded(
    folder: Path, brain: ScriptedModel
) -> None:
    (folder / "prices.toml").write_text(PRICES)
    (folder / "one.yaml").write_text(f"{PLAYED}runs: 9\nlimits: {{turns: 4}}\n")
    brain.whenever("You hear: Hello", text='{"act": "say", "bursts": ["My money, for order 4711"]}')
    brain.whenever("You hear", text='{"act": "say", "bursts": ["No!"]}')
    promise = verdict("success", "Your refund for order 4711 is on its way")
    thanks = verdict("kind", "agent: Thank you. Your refund")
    brain.whenever("Transcript", text=json.dumps({"verdicts": [promise, thanks]}))
    result = await voice_app(
        folder, "rehearse", "one.yaml", "--max-cost", "0.6", "--json",
        **environment(brain), VOICE_APP_PRICES="prices.toml",
    )  # fmt: skip
    assert result.code == 1, result.out + result.err
    expected = r"9 runs: up to about [\d,]+ tokens of scripted, \d+\.\d{4} USD \(prices of prices\.toml\)"
    assert re.match(expected, result.err), result.err
    told = json.loads(result.out)
    made = len(told["runs"])
    assert 4 <= made <= 7
    assert told["not_made"] == 9 - made
    assert 0.3 < told["cost"]["amount"] <= 0.6
    assert KEY not in result.out + result.err
    (scenario,) = told["scenarios"]
    stopped = [item for item in told["runs"] if item["simulated"]["stopped"]]
    assert scenario["of"] == scenario["passed"] == made - len(stopped)


async def test_a_run_in_which_the_money_ends_counts_for_nothing(folder: Path, brain: ScriptedModel) -> None:
    (folder / "prices.toml").write_text(PRICES)
    (folder / "one.yaml").write_text(PLAYED)
    brain.whenever("You hear", text='{"act": "say", "bursts": ["My money!"]}')
    result = await voice_app(
        folder, "rehearse", "one.yaml", "--max-cost", "0.3", "--junit", "results.xml",
        **environment(brain), VOICE_APP_PRICES="prices.toml",
    )  # fmt: skip
    assert result.code == 1, result.out + result.err
    assert "it was stopped: the next request could take more than may be spent (--max-cost)" in result.out
    assert "1 run: 0 failed, 1 broken off" in result.out
    assert re.search(r"(?m)^A refund +0/0 +0–100 %", result.out), result.out
    suite = ElementTree.parse(folder / "results.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")


@given(cap=st.floats(0.01, 10), parallel=st.integers(1, 8), costs=st.lists(st.floats(0, 1), max_size=30))
def test_whatever_runs_cost_no_more_is_spent_than_may_be(
    cap: float, parallel: int, costs: list[float]
) -> None:
    spending, under_way, waiting = Spending(cap, free=parallel), [], list(costs)
    while True:
        while waiting and spending.free:
            share = spending.share()
            if not spending.begin():
                break
            assert share is not None
            under_way.append((share, min(waiting.pop(), share)))
        if not under_way:
            break
        share, cost = under_way.pop(0)
        spending.end(share, Rehearsed("", "", 0, "", "", 0, cost=cost))
        assert spending.spent <= cap + 1e-9
    assert spending.free == parallel


async def test_what_has_no_call_only_judges(folder: Path) -> None:
    (folder / "one.yaml").write_text("name: Every call\nsuccess: {outcome: ended}\n")
    result = await voice_app(folder, "rehearse", "one.yaml")
    assert result.code == 2
    assert "one.yaml: Every call has no steps and no persona: it can only judge (--judge)" in result.err


async def test_a_cap_needs_prices(folder: Path, brain: ScriptedModel) -> None:
    (folder / "one.yaml").write_text(PLAYED)
    result = await voice_app(folder, "rehearse", "one.yaml", "--max-cost", "1", **environment(brain))
    assert result.code == 2
    assert "--max-cost: scripted has no price" in result.err


# --- calls of the journal -------------------------------------------------------------------------


@pytest.fixture
def call_sid(folder: Path) -> str:
    """A call that is in the journal."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(phoned(folder))


async def phoned(folder: Path) -> str:
    async with open_line(line_settings(folder, {"agent": "a_desk:agent"})) as line:
        caller = line.caller()
        await caller.says("My money, for order 4711")
        await caller.hears("on its way")
        await caller.says("No!")
        await caller.is_hung_up_on()
        await caller.state()
        return caller.call.sid


async def test_calls_of_the_journal_are_judged_by_the_criteria_of_a_scenario(
    folder: Path, brain: ScriptedModel, call_sid: str
) -> None:
    (folder / "criteria.yaml").write_text(PLAYED.replace("A refund", "Every call"))
    judge(brain, PROMISE, SORRY)
    judged = ("rehearse", "criteria.yaml", "--judge", call_sid[:8], "--database-url")
    result = await voice_app(folder, *judged, f"sqlite:///{folder}/journal.db", **environment(brain))
    assert result.code == 1, result.out + result.err
    assert f"✗ Every call  ({call_sid})\n  kind: not proven" in result.out
    assert "    kind: not in the call: I am sorry to hear that\n" in result.out
    assert "  agent: Thank you. Your refund for order 4711 is on its way" in result.out
    assert re.search(r"(?m)^  success +1/1 +21–100 %", result.out), result.out
    assert re.search(r"(?m)^  ended +1/1 +21–100 %", result.out), result.out


async def test_rules_judge_calls_without_a_model(folder: Path, call_sid: str) -> None:
    (folder / "criteria.yaml").write_text(PLAYED.replace("success: The refund is promised.\n", ""))
    judged = ("rehearse", "criteria.yaml", "--judge", call_sid, "--json", "--database-url")
    result = await voice_app(folder, *judged, f"sqlite:///{folder}/journal.db")
    assert result.code == 0, result.out + result.err
    (run,) = json.loads(result.out)["runs"]
    verdicts = {item["name"]: item["verdict"] for item in run["simulated"]["verdicts"]}
    assert verdicts == {"kind": "not judged", "ended": "met"}

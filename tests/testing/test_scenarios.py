"""Scenarios: what is wrong with a file, what a run tells, and a call of the journal that becomes one."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import shutil
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from support.commands import voice_app
from voice_app.journal import Entry
from voice_app.sandbox.phone import PhoneEvent
from voice_app.sandbox.phone.endpoint import PhoneEventKind
from voice_app.testing.from_journal import scenario_of
from voice_app.testing.line import line_settings, open_line
from voice_app.testing.measures import CallMeasures, measure
from voice_app.testing.model import ScriptedModel, serve_model
from voice_app.testing.rehearsal import run_variant
from voice_app.testing.scenario import SCHEMA, Outcome, ScenarioError, Step, read_scenarios, schema
from voice_app.testing.virtual_time import VirtualLoop

PROJECT = Path(__file__).parent / "project"
PASSING = """
name: An order, and a person
agent: an_agent:agent
settings: {greeting: "Hello!"}
steps:
  - hears: hello
  - says: Where is my order?
  - hears: look that up
  - interrupts: {says: "My order, now!", after_words: 2}
  - hears: {pattern: 'asked \\d times'}
  - presses: 12
  - hears: You pressed 12
  - is_silent: 12
  - hears: still there
  - says: A person, please.
  - is_transferred: {reason: asked, summary: wants}
  - is_put_through
  - person_hears: Wants a person
  - person_says: Bring it here
  - hears: Bring it here
  - person_hangs_up
expect:
  - heard: leaves today
  - not_heard: tomorrow
  - outcome: ended
---
name: A tool
given:
  memory: [Likes tea.]
  model:
    - {says: One moment., calls: {transfer_to_person: {reason: billing, summary: Order 81}}, delay: 1}
matrix: {language: [en-US, de-DE]}
steps:
  - says: {en-US: My money, de-DE: Mein Geld}
  - tool_called: {name: transfer_to_person, arguments: {reason: billing}}
expect:
  - outcome: transferred
---
name: A lost line
agent: an_agent:agent
given: {twilio: [{path: "/memory/*"}], people: [busy]}
steps:
  - drops
  - hears: the line broke
  - says: bye
  - is_hung_up_on
"""
FAILING = """
name: An order
agent: an_agent:agent
settings: {greeting: "Hello!"}
steps:
  - says: Where is my order?
  - hears: leaves tomorrow
"""
SHOWN = """\
✗ An order  (failing.yaml:7)
  the caller expected to hear "leaves tomorrow", but heard "Let me look that up. Order 81 leaves today. You \
have asked 1 times."
     0.0  agent     Hello!
     0.0  caller    Where is my order?
     0.0  agent     Let me look that up.
     0.0  agent     Order 81 leaves today. You have asked 1 times.
     0.0  expected  to hear "leaves tomorrow"

scenario  passed  call
An order     0/1   7 s

1 run: 1 failed
"""
MEASURED = """
name: A slow model
given:
  model:
    - {says: "One moment. Is it urgent? Or not?", delay: 3}
    - {fails: 400, delay: 3}
steps:
  - says: My order?
  - interrupts: {says: "My order!", after_words: 3}
  - hears: went wrong
  - is_silent: 30
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(PROJECT / "an_agent.py", tmp_path)
    (tmp_path / "passing.yaml").write_text(PASSING)
    (tmp_path / "failing.yaml").write_text(FAILING)
    return tmp_path


async def test_scenarios_pass_and_are_told_in_a_table(folder: Path) -> None:
    result = await voice_app(folder, "rehearse", "passing.yaml", "--repeat", "2", "--junit", "results.xml")
    assert result.code == 0, result.out + result.err
    for name in ("An order, and a person", "A tool [en-US]", "A tool [de-DE]", "A lost line"):
        assert re.search(rf"(?m)^{re.escape(name)} +2/2 +\d+ s$", result.out)
    assert result.out.endswith("\n8 runs: all passed\n")
    assert re.search(r"(?m)^An order, and a person +4 +\d\.\d s +\d\.\d s +8.5 +\d$", result.out)
    suite = ElementTree.parse(folder / "results.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("8", "0", 8)
    assert [found.get("value") for found in suite[0].iter("property") if found.get("name") == "turns"] == [
        "4"
    ]


async def test_a_failure_is_shown_with_its_line_and_the_call(folder: Path) -> None:
    result = await voice_app(folder, "rehearse", "failing.yaml")
    assert result.code == 1
    shown = re.sub(r"(?m)^ +\d+\.\d  ", "     0.0  ", result.out)
    assert re.sub(r"\d+ s$", "7 s", shown, flags=re.MULTILINE) == SHOWN


async def test_each_kind_of_expectation_that_fails_is_told_at_a_glance(folder: Path) -> None:
    """As in ``project/failures.txt``, times aside, and how quickly a line that is over is closed."""
    shutil.copy(PROJECT / "failures.yaml", folder)
    (folder / "base.json").write_text('{"measures": {"worse than in the baseline": {"turns": 0}}}')
    result = await voice_app(folder, "rehearse", "failures.yaml", "--baseline", "base.json")
    assert result.code == 1, result.err
    shown = re.sub(r"(?m)^ +\d+\.\d  ", "     0.0  ", result.out)
    shown = shown.replace("     0.0  line      the call is over\n", "")
    shown = re.sub(r"(?ms)^scenario .*?(?=^✗)", "", shown)  # the tables are looked at elsewhere
    assert shown == (PROJECT / "failures.txt").read_text("utf-8")


def test_a_scenario_fails_for_every_kind_of_expectation() -> None:
    variants = read_scenarios([PROJECT / "failures.yaml"])
    tried = {variant.scenario.steps[-1].verb for variant in variants}
    tried |= {
        name for variant in variants for wanted in variant.scenario.expect for name in wanted.model_fields_set
    }
    does = {"presses", "is_silent", "drops", "person_says", "person_hangs_up"}
    assert tried >= Step.model_fields.keys() - does - {"hangs_up"} | Outcome.model_fields.keys()


async def test_results_are_json_and_several_processes_come_to_the_same(folder: Path) -> None:
    result = await voice_app(folder, "rehearse", ".", "--parallel", "2", "--json")
    assert result.code == 1, result.err
    told = json.loads(result.out)
    assert (told["passed"], told["failed"]) == (4, 1)
    (failed,) = [run for run in told["runs"] if not run["passed"]]
    assert (failed["name"], failed["line"], failed["attempt"]) == ("An order", 7, 1)
    assert failed["dialogue"][-1].endswith('expected  to hear "leaves tomorrow"')


async def test_measures_that_got_worse_than_a_baseline_fail(folder: Path) -> None:
    (folder / "one.yaml").write_text(MEASURED)
    written = await voice_app(folder, "rehearse", "one.yaml", "--json", "--write-baseline", "base.json")
    assert written.code == 0, written.out + written.err
    told = json.loads(written.out)
    measures = told["measures"]["A slow model"]
    assert json.loads((folder / "base.json").read_text()) == {"measures": told["measures"]}
    assert 3 <= measures.pop("first_token_s") <= measures.pop("ear_to_ear_s")
    assert measures == {
        "turns": 2,
        "words_per_answer": 15.5,
        "interruptions_missed": 0,
        "silences": 2,
        "stale_words": 0,
        "double_questions": 1,
        "failure_lines": 1,
    }
    assert (await voice_app(folder, "rehearse", "one.yaml", "--baseline", "base.json")).code == 0
    better = {
        "A slow model": told["measures"]["A slow model"] | {"silences": 0, "turns": 1, "first_token_s": 1}
    }
    (folder / "base.json").write_text(json.dumps({"measures": better}))
    result = await voice_app(folder, "rehearse", "one.yaml", "--baseline", "base.json", "--tolerance", "1.5")
    assert result.code == 1
    shown = result.out[result.out.index("✗") :]
    assert re.sub(r"3\.\d+", "3.1", shown) == (
        "✗ 2 measures worse than in the baseline\n"
        "  A slow model: the first token, seconds: 3.1, in the baseline 1\n"
        "  A slow model: silences over 2 s: 2, in the baseline 0\n"
        "\n1 run: all passed, 2 measures worse\n"
    )


def test_what_is_stale_or_unanswered_after_an_interruption_is_one_that_was_missed() -> None:
    def measured(*kinds: PhoneEventKind) -> CallMeasures:
        happened = [PhoneEvent("caller"), PhoneEvent("interrupt"), PhoneEvent("caller")]
        after = [PhoneEvent(kind, "old words") for kind in kinds]
        return measure([(0.0, event) for event in [*happened, *after]], [], [])

    assert measured("agent").interruptions_missed == 0
    assert measured("left").interruptions_missed == 0
    assert measured("hung-up", "ended").interruptions_missed == 1
    late = measured("stale", "agent")
    assert (late.interruptions_missed, late.stale_words) == (1, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "--baseline: base.json cannot be read: No such file or directory"),
        ("{", "--baseline: base.json is no JSON"),
        (
            '{"measures": []}',
            "--baseline: base.json is no baseline: write one with --write-baseline base.json",
        ),
    ],
)
async def test_a_baseline_that_cannot_be_used_says_why(folder: Path, text: str | None, told: str) -> None:
    if text is not None:
        (folder / "base.json").write_text(text)
    result = await voice_app(folder, "rehearse", "passing.yaml", "--baseline", "base.json")
    assert (result.code, result.out) == (2, "")
    assert told in result.err


@pytest.mark.slow
async def test_two_hundred_scenarios_take_less_than_two_minutes_of_two_cores(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In CPU seconds, which a busy machine does not change; run with ``-m slow`` to see how many."""
    (folder / "many.yaml").write_text(PASSING.split("---")[0])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = await voice_app(folder, "rehearse", "many.yaml", "--repeat", "200", "--parallel", "2")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.out.endswith("\n200 runs: all passed\n"), result.out + result.err
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with capsys.disabled():
        sys.stdout.write(f"\n200 scenarios: {seconds:.0f} CPU seconds\n")
    assert seconds < 2 * 120


def test_what_is_wrong_with_a_file_is_told_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "name: bad\n"
        "agnet: x\n"
        "steps:\n"
        "  - sais: Hello\n"
        "  - interrupts: {after_words: 0}\n"
        "  - {says: a, hears: b}\n"
        "  - hears: {pattern: '('}\n"
        "  - presses: abc\n"
        "---\n"
        "name: no words\n"
        "matrix: {language: [de-DE]}\n"
        "steps: [{says: {en-US: Hello}}]\n"
    )
    (tmp_path / "none.yaml").write_text("a: [")
    with pytest.raises(ScenarioError) as caught:
        read_scenarios([tmp_path])
    told = [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert told[:4] == [
        "bad.yaml:2: agnet is no key here: did you mean agent?",
        "bad.yaml:4: sais is no key here: did you mean says?",
        "bad.yaml:5: steps.interrupts.after_words: Input should be greater than or equal to 1",
        "bad.yaml:5: steps.interrupts.says is missing",
    ]
    assert any(problem.startswith("bad.yaml:6: steps: a step does one thing") for problem in told)
    assert any("'(' is no regular expression" in problem for problem in told)
    assert any(problem.startswith("bad.yaml:8: steps.presses") for problem in told)
    assert "bad.yaml: step 1: says has no words in de-DE" in told
    assert told[-1].startswith("none.yaml:1: it is no YAML")


def test_the_schema_that_ships_is_that_of_the_code() -> None:
    assert SCHEMA.read_text("utf-8") == schema(), "write voice_app.testing.scenario.schema() to it"


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_line_that_cannot_be_opened_is_a_usage_error(folder: Path, processes: str) -> None:
    (folder / "failing.yaml").write_text(FAILING.replace("an_agent:agent", "an_agent:agnet"))
    result = await voice_app(folder, "rehearse", "failing.yaml", "--parallel", processes)
    assert result.code == 2
    told = "VOICE_APP_AGENT=an_agent:agnet: an_agent has no agnet; did you mean agent?"
    assert f"failing.yaml: {told}\n" in result.err


# --- the world in which a call takes place --------------------------------------------------------

CLOCK = """
from datetime import datetime
from voice_app import Transfer

async def agent(call, turn):
    if "person" in turn.text:
        yield "One moment. "
        yield Transfer(reason="asked", summary="A person.")
    else:
        yield f"It is {datetime.now():%A %H:%M}."
"""
TIMES = """
name: Open
agent: a_clock:agent
settings: {handoff: handoff.toml, silence_seconds: "0"}
given: {at: "2026-11-30 10:15 Europe/Berlin"}
steps:
  - says: What time is it?
  - hears: It is Monday 10:15
  - is_silent: 600
  - says: What time is it now?
  - hears: It is Monday 10:25
  - says: A person, please.
  - is_put_through
---
name: Closed
agent: a_clock:agent
settings: {handoff: handoff.toml}
given: {at: "2026-11-30T20:15:00+01:00"}
steps:
  - says: A person, please.
  - is_transferred
  - hears: leave a message
"""


def test_agents_and_opening_hours_see_the_time_of_day_that_is_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "a_clock.py").write_text(CLOCK)
    (folder / "handoff.toml").write_text(
        '[[target]]\nto = ["+15550190005"]\nhours = "Mo-Fr 09:00-18:00"\nzone = "Europe/Berlin"\n'
    )
    (folder / "times.yaml").write_text(TIMES)
    before = time.time()
    for variant in read_scenarios([folder / "times.yaml"]):
        result = run_variant(variant)
        assert result.passed, f"{result.failure}\n{result.dialogue}"
    assert before <= time.time() < before + 3600


@pytest.mark.parametrize(
    "fault", ["away_seconds: 20", "slow_seconds: 0.3", "away_seconds: 5, slow_seconds: 2"]
)
def test_a_call_goes_on_while_the_database_is_away_or_slow(
    folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "one.yaml").write_text(
        f"name: A database\nagent: an_agent:agent\ngiven: {{database: {{{fault}}}}}\nsteps:\n"
        "  - says: Where is my order?\n  - hears: asked 1 times\n  - is_silent: 7\n"
        "  - says: My order?\n  - hears: asked 2 times\n  - says: bye\n  - is_hung_up_on\n"
    )
    (variant,) = read_scenarios([folder / "one.yaml"])
    result = run_variant(variant)
    assert result.passed, f"{result.failure}\n{result.dialogue}"


async def test_a_time_of_day_without_what_sets_it_is_a_usage_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "time_machine", None)
    (folder / "times.yaml").write_text("name: Now\ngiven: {at: 2026-11-30 10:15}\nsteps: [{says: Hello}]\n")
    result = await voice_app(folder, "rehearse", "times.yaml")
    assert result.code == 2
    assert "times.yaml: `at` needs time-machine: pip install 'voice-app[testing]'" in result.err


def test_a_database_that_is_away_writes_nothing_until_it_is_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)

    async def waits() -> tuple[int, int]:
        async with open_line(line_settings(folder, {"agent": "an_agent:agent"})) as line:
            line.database.is_away(30)
            caller = line.caller()
            await caller.says("My order?")
            await caller.hears("asked 1 times")
            waiting = line.services.journal.waiting
            await caller.is_silent(60)
            await line.services.journal.flush()  # its time is real: it tries again within half a second
            return waiting, line.services.journal.waiting

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        away, back = runner.run(waits())
    assert away > 3
    assert back == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{at: tomorrow}", "given.at: 'tomorrow' is no time such as 2026-12-24 18:30 Europe/Berlin"),
        ("{at: 2026-12-24 18:30 Europe/Belin}", "is no time such as 2026-12-24 18:30 Europe/Berlin"),
        ("{databse: {}}", "databse is no key here: did you mean database?"),
        ("{database: {away: 5}}", "away is no key here: did you mean away_seconds?"),
    ],
)
def test_a_mistake_in_what_is_given_is_told(tmp_path: Path, given: str, told: str) -> None:
    (tmp_path / "bad.yaml").write_text(f"name: bad\ngiven: {given}\nsteps: [{{says: Hello}}]\n")
    with pytest.raises(ScenarioError) as caught:
        read_scenarios([tmp_path / "bad.yaml"])
    assert told in "\n".join(caught.value.problems)


# --- from a call ----------------------------------------------------------------------------------


async def a_call(folder: Path) -> tuple[str, list[Entry]]:
    """A call with a barge-in, keys, a silence and a handoff; its events."""
    settings = line_settings(folder, {"agent": "an_agent:agent", "greeting": "Hello!"})
    async with open_line(settings) as line:
        caller = line.caller()
        await caller.says("My name is Ann Miller, where is order 4711?")
        await caller.hears("look that up")
        await caller.interrupts("My order 4711 from +1 555 123 4567, now!", after_words=2)
        await caller.hears("2 times")
        await caller.presses("12")
        await caller.is_silent(12)
        await caller.hears("still there")
        await caller.says("A person, please, mail ann@miller.example")
        await caller.is_transferred()
        await caller.hangs_up()
        await line.services.journal.flush()
        entries = list(await line.services.journal.events(caller.call.sid))
    asked = next(at for at, entry in enumerate(entries) if "still there" in getattr(entry.event, "text", ""))
    # The line's time is virtual, the journal's is real: as it would have been.
    later = [msgspec.structs.replace(entry, at=entry.at + 11) for entry in entries[asked:]]
    return caller.call.sid, entries[:asked] + later


def test_a_barge_in_and_a_handoff_of_the_journal_are_reproduced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        call_sid, entries = runner.run(a_call(folder))
    text = scenario_of(call_sid, entries)
    for told in ("Ann", "Miller", "4711", "123", "ann@"):
        assert told not in text.replace(call_sid[:10], "")  # which may hold any digits
    assert "interrupts:" in text
    assert "after_words: 2" in text
    assert "presses: '12'" in text
    assert re.search(r"is_silent: 1\d", text)
    assert "reason: asked" in text
    (folder / "again.yaml").write_text(text.replace("steps:", 'settings: {greeting: "Hello!"}\nsteps:'))
    (variant,) = read_scenarios([folder / "again.yaml"])
    result = run_variant(variant)
    assert result.passed, f"{text}\n{result.failure}\n{result.dialogue}"


def test_a_call_with_a_model_becomes_a_scenario_that_needs_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)

    async def talk() -> tuple[str, list[Entry]]:
        model = ScriptedModel()
        model.says("We open at nine.")
        model.answers(
            text="I will get somebody. ", tools=[("transfer_to_person", {"reason": "b", "summary": "s"})]
        )
        async with serve_model(model):
            given = {"agent": "chat", "model": "scripted", "openai_base_url": model.base_url}
            async with open_line(line_settings(folder, given)) as line:
                caller = line.caller()
                await caller.says("When do you open?")
                await caller.hears("nine")
                await caller.says("My money, please.")
                await caller.is_transferred(reason="b")
                await caller.hangs_up()
                await line.services.journal.flush()
                return caller.call.sid, list(await line.services.journal.events(caller.call.sid))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        text = scenario_of(*runner.run(talk()))
    (folder / "again.yaml").write_text(text)
    (variant,) = read_scenarios([folder / "again.yaml"])
    assert len(variant.scenario.given.model) == 2
    result = run_variant(variant)
    assert result.passed, f"{text}\n{result.failure}\n{result.dialogue}"

"""The fixtures for pytest in a project as somebody has it: tests that pass, failures that are plain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.projects import pytest_of

PROJECT = Path(__file__).parent / "project"
SHOWN = """
____ test_an_order _________________________________

caller = <the caller +15550199999>

    async def test_an_order(caller):
        await caller.says("Where is my order?")
>       await caller.hears("leaves tomorrow")
E       voice_app.testing.caller.CallFailure: the caller expected to hear "leaves tomorrow", but heard \
"Let me look that up. Order 81 leaves today. You have asked 1 times."

failing.py:8: CallFailure
-------------------------- the call to an_agent:agent --------------------------
  0.0  agent     Hello!
  0.0  caller    Where is my order?
  0.0  agent     Let me look that up.
  0.0  agent     Order 81 leaves today. You have asked 1 times.
  0.0  expected  to hear "leaves tomorrow"
"""


def pytest_run(file: str, folder: Path) -> str:
    """What pytest prints of one file of the project, its seconds aside."""
    _, out = pytest_of(
        PROJECT, "-c", "/dev/null", "--confcutdir=.", f"--basetemp={folder}/own", str(PROJECT / file)
    )
    return re.sub(r"(?m)^ +\d+\.\d  ", "  0.0  ", out)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is printed of tests that fail."""
    return pytest_run("failing.py", tmp_path_factory.mktemp("failing"))


def test_a_project_tests_its_agent(tmp_path: Path) -> None:
    """Words, keys, interruptions, silence, handoffs, lost lines, models, tapes: ``project/passing.py``."""
    out = pytest_run("passing.py", tmp_path)
    assert re.search(r"(?m)^15 passed", out), out


def test_a_failure_shows_the_call_as_a_dialogue(failed: str) -> None:
    begin, end = failed.index("____ test_an_order"), failed.index("__ test_it[hears]")
    assert failed[begin:end].strip("_\n") == SHOWN.strip("_\n")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("hears", 'to hear "order", but heard "Sorry, what?"'),
        ("does_not_hear", 'not to hear "what", but heard "Sorry, what?"'),
        ("is_transferred", "to be handed to a person, but the agent has kept the call"),
        (
            "reason",
            "to be handed to a person because of 'billing', "
            "but the reason was 'asked', the summary 'Wants a person.'",
        ),
        ("is_put_through", "to be put through to a person, but nobody came"),
        ("is_hung_up_on", "that the call is ended, but the line is still open"),
        ("hangs_up", "that the call is ended, but it was the caller who hung up"),
        ("over", "to be on the line for `says`, but the call is over"),
        ("interrupts", "to cut into an answer after 2 words of it, but heard all that the agent had to say"),
        (
            "tool_called",
            "that refund(order=81) is called, but the tools that were called are: none",
        ),
        ("person", 'the person to hear "order", but they heard'),
    ],
)
def test_each_expectation_that_fails_says_what_was_instead(failed: str, case: str, told: str) -> None:
    (shown,) = [part for part in failed.split("\n____")[1:] if f"test_it[{case}]" in part.split("\n")[0]]
    assert f"CallFailure: the caller expected {told}" in shown
    assert "virtual_time.py" not in shown


def test_a_model_without_an_answer_says_what_it_was_asked(failed: str) -> None:
    (shown,) = [part for part in failed.split("\n____")[1:] if "test_no_answer" in part.split("\n")[0]]
    assert "the call to chat" in shown
    assert "the model ----" in shown
    assert "it was asked, and the test has no answer to: Where is my order?" in shown


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("test_no_agent", "VOICE_APP_AGENT=an_agent:agnet: an_agent has no agnet; did you mean agent?"),
        ("test_no_setting", "greting is no key here: did you mean greeting?"),
        ("test_a_bad_setting", "VOICE_APP_SILENCE_SECONDS: it should be 0 or more (given: -1)"),
    ],
)
def test_a_line_that_cannot_be_opened_says_why(failed: str, case: str, told: str) -> None:
    (shown,) = [part for part in failed.split("\n____")[1:] if case in part.split("\n")[0]]
    assert shown.strip().endswith(f"the line cannot be opened: {told}") or told in shown
    assert "Traceback" not in shown


def test_a_server_that_misbehaves_fails_the_test(failed: str) -> None:
    assert "ERROR at teardown of test_a_server_that_misbehaves" in failed
    assert "the server misbehaved, as Twilio sees it:\n64107: a frame that Twilio does not take" in failed

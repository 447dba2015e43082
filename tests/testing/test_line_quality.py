"""Lines that are bad by chance, from a seed: late frames, slow voices, and speech-to-text that mishears."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.sandbox.phone import LineConditions
from voice_app.sandbox.phone.conditions import OneWay
from voice_app.testing.recognition import NoisyRecognition, RecognizedPrompt
from voice_app.testing.rehearsal import Rehearsed, run_variant
from voice_app.testing.scenario import LineQuality, ScenarioError, read_scenarios
from voice_app.testing.virtual_time import VirtualLoop

PROJECT = Path(__file__).parent / "project"
CALL = """
name: A bad line
agent: an_agent:agent
seed: {seed}
settings: {{greeting: "Hello!", language: {language}}}
given:
  line: {line}
steps:
  - says: Where is my order, I wait for it here for a week?
  - interrupts: {{says: "My order, now, as I want to know!", after_words: 1}}
  - says: I want to know of my other order, for it is two weeks late.
"""
BAD = (
    "{delay_ms: 300, jitter_ms: 200, word_errors: 0.2, homophones: 0.5, dropped_beginnings: 0.3, "
    "wrong_language: 0.3}"
)
rates = st.floats(0, 1)
sentences = st.lists(
    st.sampled_from(["where", "is", "my", "order", "four", "81?", "注文は"]), min_size=1
).map(" ".join)


@given(
    st.integers(), st.lists(sentences, min_size=1, max_size=4), st.tuples(rates, rates, rates, rates, rates)
)
def test_the_same_seed_mishears_the_same_words_and_never_all_of_them(
    seed: int, said: list[str], chances: tuple[float, ...]
) -> None:
    names = ("word_errors", "homophones", "dropped_beginnings", "wrong_language", "split_prompts")
    quality = LineQuality(**dict(zip(names, chances, strict=True)))
    one, other = (NoisyRecognition(quality, seed, "en-US") for _ in range(2))
    for sentence in said:
        prompts = one.prompts(sentence)
        assert prompts == other.prompts(sentence)
        assert 1 <= len(prompts) <= 2
        assert all(prompt.text.strip() and not prompt.language.startswith("en") for prompt in prompts)


@given(st.integers(), sentences)
def test_a_good_line_mishears_nothing(seed: int, sentence: str) -> None:
    assert NoisyRecognition(LineQuality(), seed, "en-US").prompts(sentence) == [RecognizedPrompt(sentence)]
    assert not LineQuality(delay_ms=10).mishears


@pytest.mark.parametrize(
    ("quality", "heard"),
    [
        ({"homophones": 1}, ["where is my odor, to weeks late?"]),
        ({"dropped_beginnings": 1}, ["my order, two weeks late?"]),
        ({"word_errors": 1}, ["whera mhm is ordar, twu weegs lata?"]),
        ({"split_prompts": 1}, ["where is my order,", "two weeks late?"]),
    ],
)
def test_each_kind_of_error_is_what_its_name_says(quality: dict[str, Any], heard: list[str]) -> None:
    made = NoisyRecognition(LineQuality(**quality), 3, "en-US").prompts("where is my order, two weeks late?")
    assert [prompt.text for prompt in made] == heard


@given(st.integers(), st.floats(0.01, 2), st.floats(0, 2))
def test_nothing_overtakes_on_a_late_line_and_the_same_seed_is_as_late(
    seed: int, delay: float, jitter: float
) -> None:
    async def frames() -> AsyncIterator[int]:
        for number in range(10):
            yield number
            await asyncio.sleep(0.3)

    async def main() -> tuple[list[int], list[int], list[float]]:
        loop = asyncio.get_running_loop()
        way, other = (OneWay(conditions, "there") for _ in range(2))
        came, sent, late = [], [], []

        async def send(number: int) -> None:
            set_out = loop.time()
            await other.carry()
            sent.append(number)
            late.append(loop.time() - set_out)

        with loop.hurrying():  # type: ignore[attr-defined]
            came = [number async for number in way.arriving(frames())]
            await asyncio.gather(*map(send, range(10)))
        return came, sent, late

    conditions = LineConditions(delay_seconds=delay, jitter_seconds=jitter, seed=seed)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        came, sent, late = runner.run(main())
    assert came == sent == list(range(10))
    assert min(late) >= delay - 1e-6


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(PROJECT / "an_agent.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def played(folder: Path, line: str, seed: int = 1, language: str = "en-US") -> Rehearsed:
    (folder / "call.yaml").write_text(CALL.format(seed=seed, line=line, language=language))
    (variant,) = read_scenarios([folder / "call.yaml"])
    result = run_variant(variant)
    assert result.passed, f"{result.failure}\n{result.dialogue}"
    return result


def words(result: Rehearsed) -> list[str]:
    return [re.sub(r"^ *[\d.]+ +", "", line) for line in result.dialogue.splitlines()]


def test_the_same_seed_gives_the_same_call_and_another_one_another(folder: Path) -> None:
    first = played(folder, BAD)
    assert words(first) == words(played(folder, BAD))
    assert words(first) != words(played(folder, BAD, seed=2))
    assert sum("the caller said: " in line for line in words(first)) >= 2


def test_a_late_line_is_measured_as_the_caller_hears_it(folder: Path) -> None:
    measures = played(folder, "{delay_ms: 1200}").measures
    assert measures is not None
    assert measures.ear_to_ear_s is not None
    assert measures.ear_to_ear_s >= 2.4
    assert (measures.silences, measures.stale_words, measures.interruptions_missed) == (2, 0, 0)


def test_the_pace_is_that_of_the_language_and_its_script(folder: Path) -> None:
    paces = "{pace: {en-US: 2, de-DE: 0.5}}"
    quick, slow = played(folder, paces), played(folder, paces, language="de-DE")
    assert slow.seconds > 2 * quick.seconds
    assert words(slow) == words(quick)


def test_a_mistake_in_what_the_line_is_like_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(CALL.format(seed=1, language="en-US", line="{word_erors: 1, pace: 0}"))
    with pytest.raises(ScenarioError) as caught:
        read_scenarios([tmp_path / "bad.yaml"])
    told = "\n".join(caught.value.problems)
    assert "word_erors is no key here: did you mean word_errors?" in told
    assert "given.line.pace: Input should be greater than 0" in told

"""When a turn's stages are over, and how soon the voice stops for a caller who cuts in."""

from __future__ import annotations

from support.driver import Driver
from voice_app.relay.turn_clock import Meter
from voice_app.settings import NumberSettings


class Notes(Meter):
    """Writes down what a session tells, seconds rounded."""

    def __init__(self) -> None:
        self.told: list[str | tuple[str, float]] = []

    def turn(self, kind: str) -> None:
        self.told.append(kind)

    def stage(self, stage: str, seconds: float) -> None:
        self.told.append((stage, round(seconds, 3)))

    def interrupted(self) -> None:
        self.told.append("interrupted")

    def silence(self) -> None:
        self.told.append("silent")


def begin(**line: object) -> tuple[Driver, Notes]:
    notes = Notes()
    return Driver(line=NumberSettings.model_validate(line), meter=notes), notes


def test_the_stages_of_an_answer_are_told_once_each() -> None:
    driver, notes = begin()
    driver.prompt("When are you open?")
    driver.now += 0.3
    driver.agent("From nine ", "to six.", done=False)
    driver.now += 0.2
    driver.info("agentSpeaking", "on")
    driver.info("agentSpeaking", "on")
    driver.agent(" Every day.")
    assert notes.told == [
        "speech",
        ("prompt_to_first_token", 0.3),
        ("first_token_to_sound", 0.2),
        ("prompt_to_sound", 0.5),
    ]


def test_the_sound_of_an_answer_that_follows_a_voice_without_a_pause_is_not_guessed() -> None:
    driver, notes = begin()
    driver.prompt("One?")
    driver.agent("First.")
    driver.info("agentSpeaking", "on")
    notes.told.clear()
    driver.prompt("Two?")
    driver.agent("Second.")
    driver.info("agentSpeaking", "on")
    assert notes.told == ["speech", ("prompt_to_first_token", 0.0)]


def test_a_voice_that_stops_after_the_interrupt_is_timed_from_the_callers_first_sound() -> None:
    driver, notes = begin()
    driver.prompt("Tell me.")
    driver.agent("A long story.")
    driver.info("agentSpeaking", "on")
    notes.told.clear()
    driver.now += 1
    driver.info("clientSpeaking", "on")
    driver.now += 0.25
    driver.interrupt("A long")
    driver.now += 0.05
    driver.info("agentSpeaking", "off")
    assert notes.told == ["interrupted", ("barge_in_to_last_word", 0.3)]


def test_a_voice_that_stopped_before_the_interrupt_came_is_timed_to_its_end() -> None:
    driver, notes = begin()
    driver.prompt("Tell me.")
    driver.agent("A long story.")
    driver.info("agentSpeaking", "on")
    notes.told.clear()
    driver.info("clientSpeaking", "on")
    driver.now += 0.2
    driver.info("agentSpeaking", "off")
    driver.now += 0.1
    driver.interrupt("A long")
    assert notes.told == ["interrupted", ("barge_in_to_last_word", 0.2)]


def test_without_speaker_events_an_interruption_is_counted_and_not_timed() -> None:
    driver, notes = begin()
    driver.prompt("Tell me.")
    driver.agent("A long story.")
    notes.told.clear()
    driver.interrupt("A long")
    assert notes.told == ["interrupted"]


def test_silence_is_told_and_asks_the_agent() -> None:
    driver, notes = begin(silence_seconds=5, silence_line="")
    driver.prompt("Hello?")
    driver.agent("Hello.")
    driver.falls_silent()
    notes.told.clear()
    driver.pass_time(6)
    assert notes.told[:2] == ["silent", "silence"]


def test_a_guess_is_a_turn_once_it_was_right() -> None:
    driver, notes = begin(speculate="stable")
    driver.prompt("When are you open.", last=False)
    assert notes.told == []
    driver.agent("From nine.")
    driver.now += 0.4
    driver.prompt("When are you open.")
    assert notes.told == ["speech", ("prompt_to_first_token", 0.0)]

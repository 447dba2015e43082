"""Whatever the order of frames, words and time: the promises of the session hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.driver import Driver
from voice_app import Break, EndCall, SwitchLanguage, Transfer
from voice_app.relay.session import State

WORDS = st.sampled_from(["One ", "two ", "three. ", "four, ", "five! ", "Six "])
STEPS = st.one_of(
    st.tuples(st.just("prompt"), WORDS),
    st.tuples(st.just("partial"), WORDS),
    st.tuples(st.just("interrupt"), st.integers(0, 12)),
    st.tuples(st.just("interrupt-oddly"), st.sampled_from(["", "nothing like it", "two"])),
    st.tuples(st.just("say"), WORDS),
    st.tuples(st.just("act"), st.sampled_from([Break(), SwitchLanguage("es-ES")])),
    st.tuples(st.just("leave"), st.sampled_from([EndCall(), Transfer("x")])),
    st.tuples(st.just("finish"), st.none()),
    st.tuples(st.just("fail"), st.none()),
    st.tuples(st.just("key"), st.sampled_from("0123456789*#")),
    st.tuples(st.just("info"), st.sampled_from([("agentSpeaking", "on"), ("agentSpeaking", "off")])),
    st.tuples(st.just("played"), st.none()),
    st.tuples(st.just("raw"), st.sampled_from(["{", '{"type":"new"}', '{"type":"error","description":"x"}'])),
    st.tuples(st.just("time"), st.sampled_from([0.1, 1.0, 20.0])),
    st.tuples(st.just("flush"), st.none()),
)


class Watched(Driver):
    """A session whose every promise is checked at every step."""

    def __init__(self) -> None:
        super().__init__(greeting="Hello there, how are you?")
        self.open = False
        self.silenced_until_turn: int | None = None
        line = self.session.line
        self.own_lines = {
            line.silence_line,
            line.silence_goodbye,
            line.max_call_warning,
            line.max_call_goodbye,
        }
        """What the session says when time passes: nobody's reply."""

    def step(self, name: str, value: Any) -> None:
        match name:
            case "prompt":
                self.prompt(value)
            case "partial":
                self.prompt(f"PARTIAL {value}", last=False)
            case "interrupt":
                self.flush_and_check()
                words = self.unplayed().split()[:value]
                self.interrupt(" ".join(words))
                self.silence()
            case "interrupt-oddly":
                self.interrupt(value)
                self.silence()
            case "key":
                self.receive(type="dtmf", digit=value)
            case "info":
                self.info(*value)
            case "played":
                self.info("tokensPlayed", self.unplayed())
            case "raw":
                self.raw(value)
            case "time":
                self.pass_time(value)
            case "flush":
                pass
            case "fail" if self.turns:
                self.fail()
            case "finish" if self.turns:
                self.agent()
            case "say" | "act" | "leave" if self.turns:
                self.agent(value, done=False)
        self.flush_and_check()

    def silence(self) -> None:
        """From here on, no word until the agent is asked again."""
        self.silenced_until_turn = len(self.turns)

    def unplayed(self) -> str:
        return " ".join(speech.sent for speech in self.session._speaker.playback._queue)

    def flush_and_check(self) -> None:
        for frame in self.flush():
            if frame["type"] != "text":
                continue
            if frame["token"] in self.own_lines or frame["token"].startswith(self.session.line.continue_line):
                self.open = False
                continue
            if frame["token"] and self.silenced_until_turn is not None:
                assert len(self.turns) > self.silenced_until_turn, "a word after an interruption"
                self.silenced_until_turn = None
            assert frame["token"] or self.open, "a last for a reply that was never begun, or a second one"
            self.open = not frame["last"]
        assert not any("PARTIAL" in turn.turn.text for turn in self.turns)


class Conversation(RuleBasedStateMachine):
    """A session and both who speak to it, in any order: no word after an interruption, one last a reply."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched()

    @rule(words=WORDS, last=st.booleans())
    def the_caller_speaks(self, words: str, last: bool) -> None:
        self.watched.step("prompt" if last else "partial", words)

    @rule(step=STEPS)
    def anything_happens(self, step: tuple[str, Any]) -> None:
        self.watched.step(*step)

    @precondition(lambda self: self.watched.session._turns.busy)
    @rule(words=WORDS, done=st.booleans())
    def the_agent_answers(self, words: str, done: bool) -> None:
        self.watched.step("say", words)
        if done:
            self.watched.step("finish", None)

    @precondition(lambda self: self.watched.unplayed())
    @rule(words=st.integers(0, 12), at_once=st.booleans())
    def the_caller_cuts_in(self, words: int, at_once: bool) -> None:
        self.watched.step("interrupt", words)
        if at_once:
            self.watched.step("info", ("clientSpeaking", "on"))

    @invariant()
    def a_turn_is_answered_by_nobody_once_the_line_is_closed(self) -> None:
        if self.watched.session.state is State.CLOSED:
            asked = len(self.watched.turns)
            self.watched.step("prompt", "Hello?")
            assert len(self.watched.turns) == asked

    def teardown(self) -> None:
        if self.watched.session._turns.busy:
            self.watched.step("finish", None)
        assert not self.watched.open or self.watched.session.state is State.CLOSED


Conversation.TestCase.settings = hypothesis_settings(max_examples=100, stateful_step_count=40)
TestConversation = Conversation.TestCase


@given(st.lists(STEPS, max_size=60))
def test_history_holds_nothing_that_was_not_sent(steps: list[tuple[str, Any]]) -> None:
    session = Watched()
    for name, value in steps:
        session.step(name, value)
    sent = {"Hello there, how are you?", session.session.line.failure_line, *session.own_lines}
    for role, content in session.history():
        if role == "assistant":
            begins = session.session.line.continue_line
            goes_on = content.startswith(begins) or begins.startswith(content)
            assert goes_on or session.spoken.find(content) >= 0 or any(t.startswith(content) for t in sent)
        else:
            assert "PARTIAL" not in content


@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(0, 12))
def test_history_holds_exactly_the_words_that_were_heard(words: list[str], count: int) -> None:
    driver = Driver()
    driver.prompt("Go on.")
    driver.agent(*words)
    driver.flush()
    heard = [word.strip(" .,!").lower() for word in words[:count]]
    driver.interrupt(" ".join(heard))
    stored = [content for role, content in driver.history() if role == "assistant"]
    assert " ".join(stored).split() == "".join(words[:count]).split()

"""Fillers, stalls, silence, keys, and the longest call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.driver import Driver
from voice_app import Break, Keys, Message, Ssml, Turn
from voice_app.calls import HistoryLine
from voice_app.journal import events
from voice_app.relay.commands import Pull
from voice_app.relay.session import SECONDS_OF_PARTING, State
from voice_app.settings import NumberSettings


def driver(**line: Any) -> Driver:
    made = Driver(line=NumberSettings(**line))
    made.call.filler = made.session.line.filler
    return made


def words(made: Driver) -> list[str]:
    made.flush()
    return [frame["token"] for frame in made.wire if frame["type"] == "text" and frame["token"]]


def test_a_slow_answer_is_bridged_once() -> None:
    slow = driver(filler="One moment.", filler_seconds=2)
    slow.prompt("Hello?")
    slow.pass_time(1.9)
    assert words(slow) == []
    slow.pass_time(10)
    assert words(slow) == ["One moment."]
    slow.agent("Here I am.")
    assert words(slow) == ["One moment.", "Here I am."]


def test_a_filler_is_cancelled_by_the_first_word() -> None:
    quick = driver(filler="One moment.", filler_seconds=2)
    quick.prompt("Hello?")
    quick.pass_time(1.5)
    quick.agent("Well, ", done=False)
    quick.pass_time(5)
    quick.agent("here I am.")
    assert words(quick) == ["Well, here I am."]


def test_a_filler_does_not_hide_how_long_the_answer_took() -> None:
    slow = driver(filler="One moment.", filler_seconds=2)
    slow.prompt("Hello?")
    slow.pass_time(3)
    slow.agent("Here I am.")
    assert slow.of(events.Replied)[-1].first_token_ms == pytest.approx(3000)


def test_a_filler_ends_no_turn() -> None:
    slow = driver(filler="One moment.", filler_seconds=2)
    slow.prompt("Hello?")
    slow.pass_time(3)
    slow.agent("Here I am.")
    replies = [reply for reply in slow.of(events.Replied) if reply.done]
    assert [(reply.text, reply.ends_turn) for reply in replies] == [
        ("One moment.", False),
        ("Here I am.", True),
    ]


def test_a_tool_is_bridged_too_but_only_once_a_turn() -> None:
    tools = driver(filler="One moment.", filler_seconds=2)
    tools.prompt("Hello?")
    tools.agent("Let me look.", Break(), done=False)
    tools.pass_time(3)
    tools.agent(Break(), done=False)
    tools.pass_time(3)
    assert words(tools) == ["Let me look.", "One moment."]


def test_an_agent_may_choose_its_filler_or_none() -> None:
    own = driver(filler_seconds=2)
    own.call.filler = ""
    own.prompt("Hello?")
    own.pass_time(5)
    assert words(own) == []


def test_a_prompt_still_joins_after_a_filler() -> None:
    slow = driver(filler="One moment.", filler_seconds=2)
    slow.prompt("I want")
    slow.pass_time(3)
    slow.prompt("a bike.")
    assert slow.asked.text == "a bike."
    assert [content for role, content in slow.history() if role == "user"] == ["I want", "a bike."]


def test_a_stalled_answer_is_cut_and_excused() -> None:
    stalled = driver(stall_seconds=5, failure_line="Sorry?", filler_seconds=0)
    stalled.prompt("Hello?")
    stalled.agent("Well, ", done=False)
    stalled.pass_time(4.9)
    assert stalled.stops == 0
    stalled.pass_time(0.2)
    assert stalled.stops == 1
    assert words(stalled) == ["Well, ", "Sorry?"]
    stalled.agent("too late")
    assert words(stalled) == ["Well, ", "Sorry?"]


def test_an_agent_that_is_far_ahead_of_the_voice_waits_and_is_not_stalled() -> None:
    ahead = driver(ahead_seconds=10, stall_seconds=5, silence_seconds=0)
    ahead.prompt("Tell me everything.")
    pulls = []
    for _ in range(2):
        ahead.agent("word " * 20, done=False)
        pulls.append(ahead.pull)
    assert (pulls, ahead.continued) == ([Pull.ON, Pull.WAIT], 0)
    ahead.pass_time(6)
    assert (ahead.continued, ahead.stops) == (1, 0)
    ahead.agent("word.")
    assert ahead.of(events.Failed) == []


def test_how_far_the_voice_is_counts_from_what_it_tells() -> None:
    told = driver(ahead_characters=500, ahead_seconds=3600, stall_seconds=5, silence_seconds=0)
    told.prompt("Hello?")
    told.agent("Hi. ", done=False)
    told.info("agentSpeaking", "on")
    told.info("tokensPlayed", "Hi.")
    told.agent("word " * 120, done=False)
    assert told.pull is Pull.WAIT
    told.pass_time(20)
    assert (told.continued, told.stops) == (0, 0)
    told.info("tokensPlayed", ("word " * 40).strip())
    told.pass_time(1)
    assert told.continued == 1


def test_a_voice_that_is_silent_without_a_word_of_why_makes_no_agent_wait_for_ever() -> None:
    silent = driver(ahead_characters=500, ahead_seconds=3600, silence_seconds=0)
    silent.prompt("Hello?")
    silent.agent("Hi. ", done=False)
    silent.info("tokensPlayed", "Hi.")
    silent.agent("word " * 120, done=False)
    silent.info("agentSpeaking", "on")
    silent.pass_time(5)
    assert silent.continued == 0
    silent.info("agentSpeaking", "off")
    silent.pass_time(1)
    assert silent.continued == 1


def test_a_guess_is_not_endless_either() -> None:
    guess = driver(speculate="stable", ahead_characters=500)
    guess.prompt("Tell me", last=False)
    guess.pass_time(2)
    pulls = []
    for text in ("word " * 100, "word " * 10):
        guess.agent(text, done=False)
        pulls.append(guess.pull)
    assert pulls == [Pull.ON, Pull.WAIT]
    guess.prompt("Tell me")
    assert guess.continued == 1


def test_every_piece_is_a_sign_of_life() -> None:
    steady = driver(stall_seconds=5)
    steady.prompt("Hello?")
    for _ in range(5):
        steady.pass_time(4)
        steady.agent("word ", done=False)
    assert steady.stops == 0


def test_a_silent_caller_is_asked_twice_and_then_let_go() -> None:
    silent = driver(silence_seconds=10, silence_line="Still there?", silence_goodbye="Goodbye!")
    silent.prompt("Hello?")
    silent.agent("Hi.")
    silent.info("agentSpeaking", "on")
    silent.falls_silent()
    silent.pass_time(10.1)
    assert words(silent) == ["Hi.", "Still there?"]
    silent.info("agentSpeaking", "on")
    silent.falls_silent()
    silent.pass_time(10.1)
    silent.info("agentSpeaking", "on")
    silent.falls_silent()
    silent.pass_time(10.1)
    assert words(silent) == ["Hi.", "Still there?", "Still there?", "Goodbye!"]
    silent.info("agentSpeaking", "on")
    silent.falls_silent()
    assert silent.flush() == [{"type": "end"}]


def test_silence_is_noticed_by_time_where_no_events_tell_of_it() -> None:
    silent = driver(silence_seconds=10, silence_line="Still there?")
    silent.prompt("Hello?")
    silent.agent("Hi.")
    silent.pass_time(10)
    assert words(silent) == ["Hi."]
    silent.pass_time(3)
    assert words(silent) == ["Hi.", "Still there?"]


def test_a_caller_who_is_speaking_is_not_silent() -> None:
    speaking = driver(silence_seconds=10)
    speaking.prompt("Hello?")
    speaking.agent("Hi.")
    speaking.info("clientSpeaking", "on")
    speaking.pass_time(60)
    assert words(speaking) == ["Hi."]
    speaking.info("clientSpeaking", "off")
    speaking.pass_time(10.1)
    assert words(speaking) == ["Hi.", "Are you still there?"]


def test_a_caller_who_answers_is_asked_twice_again() -> None:
    back = driver(silence_seconds=10, silence_times=1)
    for _ in range(3):
        back.prompt("Hello?")
        back.agent("Hi.")
        back.falls_silent()
        back.pass_time(10.1)
    assert words(back).count("Are you still there?") == 3
    assert back.session.state is State.LIVE


def test_the_agent_is_asked_about_silence_where_no_line_is_set() -> None:
    silent = driver(silence_seconds=10, silence_line="")
    silent.prompt("Hello?")
    silent.agent("Hi.")
    silent.pass_time(20)
    assert silent.asked == Turn("", "silence")


def test_a_resumed_call_without_a_greeting_is_the_agents() -> None:
    resumed = Driver(history=[HistoryLine("user", "When?")])
    assert resumed.asked == Turn("", "resumed")
    assert resumed.call.history == [Message("user", "When?")]


def test_the_longest_call_ends_with_a_warning_and_a_goodbye() -> None:
    long = driver(
        max_call_seconds=600, max_call_warning="One minute.", max_call_goodbye="Bye!", silence_seconds=0
    )
    long.pass_time(539)
    assert words(long) == []
    long.pass_time(2)
    assert words(long) == ["One minute."]
    long.pass_time(60)
    assert words(long) == ["One minute.", "Bye!"]
    assert long.session.state is State.LEAVING


def test_whoever_cuts_into_the_goodbye_of_the_longest_call_does_not_make_it_longer() -> None:
    long = driver(max_call_seconds=600, max_call_goodbye="Bye now!", silence_seconds=0)
    long.pass_time(601)
    long.interrupt("Bye")
    long.prompt("Wait, one more thing.")
    long.pass_time(0.1)
    assert long.session.state is State.ENDING


def test_the_longest_call_ends_however_far_the_voice_is_behind() -> None:
    long = driver(max_call_seconds=600, max_call_goodbye="Bye!", silence_seconds=0, stall_seconds=300)
    long.pass_time(590)
    long.prompt("Tell me everything.")
    long.agent("It is a long story. " * 200)
    long.info("agentSpeaking", "on")
    states = []
    for seconds in (12, SECONDS_OF_PARTING):
        long.pass_time(seconds)
        states.append(long.session.state)
    assert states == [State.LEAVING, State.ENDING]


def test_a_warning_waits_for_the_end_of_a_reply() -> None:
    long = driver(max_call_seconds=600, max_call_warning="One minute.", silence_seconds=0, stall_seconds=300)
    long.pass_time(530)
    long.prompt("Hello?")
    long.agent("Well, ", done=False)
    long.pass_time(20)
    assert words(long) == ["Well, "]
    long.agent("that is all.")
    assert words(long) == ["Well, ", "that is all.", "One minute."]


@pytest.mark.parametrize(
    ("keys", "pressed", "entries"),
    [
        (Keys(), "12#34#", ["12", "34"]),
        (Keys(length=3), "123456", ["123", "456"]),
        (Keys(length=3), "12#", ["12"]),
        (Keys(terminator="*"), "1#2*", ["1#2"]),
        (Keys(), "#", ["#"]),
    ],
)
def test_keys_are_collected_into_entries(keys: Keys, pressed: str, entries: list[str]) -> None:
    typing = driver()
    typing.call.keys = keys
    for key in pressed:
        typing.receive(type="dtmf", digit=key)
        if len(typing.turns) < len(entries) and typing.turns:
            typing.agent("Thanks.")
    if typing.turns:
        typing.agent("Thanks.")
    assert [(turn.turn.text, turn.turn.kind) for turn in typing.turns] == [
        (entry, "keys") for entry in entries
    ]
    assert [event.digits for event in typing.of(events.Pressed)] == entries


def test_an_entry_is_over_when_no_key_follows() -> None:
    typing = driver()
    typing.call.keys = Keys(seconds=2)
    for key in "12":
        typing.receive(type="dtmf", digit=key)
        typing.pass_time(1.9)
    assert typing.turns == []
    typing.pass_time(0.2)
    assert typing.asked.text == "12"


def test_a_secret_entry_is_told_to_the_agent_and_to_nobody_else() -> None:
    typing = driver()
    typing.call.keys = Keys(length=4, sensitive=True)
    for key in "4711":
        typing.receive(type="dtmf", digit=key)
    assert typing.asked == Turn("4711", "keys", sensitive=True)
    typing.agent("Thank you.")
    typing.prompt("And now?")
    assert "4711" not in json.dumps([message.content for message in typing.call.history])
    assert "4711" not in repr(typing.events)
    assert typing.call.history[0] == Message("user", "(pressed keys, hidden)")


def test_ssml_passes_and_everything_else_is_made_speakable() -> None:
    made = driver()
    made.prompt("Hello?")
    made.agent("**Hello**", Ssml('<break time="1s"/>'), " *you*!")
    assert "".join(words(made)) == 'Hello<break time="1s"/> you!'


def test_what_is_made_speakable_is_what_is_remembered() -> None:
    made = driver()
    made.prompt("Hello?")
    made.agent("**He", "llo** ", "you. 😀")
    made.flush()
    assert made.history() == [("user", "Hello?"), ("assistant", "Hello you. ")]

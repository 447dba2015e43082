import json
from typing import Any

import pytest

from support.driver import CALL, Driver
from voice_app import Break, EndCall, Keys, Message, Piece, Play, SendDigits, SwitchLanguage, Transfer
from voice_app.calls import HistoryLine
from voice_app.journal import events
from voice_app.relay.frames import MalformedError, decode
from voice_app.relay.session import SECONDS_TO_CLOSE, State
from voice_app.relay.turns import MAX_FAILURES, SECONDS_TO_SPEAK_UP
from voice_app.settings import NumberSettings


def text(token: str, *, last: bool = False) -> dict[str, Any]:
    return {"type": "text", "token": token, "last": last}


def test_a_reply_goes_out_as_text_with_one_last() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Hi ", done=False)
    assert driver.flush() == [text("Hi ")]
    driver.agent("there.")
    assert driver.flush() == [text("there.", last=True)]


def test_words_that_are_ready_together_leave_as_one_frame() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("One ", "two ", "three.")
    assert driver.flush() == [text("One two three.", last=True)]


def test_a_last_that_comes_alone_is_an_empty_token() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Hi.", done=False)
    driver.flush()
    driver.agent()
    assert driver.flush() == [text("", last=True)]


def test_a_partial_prompt_starts_no_turn() -> None:
    driver = Driver()
    driver.prompt("Hel", last=False)
    driver.prompt("Hello the", last=False)
    assert driver.turns == []
    driver.prompt("Hello there.")
    assert driver.asked.text == "Hello there."


def partials(driver: Driver) -> list[str]:
    return [event.text for event in driver.events if isinstance(event, events.Partial)]


def test_words_that_are_not_final_are_written_once_a_second_at_most() -> None:
    driver = Driver()
    for count in range(1, 17):
        driver.prompt(" ".join(["word"] * count), last=False)
        driver.pass_time(0.25)
    driver.prompt(" ".join(["word"] * 16))
    assert [len(text.split()) for text in partials(driver)] == [5, 9, 13]


def test_words_of_less_than_a_second_cost_the_journal_nothing() -> None:
    driver = Driver()
    driver.prompt("Are", last=False)
    driver.pass_time(0.5)
    driver.prompt("Are you open?", last=False)
    driver.prompt("Are you open?")
    driver.prompt("And", last=False)
    assert partials(driver) == []


def test_words_that_nothing_follows_are_written_when_the_line_is_lost() -> None:
    driver = Driver()
    driver.prompt("a" * 600 + " I wanted to", last=False)
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert [text[-11:] for text in partials(driver)] == ["I wanted to"]
    assert len(partials(driver)[0]) == 500


def test_of_a_secret_no_partial_is_written() -> None:
    driver = Driver()
    driver.call.keys = Keys(sensitive=True)
    for word in ("my", "my code", "my code is", "my code is 1234"):
        driver.prompt(word, last=False)
        driver.pass_time(1.0)
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert partials(driver) == []


def test_a_prompt_without_words_starts_no_turn() -> None:
    driver = Driver()
    driver.prompt("  ")
    assert driver.turns == []


def test_an_interruption_stops_the_reply_and_closes_it_without_a_word() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Once upon a time ", done=False)
    driver.flush()
    driver.agent("there was a king.", done=False)
    driver.interrupt("Once upon")
    assert driver.stops == 1
    assert driver.flush() == [text("", last=True)]


def test_words_of_a_stopped_turn_are_dropped() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Once upon a time ", done=False)
    driver.interrupt("Once")
    driver.flush()
    driver.agent("there was a king.")
    assert driver.flush() == []


def test_nothing_is_closed_if_nothing_was_sent() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Once upon a time ", done=False)
    driver.interrupt("")
    assert driver.flush() == []


def test_an_interruption_cuts_the_history_to_what_was_heard() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Once upon a time, there was a king.")
    driver.flush()
    driver.interrupt("once upon a time")
    assert driver.history() == [("user", "Tell me a story."), ("assistant", "Once upon a time,")]
    assert driver.of(events.Heard) == [events.Heard(1, "VX1", "Once upon a time,", 500.0)]


def test_an_interruption_before_the_first_word_drops_the_reply() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Once upon a time, there was a king.")
    driver.interrupt("")
    assert driver.history() == [("user", "Tell me a story.")]


def test_a_reply_that_is_known_to_be_finished_stays_when_nothing_matches() -> None:
    driver = Driver()
    driver.prompt("One?")
    driver.agent("The first answer.")
    driver.flush()
    driver.info("tokensPlayed", "The first answer.")
    driver.prompt("Two?")
    driver.agent("The second answer.")
    driver.flush()
    driver.interrupt("something else entirely was heard")
    assert driver.history() == [
        ("user", "One?"),
        ("assistant", "The first answer."),
        ("user", "Two?"),
    ]


def test_the_greeting_is_the_first_thing_in_the_history() -> None:
    driver = Driver(greeting="Hello, this is Anna.")
    driver.prompt("Hi.")
    assert driver.call.history == [Message("assistant", "Hello, this is Anna.")]


def test_the_greeting_is_cut_like_any_reply() -> None:
    driver = Driver(greeting="Hello, this is Anna.")
    driver.interrupt("Hello")
    driver.prompt("Hi.")
    assert driver.call.history == [Message("assistant", "Hello,")]


def test_the_history_of_earlier_sessions_comes_first() -> None:
    driver = Driver(greeting="Sorry, go on.", history=[HistoryLine("user", "When?")])
    driver.prompt("I said when?")
    assert driver.call.history == [Message("user", "When?"), Message("assistant", "Sorry, go on.")]


def test_what_becomes_known_of_earlier_sessions_comes_first_and_takes_the_place_of_what_was_known() -> None:
    driver = Driver(greeting="Sorry, go on.", history=[HistoryLine("user", "When?")])
    driver.prompt("I said when?")
    driver.agent("At nine.")
    driver.flush()
    driver.info("tokensPlayed", "At nine.")
    before = [HistoryLine("user", "Hi."), HistoryLine("assistant", "Hello."), HistoryLine("user", "When?")]
    for _ in range(2):
        driver.session.came_after(before)
        driver.prompt("And when again?")
        assert driver.call.history[:4] == [Message(line.role, line.content) for line in before] + [
            Message("assistant", "Sorry, go on.")
        ]
        assert driver.call.history[4].content == "I said when?"


def test_the_turn_that_is_answered_is_not_in_the_history() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    assert driver.call.history == []
    assert driver.asked.text == "Hello?"


def test_two_equal_prompts_are_two_turns() -> None:
    driver = Driver()
    driver.prompt("Again.")
    driver.agent("One.")
    driver.prompt("Again.")
    driver.agent("Two.")
    assert [role for role, _ in driver.history()] == ["user", "assistant", "user", "assistant"]


def test_a_prompt_joins_one_that_is_still_being_thought_about() -> None:
    driver = Driver()
    driver.prompt("I want")
    driver.prompt("a bicycle.")
    assert driver.stops == 1
    assert driver.asked.text == "I want a bicycle."
    driver.agent("Sure.")
    assert driver.history() == [("user", "I want a bicycle."), ("assistant", "Sure.")]


def test_a_prompt_waits_while_a_reply_is_being_written() -> None:
    driver = Driver()
    driver.prompt("One?")
    driver.agent("The first ", done=False)
    driver.prompt("Two?")
    driver.prompt("Three?")
    assert len(driver.turns) == 1
    driver.agent("answer.")
    assert driver.asked.text == "Two? Three?"


def test_a_prompt_waits_for_the_voice_where_the_caller_cannot_cut_in() -> None:
    driver = Driver(line=NumberSettings(interruptible="none"))
    driver.prompt("One?")
    driver.agent("The first answer.")
    driver.info("agentSpeaking", "on")
    driver.prompt("Two?")
    assert len(driver.turns) == 1
    driver.falls_silent()
    assert driver.asked.text == "Two?"


def test_a_prompt_does_not_wait_forever_for_the_voice() -> None:
    driver = Driver(line=NumberSettings(interruptible="none"))
    driver.prompt("One?")
    driver.agent("The first answer.")
    driver.info("agentSpeaking", "on")
    driver.prompt("Two?")
    driver.pass_time(10)
    assert len(driver.turns) == 1  # Twilio tells that it is still speaking
    driver.pass_time(20)
    assert driver.asked.text == "Two?"


def test_a_question_that_was_cut_off_is_answered_together_with_the_next() -> None:
    driver = Driver(greeting="Hello, this is Anna.")
    driver.prompt("When do you open")
    driver.interrupt("Hello")
    driver.prompt("on Sundays?")
    assert driver.asked.text == "When do you open on Sundays?"


def test_a_question_stays_open_when_the_caller_cuts_in_and_says_nothing() -> None:
    driver = Driver(greeting="Hello, this is Anna.")
    driver.prompt("When do you open?")
    driver.interrupt("Hello")
    driver.pass_time(SECONDS_TO_SPEAK_UP + 0.1)
    assert len(driver.turns) == 2
    assert driver.asked.text == "When do you open?"
    driver.agent("At nine.")
    assert driver.history() == [
        ("assistant", "Hello,"),
        ("user", "When do you open?"),
        ("assistant", "At nine."),
    ]


def cut_in_while_a_prompt_waits() -> Driver:
    driver = Driver()
    driver.prompt("One?")
    driver.agent("The first ", done=False)
    driver.flush()
    driver.prompt("Two?")
    driver.interrupt("The")
    driver.falls_silent()
    driver.session.supervise("note", "The shop has closed.", driver.now)
    assert len(driver.turns) == 1
    return driver


def test_what_waits_is_not_answered_into_the_words_of_a_caller_who_cuts_in() -> None:
    driver = cut_in_while_a_prompt_waits()
    driver.prompt("No, three!")
    assert driver.asked.text == "Two? No, three!"


def test_what_waits_is_answered_when_the_caller_cuts_in_and_says_nothing() -> None:
    driver = cut_in_while_a_prompt_waits()
    driver.info("clientSpeaking", "on")
    driver.pass_time(SECONDS_TO_SPEAK_UP * 3)
    assert len(driver.turns) == 1
    driver.info("clientSpeaking", "off")
    driver.pass_time(SECONDS_TO_SPEAK_UP + 0.1)
    assert driver.asked.text == "Two?"


def test_words_before_a_break_are_a_stretch_of_their_own() -> None:
    driver = Driver()
    driver.prompt("Where is my order?")
    driver.agent("Let me look.", Break(), done=False)
    assert driver.flush() == [text("Let me look.", last=True)]
    driver.info("tokensPlayed", "Let me look.")
    driver.agent("It is on its way.", done=False)
    driver.flush()
    driver.interrupt("It is")
    assert driver.history() == [
        ("user", "Where is my order?"),
        ("assistant", "Let me look."),
        ("assistant", "It is"),
    ]


def test_a_prompt_while_a_tool_runs_waits_for_the_answer() -> None:
    driver = Driver()
    driver.prompt("Where is my order?")
    driver.agent(Break(), done=False)
    driver.prompt("Hello?")
    assert len(driver.turns) == 1
    driver.agent("It is on its way.")
    assert driver.asked.text == "Hello?"


def test_actions_reach_the_wire_in_order_between_closed_stretches() -> None:
    driver = Driver()
    driver.prompt("Go.")
    driver.agent(
        "Listen.", Play("https://x.example/a.mp3", 2), SendDigits("1w2"), SwitchLanguage("es-ES"), "Hola."
    )
    assert driver.flush() == [
        text("Listen.", last=True),
        {"type": "play", "source": "https://x.example/a.mp3", "loop": 2},
        {"type": "sendDigits", "digits": "1w2"},
        {"type": "language", "ttsLanguage": "es-ES"},
        text("Hola.", last=True),
    ]


def test_the_call_ends_after_the_goodbye_was_played() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent("Goodbye!", EndCall())
    assert driver.flush() == [text("Goodbye!", last=True)]
    driver.info("tokensPlayed", "Goodbye!")
    assert driver.flush() == [{"type": "end"}]
    assert driver.session.state is State.ENDING


def test_what_is_said_after_the_end_was_decided_is_kept_and_not_answered() -> None:
    driver = Driver()
    driver.prompt("A person, please.")
    driver.agent(Transfer("billing"))
    driver.flush()
    assert driver.session.state is State.ENDING
    turns = len(driver.turns)
    driver.prompt("Are you", last=False)
    driver.prompt("Are you there?")
    assert driver.of(events.Prompted)[-1] == events.Prompted("Are you there?", "en-US")
    assert len(driver.turns) == turns


def test_the_call_ends_when_the_voice_falls_silent() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent("Goodbye!", EndCall())
    driver.info("agentSpeaking", "on")
    driver.falls_silent()
    assert driver.flush()[-1] == {"type": "end"}


def test_silence_before_the_goodbye_can_have_arrived_does_not_end_the_call() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent("One moment. ", Break(), "Goodbye!", EndCall())
    driver.info("agentSpeaking", "on")
    driver.info("agentSpeaking", "off")
    assert {"type": "end"} not in driver.flush()
    driver.falls_silent()
    assert driver.flush() == [{"type": "end"}]


def test_the_call_ends_in_time_where_nothing_tells_that_the_goodbye_was_played() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent("Goodbye!", EndCall())
    driver.flush()
    driver.pass_time(1.0)
    assert driver.flush() == []
    driver.pass_time(10.0)
    assert driver.flush() == [{"type": "end"}]


def test_the_socket_stays_open_until_twilio_closes_it_after_end() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent(EndCall())
    assert driver.flush() == [{"type": "end"}]
    driver.pass_time(SECONDS_TO_CLOSE - 0.1)
    assert driver.closed is None
    driver.pass_time(0.2)
    assert driver.closed is not None
    assert driver.closed.code == 1000


def test_a_transfer_carries_its_reason_as_a_json_string() -> None:
    driver = Driver()
    driver.prompt("A human, please.")
    driver.agent(Transfer("billing", 'Wants "81" back.'))
    (frame,) = driver.flush()
    assert json.loads(frame["handoffData"]) == {"reason": "billing", "summary": 'Wants "81" back.'}


def test_a_caller_who_cuts_into_the_goodbye_keeps_the_agent() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent("Goodbye, and have a nice day!", EndCall())
    driver.flush()
    driver.interrupt("Goodbye")
    driver.prompt("Wait, one more thing.")
    assert driver.asked.text == "Wait, one more thing."
    driver.agent("Sure.")
    assert driver.flush() == [text("Sure.", last=True)]


def test_a_caller_who_cuts_into_the_goodbye_without_a_word_has_left() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent("Goodbye, and have a nice day!", EndCall())
    driver.flush()
    driver.interrupt("Goodbye")
    driver.pass_time(SECONDS_TO_SPEAK_UP + 0.1)
    assert driver.flush()[-1] == {"type": "end"}


def test_an_agent_that_fails_is_excused() -> None:
    driver = Driver(line=NumberSettings(failure_line="Sorry?"))
    driver.prompt("Hello?")
    driver.agent("Well, ", done=False)
    driver.fail()
    assert driver.flush() == [text("Well, ", last=True), text("Sorry?", last=True)]
    assert [event.what for event in driver.of(events.Failed)] == ["agent"]


def test_an_agent_that_says_nothing_has_failed() -> None:
    driver = Driver(line=NumberSettings(failure_line="Sorry?"))
    driver.prompt("Hello?")
    driver.agent()
    assert driver.flush() == [text("Sorry?", last=True)]


def test_an_agent_that_fails_again_and_again_hands_over() -> None:
    driver = Driver()
    for _ in range(MAX_FAILURES):
        driver.prompt("Hello?")
        driver.fail()
        driver.falls_silent()
    end = driver.flush()[-1]
    assert json.loads(end["handoffData"])["reason"] == "agent-failed"


def test_an_answer_in_between_forgives_failures() -> None:
    driver = Driver()
    for _ in range(3 * MAX_FAILURES):
        driver.prompt("Hello?")
        driver.fail()
        driver.prompt("Hello?")
        driver.agent("Yes.")
    assert driver.session.state is State.LIVE


def test_something_else_than_text_and_actions_is_a_type_error() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    with pytest.raises(TypeError, match="not int"):
        driver.agent(42)  # type: ignore[arg-type]


def test_the_first_frame_must_be_setup() -> None:
    driver = Driver(setup=False)
    driver.prompt("Hello?")
    assert driver.turns == []
    assert driver.closed is not None
    assert driver.closed.code == 1008


@pytest.mark.parametrize("changes", [{"accountSid": "AC" + "9" * 32}, {"callSid": "CA" + "9" * 32}])
def test_a_setup_for_somebody_else_is_ended(changes: dict[str, str]) -> None:
    driver = Driver(setup=False)
    driver.setup(**changes)
    driver.prompt("Hello?")
    assert driver.turns == []
    assert driver.flush() == [{"type": "end"}]


def test_a_socket_without_setup_is_closed() -> None:
    driver = Driver(setup=False)
    driver.pass_time(60)
    assert driver.closed is not None
    assert driver.closed.code == 1008


def test_a_second_setup_does_no_harm() -> None:
    driver = Driver(greeting="Hello.")
    driver.setup()
    driver.prompt("Hi.")
    assert driver.call.history == [Message("assistant", "Hello.")]


def test_setup_tells_who_calls() -> None:
    driver = Driver(setup=False)
    driver.setup(direction="outbound-api", customParameters={"order": "81"})
    assert driver.call.sid == CALL
    assert driver.call.caller == "+15550100001"
    assert driver.call.number == "+15550199999"
    assert driver.call.parameters == {"order": "81"}


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"future","x":1}',
        '{"type":"info","name":"roundTripDelayMs","value":"120"}',
        '{"type":"info","name":"configUpdated","value":{"a":1}}',
        '{"type":"error","description":"Invalid message received, code: 64107"}',
        '{"type":"interrupt","utteranceUntilInterrupt":"","durationUntilInterruptMs":"12"}',
        '{"type":"prompt","voicePrompt":"x","lang":"en","last":false,"turnState":"eager"}',
    ],
)
def test_frames_of_every_kind_are_taken_in_without_harm(data: str) -> None:
    driver = Driver()
    driver.raw(data)
    driver.prompt("Hello?")
    driver.agent("Hi.")
    assert driver.flush()[-1] == text("Hi.", last=True)
    assert driver.session.malformed == 0


@pytest.mark.parametrize(
    "data",
    ["", "{", "[]", '"x"', '{"type":"prompt"}', '{"type":1}', "{}", b"\xff", b'{"x":"\xff"}', "[" * 5000],
)
def test_malformed_frames_are_counted_and_survived(data: str | bytes) -> None:
    driver = Driver()
    for _ in range(9):
        driver.raw(data)
    assert driver.session.malformed == 9
    driver.prompt("Hello?")
    for _ in range(9):
        driver.raw(data)
    assert driver.closed is None
    driver.agent("Hi.")
    assert driver.flush() == [text("Hi.", last=True)]


def test_ten_malformed_frames_in_a_row_end_the_session() -> None:
    driver = Driver()
    for _ in range(10):
        driver.raw("{")
    assert driver.closed is not None
    assert driver.closed.code == 1007


def test_a_lost_socket_stops_the_agent() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert driver.stops == 1
    assert driver.of(events.Disconnected) == [events.Disconnected("VX1", 1006, told=True)]
    assert driver.session.deadline is None


def test_a_growing_reply_is_recorded_while_it_grows() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    for word in ("Once ", "upon ", "a ", "time."):
        driver.agent(word, done=False)
        driver.pass_time(0.3)
    driver.agent()
    replies = driver.of(events.Replied)
    assert [reply.done for reply in replies] == [False, True]
    assert replies[0].text == "Once upon a "
    assert replies[-1].text == "Once upon a time."
    assert replies[-1].first_token_ms == 0
    assert replies[-1].total_ms == pytest.approx(1200)


def test_a_growing_reply_is_recorded_in_parts_and_whole_once_it_is_complete() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    for number in range(100):
        driver.agent(f"word{number} ", done=False)
        driver.pass_time(0.3)
    driver.agent()
    *parts, whole = driver.of(events.Replied)
    told = ""
    for part in parts:
        assert part.begin == len(told)
        told = part.after(told)
    assert len(parts) > 10
    assert whole.text.startswith(told)
    assert whole.begin == 0
    assert sum(len(part.text) for part in parts) <= len(whole.text)


def test_signs_are_words_in_the_language_that_the_agent_has_switched_to() -> None:
    driver = Driver(line=NumberSettings(language="de-DE"))
    driver.prompt("Gibt es WLAN?")
    driver.agent("✓ ", SwitchLanguage(tts="fr-FR"), "✓")
    driver.flush()
    assert driver.spoken == "ja oui"
    driver.prompt("Et le parking ?")
    driver.agent("✗")
    driver.flush()
    assert driver.spoken == "ja ouinon"


@pytest.mark.parametrize(
    ("pieces", "ending"),
    [
        (("It leaves today.",), [("It leaves today.", True)]),
        (
            ("One moment. ", Break(), "It leaves today."),
            [("One moment. ", False), ("It leaves today.", True)],
        ),
        (("Listen. ", Play("https://x.test/a.mp3")), [("Listen. ", False), ("Listen. ", True)]),
    ],
)
def test_the_last_reply_of_a_turn_is_told_from_those_before_it(
    pieces: tuple[Piece, ...], ending: list[tuple[str, bool]]
) -> None:
    driver = Driver()
    driver.prompt("Where is my order?")
    driver.agent(*pieces)
    assert [(reply.text, reply.ends_turn) for reply in driver.of(events.Replied)] == ending


def test_what_is_null_in_a_frame_counts_as_missing() -> None:
    setup = {"type": "setup", "callSid": "CA1", "accountSid": "AC1"}
    nulls = {"from": None, "to": None, "sessionId": None, "direction": None, "customParameters": {"a": None}}
    assert decode(json.dumps(setup | nulls)) == decode(json.dumps(setup))
    assert decode(json.dumps(setup | {"customParameters": None})) == decode(json.dumps(setup))
    more: list[dict[str, Any]] = [{"callSid": None}, {"from": 1}, {"customParameters": {"a": {}}}]
    for broken in more:
        with pytest.raises(MalformedError):
            decode(json.dumps(setup | broken))

"""What Twilio tells of the voice outranks what we estimate, and a noise does not end a reply."""

from __future__ import annotations

import pytest

from support.driver import Driver
from voice_app import Break, EndCall
from voice_app.calls.scripts import seconds_to_speak
from voice_app.relay.backchannels import is_backchannel
from voice_app.relay.session import SECONDS_OF_GRACE
from voice_app.settings import NumberSettings

SLOW = "您的订单已经发货，预计明天下午送达。" * 4
"""A voice may take twice as long for it as we think."""
SILENCE = NumberSettings().silence_seconds
LINE = NumberSettings().continue_line


def texts(driver: Driver) -> list[str]:
    return [frame["token"] for frame in driver.flush() if frame["type"] == "text" and frame["token"]]


def answered(text: str = SLOW, *, line: NumberSettings | None = None) -> Driver:
    """A session in which the agent has answered with a text, and its voice has begun."""
    driver = Driver(line=line)
    driver.prompt("Where is my order?")
    driver.agent(text)
    driver.flush()
    driver.pass_time(0.3)
    driver.info("agentSpeaking", "on")
    return driver


def test_nobody_is_asked_whether_they_are_there_while_the_voice_speaks() -> None:
    driver = answered()
    driver.pass_time(2 * seconds_to_speak(SLOW))
    assert texts(driver) == []


def test_silence_begins_when_the_voice_ends() -> None:
    driver = answered()
    driver.pass_time(2 * seconds_to_speak(SLOW))
    driver.info("agentSpeaking", "off")
    driver.pass_time(SILENCE - 0.1)
    assert texts(driver) == []
    driver.pass_time(0.2)
    assert texts(driver) == [NumberSettings().silence_line]


def test_where_only_words_are_told_silence_begins_after_the_last_of_them() -> None:
    driver = Driver()
    driver.prompt("Where is my order?")
    driver.agent(SLOW)
    driver.flush()
    quarter = len(SLOW) // 4
    for begin in range(0, len(SLOW), quarter):
        driver.pass_time(2 * seconds_to_speak(SLOW[:quarter]))
        driver.info("tokensPlayed", SLOW[begin : begin + quarter])
    driver.pass_time(SILENCE - 0.1)
    assert texts(driver) == []
    driver.pass_time(0.2)
    assert texts(driver) == [NumberSettings().silence_line]


def test_words_that_are_never_spoken_do_not_make_the_silence_endless() -> None:
    driver = answered("Hello.")
    driver.falls_silent()
    driver.prompt("And now?")
    driver.agent("…")  # nothing that a voice can say: no event ever tells of it
    driver.flush()
    driver.pass_time(SILENCE + 2)
    assert texts(driver) == [NumberSettings().silence_line]


def test_a_slow_goodbye_is_heard_to_its_end() -> None:
    driver = Driver()
    driver.prompt("Bye")
    driver.agent(SLOW, EndCall())
    driver.flush()
    driver.info("agentSpeaking", "on")
    driver.pass_time(2.5 * seconds_to_speak(SLOW))
    assert [frame["type"] for frame in driver.flush()] == []
    driver.info("agentSpeaking", "off")
    assert [frame["type"] for frame in driver.flush()] == ["end"]


def test_the_grace_before_the_end_counts_from_the_last_word_that_was_told() -> None:
    driver = Driver()
    driver.prompt("Bye")
    driver.agent("Thank you for calling us today, and goodbye for now.", EndCall())
    driver.flush()
    driver.pass_time(8)
    driver.info("tokensPlayed", "Thank you for calling us today, and goodbye for")
    driver.pass_time(SECONDS_OF_GRACE)
    assert driver.flush() == []
    driver.pass_time(2)
    assert [frame["type"] for frame in driver.flush()] == ["end"]


def test_a_voice_that_never_tells_its_end_does_not_hold_the_call_for_ever() -> None:
    driver = Driver()
    driver.prompt("Bye")
    driver.agent("Goodbye!", EndCall())
    driver.flush()
    driver.info("agentSpeaking", "on")
    driver.pass_time(20)
    assert [frame["type"] for frame in driver.flush()] == ["end"]


@pytest.mark.parametrize("text", [SLOW, "5550100199 " * 6, "Ваш заказ уже отправлен. " * 8])
def test_without_events_the_estimate_goes_by_the_script(text: str) -> None:
    driver = Driver()
    driver.prompt("Where is my order?")
    driver.agent(text)
    driver.flush()
    driver.pass_time(seconds_to_speak(text) + SILENCE)
    assert texts(driver) == []
    driver.pass_time(2)
    assert texts(driver) == [NumberSettings().silence_line]


def test_an_answer_waits_for_a_voice_that_may_not_be_interrupted_however_slow_it_is() -> None:
    driver = answered(line=NumberSettings(interruptible="none"))
    driver.prompt("And my other order?")
    driver.pass_time(2 * seconds_to_speak(SLOW))
    assert len(driver.turns) == 1
    driver.info("agentSpeaking", "off")
    assert len(driver.turns) == 2


def test_what_was_told_as_played_is_heard_whatever_the_interruption_tells() -> None:
    driver = answered("One two three. Four five six. Seven eight nine.")
    driver.info("tokensPlayed", "One two three.")
    driver.info("tokensPlayed", "Four five six.")
    driver.interrupt("something that was never said")
    assert driver.history()[-1] == ("assistant", "One two three. Four five six.")


def test_what_was_told_as_played_counts_where_no_word_can_be_compared() -> None:
    driver = answered("— … —")
    driver.session._speaker.tokens_played("— …", driver.now)
    driver.interrupt("something that was never said")
    assert driver.history()[-1] == ("assistant", "— …")


def test_a_socket_lost_in_mid_reply_is_cut_by_the_time_since_the_voice_began() -> None:
    driver = answered()
    driver.pass_time(3 * seconds_to_speak(SLOW) / 4)
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    heard = driver.history()[-1][1]
    assert 0.5 < len(heard) / len(SLOW) < 0.9


# --- a noise ----------------------------------------------------------------------------------------


def test_a_noise_does_not_end_a_reply() -> None:
    driver = answered("We open at nine. We close at six. On Sundays we are closed.")
    driver.interrupt("We open at nine")
    driver.pass_time(2.4)
    assert texts(driver) == []
    driver.pass_time(0.2)
    assert texts(driver) == [f"{LINE} We close at six. On Sundays we are closed."]
    assert driver.history()[-1] == ("assistant", f"{LINE} We close at six. On Sundays we are closed.")


def test_words_that_follow_the_noise_are_answered_instead() -> None:
    driver = answered("We open at nine. We close at six.")
    driver.interrupt("We open at nine")
    driver.pass_time(1)
    driver.prompt("And on Sundays?")
    driver.agent("We are closed then.")
    driver.pass_time(5)
    assert texts(driver) == ["We are closed then."]


def test_a_caller_who_is_still_speaking_is_waited_for() -> None:
    driver = answered("We open at nine. We close at six.")
    driver.info("clientSpeaking", "on")
    driver.interrupt("We open at nine")
    driver.info("clientSpeaking", "on")
    driver.pass_time(6)
    assert texts(driver) == []
    driver.info("clientSpeaking", "off")
    driver.pass_time(2.6)
    assert texts(driver) == [f"{LINE} We close at six."]


def test_a_sound_of_listening_that_cut_the_voice_off_lets_it_go_on_at_once() -> None:
    driver = answered("We open at nine. We close at six.")
    driver.interrupt("We open at nine")
    driver.prompt("mm-hm")
    assert texts(driver) == [f"{LINE} We close at six."]
    assert len(driver.turns) == 1


def test_a_reply_that_was_heard_to_its_end_does_not_go_on() -> None:
    driver = answered("We open at nine.")
    driver.interrupt("We open at nine.")
    driver.pass_time(5)
    assert texts(driver) == []


def test_an_agent_that_had_more_to_say_is_asked_for_the_rest() -> None:
    driver = Driver()
    driver.prompt("Tell me everything.")
    driver.agent("We open at nine. We close at six. ", done=False)
    driver.flush()
    driver.interrupt("We open at nine")
    driver.pass_time(3)
    assert texts(driver) == [f"{LINE} We close at six."]
    assert driver.asked.kind == "resumed"


def test_an_empty_line_switches_it_off() -> None:
    driver = answered("We open at nine. We close at six.", line=NumberSettings(continue_line=""))
    driver.interrupt("We open at nine")
    driver.pass_time(5)
    assert texts(driver) == []


def test_a_goodbye_that_a_noise_cut_off_is_not_said_again() -> None:
    driver = Driver()
    driver.prompt("Bye")
    driver.agent("Thank you for calling. Goodbye!", EndCall())
    driver.flush()
    driver.interrupt("Thank you")
    driver.pass_time(5)
    assert texts(driver) == []


def test_a_tool_that_was_interrupted_leaves_no_open_reply_behind() -> None:
    driver = Driver()
    driver.prompt("Order it.")
    driver.agent("I will do that. ", Break(), done=False)
    driver.flush()
    driver.falls_silent()
    driver.interrupt("I will do that.")
    driver.pass_time(1)
    driver.prompt("Thanks")
    assert driver.asked.text.endswith("Thanks")


# --- sounds of listening ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("はい", "ja-JP", True),
        ("はい、はい。", "ja", True),
        ("嗯嗯", "zh-CN", True),
        ("угу", "ru-RU", True),
        ("Evet.", "tr-TR", True),
        ("haan", "hi-IN", True),
        ("D'accord.", "fr-FR", True),
        ("네", "ko-KR", True),
        ("ครับ", "th-TH", True),
        ("naam", "sw-KE", True),
        ("uh-huh", "xx", True),
        ("はい、予約したいです", "ja-JP", False),
        ("对不起", "zh-CN", False),
        ("はい？", "ja-JP", False),
        ("Нет", "ru-RU", False),
    ],
)
def test_a_sound_of_listening_is_known_in_its_language(text: str, language: str, expected: bool) -> None:
    assert is_backchannel(text, language) is expected

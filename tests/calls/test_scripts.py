from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls.scripts import characters_spoken, glue, seconds_to_speak, whole_words

TEXT = st.text(max_size=60)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("We are open from nine in the morning.", 2, 3),
        ("您的订单已经发货，预计明天下午送达。", 4, 6),
        ("ご予約は明日の午前十時です。", 1.8, 4),
        ("주문하신 상품은 내일 도착합니다.", 2, 4),
        ("555 010 0199", 3.2, 5),
        ("Ваш заказ отправлен.", 1, 2),
        ("", 0, 0),
    ],
)
def test_a_voice_takes_its_time_by_the_script(text: str, least: float, most: float) -> None:
    assert least <= seconds_to_speak(text) <= most


@given(TEXT, st.floats(0, 60))
def test_what_is_spoken_in_a_time_takes_no_longer_than_that(text: str, seconds: float) -> None:
    count = characters_spoken(text, seconds)
    assert seconds_to_speak(text[:count]) <= seconds + 1e-6
    if count < len(text):
        assert seconds_to_speak(text[: count + 1]) > seconds - 1e-6


@given(TEXT, st.integers(-5, 80))
def test_whole_words_never_go_beyond_the_place(text: str, at: int) -> None:
    assert 0 <= whole_words(text, at) <= min(max(at, 0), len(text))


@pytest.mark.parametrize(
    ("text", "at", "kept"),
    [
        ("one two three", 9, "one two"),
        ("one two three", 7, "one two"),
        ("one two", 99, "one two"),
        ("您的订单已经发货", 4, "您的订单"),
        ("สวัสดีครับ", 6, "สวัสดี"),
        ("one", 2, ""),
    ],
)
def test_words_are_kept_whole(text: str, at: int, kept: str) -> None:
    assert text[: whole_words(text, at)] == kept


@pytest.mark.parametrize(
    ("before", "after", "between"),
    [
        ("When do you", "open?", " "),
        ("我想", "改时间", ""),
        ("予約を", "変更したい", ""),
        ("ขอ", "เปลี่ยน", ""),
        ("我想要", "two tickets", ""),
        ("네", "알겠습니다", " "),
    ],
)
def test_two_pieces_of_speech_are_joined_as_their_script_does(before: str, after: str, between: str) -> None:
    assert glue(before, after) == between

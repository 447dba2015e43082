from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voice_app.calls.scripts import whole_words
from voice_app.relay import alignment
from voice_app.relay.alignment import cut, heard_prefix

WORD = st.text(st.characters(categories=["L"], max_codepoint=0x250), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("sent", "utterance", "kept"),
    [
        ("Hello, world! How are you?", "Hello, world!", "Hello, world!"),
        ("Hello, world! How are you?", "hello world how", "Hello, world! How"),
        ("Hello, world! How are you?", "  HELLO   WORLD  ", "Hello, world!"),
        ("Hello, world! How are you?", "", ""),
        ("Hello, world! How are you?", "...", ""),
        ("Hello, world! How are you?", "Hello, wor", "Hello,"),
        ("Hello, world! How are you?", "Hello, world! How are you?", "Hello, world! How are you?"),
        ("It's Anna’s bike.", "it's anna’s", "It's Anna’s"),
        ("Grüße aus Köln, bis bald.", "grüße aus köln", "Grüße aus Köln,"),
        (
            "That is $20 for a whole day, and no more.",
            "that is twenty dollars for a whole day",
            "That is $20 for a whole day,",
        ),
        (
            "Call Dr. Smith at nine in the morning.",
            "call doctor smith at nine in",
            "Call Dr. Smith at nine in",
        ),
        ("One two three.", "one two three and nothing of that", None),
        ("One two three.", "four five six", None),
        ("The first sentence is long.", "The second sentence is", None),
        ("您的订单已经发货预计明天下午送达。", "您的订单已经发货", "您的订单已经发货"),
        ("您的订单12345已经发货。", "您的订单一二三四五已经", "您的订单12345已经"),
        ("ご予約は明日の10時です。お待ちしています。", "ご予約は明日の十時です", "ご予約は明日の10時です。"),
        ("สวัสดีครับ ยินดีต้อนรับ", "สวัสดีครับ", "สวัสดีครับ"),
        ("ສະບາຍດີ ຍິນດີ", "ສະບາຍດີ", "ສະບາຍດີ"),
        ("မင်္ဂလာပါ ကြိုဆို", "မင်္ဂလာပါ", "မင်္ဂလာပါ"),
        ("សួស្តី សូមស្វាគមន៍", "សួស្តី", "សួស្តី"),
        ("नमस्ते, आपका ऑर्डर भेज दिया गया है।", "नमस्ते आपका ऑर्डर", "नमस्ते, आपका ऑर्डर"),
        (
            "Call us at 555-010-0199.",
            "call us at five five five zero one zero zero one nine nine",
            "Call us at 555-010-0199.",
        ),
        ("Call us at 555-010-0199 or write.", "call us at five five", "Call us at"),
        (
            "Call us at 555-010-0199 or write.",
            "call us at five five five zero one zero zero one nine nine or",
            "Call us at 555-010-0199 or",
        ),
        ("It is five five five now.", "it is 555 now", "It is five five five now."),
        (
            "It costs $1,250.50 today.",
            "it costs one thousand two hundred fifty dollars and fifty cents",
            "It costs $1,250.50",
        ),
        (
            "Open at 9:30 a.m. on 3/4/2026, not before.",
            "open at nine thirty a m on march fourth twenty twenty six",
            "Open at 9:30 a.m. on 3/4/2026,",
        ),
        (
            "You find us at 12 Mill St. near the station.",
            "you find us at twelve mill street near",
            "You find us at 12 Mill St. near",
        ),
        (
            "Write to bob@example.com today.",
            "write to bob at example dot com today",
            "Write to bob@example.com today.",
        ),
        ("Ihre Nummer ist 45 und mehr.", "ihre nummer ist fünfundvierzig", "Ihre Nummer ist 45"),
        ("Salt & pepper, 20 % off.", "salt and pepper twenty percent", "Salt & pepper, 20 %"),
        (
            "Plug in the USB stick. Then e-mail us.",
            "plug in the u s b stick then email",
            "Plug in the USB stick. Then e-mail",
        ),
        ("Güle güle İstanbul, görüşürüz.", "güle güle istanbul", "Güle güle İstanbul,"),
        ("Cafe\u0301 cre\u0300me, s'il vous plaît.", "café crème", "Cafe\u0301 cre\u0300me,"),
        ("Đà Nẵng rất đẹp.", "đà nẵng", "Đà Nẵng"),
        (
            "That is all we have for the whole week ahead.",
            "that is all we have for everything",
            "That is all we have for",
        ),
    ],
)
def test_what_was_heard_is_found_in_what_was_sent(sent: str, utterance: str, kept: str | None) -> None:
    count = heard_prefix(sent, utterance)
    assert (None if count is None else sent[:count]) == kept


def test_an_utterance_may_begin_with_a_later_stretch() -> None:
    assert cut(["The first answer.", "The second one."], "the second") == [17, 10]


def test_an_utterance_may_cover_several_stretches() -> None:
    assert cut(["The first answer.", "The second one."], "the first answer the second") == [17, 10]


def test_stretches_that_were_never_played_are_dropped() -> None:
    assert cut(["The first answer.", "The second one.", "A third."], "the first") == [9, 0, 0]


@pytest.mark.parametrize("utterance", ["", "  ", "something else"])
def test_nothing_is_guessed(utterance: str) -> None:
    assert cut(["The first answer.", "The second one."], utterance) is None


@given(st.lists(WORD, min_size=1, max_size=30), st.data())
def test_a_heard_beginning_is_found_whatever_its_case_and_spacing(
    words: list[str], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(words)))
    glue = data.draw(st.sampled_from([" ", ", ", "\n", " — ", "! "]))
    heard = "  ".join(word.upper() if len(word.upper()) == len(word) else word for word in words[:count])
    assume(heard.casefold().split() == [word.casefold() for word in words[:count]])
    sent = glue.join(words)
    found = heard_prefix(sent, heard)
    assert found is not None
    assert sent[:found].replace(glue.strip() or " ", " ").split() == words[:count]


SENTENCES = {
    "en": "We are open from nine in the morning until six in the evening.",
    "es": "Abrimos de nueve de la mañana a seis de la tarde, ¿le viene bien?",
    "de": "Wir haben von neun bis achtzehn Uhr geöffnet, außer samstags.",
    "fr": "Nous sommes ouverts de neuf heures à dix-huit heures, sauf l'été.",
    "tr": "Sabah dokuzdan akşam altıya kadar açığız, İstanbul'dan arayabilirsiniz.",
    "ru": "Мы открыты с девяти утра до шести вечера, кроме воскресенья.",
    "ar": "نحن نفتح من التاسعة صباحا حتى السادسة مساء كل يوم",
    "hi": "हम सुबह नौ बजे से शाम छह बजे तक खुले रहते हैं।",
    "zh": "我们早上九点开门，晚上六点关门，星期天休息。",
    "ja": "朝の九時から夕方の六時まで営業しています。",
    "th": "เราเปิดตั้งแต่เก้าโมงเช้าถึงหกโมงเย็นทุกวัน",
    "ko": "저희는 아침 아홉 시부터 저녁 여섯 시까지 영업합니다.",
}


@given(
    st.sampled_from(sorted(SENTENCES)), st.integers(1, 80), st.sampled_from(["NFC", "NFD", "upper", "bare"])
)
def test_a_beginning_is_found_in_any_language(language: str, characters: int, change: Any) -> None:
    sent = SENTENCES[language]
    end = whole_words(sent, characters)
    heard = sent[:end]
    match change:
        case "upper":
            heard = heard.upper() if heard.upper().casefold() == heard.casefold() else heard
        case "bare":
            heard = "".join(
                c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in heard
            )
        case form:
            heard = unicodedata.normalize(form, heard)
    found = heard_prefix(sent, heard)
    assert found is not None
    assert sent[:found].rstrip(" ,.、。，।'-") == sent[:end].rstrip(" ,.、。，।'-")


@given(st.sampled_from(sorted(SENTENCES)), st.integers(0, 80))
def test_what_was_never_sent_is_never_heard(language: str, characters: int) -> None:
    sent = SENTENCES[language]
    other = "Something else entirely was said here" if language != "en" else "Etwas ganz anderes wurde gesagt"
    assert heard_prefix(sent, other[: max(9, characters)]) is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_result_is_a_place_in_what_was_sent(sent: str, utterance: str) -> None:
    found = heard_prefix(sent, utterance)
    if found is not None:
        assert 0 <= found <= len(sent)


@given(st.lists(st.text(max_size=40), max_size=5), st.text(max_size=80))
def test_every_stretch_gets_a_count_within_its_length(sent: list[str], utterance: str) -> None:
    counts = cut(sent, utterance)
    if counts is not None:
        assert len(counts) == len(sent)
        assert all(0 <= count <= len(text) for count, text in zip(counts, sent, strict=True))


def test_stretches_are_read_once_wherever_an_utterance_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    unit = alignment._unit

    def counted(match: re.Match[str], text: str) -> alignment._Unit:
        nonlocal read
        read += 1
        return unit(match, text)

    monkeypatch.setattr(alignment, "_unit", counted)
    assert cut(["We have some left."] * 500, "Nobody has said this.") is None
    assert read == 500 * 4 + 4

"""Answers as they are said and typed, and as they are read back."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app import Address, AskContext, Choice, Date, Digits, Email, Name, PhoneNumber, YesNo
from voice_app.agents.spoken import email_in, said_email, words_of

TODAY = date(2026, 11, 29)
"""A Sunday."""
US = AskContext("en-US", "+15550199999", "+15550100001", TODAY)
UK = AskContext("en-GB", "+442079460958", "", TODAY)
DE = AskContext("de-DE", "+4930123456", "", TODAY)
ES = AskContext("es-ES", "+34911234567", "", TODAY)
FR = AskContext("fr-FR", "+33123456789", "", TODAY)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("john dot smith at example dot com", "john.smith@example.com"),
        ("My email is John.Smith@Example.com.", "john.smith@example.com"),
        ("it's j o h n at example dot com please", "john@example.com"),
        ("J-O-H-N at example.com", "john@example.com"),
        ("J. O. H. N. at example dot com", "john@example.com"),
        ("b as in boy o b at example com", "bob@example.com"),
        ("bravo oscar bravo at example dot com", "bob@example.com"),
        ("mike at example dot com", "mike@example.com"),
        ("you can reach me at mary underscore lou at example dot co dot uk", "mary_lou@example.co.uk"),
        ("info at example dash shop dot de", "info@example-shop.de"),
        ("john plus news at example dot com", "john+news@example.com"),
        ("john one two three at example dot org", "john123@example.org"),
        ("john twenty two at example dot org", "john22@example.org"),
        ("double l o y d at example dot com, thank you", "lloyd@example.com"),
        ("john at", None),
        ("john at example", None),
        ("a@b", None),
        ("dot at example dot com", None),
        ("I do not have one", None),
        ("", None),
    ],
)
def test_an_e_mail_address(said: str, value: str | None) -> None:
    assert Email().heard(said, US) == value


@pytest.mark.parametrize(
    ("said", "line", "value"),
    [
        ("juan punto perez arroba ejemplo punto es", ES, "juan.perez@ejemplo.es"),
        ("hans unterstrich meier at beispiel bindestrich shop punkt de", DE, "hans_meier@beispiel-shop.de"),
        ("jean tiret pierre arobase exemple point fr", FR, "jean-pierre@exemple.fr"),
    ],
)
def test_an_e_mail_address_in_other_languages(said: str, line: AskContext, value: str) -> None:
    assert Email().heard(said, line) == value


LOCAL = st.lists(st.text("abcdefghijkmnpqrstuvwxyz", min_size=2, max_size=8), min_size=1, max_size=3)
NO_WORDS = {"at", "dot", "dash", "plus", "minus", "point", "period", "hyphen", "underscore", "underline"}


@given(LOCAL, st.sampled_from([".", "_", "-", "+"]), st.sampled_from(["example.com", "mail.example.org"]))
def test_an_address_that_is_read_aloud_is_understood_again(parts: list[str], mark: str, domain: str) -> None:
    words = words_of("en")
    spoken = {*NO_WORDS, *words.numbers, words.double, *words.triple.split(), *words.before_words}
    if spoken & set(parts) or any(part in words.as_in.split("|") for part in parts):
        return
    address = f"{mark.join(parts)}@{domain}"
    assert email_in(said_email(address, words), words) == address
    assert email_in(said_email(address, words, spelt=True), words) == address


@pytest.mark.parametrize(
    ("said", "line", "value"),
    [
        ("five five five oh one nine nine nine nine nine", US, "+15550199999"),
        ("my number is 555-019-9999", US, "+15550199999"),
        ("plus four four two oh seven nine four six oh nine five eight", US, "+442079460958"),
        ("oh two oh seven nine four six, oh nine five eight", UK, "+442079460958"),
        ("eight hundred five five five twelve thirty four", US, "+18005551234"),
        ("area code 212, triple five, 01 double 9", US, "+12125550199"),
        ("null drei null eins zwei drei vier fünf sechs sieben", DE, "+49301234567"),
        ("this number", US, "+15550199999"),
        ("the one I'm calling from", US, "+15550199999"),
        ("555", US, None),
        ("I don't know", US, None),
    ],
)
def test_a_phone_number(said: str, line: AskContext, value: str | None) -> None:
    assert PhoneNumber().heard(said, line) == value


def test_a_phone_number_is_read_in_groups_and_with_its_country_only_abroad() -> None:
    assert PhoneNumber().said("+12125550199", US) == "2 1 2, 5 5 5, 0 1 9 9"
    assert PhoneNumber().said("+12125550199", UK).startswith("plus 1, 2 1 2")
    assert PhoneNumber(region="GB").heard("020 7946 0958", US) == "+442079460958"


def test_a_withheld_caller_has_no_number_to_call_back() -> None:
    assert PhoneNumber().heard("this number", AskContext("en-US", "anonymous", "+15550100001")) is None


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("my name is john smith", "John Smith"),
        ("I'm Anna-Lena O'Neil.", "Anna-Lena O'Neil"),
        ("J O H N", "John"),
        ("s m i t h", "Smith"),
        ("Sierra Mike India Tango Hotel", "Smith"),
        ("李 小龙", "李 小龙"),
        ("what?", None),
        ("yes", None),
        ("1 2 3", None),
        ("well the thing is that I would like to know when you are open today", None),
    ],
)
def test_a_name(said: str, value: str | None) -> None:
    assert Name().heard(said, US) == value


@pytest.mark.parametrize(
    ("said", "line", "value"),
    [
        ("tomorrow", US, date(2026, 11, 30)),
        ("the day after tomorrow", US, date(2026, 12, 1)),
        ("next Friday, please", US, date(2026, 12, 4)),
        ("Sunday", US, date(2026, 12, 6)),
        ("in two weeks", US, date(2026, 12, 13)),
        ("the third of May", US, date(2027, 5, 3)),
        ("December twenty-first", US, date(2026, 12, 21)),
        ("Monday the thirtieth of November", US, date(2026, 11, 30)),
        ("May third, nineteen eighty five", US, date(1985, 5, 3)),
        ("March 5th, two thousand twenty seven", US, date(2027, 3, 5)),
        ("04/05/2027", US, date(2027, 4, 5)),
        ("04/05/2027", UK, date(2027, 5, 4)),
        ("2026-12-24", US, date(2026, 12, 24)),
        ("am dritten Mai", DE, date(2027, 5, 3)),
        ("24. Dezember", DE, date(2026, 12, 24)),
        ("el tres de mayo", ES, date(2027, 5, 3)),
        ("mañana", ES, date(2026, 11, 30)),
        ("le premier juin", FR, date(2027, 6, 1)),
        ("the thirty-first of February", US, None),
        ("some time soon", US, None),
        ("no", US, None),
    ],
)
def test_a_date(said: str, line: AskContext, value: date | None) -> None:
    assert Date().heard(said, line) == value


def test_a_date_that_is_over() -> None:
    assert Date(past=True).heard("December first", US) == date(2025, 12, 1)
    assert Date(past=True).heard("tomorrow", US) is None


def test_a_date_is_typed_in_the_order_of_the_language() -> None:
    assert Date().typed("05032027", US) == date(2027, 5, 3)
    assert Date().typed("05032027", UK) == date(2027, 3, 5)
    assert Date().typed("1332027", US) is None
    assert "M M D D" in Date().typing_hint(US)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("one two three four", "1234"),
        ("it's twelve thirty four", "1234"),
        ("double one two two", "1122"),
        ("1234.", "1234"),
        ("12", None),
        ("one two three four five", None),
    ],
)
def test_digits(said: str, value: str | None) -> None:
    assert Digits(4).heard(said, US) == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("Medium please", "medium"),
        ("the first one", "small"),
        ("two", "medium"),
        ("number three", "large"),
        ("a larg one", "large"),
        ("small or large", None),
        ("I am not sure", None),
    ],
)
def test_a_choice(said: str, value: str | None) -> None:
    assert Choice(["small", "medium", "large"]).heard(said, US) == value


def test_a_choice_by_other_words_and_by_its_longest_name() -> None:
    choice = Choice({"billing": ["invoice", "bill"], "technical support": ["broken"], "support": []})
    assert choice.heard("it is about my invoice", US) == "billing"
    assert choice.heard("technical support", US) == "technical support"
    assert [choice.typed(key, US) for key in "124"] == ["billing", "technical support", None]
    with pytest.raises(ValueError, match="two to nine"):
        Choice(["only"])


@pytest.mark.parametrize(
    ("said", "line", "value"),
    [
        ("Yes.", US, True),
        ("Yeah, that's right", US, True),
        ("mm-hm", US, True),
        ("no", US, False),
        ("that's not right", US, False),
        ("I don't think so", US, False),
        ("maybe", US, None),
        ("das stimmt nicht", DE, False),
        ("sí", ES, True),
    ],
)
def test_yes_and_no(said: str, line: AskContext, value: bool | None) -> None:
    assert YesNo().heard(said, line) is value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("I live at twelve Mill Lane, Springfield", "twelve Mill Lane, Springfield"),
        ("221B Baker Street, London please", "221B Baker Street, London"),
        ("Mill Lane", None),
    ],
)
def test_an_address(said: str, value: str | None) -> None:
    assert Address().heard(said, US) == value


def test_every_language_has_every_sentence_and_its_forms_can_be_filled_in() -> None:
    for language in ("en", "es", "de", "fr"):
        words = words_of(language)
        assert words.questions.keys() == words_of("en").questions.keys() == words.again.keys()
        assert words.phrases.keys() == words_of("en").phrases.keys()
        assert len(words.months.split()) == 12
        assert len(words.weekdays.split()) == 7
        assert len(words.digits) == 10
        line = AskContext(language, today=TODAY)
        assert Date().said(date(2026, 5, 3), line)
        assert "1" in Choice(["a", "b"]).typing_hint(line)


def test_a_language_without_words_of_its_own_is_asked_in_english() -> None:
    assert words_of("nl-NL") is words_of("") is words_of("en-US")

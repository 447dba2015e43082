from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.twilio.identifiers import address, e164


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("+15550100001", None, "+15550100001"),
        ("+1 (555) 010-0001", None, "+15550100001"),
        ("(555) 010-0001", "US", "+15550100001"),
        ("020 7946 0000", "GB", "+442079460000"),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, region: str | None, number: str) -> None:
    assert e164(text, region) == number


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello", "it should look like"),
        ("", "it should look like"),
        ("*", "it should look like"),
        ("5550100001", "with its country's code"),
        ("+9991234567", "with its country's code"),
        ("+1555", "too short"),
        ("+155501000011234", "too long"),
    ],
)
def test_what_is_no_number_is_told_with_the_reason(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        e164(text)


@pytest.mark.parametrize(
    ("channel", "text", "found"),
    [
        ("SMS", "*", "*"),
        ("SMS", "+1 555 010 0001", "+15550100001"),
        ("WHATSAPP", "+15550100001", "whatsapp:+15550100001"),
        ("WHATSAPP", "whatsapp:+15550100001", "whatsapp:+15550100001"),
        ("RCS", "+15550100001", "rcs:+15550100001"),
        ("RCS", "rcs:larkspur", "rcs:larkspur"),
        ("VOICE", "+15550100001", "+15550100001"),
        ("VOICE", "sip:ann@example.com", "sip:ann@example.com"),
        ("VOICE", "client:alice", "alice"),
        ("VOICE", "alice", "alice"),
    ],
)
def test_an_address_is_what_the_rules_of_its_channel_have(channel: str, text: str, found: str) -> None:
    assert address(channel, text) == found


@pytest.mark.parametrize(("channel", "text"), [("SMS", "alice"), ("WHATSAPP", "alice"), ("VOICE", "+1")])
def test_where_only_numbers_can_stand_nothing_else_passes(channel: str, text: str) -> None:
    with pytest.raises(ValueError, match="is not a phone number"):
        address(channel, text)


@given(st.text(max_size=40))
def test_whatever_it_is_it_is_e164_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert re.fullmatch(r"\+\d{3,17}", e164(text))

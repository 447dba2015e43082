"""The typed request that a verified form makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls import Parties
from voice_app.webhooks.request import CallRequest

CALL = "CA" + "1" * 32


def request(form: dict[str, str], query: dict[str, str] | None = None, **path: str) -> CallRequest:
    return CallRequest.of({"CallSid": CALL, **form}, query or {}, path)


def test_fields_have_twilios_names_and_numbers_are_numbers() -> None:
    made = request(
        {"From": "+15550199999", "CallStatus": "completed", "CallDuration": "61", "SequenceId": "7"},
        {"hop": "3"},
        call="CA" + "2" * 32,
        attempt="2",
    )
    assert (made.from_, made.call_duration, made.sequence_id) == ("+15550199999", 61.0, 7)
    assert (made.hop, made.attempt, made.about) == (3, 2, "CA" + "2" * 32)
    assert made.ended


@pytest.mark.parametrize("number", ["", "-1", "1.5", "soon", "٣", "9" * 16, "1e3", " 1"])
def test_a_number_that_is_malformed_counts_as_missing(number: str) -> None:
    made = request({"CallDuration": number, "SequenceId": number}, {"hop": number}, attempt=number)
    assert (made.call_duration, made.sequence_id, made.hop, made.attempt) == (None, 0, 0, 0)


@pytest.mark.parametrize(("sent", "final"), [("true", True), ("false", False), ("", True), ("maybe", True)])
def test_a_transcription_is_final_unless_it_says_otherwise(sent: str, final: bool) -> None:
    assert request({"Final": sent}).final is final


def test_a_form_cannot_pass_for_our_own_path_or_query() -> None:
    made = request(
        {"attempt": "9", "Attempt": "9", "call": "CA9", "hop": "9", "Hop": "9", "Transferred": "x"}
    )
    assert (made.attempt, made.hop, made.about) == (0, 0, CALL)


def test_a_queue_that_was_left_is_told_from_one_that_was_not_there() -> None:
    assert request({}).queue_result is None
    assert request({"QueueResult": ""}).queue_result == ""


def test_without_a_direction_the_call_came_in() -> None:
    made = request({"From": "+15550199999", "To": "+15550100001"})
    assert made.parties == Parties("+15550199999", "+15550100001", "inbound")
    assert made.parties.caller == "+15550199999"


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20)))
def test_whatever_else_a_form_holds_makes_no_difference(form: dict[str, str]) -> None:
    assert isinstance(request(form), CallRequest)

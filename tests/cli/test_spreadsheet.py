"""Calls as rows of a table: nothing that a caller said becomes a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls.spreadsheet import MAX_CELL, cell, line
from voice_app.cli.calls_export import COLUMNS, row
from voice_app.journal import CallRecord, Entry
from voice_app.journal.events import Conversed, Event, HandedOff, Heard, Prompted, Replied, Transcribed

CALL = CallRecord("CA1", "+15550100001", "+15550100009", "inbound", "completed", 10.0, 71.25, 71.25)


def entries(*events: Event) -> list[Entry]:
    return [Entry(str(number), float(number), "CA1", event) for number, event in enumerate(events)]


def told(*events: Event) -> dict[str, str | float | None]:
    return dict(zip(COLUMNS, row(CALL, entries(*events)), strict=True))


@pytest.mark.parametrize(
    "nasty",
    ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "\x00=1", "+15550100001x"],
)
def test_what_would_be_a_formula_gets_an_apostrophe(nasty: str) -> None:
    assert cell(nasty)[0] in "' "
    assert "=1" not in cell(nasty)[:2]


@pytest.mark.parametrize("harmless", ["", "+15550100001", "client:ann", "We are open.", "7 - 5 = 2", "a=b"])
def test_phone_numbers_and_plain_words_stay_as_they_are(harmless: str) -> None:
    assert cell(harmless) == harmless


@given(st.text())
def test_no_cell_begins_as_a_formula_and_none_is_longer_than_a_spreadsheet_takes(text: str) -> None:
    safe = cell(text)
    assert len(safe) <= MAX_CELL
    assert not safe.startswith(("=", "@", "-", "\t", "\r"))
    assert not safe.startswith("+") or safe[1:].isdecimal()


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["C"])), min_size=1))
def test_a_reader_of_csv_gets_every_cell_back(texts: list[str]) -> None:
    [read] = csv.reader(io.StringIO(line(texts), newline=""))
    assert read == [cell(text) for text in texts]


def test_a_row_tells_who_said_what_and_what_was_heard() -> None:
    found = told(
        Prompted("=HYPERLINK(1)"),
        Replied(1, "VX1", "We are open from nine to five.", True, 12.44),
        Heard(1, "VX1", "We are open"),
        Prompted("Thanks"),
        Replied(2, "VX1", "You are welcome.", True, 20.0),
        Transcribed("GT1", 1, "person", "Anna."),
    )
    assert found["transcript"] == (
        "caller: =HYPERLINK(1)\nagent: We are open\ncaller: Thanks\nagent: You are welcome.\nperson: Anna."
    )
    assert (found["caller_turns"], found["interruptions"], found["first_token_ms"]) == (2, 1, 16.2)
    assert found["seconds"] == 61.2


def test_a_row_tells_how_far_a_handoff_got_and_why_it_began() -> None:
    found = told(
        Conversed("conv_conversation_1"),
        HandedOff("requested", reason="billing"),
        HandedOff("answered", target="+15550100010"),
    )
    assert (found["handoff"], found["handoff_reason"]) == ("answered", "billing")
    assert found["conversation_id"] == "conv_conversation_1"


def test_a_call_on_which_nothing_was_said_is_a_row_too() -> None:
    found = told()
    assert (found["caller_turns"], found["first_token_ms"], found["transcript"]) == (0, None, "")

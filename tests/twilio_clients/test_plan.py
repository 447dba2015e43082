"""A portfolio is spread over configurations within the limits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.twilio.plan import CAPTURED, BadLine, ListedNumber, Share, partition, read

CHANNEL_SETS = st.sets(st.sampled_from(CAPTURED), min_size=1).map(
    lambda named: tuple(channel for channel in CAPTURED if channel in named)
)


def entries(number: int, *channels: str) -> list[ListedNumber]:
    return [ListedNumber(f"+1555{index:07}", channels, index) for index in range(1, number + 1)]


@pytest.mark.parametrize(
    ("number", "channels", "configurations"),
    [
        (0, ["VOICE"], 0),
        (1, ["VOICE"], 1),
        (100, ["VOICE"], 1),
        (101, ["VOICE"], 2),
        (50, ["SMS"], 1),
        (51, ["SMS"], 2),
        (101, ["SMS"], 3),
        (50, ["SMS", "WHATSAPP"], 1),
        (50, ["VOICE", "SMS"], 1),
    ],
)
def test_each_channel_has_room_for_100_rules(number: int, channels: list[str], configurations: int) -> None:
    assert len(partition(entries(number, *channels))) == configurations


def test_a_plan_fills_what_is_there_before_it_opens_the_next() -> None:
    mixed = [
        *entries(50, "SMS"),
        ListedNumber("+15550100001", ("SMS",), 51),
        ListedNumber("+15550100002", ("RCS",), 52),
    ]
    first, second = partition(mixed)
    assert first.numbers("RCS") == ["+15550100002"]
    assert second.numbers("SMS") == ["+15550100001"]


def test_captured_voice_is_kept_apart_from_what_twiml_may_name() -> None:
    first, second = partition(
        [ListedNumber("+15550100001", ("SMS",), 1), ListedNumber("+15550100002", ("VOICE", "SMS"), 2)]
    )
    assert first.rules == {"SMS": 2}
    assert second.rules == {"VOICE": 1, "SMS": 2}


@given(st.lists(CHANNEL_SETS, max_size=300))
def test_every_number_has_one_place_and_no_limit_is_broken(wanted: list[tuple[str, ...]]) -> None:
    portfolio = [ListedNumber(f"+1555{index:07}", channels, index) for index, channels in enumerate(wanted)]
    shares = partition(portfolio)
    placed = [entry for share in shares for entry in share.entries]
    assert sorted(placed, key=lambda entry: entry.line) == portfolio
    for share in shares:
        assert share.entries
        assert all(count <= 100 for count in share.rules.values())
        assert len({"VOICE" in entry.channels for entry in share.entries}) == 1
    needed = Share(tuple(portfolio)).rules
    least = max((math.ceil(count / 100) for count in needed.values()), default=0)
    assert least <= len(shares) <= sum(math.ceil(count / 100) for count in needed.values()) + 1


def test_a_list_of_numbers_needs_no_header() -> None:
    found, bad = read(["+15550100001\n", "\n", "# ours\n", "+1 (555) 010-0002\n"], channels=["SMS"])
    assert found == [ListedNumber("+15550100001", ("SMS",), 1), ListedNumber("+15550100002", ("SMS",), 4)]
    assert bad == []


@pytest.mark.parametrize("title", ["number", "Phone Number", "phone_number", "E164"])
def test_columns_are_found_by_their_names(title: str) -> None:
    lines = [f"Friendly,Channels,{title}\n", "Shop,sms; whatsapp,+15550100001\n", "Desk,,+15550100002\n"]
    found, bad = read(lines, channels=["VOICE"])
    assert [(entry.number, entry.channels) for entry in found] == [
        ("+15550100001", ("SMS", "WHATSAPP")),
        ("+15550100002", ("VOICE",)),
    ]
    assert bad == []


def test_a_header_without_channels_leaves_them_to_the_caller() -> None:
    found, _ = read(["number,city\n", "+15550100001,SMS\n"], channels=["RCS"])
    assert found[0].channels == ("RCS",)


def test_a_country_is_for_numbers_without_its_code() -> None:
    found, bad = read(["(555) 010-0001\n", "+44 20 7946 0000\n"], channels=["SMS"], region="US")
    assert [entry.number for entry in found] == ["+15550100001", "+442079460000"]
    assert bad == []


def test_bad_lines_are_named_and_the_others_read() -> None:
    lines = [
        "+15550100001,SMS\n",
        "hello\n",
        "+1555\n",
        "+15550100001\n",
        "+15550100002,FAX\n",
    ]
    found, bad = read(lines, channels=["VOICE"])
    assert [entry.number for entry in found] == ["+15550100001"]
    assert bad == [
        BadLine(2, "'hello' is not a phone number: it should look like +15550100001"),
        BadLine(3, "'+1555' is not a phone number: it is too short"),
        BadLine(4, "+15550100001 stands in line 1 already"),
        BadLine(5, "FAX is none of the channels VOICE, SMS, RCS, WHATSAPP"),
    ]


def test_what_is_not_csv_is_named_too() -> None:
    _, (bad,) = read(["+15550100001\r+15550100002\r"], channels=["VOICE"])
    assert (bad.line, bad.problem.partition(":")[0]) == (1, "this is not CSV")


@given(st.lists(st.text(max_size=30), max_size=20))
def test_any_text_is_read_or_named(lines: list[str]) -> None:
    found, bad = read([f"{line}\n" for line in lines], channels=["VOICE"])
    assert all(entry.number.startswith("+") for entry in found)
    assert all(item.problem for item in bad)

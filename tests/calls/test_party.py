"""What a caller's address is good for: one table for what is dialled from, shown and read aloud."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls import CallerAddress, Parties

OURS = "+15550100001"
WITHHELD = "a withheld number"
UNKNOWN = "an unknown number"


@pytest.mark.parametrize(
    ("address", "kind", "phone", "shown", "spoken"),
    [
        ("+15550100002", "number", "+15550100002", "+15550100002", "1 5 5 5 0 1 0 0 0 0 2"),
        ("+4930123456", "number", "+4930123456", "+4930123456", "4 9 3 0 1 2 3 4 5 6"),
        # Ten digits behind +1 are a number of somebody in Texas, though they end like RESTRICTED.
        ("+17378742833", "number", "+17378742833", "+17378742833", "1 7 3 7 8 7 4 2 8 3 3"),
        ("anonymous", "withheld", None, WITHHELD, WITHHELD),
        ("Anonymous", "withheld", None, WITHHELD, WITHHELD),
        ("Restricted", "withheld", None, WITHHELD, WITHHELD),
        ("Unavailable", "withheld", None, WITHHELD, WITHHELD),
        ("UNKNOWN", "withheld", None, WITHHELD, WITHHELD),
        ("Blocked", "withheld", None, WITHHELD, WITHHELD),
        ("Private", "withheld", None, WITHHELD, WITHHELD),
        ("Out of Area", "withheld", None, WITHHELD, WITHHELD),
        ("+266696687", "withheld", None, WITHHELD, WITHHELD),
        ("266696687", "withheld", None, WITHHELD, WITHHELD),
        ("+1266696687", "withheld", None, WITHHELD, WITHHELD),
        ("+7378742833", "withheld", None, WITHHELD, WITHHELD),
        ("+2562533", "withheld", None, WITHHELD, WITHHELD),
        ("+8656696", "withheld", None, WITHHELD, WITHHELD),
        ("+86282452253", "withheld", None, WITHHELD, WITHHELD),
        ("+7748283", "withheld", None, WITHHELD, WITHHELD),
        ("sip:anonymous@anonymous.invalid", "withheld", None, WITHHELD, WITHHELD),
        ("sip:+266696687@trunk.example.com", "withheld", None, WITHHELD, WITHHELD),
        ("client:anonymous", "withheld", None, WITHHELD, WITHHELD),
        ("client:anna", "client", None, "client:anna", "anna"),
        ("client:", "client", None, "client:", UNKNOWN),
        ("sip:desk@example.com", "sip", None, "sip:desk@example.com", "desk"),
        ("sip:example.com", "sip", None, "sip:example.com", "example.com"),
        ("sips:desk@example.com;transport=tls", "sip", None, "sips:desk@example.com;transport=tls", "desk"),
        (
            "sip:+15550100002@trunk.example.com:5061",
            "sip",
            None,
            "sip:+15550100002@trunk.example.com:5061",
            "1 5 5 5 0 1 0 0 0 0 2",
        ),
        ("whatsapp:+15550100002", "whatsapp", None, "whatsapp:+15550100002", "1 5 5 5 0 1 0 0 0 0 2"),
        ("whatsapp:anna", "unknown", None, "whatsapp:anna", UNKNOWN),
        ("", "unknown", None, UNKNOWN, UNKNOWN),
        ("15550100002", "unknown", None, "15550100002", UNKNOWN),
        ("+1555 0100002", "unknown", None, "+1555 0100002", UNKNOWN),
        ("+1555010000", "unknown", None, "+1555010000", UNKNOWN),
        ("12345", "unknown", None, "12345", UNKNOWN),
    ],
)
def test_one_table_tells_what_an_address_is_good_for(
    address: str, kind: str, phone: str | None, shown: str, spoken: str
) -> None:
    found = CallerAddress.read(address)
    assert (found.kind, found.phone, found.shown, found.spoken) == (kind, phone, shown, spoken)
    assert found.caller_id(OURS) == (phone or OURS)
    assert found.caller_id(None) == phone


@given(st.text(max_size=200) | st.from_regex(r"(client|sips?|whatsapp):.{0,40}|\+\d{0,20}", fullmatch=True))
def test_any_address_can_be_read_shown_spoken_and_dialled_from(address: str) -> None:
    found = CallerAddress.read(address)
    assert found.shown
    assert found.spoken
    assert re.fullmatch(r"\+[1-9]\d{6,14}", found.caller_id(OURS) or "")
    if found.kind == "withheld":
        assert not re.search(r"\d", found.shown + found.spoken)


@pytest.mark.parametrize(
    ("parties", "number"),
    [
        (Parties("+15550199999", OURS, "inbound"), OURS),
        (Parties(OURS, "+15550199999", "outbound-api"), OURS),
        (Parties("client:anna", "", "inbound"), "+15550100009"),
        (Parties("sip:a@example.com", "sip:desk@us.sip.twilio.com", "inbound"), "+15550100009"),
        (Parties("whatsapp:+15550199999", f"whatsapp:{OURS}", "inbound"), "+15550100009"),
    ],
)
def test_people_are_rung_from_the_number_that_was_called_or_from_the_account_s(
    parties: Parties, number: str
) -> None:
    assert parties.own_number("+15550100009") == number


@pytest.mark.parametrize(
    ("to", "sender", "account_number", "found"),
    [
        (OURS, None, None, f"whatsapp:{OURS}"),
        (f"whatsapp:{OURS}", None, "+15550100009", f"whatsapp:{OURS}"),
        (OURS, "+15550100007", "+15550100009", "whatsapp:+15550100007"),
        ("sip:desk@example.com", None, "+15550100009", "whatsapp:+15550100009"),
        ("sip:desk@example.com", None, None, None),
    ],
)
def test_whatsapp_is_rung_from_a_sender_of_ours(
    to: str, sender: str | None, account_number: str | None, found: str | None
) -> None:
    assert Parties("+15550199999", to, "inbound").whatsapp_sender(sender, account_number) == found

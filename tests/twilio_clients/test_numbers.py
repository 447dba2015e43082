"""The account's phone numbers, over real HTTP."""

from __future__ import annotations

import json

import pytest

from voice_app.sandbox.twilio import Fault, SandboxAccount
from voice_app.twilio import ApiError, Trouble, TwilioApi
from voice_app.twilio.classic_api import IncomingNumber, IncomingNumbers

PATH = "/2010-04-01/Accounts/{}/IncomingPhoneNumbers.json"


async def test_a_number_says_where_its_calls_go(api: TwilioApi, account: SandboxAccount) -> None:
    account.add_number("+15550100001", voice_url="https://voice.example.com/voice", friendly_name="desk")
    [number] = await IncomingNumbers(api, account.sid).list()
    assert number.phone_number == "+15550100001"
    assert number.voice_url == "https://voice.example.com/voice"
    assert number.voice_fallback_url == number.voice_application_sid == ""


async def test_all_pages_are_read(api: TwilioApi, account: SandboxAccount) -> None:
    for n in range(2001):
        account.add_number(f"+1555010{n:04}")
    found = await IncomingNumbers(api, account.sid).list()
    assert [number.phone_number for number in found] == [item["phone_number"] for item in account.numbers]
    assert len(account.requests) == 3


async def test_an_account_without_numbers_has_none(api: TwilioApi, account: SandboxAccount) -> None:
    assert await IncomingNumbers(api, account.sid).list() == []


async def test_another_account_is_not_found(api: TwilioApi) -> None:
    with pytest.raises(ApiError) as caught:
        await IncomingNumbers(api, "AC" + "9" * 32).list()
    assert caught.value.trouble is Trouble.NOT_FOUND


@pytest.mark.parametrize(
    "following",
    [
        "https://elsewhere.example.com/2010-04-01/Accounts/AC1/IncomingPhoneNumbers.json?Page=1",
        "/2010-04-01/Accounts/AC9/IncomingPhoneNumbers.json?Page=1",
        "/../?Page=1",
    ],
)
async def test_a_next_page_elsewhere_is_not_followed(
    api: TwilioApi, account: SandboxAccount, following: str
) -> None:
    body = json.dumps({"incoming_phone_numbers": [], "next_page_uri": following})
    account.faults.add(Fault(body=body))
    with pytest.raises(ApiError, match="somewhere else"):
        await IncomingNumbers(api, account.sid).list()
    assert len(account.requests) == 1


async def test_pages_in_a_circle_end(api: TwilioApi, account: SandboxAccount) -> None:
    following = PATH.format(account.sid) + "?PageSize=1000&Page=1"
    body = json.dumps({"incoming_phone_numbers": [], "next_page_uri": following})
    account.faults.add(Fault(body=body, times=None))
    with pytest.raises(ApiError, match="in a circle"):
        await IncomingNumbers(api, account.sid).list()


async def test_another_answer_is_told(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(body='{"numbers": []}'))
    with pytest.raises(ApiError, match="incoming_phone_numbers"):
        await IncomingNumbers(api, account.sid).list()


def test_what_is_not_set_is_empty_and_what_is_unknown_is_left_out() -> None:
    number = IncomingNumber.read({"phone_number": "+1", "voice_url": None, "unknown": {}})
    assert number == IncomingNumber(phone_number="+1")


def test_a_field_of_a_strange_type_is_told() -> None:
    with pytest.raises(ApiError, match="voice_url"):
        IncomingNumber.read({"sid": "PN1", "voice_url": 7})

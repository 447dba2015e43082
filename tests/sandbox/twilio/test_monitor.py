"""The double's list of alerts, and our client of it."""

from __future__ import annotations

import aiohttp
import pytest

from voice_app.sandbox.twilio import Fault, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.twilio import ApiError, Credentials, Trouble, TwilioApi
from voice_app.twilio.alerts import Alert, Alerts

NOW = 1_780_000_000.0
CALL = "CA" + "7" * 32


def account() -> SandboxAccount:
    return SandboxAccount(token="token", clock=lambda: NOW)


async def test_the_newest_comes_first_and_those_before_the_time_are_left_out() -> None:
    twilio = account()
    twilio.add_alert(11200, date_generated="2020-01-01T00:00:00Z")
    first, second = (
        twilio.add_alert(64102, CALL),
        twilio.add_alert(64105, alert_text="Msg=lost&ErrorCode=64105"),
    )
    second["date_generated"] = "2030-01-01T00:00:00Z"
    async with serve(double_app(twilio)) as url, aiohttp.ClientSession() as http:
        api = TwilioApi(http, Credentials(twilio.sid, "token"), base_url=url)
        found = await Alerts(api).since(NOW - 60)
    assert [(alert.code, alert.resource_sid, alert.text) for alert in found] == [
        ("64105", "", "lost"),
        ("64102", CALL, ""),
    ]
    assert found[1] == Alert(first["sid"], "64102", "error", first["date_generated"], CALL)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("LogLevel=error&PageSize=1&Page=1", 200),
        ("StartDate=2026-01-01&EndDate=2026-12-01T00:00:00Z", 200),
        ("LogLevel=fatal", 400),
        ("StartDate=yesterday", 400),
        ("PageSize=0", 400),
        ("Page=one", 400),
        ("Status=error", 400),
    ],
)
async def test_only_what_the_api_documents_can_be_asked(query: str, status: int) -> None:
    twilio = account()
    auth = {"Authorization": aiohttp.encode_basic_auth(twilio.sid, "token")}
    async with serve(double_app(twilio)) as url, aiohttp.ClientSession() as http:
        answer = await http.get(f"{url}/monitor/v1/Alerts?{query}", headers=auth)
        body = await answer.json()
    assert answer.status == status
    assert ("alerts" in body) == (status == 200)
    assert status == 200 or {"code", "message", "more_info", "status"} == body.keys()


async def test_a_list_lacks_the_request_that_the_single_one_has() -> None:
    twilio = account()
    alert = twilio.add_alert(11200, CALL, request_variables="From=%2B1555")
    auth = {"Authorization": aiohttp.encode_basic_auth(twilio.sid, "token")}
    async with serve(double_app(twilio)) as url, aiohttp.ClientSession(headers=auth) as http:
        listed = (await (await http.get(f"{url}/monitor/v1/Alerts")).json())["alerts"]
        single = await (await http.get(f"{url}/monitor/v1/Alerts/{alert['sid']}")).json()
        async with http.get(f"{url}/monitor/v1/Alerts/NO0") as missing:
            assert missing.status == 404
    assert "request_variables" not in listed[0]
    assert single["request_variables"] == "From=%2B1555"


async def test_an_answer_that_is_no_list_is_an_error() -> None:
    twilio = account()
    twilio.faults.add(Fault("/monitor/*", status=200))
    async with serve(double_app(twilio)) as url, aiohttp.ClientSession() as http:
        api = TwilioApi(http, Credentials(twilio.sid, "token"), base_url=url)
        with pytest.raises(ApiError) as caught:
            await Alerts(api).since(NOW)
    assert caught.value.trouble is Trouble.UNREADABLE

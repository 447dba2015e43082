"""How requests go out, and how every failure comes back."""

from __future__ import annotations

import asyncio
import logging
import re

import aiohttp
import pytest

from voice_app.sandbox.twilio import Fault, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.twilio import ApiError, Credentials, Patience, Trouble, TwilioApi, http
from voice_app.twilio.errors import seconds_to_wait

LIST = "/v2/Conversations"
TOKEN = "token-of-the-test"


async def failure(api: TwilioApi, method: str = "GET", path: str = LIST) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await api.request(method, "conversations", path)
    return caught.value


async def test_a_reply_is_decoded(api: TwilioApi) -> None:
    body = await api.get("conversations", LIST)
    assert body["conversations"] == []


@pytest.mark.parametrize("shape", ["A", "B"])
@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (400, 20001, Trouble.REFUSED),
        (401, 20003, Trouble.UNAUTHENTICATED),
        (401, 70004, Trouble.LACKS_PERMISSION),
        (403, 20003, Trouble.LACKS_PERMISSION),
        (404, 20404, Trouble.NOT_FOUND),
        (405, 20004, Trouble.NOT_ALLOWED),
        (409, 20409, Trouble.CONFLICT),
        (415, 20422, Trouble.REFUSED),
        (429, 20429, Trouble.RATE_LIMITED),
        (500, 20500, Trouble.SERVER),
        (503, 20503, Trouble.SERVER),
    ],
)
async def test_both_shapes_of_errors_are_read(
    api: TwilioApi, account: SandboxAccount, shape: str, status: int, code: int, trouble: Trouble
) -> None:
    account.behaviour.error_shape = "A" if shape == "A" else "B"
    account.faults.add(Fault(status=status, code=code, times=None))
    error = await failure(api)
    assert (error.trouble, error.status, error.code) == (trouble, status, code)
    assert error.message == "A fault that was asked for"
    assert error.advice in str(error)
    assert f"GET {api.url('conversations', LIST)}" in str(error)


async def test_an_rfc_9457_problem_is_read(api: TwilioApi, account: SandboxAccount) -> None:
    problem = '{"type": "x", "title": "Bad rule", "status": 400, "detail": "No such number"}'
    account.faults.add(Fault(status=400, body=problem))
    assert (await failure(api)).message == "No such number"


async def test_a_redirect_is_not_followed(api: TwilioApi, account: SandboxAccount) -> None:
    """Our credentials would go with it."""
    account.faults.add(Fault(status=307, headers={"Location": api.url("conversations", "/v2/elsewhere")}))
    error = await failure(api)
    assert error.trouble is Trouble.MOVED
    assert error.headers["location"].endswith("/v2/elsewhere")
    assert len(account.requests) == 1


@pytest.mark.parametrize(("status", "trouble"), [(200, Trouble.UNREADABLE), (502, Trouble.SERVER)])
@pytest.mark.parametrize("nested", ["[" * 100_000, '{"message":' * 100_000])
async def test_json_that_is_nested_without_end_cannot_be_read(
    api: TwilioApi, account: SandboxAccount, nested: str, status: int, trouble: Trouble
) -> None:
    account.faults.add(Fault(status=status, body=nested, times=3))
    assert (await failure(api)).trouble is trouble


async def test_an_answer_has_a_size_that_is_the_most(
    api: TwilioApi, account: SandboxAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_MAX_ANSWER_BYTES", 1000)
    account.faults.add(Fault(status=200, body=f'{{"text": "{"x" * 1000}"}}'))
    error = await failure(api)
    assert error.trouble is Trouble.UNREADABLE
    assert "more than 1000 bytes" in str(error)


@pytest.mark.parametrize(("status", "trouble"), [(200, Trouble.UNREADABLE), (502, Trouble.SERVER)])
async def test_a_page_of_html_is_told_as_what_it_is(
    api: TwilioApi, account: SandboxAccount, status: int, trouble: Trouble
) -> None:
    account.faults.add(Fault(status=status, html=True, times=None))
    error = await failure(api)
    assert error.trouble is trouble
    assert "a page of HTML instead of an answer" in error.message


@pytest.mark.parametrize("body", ["[1]", "7", '"text"', "null"])
async def test_json_that_is_no_object_is_unreadable(
    api: TwilioApi, account: SandboxAccount, body: str
) -> None:
    account.faults.add(Fault(body=body))
    with pytest.raises(ApiError, match="not an object"):
        await api.get("conversations", LIST)


@pytest.mark.parametrize(
    "body",
    ["{}", '{"meta": {}}', '{"meta": {"key": "things"}}', '{"meta": 1}', '{"meta": {"key": "x"}, "x": {}}'],
)
async def test_a_list_without_items_is_unreadable(api: TwilioApi, account: SandboxAccount, body: str) -> None:
    account.faults.add(Fault(body=body))
    with pytest.raises(ApiError, match=r"meta\.key"):
        _ = [item async for item in api.items("conversations", LIST)]


async def test_pages_that_go_in_a_circle_end(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(body='{"x": [{}], "meta": {"key": "x", "nextToken": "again"}}', times=None))
    with pytest.raises(ApiError, match="circle"):
        _ = [item async for item in api.items("conversations", LIST)]


async def test_no_answer_in_time_is_a_timeout_and_not_repeated(
    session: aiohttp.ClientSession, base_url: str, account: SandboxAccount
) -> None:
    account.faults.add(Fault(delay=30, times=None))
    api = TwilioApi(session, Credentials(account.sid, TOKEN), base_url=base_url, timeout=0.05)
    with pytest.raises(ApiError) as caught:
        await api.request("GET", "conversations", LIST)
    assert caught.value.trouble is Trouble.TIMEOUT
    assert "within 0.05 s" in str(caught.value)
    assert len(account.requests) == 0


async def test_a_closed_port_is_unreachable(session: aiohttp.ClientSession, account: SandboxAccount) -> None:
    async with serve(double_app(account)) as url:
        pass
    api = TwilioApi(
        session, Credentials("AC", "x"), base_url=url, patience=Patience(attempts=2, first_wait=0)
    )
    error = await failure(api)
    assert error.trouble is Trouble.UNREACHABLE
    assert error.status is None


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_read_is_repeated_until_it_succeeds(
    api: TwilioApi, account: SandboxAccount, status: int
) -> None:
    account.faults.add(Fault(status=status, times=2))
    await api.get("conversations", LIST)
    assert [line[2] for line in account.requests] == [status, status, 200]


async def test_a_read_is_repeated_a_bounded_number_of_times(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(status=503, times=None))
    await failure(api)
    assert len(account.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 501])
async def test_what_will_not_change_is_not_repeated(
    api: TwilioApi, account: SandboxAccount, status: int
) -> None:
    account.faults.add(Fault(status=status, times=None))
    await failure(api)
    assert len(account.requests) == 1


async def test_retry_after_is_heeded_when_it_is_short(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(status=429, headers={"Retry-After": "0"}))
    await api.get("conversations", LIST)
    assert [line[2] for line in account.requests] == [429, 200]


async def test_a_long_retry_after_is_told_instead_of_waited_for(
    api: TwilioApi, account: SandboxAccount
) -> None:
    account.faults.add(Fault(status=429, headers={"Retry-After": "60"}, times=None))
    error = await failure(api)
    assert error.retry_after == 60
    assert "Twilio asks to wait 60 s" in str(error)
    assert len(account.requests) == 1


async def test_a_write_is_not_repeated(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(status=503, times=None))
    with pytest.raises(ApiError):
        await api.request("POST", "conversations", LIST, body={})
    assert len(account.requests) == 1


async def test_a_write_with_an_idempotency_key_is_repeated(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(status=503, times=1))
    with pytest.raises(ApiError) as caught:
        await api.request("POST", "conversations", LIST, body={}, idempotency_key="not looked at here")
    assert [line[2] for line in account.requests] == [503, 400]
    assert caught.value.trouble is Trouble.REFUSED


async def test_nulls_and_empty_lists_leave_as_they_are(api: TwilioApi, account: SandboxAccount) -> None:
    with pytest.raises(ApiError) as caught:
        await api.request("POST", "conversations", LIST, body={"name": None})
    assert "`$.name`" in caught.value.message
    assert "null" in caught.value.message


async def test_a_dropped_connection_is_repeated(session: aiohttp.ClientSession) -> None:
    calls = 0

    async def drops_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"\r\n\r\n")
        if calls > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(drops_first, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        api = TwilioApi(
            session,
            Credentials("AC", "x"),
            base_url=f"http://127.0.0.1:{port}",
            patience=Patience(first_wait=0),
        )
        assert await api.get("conversations", LIST) == {}
    assert calls == 2


async def test_credentials_stay_out_of_errors_and_logs(
    api: TwilioApi, account: SandboxAccount, caplog: pytest.LogCaptureFixture
) -> None:
    account.faults.add(Fault(status=500, times=None))
    with caplog.at_level(logging.DEBUG):
        error = await failure(api)
    logged = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    for text in (str(error), repr(error), logged, repr(Credentials("AC", TOKEN))):
        assert TOKEN not in text


async def test_a_retry_is_told_as_a_sentence(
    api: TwilioApi, account: SandboxAccount, caplog: pytest.LogCaptureFixture
) -> None:
    account.faults.add(Fault(status=503, times=1))
    await api.get("conversations", LIST)
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "503" in told
    assert re.search(r"\. Asking again in \d\.\d s\.$", told)


@pytest.mark.parametrize(
    ("base_url", "region", "edge", "expected"),
    [
        (None, None, None, "https://conversations.twilio.com/v2/Conversations"),
        (None, "ie1", None, "https://conversations.dublin.ie1.twilio.com/v2/Conversations"),
        (None, "au1", None, "https://conversations.sydney.au1.twilio.com/v2/Conversations"),
        (None, "us1", None, "https://conversations.twilio.com/v2/Conversations"),
        (None, "us1", "ashburn", "https://conversations.ashburn.us1.twilio.com/v2/Conversations"),
        (None, None, "frankfurt", "https://conversations.frankfurt.us1.twilio.com/v2/Conversations"),
        (None, "ie1", "frankfurt", "https://conversations.frankfurt.ie1.twilio.com/v2/Conversations"),
        (None, "xx1", None, "https://conversations.twilio.com/v2/Conversations"),
        ("http://127.0.0.1:9", "ie1", None, "http://127.0.0.1:9/conversations/v2/Conversations"),
        ("http://127.0.0.1:9/", None, None, "http://127.0.0.1:9/conversations/v2/Conversations"),
    ],
)
async def test_addresses(
    session: aiohttp.ClientSession,
    base_url: str | None,
    region: str | None,
    edge: str | None,
    expected: str,
) -> None:
    api = TwilioApi(session, Credentials("AC", "x"), base_url=base_url, region=region, edge=edge)
    assert api.url("conversations", LIST) == expected


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://conversations.twilio.com/v2/Operations/x", "/v2/Operations/x"),
        ("https://conversations.twilio.com:443/v2/Operations/x", "/v2/Operations/x"),
        ("http://conversations.twilio.com/v2/Operations/x", None),
        ("https://conversations.twilio.com:8443/v2/Operations/x", None),
        ("https://conversations.twilio.com.evil.example/v2/Operations/x", None),
        ("https://evil.example/v2/Operations/x", None),
        ("https://evil.example@conversations.twilio.com/v2/Operations/x", None),
        ("https://conversations.twilio.com@evil.example/v2/Operations/x", None),
        ("https://conversations.twilio.com/v2/Operations/../../v1/x", None),
        ("https://conversations.twilio.com/v2/Operations/%2e%2e/x", None),
        ("https://conversations.twilio.com/v2/Operations/x?to=y", None),
        ("https://conversations.twilio.com/v2/Operations/x#y", None),
        ("//conversations.twilio.com/v2/Operations/x", None),
        ("/v2/Operations/x", None),
        ("https://[::1/v2/Operations/x", None),
        ("", None),
    ],
)
async def test_only_an_address_of_the_product_itself_is_followed(
    session: aiohttp.ClientSession, url: str, path: str | None
) -> None:
    api = TwilioApi(session, Credentials("AC", "x"))
    assert api.owned_path("conversations", url, r"/v2/Operations/\w+") == path


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("Sun, 22 Nov 2015 12:00:00 -0000", 0.0),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert seconds_to_wait({"Retry-After": value}) == seconds
    assert seconds_to_wait({}) is None


async def test_an_empty_answer_is_no_body(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(body=""))
    assert (await api.request("DELETE", "conversations", LIST)).body is None
    account.faults.add(Fault(body="", status=400))
    assert (await failure(api)).message == "an empty answer"


async def test_a_code_that_is_no_number_is_left_out(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(status=400, body='{"code": "E_BAD", "message": "Bad."}'))
    error = await failure(api)
    assert (error.code, error.answer) == (None, "400: Bad")


async def test_an_error_in_another_shape_is_quoted(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(status=400, body='{"code": [1], "message": {"deep": true}}'))
    assert '{"code": [1]' in (await failure(api)).message


async def test_items_that_are_no_objects_are_left_out(api: TwilioApi, account: SandboxAccount) -> None:
    account.faults.add(Fault(body='{"x": [1, {"id": "a"}, null], "meta": {"key": "x"}}'))
    assert [item async for item in api.items("conversations", LIST)] == [{"id": "a"}]

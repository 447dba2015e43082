"""What a stranger can send before anything is known of them: bounded, cheap, answered, over TCP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.sandbox import Sandbox, sandbox
from support.waiting import until
from voice_app.runtime import refusals
from voice_app.server import http_protocol, serving
from voice_app.server.http_protocol import MAX_HEAD, MAX_HEADERS, MAX_URL
from voice_app.telemetry.metrics import METRICS
from voice_app.webhooks.signature import QUESTION

SIGNED = f"X-Twilio-Signature: {'A' * 27}=\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with sandbox(tmp_path) as running:
        yield running


async def connected(server: Sandbox) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = server.base_url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def answer_to(server: Sandbox, *parts: str) -> tuple[str, bool]:
    """The status line that comes for these bytes, and whether the connection ends with it."""
    reader, writer = await connected(server)
    try:
        async with asyncio.timeout(20):
            for part in parts:
                writer.write(part.encode("latin-1"))
            line = (await reader.readline()).decode().strip()
            head = await reader.readuntil(b"\r\n\r\n")
            return line, b"connection: close" in head.lower()
    finally:
        writer.close()


def post(path: str, headers: str, size: int) -> str:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {size}\r\n\r\n"


async def test_a_request_without_a_signature_is_answered_before_its_body_has_come(server: Sandbox) -> None:
    for headers in (FORM, f"{FORM}X-Twilio-Signature: short\r\n", f"{SIGNED}Content-Type: text/plain\r\n"):
        assert await answer_to(server, post("/voice", headers, 200_000)) == ("HTTP/1.1 403 Forbidden", True)
    json = f"{SIGNED}Content-Type: application/json\r\n"
    assert (await answer_to(server, post(f"/orchestrator/events?bodySHA256={'0' * 64}", json, 200_000)))[
        0
    ] == ("HTTP/1.1 403 Forbidden")


async def test_a_body_that_says_to_be_too_large_is_not_waited_for(server: Sandbox) -> None:
    line, closes = await answer_to(server, post("/voice", SIGNED + FORM, QUESTION.size + 1))
    assert (line.split()[1], closes) == ("413", True)


async def test_a_body_that_turns_out_too_large_is_refused(server: Sandbox) -> None:
    head = f"POST /voice HTTP/1.1\r\nHost: x\r\n{SIGNED}{FORM}Transfer-Encoding: chunked\r\n\r\n"
    line, closes = await answer_to(server, head, f"{QUESTION.size + 9:x}\r\n{'a' * (QUESTION.size + 9)}\r\n")
    assert (line.split()[1], closes) == ("413", True)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (f"GET /{'a' * MAX_URL} HTTP/1.1\r\n\r\n", "414"),
        ("GET /healthz HTTP/1.1\r\n" + "x: y\r\n" * (MAX_HEADERS + 1) + "\r\n", "431"),
        (f"GET /healthz HTTP/1.1\r\nContent-Type: {'x' * MAX_HEAD}\r\n\r\n", "431"),
        (f"GET /healthz HTTP/1.1\r\nContent-Type: {'x' * 5_000_000}", "431"),
        (f"POST /voice HTTP/1.1\r\n{SIGNED}Content-Type: {'x' * 5_000_000}\r\n\r\n", "431"),
        ("GET /healthz HTTP/1.1\r\nContent-Length: none\r\n\r\n", "400"),
        ("\x16\x03\x01\x02\x00\x01\x00\r\n", "400"),
    ],
    ids=["url", "headers", "header", "endless header", "content type", "malformed", "tls"],
)
async def test_a_head_has_bounds(server: Sandbox, request_head: str, status: str) -> None:
    METRICS.reset()
    line, closes = await answer_to(server, request_head)
    assert (line.split()[1], closes) == (status, True)
    assert METRICS.sample("voice_app_requests_refused_total", what="malformed") == 1


async def test_a_head_at_its_bounds_is_answered(server: Sandbox) -> None:
    headers = "x: y\r\n" * (MAX_HEADERS - 1) + f"z: {'x' * (MAX_HEAD // 2)}\r\n"
    for _ in range(2):
        assert await answer_to(server, f"GET /healthz HTTP/1.1\r\n{headers}\r\n") == (
            "HTTP/1.1 200 OK",
            False,
        )


@pytest.mark.parametrize(
    "half",
    [
        "",
        "GET /healthz HT",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n",
        "GET /relay/x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n",
        post("/voice", SIGNED + FORM, 100) + "half",
        "GET /healthz HTTP/1.1\r\n\r\nGET /healthz HT",
    ],
    ids=["nothing", "line", "head", "handshake", "body", "second request"],
)
async def test_half_a_request_ends_in_time(
    server: Sandbox, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_SECONDS", 0.1)
    reader, writer = await connected(server)
    writer.write(half.encode())
    async with asyncio.timeout(20):
        said = await reader.read()
    writer.close()
    assert said.decode().rpartition("HTTP/1.1 ")[2].startswith("408")


async def test_a_request_that_is_whole_has_all_the_time(
    server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_SECONDS", 0.1)
    async with server.call() as call:
        await call.reply()
        opened = time.monotonic()
        await until(lambda: time.monotonic() > opened + 0.2, "the limit to pass")
        assert (await call.ask("What are your hours?")).text


async def test_many_refusals_are_answered_late_and_fill_no_log(
    monkeypatch: pytest.MonkeyPatch, server: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusals, "PAUSE_SECONDS", 1e6)
    monkeypatch.setattr(serving, "SECONDS_TO_STOP", 0)  # nobody is there any more to get those answers
    unsigned = post("/voice", FORM, 3) + "a=b"
    for _ in range(refusals.AT_ONCE):
        assert (await answer_to(server, unsigned))[0] == "HTTP/1.1 403 Forbidden"
    late = [asyncio.create_task(answer_to(server, unsigned)) for _ in range(10)]
    await until(lambda: METRICS.sample("voice_app_requests_refused_total", what="request") >= 30, "them")
    assert (await answer_to(server, "GET /healthz HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 200 OK"
    assert not any(task.done() for task in late)
    for task in late:
        task.cancel()
    told = [record for record in caplog.records if "refused" in record.getMessage()]
    assert len(told) == 1
    assert "there is no X-Twilio-Signature" in told[0].getMessage()


@pytest.mark.parametrize("path", ["/", "/wp-login.php", "/voice/nothing", "/%0a%1b[2Jx"])
async def test_what_there_is_not_is_refused_and_counted(server: Sandbox, path: str) -> None:
    METRICS.reset()
    assert (await answer_to(server, f"GET {path} HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 404 Not Found"
    assert METRICS.sample("voice_app_requests_refused_total", what="path") == 1


async def test_large_bodies_are_verified_one_at_a_time(
    server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of them the loop has its turn."""
    order: list[str] = []
    real = asyncio.sleep

    async def turn(seconds: float) -> None:
        nonlocal order
        order += ["turn"] * (not seconds)
        await real(seconds)

    monkeypatch.setattr(asyncio, "sleep", turn)
    body = "a=" + "%41" * 4000
    answers = await asyncio.gather(
        *(answer_to(server, post("/voice", SIGNED + FORM, len(body)) + body) for _ in range(10))
    )
    assert {line for line, _ in answers} == {"HTTP/1.1 403 Forbidden"}
    assert order.count("turn") >= 10

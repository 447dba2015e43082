"""Forty connections that are not Twilio's send all they can: what that costs somebody who is on the line."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Final

import pytest

from support.figures import Record, show
from support.processes import Server, process

CONNECTIONS: Final = 40
TURNS: Final = 100
SIGNED: Final = f"X-Twilio-Signature: {'A' * 27}=\r\n"
FORM: Final = "Content-Type: application/x-www-form-urlencoded\r\n"
FLOODS: Final = {
    "without a signature": ("/voice", FORM, "a=" + "b" * 500),
    "without a signature, 200 KB": ("/voice", FORM, "a=" + "%41" * 66_000),
    "a wrong signature": ("/voice", SIGNED + FORM, "a=" + "b" * 500),
    "a wrong signature, 64 KB of escapes": ("/voice", SIGNED + FORM, "a=" + "%E2%82%AC" * 5_000),
    "a wrong signature, 200 KB of escapes": ("/voice/relay-ended", SIGNED + FORM, "a=" + "%41" * 66_000),
    "broken escapes": ("/voice", SIGNED + FORM, "&".join(f"a{number}={'%' * 300}" for number in range(50))),
    "a wrong hash": (
        "/orchestrator/events?bodySHA256=0",
        f"{SIGNED}Content-Type: application/json\r\n",
        "[" * 200_000,
    ),
}
_PROGRAM: Final = """
import asyncio, sys

async def flood(port, request):
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(request)
                head = await reader.readuntil(b"\\r\\n\\r\\n")
                await reader.readexactly(9)
                if b"connection: close" in head.lower():
                    break
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass

async def main():
    request = sys.stdin.buffer.read()
    await asyncio.gather(*(flood(int(sys.argv[1]), request) for _ in range(int(sys.argv[2]))))

asyncio.run(main())
"""


@asynccontextmanager
async def flood(server: Server, path: str, headers: str, body: str) -> AsyncIterator[None]:
    """Have another process send the same request on many connections while the block runs."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, server.base_url.rpartition(":")[2], str(CONNECTIONS)),
        stdin=asyncio.subprocess.PIPE,
    )
    assert running.stdin is not None
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
    running.stdin.write(request.encode())
    running.stdin.close()
    try:
        await refused(server, await refusals(server) + CONNECTIONS)
        yield
    finally:
        running.kill()
        await running.wait()


async def refused(server: Server, times: float) -> None:
    """Wait until so many requests were refused."""
    async with asyncio.timeout(60):
        while await refusals(server) < times:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


async def refusals(server: Server) -> float:
    async with server.http.get(f"{server.base_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    found = [line for line in lines if line.startswith('voice_app_requests_refused_total{what="request"}')]
    return float(found[0].split()[-1]) if found else 0.0


async def answers(server: Server) -> list[float]:
    """How long a new caller waits for the document, and one who has spoken for the first word: ms."""
    found = []
    async with server.call() as call:
        await call.reply()
        for number in range(TURNS):
            began = time.perf_counter()
            await server.post("/voice", CallSid=f"CA{number:032x}", From="+15550199999")
            found.append((time.perf_counter() - began) * 1000)
            found.append((await call.ask("What are your hours?")).first_token_ms or 0.0)
    return found


def p99(found: list[float]) -> float:
    return round(quantiles(found, n=100)[98], 1)


@pytest.mark.slow
async def test_a_flood_without_signatures_delays_no_answer(tmp_path: Path, record_property: Record) -> None:
    figures: dict[str, object] = {}
    async with process(tmp_path) as server:
        await answers(server)
        alone = p99(await answers(server))
        figures["no flood: p99 of an answer"] = f"{alone} ms"
        for name, request in FLOODS.items():
            before, began = await refusals(server), time.monotonic()
            async with flood(server, *request):
                found = p99(await answers(server))
                rate = (await refusals(server) - before) / (time.monotonic() - began)
            figures[f"{name} ({rate:.0f}/s)"] = f"{found} ms (+{found - alone:.1f})"
        assert (await server.readiness())[0] == 200
    show(record_property, f"{CONNECTIONS} connections", figures)

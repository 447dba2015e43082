"""scripts/deploy/nginx.conf in front of servers: what Twilio signs arrives as it was; nobody is cut off."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from pydantic import SecretStr
from yarl import URL

from support.backends import Backend, backend
from support.call_fleet import CallFleet, CounterScript
from support.figures import Record, show
from support.fleet import fleet
from support.sandbox import sandbox
from support.tools import required
from support.waiting import until
from voice_app.cli.child_processes import ChildError
from voice_app.cli.proxy import addressed, nginx
from voice_app.sandbox.network import Network

SITE = Path(__file__).parents[2] / "scripts/deploy/nginx.conf"
TOKEN = "supervisor-of-the-test"

required("nginx")


@asynccontextmanager
async def proxied(folder: Path, *machines: str) -> AsyncIterator[str]:
    """nginx in front of these base URLs."""
    place = folder / "nginx"
    place.mkdir()
    async with nginx(SITE, place, f"127.0.0.1:{unused_port()}", machines) as base_url:
        yield base_url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def machines() -> AsyncIterator[tuple[Backend, Backend]]:
    async with backend("a") as a, backend("b") as b:
        yield a, b


async def asked(http: aiohttp.ClientSession, base_url: str, target: str) -> tuple[int, str]:
    url = URL(base_url + target, encoded=True)
    async with http.post(url, data={"CallSid": "CA1"}) as response:
        return response.status, await response.text()


# --- what arrives ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/voice",
        "/voice?number=%2B1555&x=a+b%20c&empty=",
        "/voice//twice///thrice",
        "/voice/%2Fslash%2f/%C3%BC",
        "/handoff/dialed/1/../2",
        "//voice",
        "/voice;v=1?a=//b/../c&u=%E2%82%AC#"[:-1],
    ],
)
async def test_a_url_arrives_byte_for_byte(
    tmp_path: Path, http: aiohttp.ClientSession, machines: tuple[Backend, Backend], target: str
) -> None:
    async with proxied(tmp_path, machines[0].base) as base_url:
        assert await asked(http, base_url, target) == (200, "<a/>")
    assert machines[0].asked == [f"POST {target}"]


async def test_a_signature_over_an_odd_url_is_good_behind_it(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as running, proxied(tmp_path, running.base_url) as base_url:
        target = "/voice?a=%2F//b+c%20d&u=%C3%BC&e="
        form = {"AccountSid": running.settings.account_sid or "", "CallSid": "CA" + "1" * 32, "From": "+1555"}
        headers = {"X-Twilio-Signature": running.network.sign(running.settings.origin + target, form)}
        url = URL(base_url + target, encoded=True)
        async with running.http.post(url, data=form, headers=headers) as response:
            assert response.status == 200
            assert "<ConversationRelay" in await response.text()
        async with running.http.post(f"{base_url}/voice", data=form, headers=headers) as response:
            assert response.status == 403
        query = f"{target}&{urlencode(form)}"
        headers = {"X-Twilio-Signature": running.network.sign(running.settings.origin + query)}
        async with running.http.get(URL(base_url + query, encoded=True), headers=headers) as response:
            assert response.status == 200


async def test_what_is_for_your_own_network_is_not_passed_on(
    tmp_path: Path, http: aiohttp.ClientSession, machines: tuple[Backend, Backend]
) -> None:
    async with proxied(tmp_path, machines[0].base) as base_url:
        assert (await asked(http, base_url, "/metrics"))[0] == 404
    assert machines[0].asked == []


# --- where a machine is gone -----------------------------------------------------------------------


async def test_the_next_machine_is_asked_where_one_is_unavailable(
    tmp_path: Path, http: aiohttp.ClientSession, machines: tuple[Backend, Backend]
) -> None:
    machines[0].status = 503
    async with proxied(tmp_path, *(machine.base for machine in machines)) as base_url:
        assert {await asked(http, base_url, "/voice") for _ in range(4)} == {(200, "<b/>")}
    assert machines[0].asked


async def test_the_next_machine_is_asked_where_one_breaks_or_is_gone(
    tmp_path: Path, http: aiohttp.ClientSession, machines: tuple[Backend, Backend]
) -> None:
    machines[0].breaks = True
    bases = [machines[0].base, f"http://127.0.0.1:{unused_port()}", machines[1].base]
    async with proxied(tmp_path, *bases) as base_url:
        assert {await asked(http, base_url, "/voice") for _ in range(4)} == {(200, "<b/>")}
    assert machines[0].asked


async def test_machines_that_have_all_failed_are_asked_again_at_once(
    tmp_path: Path, http: aiohttp.ClientSession, machines: tuple[Backend, Backend]
) -> None:
    async with proxied(tmp_path, *(machine.base for machine in machines)) as base_url:
        for machine in machines:
            machine.breaks = True
        for _ in range(8):
            await asked(http, base_url, "/voice")
        for machine in machines:
            machine.breaks = False
        assert {(await asked(http, base_url, "/voice"))[1] for _ in range(4)} == {"<a/>", "<b/>"}


@pytest.mark.parametrize("path", ["/voice", "/voice/relay-ended", "/handoff/wait"])
async def test_a_caller_hears_a_sentence_where_nobody_answers(
    tmp_path: Path, http: aiohttp.ClientSession, path: str
) -> None:
    gone = [f"http://127.0.0.1:{unused_port()}" for _ in range(2)]
    async with proxied(tmp_path, *gone) as base_url:
        status, document = await asked(http, base_url, path)
        assert (status, "<Say>We are sorry" in document) == (200, True)
        assert (await asked(http, base_url, "/orchestrator/events"))[0] == 502


async def test_a_socket_opens_on_the_machine_that_takes_it(
    tmp_path: Path, machines: tuple[Backend, Backend]
) -> None:
    machines[0].status = 503
    async with proxied(tmp_path, *(machine.base for machine in machines)) as base_url:
        network = Network(base_url, "https://voice.example.com", "token")
        for _ in range(2):
            socket = await network.connect("wss://voice.example.com/relay/token")
            await socket.send("hello")
            assert [await socket.recv(), await socket.recv()] == ["b", "hello"]
            await socket.close()
    assert machines[0].asked[:1] == ["GET /relay/token"]


# --- who sends too much, or too little -------------------------------------------------------------


ELSEWHERE = "127.0.0.2"
"""An address that the site limits, as any but this machine's own."""


async def test_a_client_has_so_many_requests_a_second(
    tmp_path: Path, machines: tuple[Backend, Backend]
) -> None:
    connector = aiohttp.TCPConnector(local_addr=(ELSEWHERE, 0), limit=20)
    async with proxied(tmp_path, machines[0].base) as base_url:
        async with aiohttp.ClientSession(connector=connector) as flood:
            events = [asked(flood, base_url, "/orchestrator/events") for _ in range(500)]
            calls = [asked(flood, base_url, "/voice") for _ in range(500)]
            answers = await asyncio.gather(*events, *calls)
        assert {status for status, _ in answers[:500]} == {200, 503}
        assert {status for status, _ in answers[500:]} == {200}
        assert any("<Say>We are sorry" in document for _, document in answers[500:])
        async with aiohttp.ClientSession() as twilio:
            assert {await asked(twilio, base_url, "/voice") for _ in range(600)} == {(200, "<a/>")}


async def test_a_client_has_so_many_connections(tmp_path: Path, machines: tuple[Backend, Backend]) -> None:
    machines[0].holds = asyncio.Event()
    connector = aiohttp.TCPConnector(local_addr=(ELSEWHERE, 0), limit=0)
    async with (
        proxied(tmp_path, machines[0].base) as base_url,
        aiohttp.ClientSession(connector=connector) as flood,
    ):
        requests = [asyncio.create_task(asked(flood, base_url, "/x")) for _ in range(120)]
        await until(lambda: sum(task.done() for task in requests) == 20, "those that are too many")
        machines[0].holds.set()
        statuses = [status for status, _ in await asyncio.gather(*requests)]
    assert (statuses.count(200), statuses.count(503)) == (100, 20)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (f"GET /voice HTTP/1.1\r\nHost: x\r\nX: {'x' * 20_000}\r\n\r\n", "400"),
        (f"GET /{'x' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n", "414"),
        ("POST /voice HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n", "413"),
    ],
    ids=["header", "url", "body"],
)
async def test_what_is_too_large_never_reaches_a_machine(
    tmp_path: Path, machines: tuple[Backend, Backend], sent: str, status: str
) -> None:
    async with proxied(tmp_path, machines[0].base) as base_url:
        host, port = base_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent.encode())
        async with asyncio.timeout(10):
            assert (await reader.readline()).decode().split()[1] == status
        writer.close()
    assert machines[0].asked == []


async def test_half_a_request_ends_at_the_proxy(tmp_path: Path, machines: tuple[Backend, Backend]) -> None:
    site = tmp_path / "site.conf"
    site.write_text(re.sub(r"(client_\w+_timeout) 10s", r"\1 1s", SITE.read_text("utf-8")))
    (tmp_path / "nginx").mkdir()
    halves = ("GET /voice HT", "POST /voice HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
    address = f"127.0.0.1:{unused_port()}"
    async with nginx(site, tmp_path / "nginx", address, [machines[0].base]), asyncio.timeout(20):
        for half in halves:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
            writer.write(half.encode())
            with suppress(ConnectionResetError):
                assert b" 200 " not in await reader.read()
            writer.close()
    assert machines[0].asked == []


# --- the whole -------------------------------------------------------------------------------------


async def test_an_event_of_the_live_feed_is_there_at_once(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, api_token=SecretStr(TOKEN)) as running,
        proxied(tmp_path, running.base_url) as base_url,
        running.http.get(f"{base_url}/api/feed", headers={"Authorization": f"Bearer {TOKEN}"}) as feed,
        running.call() as call,
    ):
        async with asyncio.timeout(10):
            async for line in feed.content:
                if line.startswith(b"data:"):
                    break
        assert json.loads(line.removeprefix(b"data:"))["call_sid"] == call.sid


async def test_calls_through_nginx_survive_the_crash_of_a_server(
    tmp_path: Path, empty_postgres_url: str, record_property: Record
) -> None:
    async with (
        fleet(tmp_path, empty_postgres_url) as behind,
        proxied(tmp_path, *(server.base_url for server in behind.servers)) as base_url,
        behind.machines.phone(behind.machines.network(base_url), words_per_second=40) as phone,
    ):
        origin = behind.machines.account.origin
        crowd = CallFleet(phone, f"{origin}/voice", f"{origin}/voice/status")
        callers = crowd.call(CounterScript(turns=1000, pause=0.3, crashes=True), 6)
        await until(lambda: all(caller.turns >= 2 for caller in callers), "calls to talk")
        turns = [caller.turns for caller in callers]
        await behind.servers[0].kill()
        await until(
            lambda: all(caller.turns >= before + 3 for caller, before in zip(callers, turns, strict=True)),
            "all of them to go on",
        )
        await crowd.finish()
    figures = {
        "calls": len(callers),
        "calls whose server was killed": crowd.resumes,
        "longest pause, s": round(max(crowd.pauses(), default=0), 3),
        "calls lost": len(crowd.lost),
    }
    show(record_property, "kill -9 of one of two servers behind nginx", figures)
    assert crowd.lost == [], behind.said()
    assert 0 < crowd.resumes < len(callers)


# --- addresses -------------------------------------------------------------------------------------


def test_the_addresses_of_a_site_are_replaced() -> None:
    site = addressed(SITE.read_text("utf-8"), "127.0.0.1:1", ["http://10.0.0.1:2", "http://10.0.0.2:2"])
    lines = [line.strip() for line in site.splitlines()]
    assert "listen 127.0.0.1:1;" in lines
    servers = [line for line in lines if line.startswith("server ") and line.endswith(";")]
    assert servers == [
        f"server 10.0.0.{number}:2 {how};"
        for how in ("max_fails=3 fail_timeout=5s", "max_fails=0 backup")
        for number in (1, 2)
    ]


def test_a_site_without_places_for_them_is_refused() -> None:
    with pytest.raises(ChildError, match="needs a `listen`"):
        addressed("server {\n  listen 80;\n}\n", "127.0.0.1:1", ["http://10.0.0.1:2"])


async def test_a_port_in_use_is_told(tmp_path: Path, machines: tuple[Backend, Backend]) -> None:
    taken = machines[0].base.removeprefix("http://")
    with pytest.raises(ChildError, match="choose another with --port"):
        async with nginx(SITE, tmp_path, taken, [machines[1].base]):
            pass


async def test_what_nginx_does_not_like_is_told(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.write_text(SITE.read_text("utf-8").replace("merge_slashes off", "merge_slashes perhaps"))
    with pytest.raises(ChildError, match='invalid value "perhaps"'):
        async with nginx(site, tmp_path, f"127.0.0.1:{unused_port()}", ["http://127.0.0.1:1"]):
            pass

"""Several machines behind one origin: the balancer that the README recommends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from support.backends import Backend, backend
from voice_app.sandbox.network import Network, WebhookError

ORIGIN = "https://voice.example.com"


@pytest.fixture
async def machines() -> AsyncIterator[tuple[Backend, Backend]]:
    async with backend("a") as a, backend("b") as b:
        yield a, b


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def network(*bases: str) -> Network:
    return Network(bases[0], ORIGIN, "token", bases[1:])


async def asked(network: Network, http: aiohttp.ClientSession) -> str:
    return await network.post(http, f"{ORIGIN}/voice", {"CallSid": "CA1"})


async def test_machines_take_turns(machines: tuple[Backend, Backend], http: aiohttp.ClientSession) -> None:
    both = network(*(machine.base for machine in machines))
    assert [await asked(both, http) for _ in range(4)] == ["<a/>", "<b/>", "<a/>", "<b/>"]


async def test_the_next_one_is_asked_where_nobody_listens(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    both = network(f"http://127.0.0.1:{unused_tcp_port}", machines[1].base)
    assert [await asked(both, http) for _ in range(2)] == ["<b/>", "<b/>"]


async def test_the_next_one_is_asked_where_a_machine_dies_on_the_request(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession
) -> None:
    machines[0].breaks = True
    both = network(*(machine.base for machine in machines))
    assert await asked(both, http) == "<b/>"
    assert len(machines[0].asked) == 1


async def test_the_next_one_is_asked_where_a_machine_is_unavailable(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession
) -> None:
    machines[0].status = 503
    both = network(*(machine.base for machine in machines))
    assert await asked(both, http) == "<b/>"
    assert len(machines[0].asked) == 1


async def test_any_other_answer_is_the_answer(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession
) -> None:
    machines[0].status = 500
    both = network(*(machine.base for machine in machines))
    with pytest.raises(WebhookError, match="answered 500"):
        await asked(both, http)
    assert machines[1].asked == []


async def test_if_all_are_unavailable_that_is_the_answer(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession
) -> None:
    for machine in machines:
        machine.status = 503
    both = network(*(machine.base for machine in machines))
    with pytest.raises(WebhookError, match=r"11200: .* answered 503"):
        await asked(both, http)
    assert [len(machine.asked) for machine in machines] == [1, 1]


async def test_a_machine_that_is_gone_is_not_asked_until_it_is_back(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession
) -> None:
    both = network(*(machine.base for machine in machines))
    both.lose(machines[0].base)
    assert {await asked(both, http) for _ in range(3)} == {"<b/>"}
    both.regain(machines[0].base)
    assert {await asked(both, http) for _ in range(2)} == {"<a/>", "<b/>"}


async def test_if_all_are_gone_nothing_answers(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession
) -> None:
    one = network(machines[0].base)
    one.lose(machines[0].base)
    with pytest.raises(WebhookError, match="11205: nothing answers"):
        await asked(one, http)


async def test_an_address_elsewhere_has_one_place(
    machines: tuple[Backend, Backend], http: aiohttp.ClientSession
) -> None:
    both = network("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert await both.post(http, f"{machines[0].base}/x", {}) == "<a/>"


# --- sockets ---------------------------------------------------------------------------------------


async def connected(network: Network) -> str:
    socket = await network.connect("wss://voice.example.com/relay/token")
    try:
        return str(await socket.recv())
    finally:
        await socket.close()


async def test_a_socket_that_is_refused_with_503_opens_on_the_next_one(
    machines: tuple[Backend, Backend], unused_tcp_port: int
) -> None:
    machines[0].status = 503
    bases = (machines[0].base, f"http://127.0.0.1:{unused_tcp_port}", machines[1].base)
    assert await connected(network(*bases)) == "b"
    assert machines[0].asked == ["GET /relay/token"]


async def test_a_socket_that_is_refused_otherwise_is_refused(machines: tuple[Backend, Backend]) -> None:
    machines[0].status = 403
    with pytest.raises(WebhookError, match=r"64102: .*403"):
        await connected(network(*(machine.base for machine in machines)))
    assert machines[1].asked == []

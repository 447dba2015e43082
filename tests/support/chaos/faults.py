"""The faults of a chaos run, and the plan that a seed makes of them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import aiohttp
import msgspec

from support.chaos.model import ModelFault
from support.chaos.world import World
from voice_app.sandbox.load.raw_socket import RawSocket, RawSocketError, open_socket
from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone.frames import setup_frame
from voice_app.sandbox.phone.twiml import read
from voice_app.twiml.vocabulary import VOCABULARY

Lane = Literal["model", "machines", "outside"]
"""Faults of one lane come one after another, those of two lanes at the same time."""
Apply: TypeAlias = Callable[[World, float], Awaitable[None]]
"""Has it in force for so many seconds; when it returns, all is as before."""

READY_SECONDS: Final = 60.0
FLOOD: Final = 40
"""Connections that flood a server."""
_UNTAKEN: Final = "^a callback was not taken: 11200.* answered 50[24]"
"""While one server stops and the other one answers nobody, a proxy has nobody to ask."""
_STOPPED_TO_BE_SURE: Final = "^<Stop><Transcription.*: there is none of that name"
"""While somebody is rung a call may be transcribed, for all that is known: that is stopped for the agent."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ChaosFault:
    """Something that goes wrong."""

    name: str
    lane: Lane
    seconds: tuple[float, float]
    """How long it is in force: drawn from this range. Of what happens in a moment: how long after it."""
    apply: Apply
    explains: float = 0.0
    """The longest silence that it explains, in seconds; 0: callers hear nothing of it."""
    excuses: str = ""
    deaf: float = 0.0
    blind: bool = False
    kills: bool = False
    """These four as in `FaultWindow`."""


@dataclass(slots=True, frozen=True)
class Strike:
    """When a fault comes, in seconds after the beginning, and for how long."""

    at: float
    fault: ChaosFault
    seconds: float


CALM: Final = {"model": (1.0, 4.0), "machines": (2.0, 6.0), "outside": (1.0, 4.0)}
"""Seconds between two faults of a lane."""


def plan(seed: int, seconds: float, faults: list[ChaosFault]) -> list[Strike]:
    """What happens when, in a run of so many seconds. Every fault comes once before any comes again."""
    strikes = []
    for lane, calm in CALM.items():
        dice = random.Random(f"{lane} {seed}")
        at = dice.uniform(*calm)
        bag: list[ChaosFault] = []
        while at < seconds:
            if not bag:
                bag = [fault for fault in faults if fault.lane == lane]
                dice.shuffle(bag)
                if not bag:
                    break
            fault = bag.pop()
            lasts = min(dice.uniform(*fault.seconds), max(1.0, seconds - at))
            strikes.append(Strike(at, fault, lasts))
            at += lasts + dice.uniform(*calm)
    return sorted(strikes, key=lambda strike: strike.at)


# --- the model ----------------------------------------------------------------------------------


def _model(kind: ModelFault) -> Apply:
    async def apply(world: World, seconds: float) -> None:
        world.model.fault = kind
        await asyncio.sleep(seconds)
        world.model.fault = ""

    return apply


# --- servers and the database -------------------------------------------------------------------


async def _killed(world: World, seconds: float) -> None:
    server = world.a_server()
    await server.kill()
    await asyncio.sleep(min(seconds, 2))
    await world.start(server)


async def _stopped(world: World, seconds: float) -> None:
    server = world.a_server()
    await server.stop(READY_SECONDS)
    await world.start(server)


async def _rolling(world: World, seconds: float) -> None:
    for server in world.fleet.servers:
        await server.stop(READY_SECONDS)
        await world.start(server)


async def _frozen_server(world: World, seconds: float) -> None:
    pid = world.a_server().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _database_away(world: World, seconds: float) -> None:
    await asyncio.to_thread(world.postgres.stop)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(world.postgres.start)


async def _database_frozen(world: World, seconds: float) -> None:
    with world.postgres.frozen():
        await asyncio.sleep(seconds)


async def _database_slow(world: World, seconds: float) -> None:
    """It works a tenth of the time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        with world.postgres.frozen():
            await asyncio.sleep(0.18)
        await asyncio.sleep(0.02)


async def _disks_full(world: World, seconds: float) -> None:
    """The database is away, and the disks that the journal would wait on are full."""
    for disk in world.disks:
        with (disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
    try:
        await _database_away(world, seconds)
    finally:
        for disk in world.disks:
            (disk / "ballast").unlink(missing_ok=True)


async def _cut(world: World, seconds: float) -> None:
    """The sockets of a third of the phones are dropped; of some of them the server sees nothing."""
    calls = [caller.call for caller in world.callers if caller.call is not None and caller.call.session]
    for call in world.dice.sample(calls, len(calls) // 3):
        if call.session is not None:
            await call.drop(unnoticed=world.dice.random() < 0.2)
    await asyncio.sleep(min(seconds, 3))


async def _clocks_jump(world: World, seconds: float) -> None:
    """The servers' clocks are wrong by a minute or an hour, and then they are put right."""
    world.set_clock(world.dice.choice((-3600.0, -60.0, 60.0, 3600.0)))
    await asyncio.sleep(seconds)
    world.set_clock(0.0)
    await asyncio.sleep(1)  # that was another jump


# --- Twilio, and strangers ----------------------------------------------------------------------


def _twilio(**fault: object) -> Apply:
    async def apply(world: World, seconds: float) -> None:
        url = f"{world.fleet.double.base_url}/_sandbox/faults"
        async with world.http.post(url, json={"times": None, **fault}) as response:
            response.raise_for_status()
        await asyncio.sleep(seconds)
        async with world.http.delete(url) as response:
            response.raise_for_status()

    return apply


async def _unsigned(world: World, seconds: float) -> None:
    """Connections that ask as fast as they are refused: at nginx, and at the servers themselves."""
    places = [world.base_url, *(server.base_url for server in world.fleet.servers)]

    async def flood(number: int) -> None:
        url = f"{places[number % len(places)]}/voice"
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with world.http.post(url, data={"CallSid": "CA" + "0" * 32, "x": "%" * 300}) as answer:
                    await answer.read()
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(flood(number)) for number in range(FLOOD)]
    try:
        await asyncio.sleep(seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_HOSTILE: Final = (
    b"{",
    b"null",
    b"[" * 50_000,
    b'"\\ud800"',
    b'{"type":"setup"}',
    b'{"type":"prompt","voicePrompt":7}',
    b'{"type":"prompt","voicePrompt":"' + b"a" * 60_000 + b'","last":true}',
    b'{"type":"dtmf","digit":"' + b"1" * 9_000 + b'"}',
    b'{"type":"interrupt","utteranceUntilInterrupt":null,"durationUntilInterruptMs":-1}',
)


async def _hostile(world: World, seconds: float) -> None:
    """Signed sockets on which nothing is as Twilio sends it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    sockets: list[RawSocket] = []
    with suppress(RawSocketError, WebhookError):
        for number in range(5):
            socket = await _hostile_call(world, well_begun=number % 2 == 0)
            sockets.append(socket)
    while loop.time() < until:
        for socket in sockets:
            socket.send(world.dice.choice(_HOSTILE))
        await asyncio.sleep(0.05)
    for socket in sockets:
        await socket.close()


async def _hostile_call(world: World, *, well_begun: bool) -> RawSocket:
    """A call whose session is open. Raises `WebhookError` and `RawSocketError`."""
    network, account = world.network, world.fleet.account
    call_sid = f"CA{world.dice.getrandbits(128):032x}"
    form = {"CallSid": call_sid, "AccountSid": account.account_sid or "", "From": "+15550666666"}
    form |= {"To": "+15550100001", "CallStatus": "ringing", "Direction": "inbound"}
    twiml = await network.post(world.http, f"{account.origin}/voice", form)
    relays = [verb.child("ConversationRelay") for verb in read(twiml, VOCABULARY).verbs]
    relay = next((relay for relay in relays if relay is not None), None)
    if relay is None:
        raise WebhookError(0, "the call was not put through")
    url = relay.get("url")
    socket = await open_socket(
        network.reachable(url), {"X-Twilio-Signature": network.sign(url), **network.forwarded(url)}
    )
    if well_begun:
        frame = setup_frame(
            relay, session_id=f"VX{world.dice.getrandbits(128):032x}", account_sid=account.account_sid or "",
            call_sid=call_sid, from_="+15550666666", to="+15550100001", status="RINGING",
        )  # fmt: skip
        socket.send(msgspec.json.encode(frame))
    return socket


FAULTS: Final = [
    ChaosFault(name="model: slow", lane="model", seconds=(3, 8), apply=_model("slow"), explains=10),
    ChaosFault(name="model: cut off", lane="model", seconds=(3, 8), apply=_model("cut"), explains=6),
    ChaosFault(name="model: 429", lane="model", seconds=(3, 8), apply=_model("429"), explains=4),
    ChaosFault(name="model: garbage", lane="model", seconds=(3, 8), apply=_model("garbage"), explains=4),
    ChaosFault(name="model: endless", lane="model", seconds=(3, 8), apply=_model("endless")),
    ChaosFault(
        name="agent: blocks",
        lane="model",
        seconds=(3, 8),
        apply=_model("blocking"),
        explains=12,
        deaf=6,
        excuses=_UNTAKEN,
    ),
    ChaosFault(
        name="kill -9",
        lane="machines",
        seconds=(1, 2),
        apply=_killed,
        explains=6,
        deaf=2,
        excuses=f"without a close frame|{_STOPPED_TO_BE_SURE}",
        kills=True,
    ),
    ChaosFault(name="SIGTERM", lane="machines", seconds=(3, 3), apply=_stopped, explains=6),
    ChaosFault(name="rolling restart", lane="machines", seconds=(6, 6), apply=_rolling, explains=6),
    ChaosFault(
        name="server: frozen",
        lane="machines",
        seconds=(1, 5),
        apply=_frozen_server,
        explains=10,
        deaf=6,
        excuses=_UNTAKEN,
    ),
    ChaosFault(
        name="database: away",
        lane="machines",
        seconds=(3, 8),
        apply=_database_away,
        blind=True,
        excuses=_STOPPED_TO_BE_SURE,
    ),
    ChaosFault(
        name="database: frozen",
        lane="machines",
        seconds=(3, 8),
        apply=_database_frozen,
        explains=1,  # who asks first waits for an answer
        blind=True,
        excuses=_STOPPED_TO_BE_SURE,
    ),
    ChaosFault(
        name="database: slow",
        lane="machines",
        seconds=(3, 8),
        apply=_database_slow,
        blind=True,
        excuses=_STOPPED_TO_BE_SURE,
    ),
    ChaosFault(
        name="disks full",
        lane="machines",
        seconds=(3, 6),
        apply=_disks_full,
        blind=True,
        excuses=_STOPPED_TO_BE_SURE,
    ),
    ChaosFault(
        # The address of a session that is about to be opened is then too old: Twilio asks what to do. A call
        # that is taken up may seem to have lasted an hour: then the agent says so, and listens no more.
        name="clocks jump",
        lane="machines",
        seconds=(3, 8),
        apply=_clocks_jump,
        explains=2,
        excuses="^64102",
        deaf=15,
    ),
    ChaosFault(name="network: cut", lane="machines", seconds=(2, 3), apply=_cut, explains=4, deaf=0.1),
    ChaosFault(name="Twilio: 503", lane="outside", seconds=(3, 8), apply=_twilio(status=503)),
    ChaosFault(name="Twilio: slow", lane="outside", seconds=(3, 8), apply=_twilio(delay=3.0)),
    ChaosFault(name="Twilio: garbage", lane="outside", seconds=(3, 8), apply=_twilio(body="{not json")),
    ChaosFault(name="unsigned flood", lane="outside", seconds=(3, 8), apply=_unsigned),
    ChaosFault(name="hostile frames", lane="outside", seconds=(3, 8), apply=_hostile),
]
"""All of them."""

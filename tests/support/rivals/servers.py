"""The servers that are compared: how each is started, and where it takes calls."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Final

import aiohttp

from support.rivals.cores import Cores, pin
from support.rivals.installation import (
    FLOOR,
    ROOT,
    TAC,
    TAC_ENVIRONMENT,
    installed_megabytes,
    our_megabytes,
    site_packages,
    tac_python,
)
from support.rivals.scenarios import Reply
from voice_app.sandbox.load.meter import LoadMeter
from voice_app.sandbox.load.target import LoadError, LoadTarget, ServerProcesses, new_call_sid
from voice_app.sandbox.network import Network, WebhookError
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, SANDBOX_DOMAIN

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.01
_FOREIGN: Final = ("VOICE_", "TWILIO_", "OPENAI_", "TAC_", "PYTHON")
"""Settings of this machine, which are not the servers'."""
_APPS: Final = Path(__file__).parent / "apps"
_ORIGIN: Final = f"https://{SANDBOX_DOMAIN}"
NUMBER: Final = "+15550100001"


@dataclass(slots=True, frozen=True)
class Surroundings:
    """What stands around a server: Twilio's APIs and the model, and the cores of each."""

    twilio_base_url: str
    model_base_url: str
    """Empty where no model is asked."""
    model: ServerProcesses | None
    cores: Cores


@dataclass(slots=True, frozen=True)
class Start:
    """A process to be started."""

    command: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True, kw_only=True)
class Contestant:
    """A server of one kind. ``start`` gets a port, what is to be said, and the surroundings."""

    key: str
    title: str
    webhook: str
    checks_signatures: bool
    start: Callable[[int, Reply, Surroundings], Start]
    megabytes: Callable[[], float]
    """What an installation takes."""

    def target(self, port: int) -> LoadTarget:
        """Where it takes calls when it listens on a port."""
        network = Network(f"http://127.0.0.1:{port}", _ORIGIN, SANDBOX_AUTH_TOKEN)
        webhook = f"{_ORIGIN}{self.webhook}"
        return LoadTarget(network=network, webhook=webhook, account_sid=SANDBOX_ACCOUNT_SID, number=NUMBER)


def _ours(port: int, reply: Reply, around: Surroundings) -> Start:
    settings = {
        "PYTHONPATH": str(ROOT),
        "VOICE_APP_LOG_LEVEL": "warning",
        "VOICE_APP_MAX_LAG_MS": "0",  # a machine under load is late, and nobody is to be turned away for it
        "VOICE_APP_SILENCE_SECONDS": "0",
        # Who has cut in thinks for a while: a reply that goes on meanwhile would count as stale words.
        "VOICE_APP_CONTINUE_LINE": "",
        "VOICE_APP_TWILIO_BASE_URL": around.twilio_base_url,
    }
    if reply.by_model:
        agent = {
            "VOICE_APP_AGENT": "chat",
            "VOICE_APP_MODEL": "stub",
            "OPENAI_BASE_URL": around.model_base_url,
            "OPENAI_API_KEY": "none",
        }
    else:
        agent = {
            "VOICE_APP_AGENT": "voice_app.sandbox.load.agents:fixed_reply",
            "VOICE_BENCH_TOKENS": str(reply.words),
            "VOICE_BENCH_TOKEN_MS": str(reply.word_ms) if reply.word_ms >= 0 else "",
        }
    command = (sys.executable, "-m", "voice_app", "serve", "--port", str(port))
    return Start(command, settings | agent)


def _tac(port: int, reply: Reply, around: Surroundings) -> Start:
    how = (around.model_base_url,) if reply.by_model else (str(reply.words), str(reply.word_ms))
    settings = {
        "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
        "TWILIO_API_KEY": "SK" + "0" * 32,
        "TWILIO_API_SECRET": "none",
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_VOICE_PUBLIC_DOMAIN": SANDBOX_DOMAIN,
        "TAC_ANALYTICS_DISABLED": "true",
    }
    return Start((str(tac_python()), str(_APPS / "tac_app.py"), str(port), *how), settings)


def _floor(port: int, reply: Reply, around: Surroundings) -> Start:
    said = (str(reply.words), str(reply.first_ms), str(reply.word_ms))
    return Start((sys.executable, str(_APPS / "floor_app.py"), str(port), *said))


CONTESTANTS: Final = {
    contestant.key: contestant
    for contestant in (
        Contestant(
            key="ours",
            title="voice-app",
            webhook="/voice",
            checks_signatures=True,
            start=_ours,
            megabytes=cache(our_megabytes),
        ),
        Contestant(
            key="tac",
            title="TAC 2.5.0",
            webhook="/twiml",
            checks_signatures=True,
            start=_tac,
            megabytes=cache(lambda: installed_megabytes((TAC,), site_packages(TAC_ENVIRONMENT))),
        ),
        Contestant(
            key="floor",
            title="floor",
            webhook="/voice",
            checks_signatures=False,
            start=_floor,
            megabytes=cache(lambda: installed_megabytes(FLOOR)),
        ),
    )
}


@dataclass(slots=True, frozen=True)
class Running:
    """A server that takes calls."""

    contestant: Contestant
    target: LoadTarget
    meter: LoadMeter
    ready_seconds: float
    """From the start of its process to the answer to the first call."""
    ready_cpu_seconds: float


@asynccontextmanager
async def running(contestant: Contestant, reply: Reply, around: Surroundings) -> AsyncIterator[Running]:
    """Run a server while the block runs, in an empty folder. Raises `LoadError` if it takes no calls."""
    port = _free_port()
    start = contestant.start(port, reply, around)
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        began = perf_counter()
        with said.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *start.command,
                cwd=folder,
                env=_environment(start.settings),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for whoever started it
            )
        try:
            pin(process.pid, around.cores.server)
            target, processes = contestant.target(port), ServerProcesses((process.pid,))
            await _ready(target, process, said)
            yield Running(
                contestant,
                target,
                LoadMeter(processes, helpers=around.model if around.cores.model_shares else None),
                perf_counter() - began,
                processes.cpu_seconds(),
            )
        finally:
            await _stop(process)


async def _ready(target: LoadTarget, process: asyncio.subprocess.Process, said: Path) -> None:
    """Wait for the answer to a signed voice webhook."""
    async with aiohttp.ClientSession(trust_env=False) as http:
        failure = "nothing listened"
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while process.returncode is None:
                    try:
                        await target.network.post(http, target.webhook, target.form(new_call_sid()))
                    except WebhookError as error:
                        failure = str(error)
                        await asyncio.sleep(_POLL_SECONDS)
                    else:
                        return
    text = said.read_text("utf-8", "replace").strip()[-1500:]
    raise LoadError(f"no call was answered ({failure}). The server said: {text or 'nothing'}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    return {**kept, **settings}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Measures a server under load, one that runs or one that is started for it."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import typer

from voice_app.cli.bench_report import BenchReport
from voice_app.cli.child_processes import Child, child
from voice_app.sandbox.load.bench import LoadPlan, LoadTest
from voice_app.sandbox.load.target import (
    LoadTarget,
    ProcessError,
    ServerProcesses,
    listening,
    process_of,
)
from voice_app.sandbox.network import Network
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, SANDBOX_DOMAIN, Settings
from voice_app.twiml.vocabulary import VOCABULARY

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
STUB_TOKENS: Final = 20
MODEL_WORDS: Final = 30


@dataclass(slots=True, frozen=True, kw_only=True)
class LoadOrder:
    """What is to be measured."""

    talk: LoadPlan | None
    idle_calls: int
    webhooks: int


async def measure_running(settings: Settings, url: str, order: LoadOrder, pid: int | None) -> BenchReport:
    """Measure a server that runs already."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter(f"{url} is no URL; it should look like http://127.0.0.1:8000/voice")
    domain = settings.public_domain or (SANDBOX_DOMAIN if parts.hostname in LOOPBACK else parts.netloc)
    account = settings if settings.account_sid is not None else settings.sandboxed()
    server: ServerProcesses | ProcessError
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        server = process_of(pid) if pid is not None else listening(parts.hostname, port)
    except ProcessError as error:
        server = error
    base = f"{parts.scheme}://{parts.netloc}"
    webhook = parts._replace(scheme="https", netloc=domain).geturl()
    target = _target(account, Network(base, f"https://{domain}", account.signing_tokens[0]), webhook)
    return await _measure(target, server, order, BenchReport(server=base))


async def measure_started(
    order: LoadOrder, *, chat: bool, tokens: int | None, token_ms: float | None
) -> BenchReport:
    """Start a server as it ships, with the sandbox's account, and measure it."""
    starting = (
        _with_chat(tokens or MODEL_WORDS, token_ms) if chat else _with_stub(tokens or STUB_TOKENS, token_ms)
    )
    async with starting as server:
        account = Settings.model_construct().sandboxed()
        report = BenchReport(
            server="the agent chat and a stub model" if chat else "a stub agent",
            start_seconds=round(server.start_seconds, 3),
        )
        network = Network(server.base_url, account.origin, account.signing_tokens[0])
        target = _target(account, network, f"{account.origin}/voice")
        return await _measure(target, process_of(server.pid), order, report)


def _target(account: Settings, network: Network, webhook: str) -> LoadTarget:
    return LoadTarget(
        network=network,
        webhook=webhook,
        account_sid=account.account_sid or "",
        number=account.phone_number or "",
        vocabulary=VOCABULARY.allowing(account.allow_attributes, account.allow_elements),
    )


@asynccontextmanager
async def _with_stub(tokens: int, token_ms: float | None) -> AsyncIterator[Child]:
    stub = {
        "VOICE_BENCH_TOKENS": str(tokens),
        "VOICE_BENCH_TOKEN_MS": "" if token_ms is None else str(token_ms),
    }
    async with _serve(stub | {"VOICE_APP_AGENT": "voice_app.sandbox.load.agents:fixed_reply"}) as server:
        yield server


@asynccontextmanager
async def _with_chat(words: int, word_ms: float | None) -> AsyncIterator[Child]:
    async with child("voice_app.sandbox.load.model", str(words), str(word_ms or 0), settings={}) as model:
        chat = {
            "VOICE_APP_AGENT": "chat",
            "VOICE_APP_MODEL": "stub",
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "none",
        }
        async with _serve(chat) as server:
            yield server


@asynccontextmanager
async def _serve(settings: dict[str, str]) -> AsyncIterator[Child]:
    """A server in the sandbox. The double of Twilio's APIs is ours: its work is not the server's."""
    account = SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)
    async with serve(double_app(account)) as twilio_base_url:
        ours = {
            "VOICE_APP_LOG_LEVEL": "warning",
            "VOICE_APP_MAX_LAG_MS": "0",
            "VOICE_APP_SILENCE_SECONDS": "0",
            "VOICE_APP_TWILIO_BASE_URL": twilio_base_url,
        }
        async with child("voice_app", "serve", "--port", "0", settings=ours | settings) as server:
            yield server


async def _measure(
    target: LoadTarget, server: ServerProcesses | ProcessError, order: LoadOrder, report: BenchReport
) -> BenchReport:
    """Memory comes first: what has been freed once is used again, and no longer counts."""
    under_load = LoadTest(target, server)
    if order.idle_calls:
        report.idle = await under_load.idle(order.idle_calls)
    if order.talk is not None:
        report.talk = await under_load.talk(order.talk)
    if order.webhooks:
        report.webhooks = await under_load.webhooks(order.webhooks)
    return report


def allow_open_files() -> None:
    """Every call is a socket: take as many as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

"""Measures a server that runs or that is started for it, and prints the figures."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import typer
from rich.table import Table

from voice_app.cli.child_processes import Child, child
from voice_app.cli.output import console
from voice_app.sandbox.load.bench import LoadTest
from voice_app.sandbox.load.figures import IdleFigures, LatencyFigures, TalkFigures, WebhookFigures
from voice_app.sandbox.load.meter import LoadMeter
from voice_app.sandbox.load.open_calls import LoadPlan
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
            "VOICE_APP_CONTINUE_LINE": "",  # it would go on while a caller who has cut in still thinks
            "VOICE_APP_TWILIO_BASE_URL": twilio_base_url,
        }
        async with child("voice_app", "serve", "--port", "0", settings=ours | settings) as server:
            yield server


async def _measure(
    target: LoadTarget, server: ServerProcesses | ProcessError, order: LoadOrder, report: BenchReport
) -> BenchReport:
    """Memory comes first: what has been freed once is used again, and no longer counts."""
    under_load = LoadTest(target, LoadMeter(server))
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


# --- the report -----------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class BenchReport:
    """What was measured of one server. A part that was not asked for is `None`."""

    server: str
    start_seconds: float | None = None
    """From the start of its process until it listened; `None` if it ran already."""
    idle: IdleFigures | None = None
    talk: TalkFigures | None = None
    webhooks: WebhookFigures | None = None

    @property
    def misbehaved(self) -> bool:
        """Whether something came that must not come, or did not that must."""
        talk, webhooks = self.talk, self.webhooks
        failed = talk is not None and (talk.stale_words or talk.unanswered_turns or talk.wrong_replies)
        return bool(failed or (webhooks is not None and webhooks.refused))


def print_report(report: BenchReport) -> None:
    """The figures as a table: what, how much, and what that means."""
    table = Table(title=f"{report.server[0].upper()}{report.server[1:]} under load", title_justify="left")
    table.add_column("What")
    table.add_column("Figure", justify="right")
    table.add_column("How it was measured")
    if report.start_seconds is not None:
        table.add_row("start to ready", f"{report.start_seconds:.2f} s", "from its process to its port")
    if report.idle is not None:
        _add_idle(table, report.idle)
    if report.talk is not None:
        _add_talk(table, report.talk)
    if report.webhooks is not None:
        _add_webhooks(table, report.webhooks)
    console().print(table)


def _add_idle(table: Table, idle: IdleFigures) -> None:
    reason = idle.unknown.get("kib_per_call", "")
    note = f"resident memory with {idle.calls} silent calls, less that without them"
    table.add_row("memory per idle call", _number(idle.kib_per_call, "KiB", 1), reason or note)


def _add_talk(table: Table, talk: TalkFigures) -> None:
    unknown = talk.unknown
    table.add_section()
    turns = f"{talk.calls} calls, {talk.turns} turns in {talk.seconds:.1f} s"
    table.add_row("turns", f"{talk.turns_per_second:,.0f}/s", turns)
    _add_latency(
        table,
        "first token",
        talk.first_token,
        unknown.get("first_token", "from the prompt to the first words, less the agent's own delay"),
    )
    ticks = (
        f"user and system time, all threads; the clock's ticks are {talk.cpu_grain_ms_per_turn:.3f} ms a turn"
    )
    cpu = _number(talk.server_cpu_ms_per_turn, "ms", 3)
    table.add_row("server's CPU per turn", cpu, unknown.get("server_cpu_ms_per_turn", ticks))
    share = _number(talk.server_cpu_percent, "%", 0)
    table.add_row("server's CPU", share, unknown.get("server_cpu_percent", "of one core"))
    bottleneck = (
        "; the client was the bottleneck: trust the CPU per turn only" if talk.client_cpu_percent > 90 else ""
    )
    table.add_row("this client's CPU", f"{talk.client_cpu_percent:.0f} %", f"of one core{bottleneck}")
    memory = "resident memory before the first turn, less that without the calls (of a fresh server)"
    table.add_row(
        "memory per call", _number(talk.kib_per_call, "KiB", 1), unknown.get("kib_per_call", memory)
    )
    stale = (
        f"words after {talk.interrupts} interruptions had been heard of; "
        f"{talk.under_way_words} more were under way, and do not count"
    )
    table.add_row("stale", _number(talk.stale_words, "", 0), unknown.get("stale_words", stale))
    stop = "from an interruption to the last word that still came"
    _add_latency(table, "stop", talk.stop, unknown.get("stop", stop))
    ahead = "at an interruption: words that had come and no voice would have said by then (median)"
    table.add_row("words ahead", _number(talk.words_ahead, "", 0), unknown.get("words_ahead", ahead))
    table.add_row("unanswered", f"{talk.unanswered_turns:,}", "prompts without a complete reply")
    table.add_row("wrong", f"{talk.wrong_replies:,}", "replies that named another turn, or lacked words")


def _add_webhooks(table: Table, webhooks: WebhookFigures) -> None:
    unknown = webhooks.unknown
    table.add_section()
    how = f"{webhooks.requests:,} signed requests over {webhooks.connections} connections"
    table.add_row("voice webhooks", f"{webhooks.per_second:,.0f}/s", how)
    _add_latency(
        table, "answer", webhooks.answer, unknown.get("answer", "from the request to the whole TwiML")
    )
    ticks = f"the clock's ticks are {webhooks.cpu_grain_ms_per_webhook:.3f} ms a webhook"
    cpu = _number(webhooks.server_cpu_ms_per_webhook, "ms", 3)
    table.add_row("server's CPU per webhook", cpu, unknown.get("server_cpu_ms_per_webhook", ticks))
    table.add_row("this client's CPU", f"{webhooks.client_cpu_percent:.0f} %", "of one core")
    if webhooks.refused:
        statuses = ", ".join(f"{count} × {status}" for status, count in sorted(webhooks.refused.items()))
        table.add_row("refused", f"{sum(webhooks.refused.values()):,}", statuses)


def _add_latency(table: Table, what: str, latency: LatencyFigures | None, note: str) -> None:
    if latency is None:
        table.add_row(what, "unknown", note)
        return
    for name, value in (("p50", latency.p50_ms), ("p99", latency.p99_ms), ("max", latency.max_ms)):
        table.add_row(f"{what}, {name}", f"{value:.2f} ms", note)
        note = ""


def _number(value: float | None, unit: str, digits: int) -> str:
    return "unknown" if value is None else f"{value:,.{digits}f} {unit}".rstrip()

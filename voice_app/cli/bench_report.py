"""Prints what `bench` measured."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from voice_app.cli.output import console
from voice_app.sandbox.load.figures import IdleFigures, LatencyFigures, TalkFigures, WebhookFigures


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
        failed = talk is not None and (talk.stale_frames or talk.unanswered_turns)
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
        f"frames after {talk.interrupts} interruptions had been heard of; "
        f"{talk.under_way_frames} more were under way, and do not count"
    )
    table.add_row("stale", _number(talk.stale_frames, "", 0), unknown.get("stale_frames", stale))
    table.add_row("unanswered", f"{talk.unanswered_turns:,}", "prompts without a complete reply")


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

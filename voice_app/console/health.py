"""How the servers are: load, peers, the journal, and what the guard has found."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from voice_app.console.visitors import Visitor
from voice_app.findings import Finding, Severity
from voice_app.guard import Report
from voice_app.journal import Server
from voice_app.runtime import Services
from voice_app.settings import plain_address
from voice_app.telemetry import metrics

EXPOSITION_SECONDS: Final = 1.0
_GRAVEST: Final = list(Severity)


class Exposition:
    """What Prometheus reads. To write it takes milliseconds: it is done once a second, however many ask."""

    def __init__(self) -> None:
        self._written = b""
        self._written_at = -math.inf

    async def __call__(self, request: Request, visitor: Visitor) -> Response:
        if (now := time.monotonic()) - self._written_at >= EXPOSITION_SECONDS:
            metrics.TASKS.set(len(asyncio.all_tasks()))
            self._written, self._written_at = metrics.METRICS.exposition(), now
        return Response(self._written, media_type="text/plain; version=0.0.4")


class ServerStatus(msgspec.Struct, kw_only=True):
    """This server, and what it knows of the others."""

    version: str
    sandbox: bool
    server_id: str
    state: str
    """``ready``, ``full``, ``refusing`` or ``draining``."""
    reason: str
    """Why it takes no new calls; empty while it does."""
    calls: int
    """With the agent, or about to be."""
    parked: int
    """With people, a message or a queue, as far as this server served them."""
    max_calls: int
    """0: any number."""
    lag_ms: float
    """How late its event loop is as a rule."""
    longest_lag_ms: float
    """The longest stall of the last minute."""
    others: list[Server]
    """With what they have told within the last seconds."""
    journal: JournalStatus
    alarm: str
    """What the guard's alarm is about; empty while there is none."""
    verdict: str
    """``fine``, ``refused`` or ``unknown``; empty before the first look."""


class JournalStatus(msgspec.Struct, kw_only=True):
    """The journal, as this server writes it."""

    shared: bool
    """Several servers may write to it."""
    waiting: int
    """Entries that are not in the database yet."""
    lost: int
    """Entries that there was no room for."""
    outage: bool
    """The database takes nothing now."""


class FoundNow(msgspec.Struct, kw_only=True):
    """What the guard found when it looked last."""

    at: float | None
    """When, in seconds since the epoch; `None`: it has not looked yet."""
    verdict: str
    findings: list[Finding]
    """The gravest first."""


class OwnNumber(msgspec.Struct, kw_only=True):
    """A number of ours, and where it leads."""

    number: str
    agent: str
    answer: str
    """``agent`` or ``people``."""
    language: str | None
    configuration: str | None
    voice_url: str | None
    """What Twilio asks when a call comes in; `None`: it is not known. Empty: nothing is set."""
    application: str
    """The TwiML application that decides instead."""
    trunk: str
    """The SIP trunk that takes the calls."""
    here: bool | None
    """Whether calls come to this server's address; `None`: it is not known."""


def status(services: Services) -> ServerStatus:
    """How this server is now."""
    admission, journal, report = services.admission, services.journal, services.watch.report
    return ServerStatus(
        **msgspec.structs.asdict(admission.load),
        sandbox=services.settings.in_sandbox,
        server_id=journal.server_id,
        state=str(admission.state),
        others=services.peers.others,
        journal=JournalStatus(
            shared=journal.shared, waiting=journal.waiting, lost=journal.lost, outage=journal.outage
        ),
        alarm=services.watch.alarm,
        verdict="" if report is None else str(report.verdict),
    )


def found_now(report: Report | None) -> FoundNow:
    """What the guard has found, the gravest first."""
    if report is None:
        return FoundNow(at=None, verdict="", findings=[])
    graded = sorted(report.findings, key=lambda item: (_GRAVEST.index(item.severity), item.rule, item.where))
    return FoundNow(at=report.snapshot.at.timestamp(), verdict=str(report.verdict), findings=graded)


def numbers(services: Services) -> list[OwnNumber]:
    """The numbers that the settings name, and those of the account, as far as the guard has read them."""
    settings, report = services.settings, services.watch.report
    incoming = {} if report is None else {item.phone_number: item for item in report.snapshot.incoming or ()}
    named: Sequence[str] = tuple(filter(None, (settings.phone_number, *services.lines)))
    found = []
    for number in dict.fromkeys([*map(plain_address, named), *incoming]):
        line, at_twilio = services.line(number), incoming.get(number)
        url = None if at_twilio is None else at_twilio.voice_url
        found.append(
            OwnNumber(
                number=number,
                agent=line.agent,
                answer=line.answer,
                language=line.language,
                configuration=line.conversation_configuration,
                voice_url=url,
                application="" if at_twilio is None else at_twilio.voice_application_sid,
                trunk="" if at_twilio is None else at_twilio.trunk_sid,
                here=None if url is None else url.startswith(f"{settings.origin}/voice"),
            )
        )
    return found

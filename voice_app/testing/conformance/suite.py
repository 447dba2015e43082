"""Plays cases against a backend, and says how each of them went."""

from __future__ import annotations

import asyncio
import fnmatch
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from voice_app.testing.conformance import cases as _all_of_them  # noqa: F401 - they register themselves
from voice_app.testing.conformance.case import CASES, ConformanceCase, Grade, Need
from voice_app.testing.conformance.trial import SAY, BackendAddress, BackendError, Trial
from voice_app.testing.conformance.wire import BreachError, CasePatience, CaseSkippedError

REACH_SECONDS: Final = 5.0
CASE_SECONDS: Final = 60.0
"""How long a case may take, whatever it waits for."""


class CaseOutcome(StrEnum):
    """How a case went."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    WARN = "warn"
    """It does not hold, and nobody is certain that it has to."""
    SKIP = "skip"


@dataclass(slots=True, frozen=True, kw_only=True)
class CaseResult:
    """How one case went."""

    case: ConformanceCase
    outcome: CaseOutcome
    detail: str = ""
    """What was seen instead, or why it was not tried."""
    seconds: float = 0.0


@dataclass(slots=True, frozen=True)
class ConformanceReport:
    """How all of them went."""

    backend: str
    results: Sequence[CaseResult]

    @property
    def counts(self) -> Counter[CaseOutcome]:
        """How many went how."""
        return Counter(result.outcome for result in self.results)

    def fails(self, *, strict: bool = False) -> bool:
        """Whether the backend breaks a rule; with ``strict`` a warning counts too."""
        counts = self.counts
        return bool(counts[CaseOutcome.FAIL] or (strict and counts[CaseOutcome.WARN]))


@dataclass(slots=True, frozen=True, kw_only=True)
class Suite:
    """What is played, and how."""

    cases: Sequence[ConformanceCase] = field(default_factory=lambda: tuple(CASES.values()))
    say: str = SAY
    end_say: str = ""
    patience: CasePatience = field(default_factory=CasePatience)
    case_seconds: float = CASE_SECONDS
    parallel: int = 4
    """So many cases at once, each on a call of its own."""
    told: Callable[[CaseResult], None] = lambda result: None
    """Called with each result as it is there."""

    async def run(self, address: BackendAddress) -> ConformanceReport:
        """Play the cases. Raises `BackendError` if nothing listens there."""
        async with self._trial(address) as trial:
            await _reach(address.url)
            given = {
                Need.TOKEN: bool(address.auth_token) and address.checks_signatures,
                Need.WEBHOOK: address.is_webhook,
                Need.HANDOFF: bool(self.end_say),
            }
            free = asyncio.Semaphore(self.parallel)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._run(free, case, trial, given)) for case in self.cases]
        return ConformanceReport(address.url, [task.result() for task in tasks])

    @asynccontextmanager
    async def _trial(self, address: BackendAddress) -> AsyncIterator[Trial]:
        async with aiohttp.ClientSession(trust_env=False) as http:
            yield Trial(
                target=address.target(),
                http=http,
                socket_url=address.socket_url(),
                patience=self.patience,
                say=self.say,
                end_say=self.end_say,
            )

    async def _run(
        self, free: asyncio.Semaphore, case: ConformanceCase, trial: Trial, given: dict[Need, bool]
    ) -> CaseResult:
        async with free:
            missing = [need for need in Need if need in case.needs and not given[need]]
            if missing:
                result = CaseResult(case=case, outcome=CaseOutcome.SKIP, detail=f"needs {missing[0]}")
            else:
                result = await self._play(case, trial)
        self.told(result)
        return result

    async def _play(self, case: ConformanceCase, trial: Trial) -> CaseResult:
        began = perf_counter()
        broken = CaseOutcome.FAIL if case.grade is Grade.RULE else CaseOutcome.WARN
        outcome, detail = CaseOutcome.PASS, ""
        try:
            async with asyncio.timeout(self.case_seconds):
                await case.play(trial)
        except CaseSkippedError as why:
            outcome, detail = CaseOutcome.SKIP, str(why)
        except BreachError as seen:
            outcome, detail = broken, str(seen)
        except TimeoutError:
            outcome, detail = broken, f"it was not over after {self.case_seconds:g} s"
        return CaseResult(case=case, outcome=outcome, detail=detail, seconds=round(perf_counter() - began, 3))


def chosen(names: Iterable[str]) -> list[ConformanceCase]:
    """The cases of these names, which may have ``*`` in them; all of them for none.

    Raises:
        KeyError: there is no such case. Its argument is the name.
    """
    wanted = list(names)
    for name in wanted:
        if not fnmatch.filter(CASES, name):
            raise KeyError(name)
    return [
        case
        for case in CASES.values()
        if not wanted or any(fnmatch.fnmatch(case.name, name) for name in wanted)
    ]


async def _reach(url: str) -> None:
    """Raises `BackendError` if nothing listens at a URL."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    try:
        async with asyncio.timeout(REACH_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError) as error:
        why = str(error) or f"no answer within {REACH_SECONDS:g} s"
        raise BackendError(f"nothing listens at {parts.netloc}: {why}; start the backend first") from None
    writer.close()

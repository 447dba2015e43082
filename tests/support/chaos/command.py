"""Two servers on PostgreSQL behind nginx, many callers, and faults by a seed: what became of the promises.

    scripts/chaos --minutes 10 --seed 7 --callers 100

Exit code 0: every promise was kept. 1: one was not. 2: the machine lacks something.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, Final, get_args

import aiohttp
import uvloop

from support.chaos.caller import ChaosCaller
from support.chaos.faults import FAULTS, Lane, Strike, plan
from support.chaos.proofs import Proof, all_proofs, grown, questions
from support.chaos.story import ChaosRun, FaultWindow, JournalRow
from support.chaos.world import PACE, World, world
from voice_app.cli.child_processes import ChildError
from voice_app.cli.fleet_servers import stop_on_sigterm
from voice_app.journal import Entry, Journal
from voice_app.journal.entries import kind
from voice_app.journal.events import Connected, Disconnected, Heard, Prompted
from voice_app.sandbox.phone import Phone

TELL_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 60.0
"""How long the servers may take to write down what is left, once all calls are over."""
CALM_SECONDS: Final = 2.0
"""The least time between two faults of a lane."""
BREACHES_SHOWN: Final = 10


class Chaos:
    """One run."""

    def __init__(self, here: World, strikes: list[Strike], callers: int, seconds: float) -> None:
        self._here = here
        self._run = here.run
        self._strikes = strikes
        self._callers = callers
        self._numbers = count(1)
        self._hurry = asyncio.Event()
        self._began = monotonic()
        self._until = self._began + seconds
        self._in_force: list[str] = []
        self._lanes = {lane: asyncio.Lock() for lane in get_args(Lane)}

    async def go(self) -> None:
        """Have everybody call, and everything go wrong; then read what is left of it."""
        here = self._here
        await here.sample()
        async with asyncio.TaskGroup() as watching:
            watchers = (here.keep_sampling(), here.measure_ourselves(), self._tell())
            tasks = [watching.create_task(watcher) for watcher in watchers]
            async with here.fleet.phone(here.network, words_per_second=PACE) as phone:
                await self._call_and_strike(phone)
            self._say("all calls are over")
            await self._settle()
            for task in tasks:
                task.cancel()
        self._run.seconds = monotonic() - self._began
        await self._read_journal()

    async def _call_and_strike(self, phone: Phone) -> None:
        origin = self._here.fleet.account.origin
        async with asyncio.TaskGroup() as calling:
            for _ in range(self._callers):
                calling.create_task(self._keep_calling(phone, origin))
            async with asyncio.TaskGroup() as striking:
                for strike in self._strikes:
                    striking.create_task(self._strike(strike))
                await asyncio.sleep(self._until - monotonic())
            self._hurry.set()

    async def _keep_calling(self, phone: Phone, origin: str) -> None:
        here = self._here
        await asyncio.sleep(here.dice.uniform(0, 3))  # not all at the same moment
        while not self._hurry.is_set():
            caller = ChaosCaller(next(self._numbers), self._run.seed, self._hurry)
            here.callers.append(caller)
            await caller.run(phone, origin)
            here.callers.remove(caller)
            self._run.calls.append(caller.story)

    async def _strike(self, strike: Strike) -> None:
        fault = strike.fault
        await asyncio.sleep(self._began + strike.at - monotonic())
        async with self._lanes[fault.lane]:
            began = monotonic()
            if began > self._until:
                return  # the one before it took longer than planned: a process starts when it starts
            self._in_force.append(fault.name)
            try:
                await fault.apply(self._here, strike.seconds)
            finally:
                self._in_force.remove(fault.name)
                same = {name: getattr(fault, name) for name in ("excuses", "deaf", "blind", "kills")}
                window = FaultWindow(fault.name, began, monotonic(), fault.explains, **same)
                self._run.faults.append(window)
            await asyncio.sleep(CALM_SECONDS)

    async def _settle(self) -> None:
        """Wait until no session is open and the database has everything."""
        until = monotonic() + SETTLE_SECONDS
        for server in self._here.fleet.servers:
            while monotonic() < until:
                with suppress(aiohttp.ClientError, TimeoutError):
                    names = (
                        "voice_app_sessions_open",
                        "voice_app_journal_waiting",
                        "voice_app_journal_spooled",
                    )
                    if not any([await self._here.metric(server, name) for name in names]):
                        break
                await asyncio.sleep(0.2)
        await self._here.model.hang_up()
        until = monotonic() + SETTLE_SECONDS  # connections of a pool are let go after a while
        while True:
            await asyncio.sleep(3)
            await self._here.sample()
            if monotonic() > until or not any(grown(self._run.samples)):
                break

    async def _read_journal(self) -> None:
        """Everything that was kept of these calls."""
        async with Journal(self._here.database_url, create=False) as journal:
            for story in self._run.calls:
                entries = await journal.events(story.call_sid)
                self._run.journal[story.call_sid] = [*map(_row, entries)]

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            calls = len(self._run.calls)
            self._say(
                f"{len(self._here.callers)} calls, {calls} over, {questions(self._run)} questions; "
                f"{', '.join(self._in_force) or 'calm'}"
            )

    def _say(self, text: str) -> None:
        print(f"{monotonic() - self._began:6.0f} s  {text}", flush=True)  # noqa: T201


def _row(entry: Entry) -> JournalRow:
    name = kind(entry.event)
    match entry.event:
        case Prompted(text=text):
            return JournalRow(entry.id, name, text)
        case Connected(session_id=session) | Disconnected(session_id=session):
            return JournalRow(entry.id, name, once=f"{name} {session}")
        case Heard(session_id=session, reply=reply):
            return JournalRow(entry.id, name, once=f"{name} {reply} {session}")
        case _:
            return JournalRow(entry.id, name)


async def chaos(seed: int, seconds: float, callers: int, keep: Path | None = None) -> ChaosRun:
    """A run from its beginning to its end. ``keep`` gets the logs. Raises `ChildError`."""
    run = ChaosRun(seed)
    async with world(run) as here:
        faults = [fault for fault in FAULTS if fault.name not in run.skipped]
        try:
            await Chaos(here, plan(seed, seconds, faults), callers, seconds).go()
        finally:
            if keep is not None:
                for log in here.folder.glob("*/errors"):
                    shutil.copy(log, keep / f"{log.parent.name}.log")
    return run


def table(run: ChaosRun, proofs: list[Proof]) -> str:
    """What is printed at the end."""
    struck: dict[str, list[float]] = {}
    for fault in run.faults:
        struck.setdefault(fault.fault, []).append(fault.ended - fault.began)
    lines = [
        f"Seed {run.seed}, {run.seconds:.0f} s, {len(run.calls)} calls, {questions(run)} questions",
        "",
        f"{'fault':<24}{'times':>6}{'seconds':>10}",
        *(f"{name:<24}{len(times):>6}{sum(times):>10.1f}" for name, times in sorted(struck.items())),
        *(f"{name:<24}  left out: {why}" for name, why in sorted(run.skipped.items())),
        "",
        f"{'promise':<50}{'seen':<28}{'broken':>6}",
    ]
    for proof in proofs:
        lines.append(f"{proof.promise:<50}{proof.seen:<28}{len(proof.breaches) or 'never':>6}")
        lines += [f"    {breach}" for breach in proof.breaches[:BREACHES_SHOWN]]
    broken = any(proof.breaches for proof in proofs)
    lines += ["", f"Again: scripts/chaos --seed {run.seed}" if broken else "Every promise was kept."]
    return "\n".join(lines)


def figures(run: ChaosRun, proofs: list[Proof]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "seed": run.seed,
        "seconds": round(run.seconds, 1),
        "calls": len(run.calls),
        "questions": questions(run),
        "proofs": [asdict(proof) for proof in proofs],
        "faults": [asdict(fault) for fault in run.faults],
        "samples": [asdict(sample) for sample in run.samples],
        "calls in question": [
            asdict(story) | {"journal": [asdict(row) for row in run.journal.get(story.call_sid, [])]}
            for story in run.calls
            if any(story.call_sid in breach for proof in proofs for breach in proof.breaches)
        ],
        "skipped": run.skipped,
    }


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long faults come")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10_000), help="what makes the plan of faults"
    )
    parser.add_argument("--callers", type=int, default=100, help="calls at once")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--keep", type=Path, help="folder that gets what servers and nginx have logged")
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run = runner.run(_run(asked.seed, asked.minutes * 60, asked.callers, asked.keep))
    except ChildError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    proofs = all_proofs(run)
    print(f"\n{table(run, proofs)}")  # noqa: T201
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures(run, proofs), indent=1))
    return int(any(proof.breaches for proof in proofs))


async def _run(seed: int, seconds: float, callers: int, keep: Path | None) -> ChaosRun:
    stop_on_sigterm()
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    return await chaos(seed, seconds, callers, keep)


if __name__ == "__main__":
    sys.exit(main())

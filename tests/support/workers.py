"""Runs the tests in several processes: ``pytest --workers 4``. Each is a copy of the one that collected them.

Workers that begin from nothing would each spend as much on importing and collecting everything as on half a
minute of tests, and in a fresh clone on compiling it. What is started for tests (PostgreSQL, a browser) is a
worker's own; what they report is shown, counted and kept as if there were one process.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Final

import pytest

_SHARE: Final = 12
"""Tests of one module that a worker takes at once, at most."""
_NUMBER: Final = 2
"""Bytes of a share's number."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--workers", type=int, default=1, help="how many processes run the tests")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Where more workers than one are wanted, they run the tests; else, or to complain, pytest does."""
    options = session.config.option
    by_itself = options.workers < 2 or options.collectonly or options.usepdb
    if by_itself or session.testsfailed or not session.items:
        return None
    _Run(session).run(options.workers)
    return True


@dataclass
class _Worker:
    """One process, as the one that has started it sees it."""

    pid: int
    reports: Connection
    running: pytest.Item | None = None
    """The test that it has begun."""
    said: str = ""
    """Why it has ended before its time."""


@dataclass
class _Run:
    """All the tests of a session, dealt out."""

    session: pytest.Session
    workers: list[_Worker] = field(default_factory=list)
    finished: int = 0

    def run(self, count: int) -> None:
        """Run every test. Raises `Session.Failed` where that ends early, or some were not run."""
        # A pipe is the queue: what is read of it is one worker's, and nobody else's.
        shares, (queue, numbers) = _shares(self.session.items), os.pipe()
        os.write(numbers, b"".join(number.to_bytes(_NUMBER, "big") for number in range(len(shares))))
        os.close(numbers)
        sys.stdout.flush()
        sys.stderr.flush()
        folders: Any = self.session.config._tmp_path_factory  # type: ignore[attr-defined]
        base = folders.getbasetemp()
        for number in range(count):
            ours, theirs = Pipe(duplex=False)
            if (pid := os.fork()) == 0:
                folders._basetemp = base / f"worker-{number}"
                folders._basetemp.mkdir(mode=0o700)
                _work(self.session, shares, queue, theirs)
            theirs.close()
            self.workers.append(_Worker(pid, ours))
        try:
            self._follow(queue)
        finally:
            os.close(queue)
            for worker in self.workers:
                os.waitpid(worker.pid, 0)
        if not self.session.shouldfail and (left := len(self.session.items) - self.finished):
            self.session.shouldfail = f"{left} of the tests were not run to their end"
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)

    def _follow(self, queue: int) -> None:
        """Tell pytest what the workers tell, until all have ended."""
        talking = {worker.reports: worker for worker in self.workers}
        while talking:
            for reports in wait(list(talking)):
                worker = talking[reports]  # type: ignore[index]
                try:
                    self._hear(worker, *worker.reports.recv())
                except EOFError:
                    self._ended(talking.pop(worker.reports))
            if self.session.shouldfail:
                while os.read(queue, _NUMBER):  # what they have begun they finish
                    pass

    def _hear(self, worker: _Worker, kind: str, told: Any) -> None:
        hook = self.session.config.hook
        match kind:
            case "begins":
                worker.running = self.session.items[told]
            case "report":
                report = hook.pytest_report_from_serializable(config=self.session.config, data=told)
                hook.pytest_runtest_logreport(report=report)
            case "ends" if worker.running is not None:
                hook.pytest_runtest_logfinish(nodeid=worker.running.nodeid, location=worker.running.location)
                worker.running = None
                self.finished += 1
            case "broken":
                worker.said = told

    def _ended(self, worker: _Worker) -> None:
        """It is a failure of the test that it was in, if it was in one."""
        if worker.running is None and not worker.said:
            return
        item = worker.running or self.session.items[0]
        report = pytest.TestReport(
            item.nodeid,
            item.location,
            dict.fromkeys(item.keywords, 1),
            "failed",
            worker.said or f"The process that ran it ({worker.pid}) has died.",
            "call",
        )
        self.session.config.hook.pytest_runtest_logreport(report=report)


def _shares(items: Sequence[pytest.Item]) -> list[range]:
    """The numbers of tests that belong together."""
    found = []
    end = 0
    for _, module in groupby(items, key=lambda item: item.path):
        begin, end = end, end + len(list(module))
        found += [range(first, min(first + _SHARE, end)) for first in range(begin, end, _SHARE)]
    return found


# --- in a worker --------------------------------------------------------------------------------


class _Teller:
    """Hands on what comes of each test."""

    def __init__(self, config: pytest.Config, reports: Connection) -> None:
        self._config = config
        self._reports = reports

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._reports.send(("report", data))


def _work(session: pytest.Session, shares: list[range], queue: int, reports: Connection) -> None:
    """What a worker does, to the end of its process."""
    code = 0
    try:
        _be_quiet(session.config)
        session.config.pluginmanager.register(_Teller(session.config, reports))
        _run_items(session, _taken(shares, queue), reports)
        if "coverage" in sys.modules and (measured := sys.modules["coverage"].Coverage.current()):
            measured.stop()
            measured.save()
    except KeyboardInterrupt:
        code = 2
    except BaseException:
        code = 3
        reports.send(("broken", traceback.format_exc()))
    finally:
        reports.close()
        os._exit(code)


def _be_quiet(config: pytest.Config) -> None:
    """Show nothing, and capture output in files of its own."""
    plugins = config.pluginmanager
    plugins.unregister(name="terminalreporter")
    capturing: Any = plugins.getplugin("capturemanager")
    capturing.read_global_capture()
    capturing.stop_global_capturing()
    capturing.start_global_capturing()
    capturing.suspend_global_capture()


def _taken(shares: list[range], queue: int) -> Iterator[int]:
    while number := os.read(queue, _NUMBER):
        yield from shares[int.from_bytes(number, "big")]


def _run_items(session: pytest.Session, numbers: Iterator[int], reports: Connection) -> None:
    number = next(numbers, None)
    try:
        while number is not None and not (session.shouldfail or session.shouldstop):
            following = next(numbers, None)
            reports.send(("begins", number))
            nextitem = None if following is None else session.items[following]
            session.config.hook.pytest_runtest_protocol(item=session.items[number], nextitem=nextitem)
            reports.send(("ends", number))
            number = following
    finally:
        session._setupstate.teardown_exact(None)

"""What a server on this machine costs, as the kernel counts it: its CPU time and its memory.

Source: proc(5). Works on Linux only; where a figure cannot be had, `ProcessError` says why.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
LISTENING: Final = "0A"
"""The state of a listening socket in ``/proc/net/tcp``."""


class ProcessError(Exception):
    """The processes cannot be found or measured. The text says why, and what to do."""


@dataclass(slots=True, frozen=True)
class Processes:
    """The processes of one server: its figures are those of all of them together."""

    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """User and system time of every thread so far. The kernel counts in ticks: see `tick_seconds`.

        Raises `ProcessError` if a process is gone.
        """
        return sum(self._ticks(pid) for pid in self.pids) * tick_seconds()

    def resident_kib(self) -> float:
        """Resident memory in KiB. Raises `ProcessError` if a process is gone."""
        page = os.sysconf("SC_PAGE_SIZE") / 1024
        return sum(int(self._read(pid, "statm").split()[1]) for pid in self.pids) * page

    def _ticks(self, pid: int) -> int:
        # The name, in parentheses, may hold spaces; what follows it begins with field 3.
        fields = self._read(pid, "stat").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def _read(self, pid: int, name: str) -> str:
        try:
            return (PROC / str(pid) / name).read_text()
        except OSError as error:
            raise ProcessError(f"process {pid} cannot be measured: {error.strerror}") from None


def tick_seconds() -> float:
    """The grain of `Processes.cpu_seconds`: 0.01 on every usual kernel."""
    return 1 / os.sysconf("SC_CLK_TCK")


def named(pid: int) -> Processes:
    """The process with this id. Raises `ProcessError`."""
    found = Processes((pid,))
    found.cpu_seconds()
    return found


def listening(host: str, port: int) -> Processes:
    """The processes that listen on a port of this machine. Raises `ProcessError`.

    Of a server with several workers all are found, as all of them hold the listening socket.
    """
    if not _is_local(host):
        raise ProcessError(f"{host} is another machine: only a server on this one can be measured")
    if not (PROC / "net/tcp").exists():
        raise ProcessError("there is no /proc/net/tcp: this can be measured on Linux only")
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    if not sockets:
        raise ProcessError(f"no process on this machine listens on port {port}; name it with --pid")
    pids = tuple(sorted(pid for pid in _pids() if not sockets.isdisjoint(_open_files(pid))))
    if not pids:
        raise ProcessError(f"who listens on port {port} is not ours to see; name the process with --pid")
    return Processes(pids)


def _is_local(host: str) -> bool:
    """Whether an address is one of this machine: only those can be bound."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def _listeners(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on a port, over IPv4 and IPv6."""
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (PROC / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _open_files(pid: int) -> Iterator[str]:
    """What a process has open; nothing if that is not ours to see."""
    with suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                yield str(entry.readlink())

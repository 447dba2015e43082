"""The server under load: where calls go to, and the processes whose CPU time and memory are measured."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

from voice_app.sandbox.network import Network
from voice_app.twiml.vocabulary import VOCABULARY, Vocabulary


class LoadError(Exception):
    """The server cannot be put under load. The text says what it did, and what to do."""


def new_call_sid() -> str:
    """A CallSid that no other call has."""
    return "CA" + secrets.token_hex(16)


@dataclass(slots=True, frozen=True, kw_only=True)
class LoadTarget:
    """A voice webhook of a server, and the account whose calls it takes."""

    network: Network
    webhook: str
    """The webhook's public URL, e.g. ``https://voice.example.com/voice``."""
    account_sid: str
    number: str = "+15550100001"
    caller: str = "+15550199999"
    vocabulary: Vocabulary = VOCABULARY
    """What the answers to calls may have in them."""

    def form(self, call_sid: str, status: str = "ringing") -> dict[str, str]:
        """The fields of a voice webhook, with the geography that Twilio adds to them."""
        places = {
            f"{who}{what}": value
            for who in ("From", "Caller", "To", "Called")
            for what, value in (("City", "SPRINGFIELD"), ("State", "OR"), ("Zip", "97477"), ("Country", "US"))
        }
        return {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": call_sid,
            "CallStatus": status,
            "CallerName": "",
            "Direction": "inbound",
            "From": self.caller,
            "Caller": self.caller,
            "To": self.number,
            "Called": self.number,
            **places,
        }


class ProcessError(Exception):
    """The processes cannot be found or measured. The text says why, and what to do."""


@dataclass(slots=True, frozen=True)
class ServerProcesses:
    """The processes of one server: its figures are those of all of them together."""

    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """User and system time of every thread so far. The kernel counts in ticks: see `tick_seconds`.

        Raises:
            ProcessError: a process is gone, or not ours to see.
        """
        return sum(sum(process.cpu_times()[:2]) for process in self._open())

    def resident_kib(self) -> float:
        """Resident memory in KiB.

        Raises:
            ProcessError: a process is gone, or not ours to see.
        """
        return sum(process.memory_info().rss for process in self._open()) / 1024

    def _open(self) -> Iterator[psutil.Process]:
        for pid in self.pids:
            try:
                yield psutil.Process(pid)
            except psutil.Error as error:
                raise ProcessError(f"process {pid} cannot be measured: {error}") from None


def tick_seconds() -> float:
    """The resolution of `ServerProcesses.cpu_seconds`: 0.01 on every usual kernel."""
    return 1 / os.sysconf("SC_CLK_TCK")


def process_of(pid: int) -> ServerProcesses:
    """The process with this id. Raises `ProcessError`."""
    found = ServerProcesses((pid,))
    found.cpu_seconds()
    return found


def listening(host: str, port: int) -> ServerProcesses:
    """The processes that listen on a port of this machine. Raises `ProcessError`.

    Of a server with several workers all are found, as all of them hold the listening socket.
    """
    if not _is_local(host):
        raise ProcessError(f"{host} is another machine: only a server on this one can be measured")
    pids = tuple(sorted(process.pid for process in psutil.process_iter() if listens(process, port)))
    if not pids:
        raise ProcessError(f"no process that we may see listens on port {port}; name it with --pid")
    return ServerProcesses(pids)


def _is_local(host: str) -> bool:
    """Whether an address is one of this machine: only those can be bound."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def listens(process: psutil.Process, port: int) -> bool:
    """Whether a process listens on a port, as far as we may see."""
    with suppress(psutil.Error):  # gone meanwhile, or somebody else's
        connections = process.net_connections("tcp")
        return any(item.status == psutil.CONN_LISTEN and item.laddr.port == port for item in connections)
    return False

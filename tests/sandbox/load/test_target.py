"""What the kernel knows of a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from voice_app.sandbox.load.target import ProcessError, listening, process_of, tick_seconds


def test_the_process_that_listens_on_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert os.getpid() in listening("127.0.0.1", listener.getsockname()[1]).pids


def test_it_is_found_over_ipv6_too() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        assert os.getpid() in listening("127.0.0.1", listener.getsockname()[1]).pids


def test_a_port_on_which_nobody_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProcessError, match=f"listens on port {port}; name it with --pid"):
        listening("127.0.0.1", port)


def test_another_machine_is_told() -> None:
    with pytest.raises(ProcessError, match="another machine"):
        listening("192.0.2.1", 80)


def test_work_costs_time_and_memory() -> None:
    process = process_of(os.getpid())
    before = process.cpu_seconds()
    while process.cpu_seconds() < before + 2 * tick_seconds():
        pass
    assert process.resident_kib() > 1024


def test_a_process_that_is_gone_is_told() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(ProcessError, match=f"process {gone.pid} cannot be measured"):
        process_of(gone.pid)

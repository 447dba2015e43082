"""Time that is skipped: only where nothing real is waited for, and seen by one thread alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from voice_app.testing.virtual_time import STEP_SECONDS, VirtualLoop

T = TypeVar("T")


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run something on a loop of its own; gives what it gives."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))


def test_an_hour_passes_at_once_and_deadlines_keep_their_order() -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        order: list[str] = []
        loop.call_later(1800, order.append, "half an hour")
        loop.call_later(7200, order.append, "two hours")
        with loop.hurrying():
            await asyncio.sleep(3600)
        assert loop.skipped > 3590
        return order

    assert run(main) == ["half an hour"]


def test_time_is_real_where_nobody_hurries() -> None:
    async def main(loop: VirtualLoop) -> float:
        await asyncio.sleep(0.01)
        return loop.skipped

    assert run(main) == 0


def test_the_clock_of_the_thread_goes_with_it_and_that_of_others_does_not() -> None:
    async def main(loop: VirtualLoop) -> None:
        elsewhere: list[float] = []
        before, real = time.monotonic(), time.perf_counter()
        with loop.hurrying():
            await asyncio.sleep(3600)
        thread = threading.Thread(target=lambda: elsewhere.append(time.monotonic()))
        thread.start()
        thread.join()
        assert time.monotonic() - before >= 3600
        assert elsewhere[0] - before <= time.perf_counter() - real + STEP_SECONDS

    unpatched = time.monotonic
    run(main)
    assert time.monotonic is unpatched


def test_work_in_a_thread_is_waited_for_without_skipping() -> None:
    async def main(loop: VirtualLoop) -> float:
        done = threading.Event()
        with loop.hurrying():
            working = asyncio.create_task(asyncio.to_thread(done.wait))
            await asyncio.sleep(0)
            await asyncio.sleep(0.02)
            skipped = loop.skipped
            done.set()
            await working
        return skipped

    assert run(main) == 0


def test_to_sleep_in_a_thread_takes_time_of_the_loop_whoever_began_the_thread() -> None:
    async def main(loop: VirtualLoop) -> float:
        over = asyncio.Event()

        def nap() -> None:
            loop.sleep_in_thread(3600)
            loop.call_soon_threadsafe(over.set)

        with loop.hurrying():
            await loop.run_in_executor(None, loop.sleep_in_thread, 3600)
            thread = threading.Thread(target=nap)
            thread.start()
            await over.wait()
        thread.join()
        return loop.skipped

    assert run(main) >= 7000


def test_packets_within_the_process_are_quicker_than_any_deadline() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def main(loop: VirtualLoop) -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            with loop.hurrying():
                for number in range(200):
                    writer.write(b"%d\n" % number)
                    async with asyncio.timeout(1):
                        assert await reader.readline() == b"%d\n" % number
            writer.close()
            await writer.wait_closed()

    run(main)


def test_a_connection_out_of_the_process_stops_the_skipping() -> None:
    def main_of(address: tuple[str, int]) -> Callable[[VirtualLoop], Coroutine[Any, Any, float]]:
        async def main(loop: VirtualLoop) -> float:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hello\n")
            with loop.hurrying():
                async with asyncio.timeout(20):
                    assert await reader.readline() == b"hello\n"
            writer.close()
            await writer.wait_closed()
            return loop.skipped

        return main

    stranger = socketserver_echo()
    try:
        assert run(main_of(stranger.getsockname())) == 0
    finally:
        stranger.close()


def socketserver_echo() -> Any:
    """A listener in a thread, whose answer takes a moment: what it accepts is on no loop."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            line = connection.recv(100)
            threading.Event().wait(0.05)
            connection.sendall(line)

    threading.Thread(target=answer, daemon=True).start()
    return listener

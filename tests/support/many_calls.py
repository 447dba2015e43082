"""Fills a journal with many calls, as a server would have written them.

PYTHONPATH=tests .venv/bin/python -m support.many_calls sqlite:///many.db 1000000
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Final

from voice_app.journal import Entry
from voice_app.journal import events as ev
from voice_app.journal.events import Event
from voice_app.journal.store import Store

OURS: Final = "+15550100009"
FIRST: Final = 1_700_000_000.0
"""When the first call was opened, in seconds since the epoch; one follows every `PAUSE` seconds."""
PAUSE: Final = 10.0
RARE: Final = 5
"""Of whatever is rare there is so much: among the oldest calls."""
_AT_ONCE: Final = 2_000


def caller(number: int) -> str:
    return f"+1555{number:07}"


def happened(number: int, newest: int) -> Iterator[Event]:
    """What happened on one call. The last `RARE` go on."""
    rare = number < RARE
    yield ev.Opened(caller(number % 1000), OURS, "inbound")
    yield ev.AgentAssigned("receptionist", "0123456789ab")
    yield ev.Prompted("Hello, I am looking for a zebra." if rare else f"Hello, it is about order {number}.")
    yield ev.Replied(
        1, "VX1", "We are open from nine to five.", True, 100.0 + number % 400, 900.0, ends_turn=True
    )
    if number % 10 == 0:
        yield ev.HandedOff("requested", "billing" if number % 20 else "angry")
    if number % 100 == 0:
        yield ev.Voicemail("RE1")
    if rare:
        yield ev.Alerted("11200")
    if number < newest - RARE:
        yield ev.Closed("completed", 60.0)


def fill(store: Store, calls: int) -> None:
    """Write so many calls, the oldest first."""
    entries: list[Entry] = []
    for number in range(calls):
        at = FIRST + number * PAUSE
        for place, event in enumerate(happened(number, calls)):
            entries.append(Entry(_id(at, number, place), at + place, f"CA{number:032x}", event))
        if number % _AT_ONCE == _AT_ONCE - 1 or number == calls - 1:
            store.append(entries)
            entries.clear()


def _id(at: float, number: int, place: int) -> str:
    milliseconds = int((at + place) * 1000)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{place:03x}-8000-{number:012x}"


def main() -> None:
    url, calls = sys.argv[1], int(sys.argv[2])
    store, began = Store(url), time.monotonic()
    store.create()
    fill(store, calls)
    store.close()
    print(f"{calls} calls in {time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()

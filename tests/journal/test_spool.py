from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.preloaded import program
from support.tools import unavailable
from voice_app.journal import Entry
from voice_app.journal.events import Event, Prompted, Replied, Transcribed, UnknownEvent
from voice_app.journal.spool import Spool, SpoolError

DATABASE = "postgresql://example/calls"
ROOM = 1 << 20


def entries(first: int, *events: Event | UnknownEvent, call_sid: str = "CA1") -> list[Entry]:
    return [Entry(f"{first + number:06}", 1.5, call_sid, event) for number, event in enumerate(events)]


def prompts(first: int, count: int, size: int = 3) -> list[Entry]:
    return entries(first, *(Prompted(f"{first + number:0{size}}") for number in range(count)))


def drained(spool: Spool) -> list[Entry]:
    found: list[Entry] = []
    while batch := spool.head():
        found += batch
        spool.advance()
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "spool"


def begin(root: Path, capacity: int = ROOM) -> Spool:
    return Spool.begin(root, DATABASE, capacity)


def left_behind(root: Path) -> list[Spool]:
    return Spool.left_behind(root, DATABASE)


def segments(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.log"))


def test_entries_come_out_as_they_went_in(root: Path) -> None:
    spool = begin(root)
    written = [
        Entry("1", 2.25, "CA1", Prompted("Grüße 👋"), "a key"),
        Entry("2", 3.0, "CA2", Replied(3, "VX1", "Hello", True, 1.5)),
        Entry("3", 4.0, "CA1", UnknownEvent("from-tomorrow", '{"kind":"from-tomorrow","x":[1]}')),
    ]
    spool.append(written[:2])
    spool.append(written[2:])
    assert len(spool) == 3
    assert drained(spool) == written
    assert (len(spool), spool.size) == (0, 0)


def test_half_of_a_character_does_not_stop_the_rest(root: Path) -> None:
    spool = begin(root)
    spool.append(entries(0, Prompted("a\ud83d"), Prompted("b")))
    assert [entry.event for entry in drained(spool)] == [Prompted("a?"), Prompted("b")]


def test_what_cannot_be_stored_is_lost_aloud_and_does_not_stop_the_rest(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = begin(root)
    spool.append(entries(0, Prompted("before"), Prompted(object()), Prompted("after")))  # type: ignore[arg-type]
    spool.append(entries(9, Prompted(object())))  # type: ignore[arg-type]
    assert [entry.event for entry in drained(spool)] == [Prompted("before"), Prompted("after")]
    assert spool.lost == 2
    assert "event of call CA1 cannot be stored" in caplog.text


def test_what_is_appended_while_the_head_is_on_its_way_comes_after_it(root: Path) -> None:
    spool = begin(root)
    spool.append(prompts(0, 2))
    head = spool.head()
    spool.append(prompts(2, 2))
    assert [entry.id for entry in head] == ["000000", "000001"]
    assert spool.head() == head
    spool.advance()
    assert drained(spool) == prompts(2, 2)


def test_an_empty_spool_leaves_no_trace(root: Path) -> None:
    spool = begin(root)
    spool.append(prompts(0, 1))
    drained(spool)
    spool.close()
    spool.close()
    assert not root.exists()


def test_it_can_only_be_read_by_its_owner(root: Path) -> None:
    spool = begin(root)
    spool.append(prompts(0, 1))
    assert spool.folder.stat().st_mode & 0o077 == 0
    assert segments(root)[0].stat().st_mode & 0o077 == 0


def test_what_a_process_leaves_is_for_the_next_one(root: Path) -> None:
    first = begin(root)
    first.append(prompts(0, 3))
    first.close()
    second = begin(root)
    second.append(prompts(3, 1))
    second.close()
    found = left_behind(root)
    assert [drained(spool) for spool in found] == [prompts(0, 3), prompts(3, 1)]
    for spool in found:
        spool.close()
    assert not root.exists()


def test_the_spool_of_a_process_that_lives_is_left_alone(root: Path) -> None:
    spool = begin(root)
    spool.append(prompts(0, 1))
    assert left_behind(root) == []
    spool.close()
    heir = left_behind(root)
    assert [len(spool) for spool in heir] == [1]
    assert left_behind(root) == []


def test_the_spool_of_another_database_is_left_alone(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = begin(root)
    spool.append(prompts(0, 1))
    spool.close()
    assert Spool.left_behind(root, "postgresql://example/other") == []
    assert f"it is for {DATABASE}" in caplog.text
    assert len(left_behind(root)) == 1


def test_where_there_is_no_folder_nothing_was_left_behind(root: Path) -> None:
    assert left_behind(root) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from voice_app.journal import Entry
from voice_app.journal.events import Prompted
from voice_app.journal.spool import Spool

spool = Spool.begin(Path(sys.argv[1]), sys.argv[2], 1 << 20)
spool.append([Entry(f"{number:06}", 1.5, "CA1", Prompted(f"{number:03}")) for number in range(50)])
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_process_that_is_killed_leaves_what_it_appended(root: Path) -> None:
    process = await program(KILLED, str(root), DATABASE)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    [spool] = left_behind(root)
    assert drained(spool) == prompts(0, 50)


def test_a_process_that_died_at_the_very_beginning_leaves_nothing_to_take_in(root: Path) -> None:
    (root / ".0193b2c4").mkdir(parents=True)
    (root / "0193b2c5").mkdir()
    assert left_behind(root) == []


@given(st.integers(0, 400), st.binary(max_size=12))
@settings(max_examples=60)
def test_a_torn_end_costs_the_torn_record_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    root = tmp_path_factory.mktemp("spool")
    spool = begin(root)
    spool.append(prompts(0, 5))
    spool.close()
    [segment] = segments(root)
    whole = segment.read_bytes()
    record = len(whole) // 5
    segment.write_bytes(whole[:cut] + junk if cut < len(whole) else whole + junk)
    [heir] = left_behind(root)
    assert len(heir) == min(cut // record, 5)
    assert drained(heir) == prompts(0, min(cut // record, 5))


def test_a_damaged_record_costs_no_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = begin(root)
    spool.append(prompts(0, 3))
    spool.close()
    [segment] = segments(root)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    [heir] = left_behind(root)
    assert [entry.id for entry in drained(heir)] == ["000000", "000002"]
    assert "are damaged" in caplog.text


def test_a_full_spool_spares_what_later_entries_repeat(root: Path) -> None:
    spool = begin(root, 128 << 10)
    said = entries(
        0,
        Prompted("first"),
        *(Replied(1, "VX1", "word " * number) for number in range(200)),
        Transcribed("GT1", 1, "caller", "not fin", final=False),
        Replied(1, "VX1", "all of it", done=True),
    )
    for start in range(0, len(said), 20):
        spool.append(said[start : start + 20])
    following = prompts(1000, 200, size=100)
    spool.append(following)
    kept = drained(spool)
    assert [kept[0], *kept[-201:]] == [said[0], said[-1], *following]
    assert spool.superseded == len(said) + len(following) - len(kept) > 0
    assert spool.lost == 0


def test_of_a_full_spool_everything_else_stays_and_the_newest_are_refused(root: Path) -> None:
    spool = begin(root, 8 << 10)
    kept: list[Entry] = []
    while spool.size < 7 << 10:
        kept += prompts(len(kept), 10)
        spool.append(kept[-10:])
    with pytest.raises(SpoolError, match=r"full.*VOICE_APP_SPOOL_MB"):
        spool.append(prompts(10_000, 100))
    assert spool.size <= 8 << 10
    head = spool.head()
    spool.advance()
    spool.append(prompts(20_000, 1))
    assert [*head, *drained(spool)] == [*kept, *prompts(20_000, 1)]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=16", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        unavailable("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; the file to remove."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast


def test_a_full_disk_refuses_all_of_a_batch_and_takes_it_when_there_is_room(tiny: Path) -> None:
    spool = begin(tiny / "spool")
    spool.append(prompts(0, 10))
    ballast = fill(tiny)
    big = prompts(10, 50, size=1000)
    with pytest.raises(SpoolError, match=r"No space left.*Make room"):
        spool.append(big)
    assert len(spool) == 10
    ballast.unlink()
    spool.append(big)
    assert drained(spool) == [*prompts(0, 10), *big]


def test_on_a_full_disk_no_spool_begins(tiny: Path) -> None:
    for number in range(10_000):
        try:
            (tiny / f"{number}").mkdir()
        except OSError:
            break
    with pytest.raises(SpoolError, match="No space left"):
        begin(tiny / "spool")
    assert not (tiny / "spool").exists()


def test_a_disk_that_can_only_be_read_refuses(tiny: Path) -> None:
    spool = begin(tiny / "spool")
    spool.append(prompts(0, 1))
    spool.close()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
    with pytest.raises(SpoolError, match="Read-only"):
        begin(tiny / "spool")


LIMITED = """
import resource, sys
from pathlib import Path
from voice_app.journal import Entry
from voice_app.journal.events import Prompted
from voice_app.journal.spool import Spool, SpoolError

def said(first, count):
    return [Entry(f"{first + n:06}", 1.5, "CA1", Prompted(f"{first + n:0100}")) for n in range(count)]

spool = Spool.begin(Path(sys.argv[1]), sys.argv[2], 1 << 20)
spool.append(said(0, 10))
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
try:
    spool.append(said(10, 100))
except SpoolError as error:
    print(error)
spool.append(said(10, 5))
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
spool.append(said(15, 100))
spool.close()
"""


async def test_what_is_written_in_part_is_taken_back(root: Path) -> None:
    process = await program(LIMITED, str(root), DATABASE)
    out, err = await process.communicate()
    assert process.returncode == 0
    assert b"File too large" in out
    [heir] = left_behind(root)
    assert drained(heir) == prompts(0, 115, size=100)
    assert err == b""

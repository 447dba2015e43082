"""Entries on disk while the database does not take them: a queue of files that outlives its process.

    voice-app-spool/
        0193b2c4-…/          one folder for one outage as one process saw it
            lock             locked (``flock``) as long as that process lives; names the database
            00000001.log     segments: records, the oldest first

A segment is only ever added to, and is deleted as a whole when the database has all of it. Entries keep their
ids and the database takes an id once, so it does no harm to deliver a segment again. Everything here blocks,
and is called from one thread only.

These are not SQLite files, written by ``Store`` as the journal is. That was tried in November 2026 and
measured twice on a busy machine, each append synced to the disk, in CPU: to begin a spool took 16 to 23 ms
instead of 0.8 to 4, to add a thousand entries 18 ms instead of 3 to 5, to deliver them 2.6 to 3.2 times as
long, all while calls go on and the database is away. With one damaged byte, 46 of 100 such files could not
be read by ``Store``; of 100 segments 97 lost one record and 3 more than one. And one entry takes 115 KB,
which a disk that is nearly full does not have.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import uuid_utils

from voice_app.journal.bounded_queue import superseded
from voice_app.journal.entries import Entry
from voice_app.journal.segment import Segment, count, record, write_all

_SEGMENT: Final = 1 << 20
"""Bytes of a segment, about. What is read, and what is rewritten, at a time."""
_LOCK: Final = "lock"

log = logging.getLogger(__name__)


class SpoolError(Exception):
    """The disk takes no more. The message says where, why, and what to do."""


class Spool:
    """The spool of one outage. ``len`` tells how many entries it holds.

    Make one with ``begin``, or take over what dead processes left with ``left_behind``.
    """

    def __init__(self, folder: Path, lock: int, capacity: int) -> None:
        self._folder = folder
        self._lock = lock
        self._capacity = capacity
        self._segments: deque[Segment] = deque()
        self._entries = 0  # the sums over the segments: any thread may ask for them
        self._size = 0
        self._number = 0
        self._file = -1
        self._head: Segment | None = None
        self._refused: set[str] = set()
        self._unreadable = False
        self.superseded = 0
        """How many entries were dropped for want of room because later ones say it all."""
        self.lost = 0
        """How many entries could not be kept, or not be read again."""

    @classmethod
    def begin(cls, root: Path, database: str, capacity: int) -> Self:
        """A new spool of at most ``capacity`` bytes, for the database of this name.

        Raises:
            SpoolError: the folder cannot be made.
        """
        folder = root / str(uuid_utils.uuid7())
        # Under its own name it is locked from the first moment on: no other process takes it over.
        hidden = folder.with_name(f".{folder.name}")
        try:
            hidden.mkdir(mode=0o700, parents=True)
            lock = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_all(lock, database.encode())
            hidden.rename(folder)
            _sync(root)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise _refused(root, error) from error
        return cls(folder, lock, capacity)

    @classmethod
    def left_behind(cls, root: Path, database: str) -> list[Self]:
        """The spools for this database whose processes are dead, oldest first. They are ours from now on."""
        try:
            folders = sorted(path for path in root.iterdir() if not path.name.startswith("."))
        except OSError:
            return []
        found = []
        for folder in folders:
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                meant = os.pread(lock, 10_000, 0).decode(errors="replace")
            except OSError:  # its process lives
                os.close(lock)
                continue
            if meant != database:
                log.warning("journal: the spool %s is left alone: it is for %s", folder, meant)
                os.close(lock)
                continue
            spool = cls(folder, lock, 0)
            spool._find()
            found.append(spool)
        return found

    def __len__(self) -> int:
        return self._entries

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._size

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries, all or none. When this returns they are on the disk, also if the process is killed.

        Raises:
            SpoolError: the disk does not take them, or the spool is full.
        """
        records = self._records(entries)
        if not records:
            return
        data = b"".join(records)
        if self.size + len(data) > self._capacity:
            self._make_room(len(data))
        try:
            segment = self._open()
            self._write(segment, data)
        except OSError as error:
            self._rotate()
            raise _refused(self._folder, error) from error
        self._account(segment, len(records), len(data))
        if segment.size >= min(_SEGMENT, self._capacity // 8):
            self._rotate()

    def head(self) -> list[Entry]:
        """The oldest entries: those of the first segment. They stay until ``advance``."""
        while self._segments:
            segment = self._head = self._segments[0]
            if len(self._segments) == 1:
                self._rotate()
            try:
                entries = segment.read()
            except OSError as error:
                self.lost += segment.entries
                self._unreadable = True
                self._remove(segment)
                log.error(
                    "journal: %d spooled entries cannot be read: %s. Their file stays where it is: "
                    "once it can be read again, the next start takes it in.",
                    segment.entries,
                    error,
                )
                continue
            if entries:
                return entries
            self.advance()
        return []

    def advance(self) -> None:
        """What ``head`` returned is in the database."""
        segment = self._segments[0]
        self._remove(segment)
        try:
            segment.path.unlink()
        except OSError as error:
            log.warning("journal: a spooled file could not be deleted, which does no harm: %s", error)

    def close(self) -> None:
        """Let go of the files. What is in them is for the next process; an empty spool leaves no trace."""
        self._rotate()
        if not self._segments and not self._unreadable:
            shutil.rmtree(self._folder, ignore_errors=True)
            with suppress(OSError):  # others' spools are in it
                self._folder.parent.rmdir()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _find(self) -> None:
        for path in sorted(self._folder.glob("*.log")):
            try:
                data = path.read_bytes()
            except OSError as error:
                log.error("journal: a file of a former spool cannot be read: %s", error)
                self._unreadable = True
                continue
            self._segments.append(Segment(path))
            self._account(self._segments[-1], count(data), len(data))

    def _account(self, segment: Segment, entries: int, size: int) -> None:
        """There is more in a segment, or less."""
        segment.entries += entries
        segment.size += size
        self._entries += entries
        self._size += size

    def _remove(self, segment: Segment) -> None:
        self._account(segment, -segment.entries, -segment.size)
        self._segments.remove(segment)
        self._head = None

    def _records(self, entries: Sequence[Entry]) -> list[bytes]:
        records = []
        for entry in entries:
            try:
                records.append(record(entry))
            except (TypeError, ValueError):
                if entry.id not in self._refused:
                    self._refused.add(entry.id)
                    self.lost += 1
                    log.exception("journal: an event of call %s cannot be stored and is lost", entry.call_sid)
        return records

    def _make_room(self, wanted: int) -> None:
        """Rewrite the oldest segments without what later entries repeat."""
        for segment in [*self._segments]:
            if segment.compact or segment is self._head:
                continue
            if segment is self._segments[-1]:
                self._rotate()
            try:
                self._compact(segment)
            except OSError as error:
                raise _refused(self._folder, error) from error
            if self.size + wanted <= self._capacity:
                return
        raise SpoolError(
            f"The spool at {self._folder} is full ({self._capacity >> 20} MB): raise VOICE_APP_SPOOL_MB."
        )

    def _compact(self, segment: Segment) -> None:
        entries = segment.read()
        spare = set(superseded(entries))
        if spare:
            records = [record(entry) for entry in entries if entry.id not in spare]
            data = b"".join(records)
            segment.rewrite(data)
            self.superseded += len(entries) - len(records)
            self._account(segment, len(records) - segment.entries, len(data) - segment.size)
        segment.compact = True

    def _open(self) -> Segment:
        """The segment that is written, a new one if need be."""
        if self._file < 0:
            path = self._folder / f"{self._number + 1:08}.log"
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._number += 1
            self._segments.append(Segment(path))
            _sync(self._folder)
        return self._segments[-1]

    def _write(self, segment: Segment, data: bytes) -> None:
        try:
            write_all(self._file, data)
            os.fsync(self._file)
        except OSError:
            # What was half written would hide what is written behind it.
            os.ftruncate(self._file, segment.size)
            raise

    def _rotate(self) -> None:
        """The next entries go to a new segment."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            if not self._segments[-1].entries:
                with suppress(OSError):
                    self._segments.pop().path.unlink()


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(folder: Path, error: OSError) -> SpoolError:
    return SpoolError(
        f"Nothing can be written to the spool at {folder}: {error.strerror or error}. "
        "Make room, or name another folder with VOICE_APP_SPOOL."
    )

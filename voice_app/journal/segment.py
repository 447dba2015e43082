"""One file of the spool: records, one behind the other.

A record is its length, its CRC-32 and an entry in MessagePack.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from voice_app.journal.entries import Entry, decode, encode, kind

_HEADER: Final = struct.Struct(">II")

log = logging.getLogger(__name__)


class _Record(msgspec.Struct, array_like=True, frozen=True):
    id: str
    at: float
    call_sid: str
    kind: str
    data: str
    key: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


class Segment:
    """A file, and what is known of it."""

    __slots__ = ("compact", "entries", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.entries = 0
        self.compact = False
        """Nothing in it can be spared any more."""

    def read(self) -> list[Entry]:
        """Its entries. What is damaged, e.g. torn by a crash at the end, is left out and told of.

        Raises:
            OSError: it cannot be read.
        """
        found: list[Entry] = []
        data = self.path.read_bytes()
        damaged = len(data)
        for payload in _payloads(data):
            damaged -= _HEADER.size + len(payload)
            try:
                record = _decoder.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                log.error("journal: an entry in %s is of another version and is lost: %s", self.path, error)
                continue
            event = decode(record.kind, record.data)
            found.append(Entry(record.id, record.at, record.call_sid, event, record.key))
        if damaged:
            log.warning("journal: %d bytes at %s are damaged, by a crash perhaps", damaged, self.path)
        return found

    def rewrite(self, data: bytes) -> None:
        """Put other content in its place, at one stroke.

        Raises:
            OSError: that is not possible; the file is as it was.
        """
        aside = self.path.with_suffix(".new")
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        aside.replace(self.path)


def record(entry: Entry) -> bytes:
    """The entry as a segment has it.

    Raises:
        TypeError, ValueError: there is something in it that is no event's.
    """
    event = entry.event
    payload = _encoder.encode(
        _Record(entry.id, entry.at, entry.call_sid, kind(event), encode(event), entry.key)
    )
    return _HEADER.pack(len(payload), crc32(payload)) + payload


def count(data: bytes) -> int:
    """How many records there are in the content of a segment."""
    return sum(1 for _ in _payloads(data))


def write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _payloads(data: bytes) -> Iterator[bytes]:
    start = 0
    while start + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, start)
        payload = data[start + _HEADER.size : start + _HEADER.size + length]
        if len(payload) < length:
            return
        start += _HEADER.size + length
        if crc32(payload) == checksum:
            yield payload

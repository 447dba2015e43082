"""A portfolio of numbers, spread over as many configurations as the limits ask for."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from voice_app.twilio.configuration_edit import rules_of
from voice_app.twilio.identifiers import e164
from voice_app.twilio.limits import MAX_RULES

CAPTURED: Final = ("VOICE", "SMS", "RCS", "WHATSAPP")
"""The channels that are captured by number. Chats come in through a bridge and have none."""

_COSTS: Final = {channel: len(rules_of(channel, "+15550100001")) for channel in CAPTURED}
"""Rules that one number takes."""

_NUMBER_COLUMNS: Final = ("number", "phonenumber", "phone", "e164")
_CHANNEL_COLUMNS: Final = ("channels", "channel")


class ListedNumber(msgspec.Struct, frozen=True):
    """One number of the portfolio."""

    number: str
    """E.164."""
    channels: tuple[str, ...]
    """The channels that rules are to capture, in the order of `CAPTURED`."""
    line: int
    """Where it stands in the file, counted from 1."""


class BadLine(msgspec.Struct, frozen=True):
    """A line that could not be used."""

    line: int
    problem: str


class Share(msgspec.Struct, frozen=True):
    """The part of the portfolio that one configuration captures."""

    entries: tuple[ListedNumber, ...]

    def numbers(self, channel: str) -> list[str]:
        """Those whose traffic on this channel is captured."""
        return [entry.number for entry in self.entries if channel in entry.channels]

    @property
    def rules(self) -> dict[str, int]:
        """How many capture rules this takes, by channel."""
        counts = {channel: len(self.numbers(channel)) * _COSTS[channel] for channel in CAPTURED}
        return {channel: count for channel, count in counts.items() if count}


def read(
    lines: Iterable[str], *, channels: Sequence[str], region: str | None = None
) -> tuple[list[ListedNumber], list[BadLine]]:
    """Read a CSV file: a column of numbers and, if there is one, a column of their channels.

    A first line with the names of the columns is understood; without it the number comes first and the
    channels second. Where a line has no channels, ``channels`` are meant. ``region`` is for `e164`.
    """
    portfolio = _Portfolio(channels, region)
    rows = csv.reader(lines, skipinitialspace=True)
    try:
        for row in rows:
            if any(row) and not row[0].startswith("#"):
                portfolio.take(row, rows.line_num)
    except csv.Error as error:
        portfolio.bad.append(BadLine(rows.line_num, f"this is not CSV: {error}"))
    return list(portfolio.entries.values()), portfolio.bad


def partition(entries: Iterable[ListedNumber]) -> list[Share]:
    """Spread the numbers over configurations, in their order, each into the first that has room.

    All channels of a number stay together, so that its conversations can. Numbers whose calls are captured by
    rules never share a configuration with others: it must not be named in TwiML, and theirs may.
    """
    shares: list[list[ListedNumber]] = []
    used: list[dict[str, int]] = []
    for entry in entries:
        cost = {channel: _COSTS[channel] for channel in entry.channels}
        for share, counts in zip(shares, used, strict=True):
            alike = ("VOICE" in share[0].channels) == ("VOICE" in entry.channels)
            if alike and all(counts.get(channel, 0) + more <= MAX_RULES for channel, more in cost.items()):
                break
        else:
            share, counts = [], {}
            shares.append(share)
            used.append(counts)
        share.append(entry)
        for channel, more in cost.items():
            counts[channel] = counts.get(channel, 0) + more
    return [Share(tuple(share)) for share in shares]


class _Portfolio:
    """What was read of a file so far."""

    def __init__(self, channels: Sequence[str], region: str | None) -> None:
        self.entries: dict[str, ListedNumber] = {}
        self.bad: list[BadLine] = []
        self._usual, self._region = channels, region
        self._number_at, self._channels_at = 0, 1
        self._begun = False

    def take(self, row: Sequence[str], line: int) -> None:
        names = [re.sub(r"[\s_-]", "", cell.lower()) for cell in row]
        if not self._begun and any(name in _NUMBER_COLUMNS for name in names):
            self._number_at, self._channels_at = (
                _column(names, _NUMBER_COLUMNS),
                _column(names, _CHANNEL_COLUMNS),
            )
        else:
            try:
                self._add(row, line)
            except ValueError as error:
                self.bad.append(BadLine(line, str(error)))
        self._begun = True

    def _add(self, row: Sequence[str], line: int) -> None:
        number = e164(_cell(row, self._number_at), self._region)
        channels = _channels(_cell(row, self._channels_at), self._usual)
        known = self.entries.setdefault(number, ListedNumber(number, channels, line))
        if known.line != line:
            raise ValueError(f"{number} stands in line {known.line} already")


def _column(names: Sequence[str], wanted: Sequence[str]) -> int:
    """Where a column is; past the end if it is not there."""
    return next((index for index, name in enumerate(names) if name in wanted), len(names))


def _cell(row: Sequence[str], index: int) -> str:
    return row[index].strip() if index < len(row) else ""


def _channels(cell: str, usual: Sequence[str]) -> tuple[str, ...]:
    named = [name for name in re.split(r"[\s;|/+,]+", cell.upper()) if name] or list(usual)
    strange = [name for name in named if name not in CAPTURED]
    if strange:
        raise ValueError(f"{', '.join(strange)} is none of the channels {', '.join(CAPTURED)}")
    return tuple(channel for channel in CAPTURED if channel in named)

"""Configurations as people look at them, and what a change does to one: old above new."""

from __future__ import annotations

import difflib
import json
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from voice_app.cli.configuration_fields import GROUPING_NAMES
from voice_app.cli.output import plain
from voice_app.findings import counted, printable
from voice_app.twilio import Configuration
from voice_app.twilio.configuration_edit import Difference

_STYLES: Final = {"-": "red", "+": "green"}


def table(configurations: Iterable[Configuration], named: Container[str]) -> Table:
    """One line for each, with a mark at those that our TwiML names."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("Id", no_wrap=True)
    for title in ("Name", "Version", "Grouping", "Channels", ""):
        grid.add_column(title, overflow="fold")
    for item in configurations:
        grid.add_row(
            plain(item.id),
            plain(item.display_name),
            "" if item.version is None else str(item.version),
            plain(_short(item.grouping)),
            plain(", ".join(map(_channel, _counts(item)))),
            "named in our TwiML" if item.id in named else "",
        )
    return grid


def details(item: Configuration) -> Table:
    """Everything about one, rule by rule."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    rows: list[tuple[str, str]] = [
        ("id", item.id),
        ("name", item.display_name),
        ("description", item.description),
        ("version", f"{item.version}, of {item.updated_at}"),
        ("grouping", item.grouping),
        ("memory store", item.memory_store_id),
        ("memories", "extracted" if item.memory_extraction_enabled else "not extracted"),
        *(("intelligence", name) for name in item.intelligence_configuration_ids),
        *(("callback", f"{call.get('method', 'POST')} {call.get('url')}") for call in item.status_callbacks),
    ]
    for channel in item.channel_settings:
        timeouts = item.channel(channel).get("statusTimeouts")
        timeouts = timeouts if isinstance(timeouts, dict) else {}
        words = ", ".join(f"{name} after {minutes} min" for name, minutes in timeouts.items())
        rows.append((channel, words or "no timers"))
        rows += [("", str(found)) for found in item.capture_rules(channel)]
    for name, value in rows:
        grid.add_row(name, plain(value))
    return grid


def _counts(item: Configuration) -> list[tuple[str, int]]:
    return [(name, len(item.capture_rules(name))) for name in item.channel_settings]


def _channel(pair: tuple[str, int]) -> str:
    name, count = pair
    return f"{name} ({counted(count, 'rule')})" if count else name


def _short(grouping: str) -> str:
    return next((name for name, found in GROUPING_NAMES.items() if found == grouping), grouping)


# --- differences --------------------------------------------------------------------------------


def difference(places: Iterable[Difference]) -> Text:
    """All places; for plain text take ``.plain``."""
    text = Text()
    for place in places:
        for leaf in _leaves(place.path, place.old, place.new):
            text.append(f"{printable(leaf.path)}\n", "bold")
            for sign, line in _lines(leaf.old, leaf.new):
                text.append(f"  {sign} {printable(line)}\n", _STYLES[sign])
    text.rstrip()
    return text


def _leaves(path: str, old: Any, new: Any) -> Iterator[Difference]:
    """Objects that come or go are taken apart, so that every line is short."""
    whole = [value for value in (old, new) if value is not None]
    if whole and all(isinstance(value, dict) for value in whole):
        for name in dict.fromkeys(name for value in whole for name in value):
            pair = [value.get(name) if value else None for value in (old, new)]
            yield from _leaves(f"{path}.{name}", *pair)
    elif old != new:
        yield Difference(path, old, new)


def _lines(old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """Of lists only the items that differ; anything else as a whole."""
    before, after = _items(old), _items(new)
    for tag, from_, to, start, end in difflib.SequenceMatcher(None, before, after, False).get_opcodes():
        if tag != "equal":
            yield from (("-", line) for line in before[from_:to])
            yield from (("+", line) for line in after[start:end])


def _items(value: Any) -> list[str]:
    if value is None:
        return []
    return [_told(item) for item in value] if isinstance(value, list) and value else [_told(value)]


def _told(value: Any) -> str:
    if isinstance(value, dict) and value.keys() <= {"from", "to", "metadata"} and len(value) > 1:
        extra = [f"{name} {given}" for name, given in (value.get("metadata") or {}).items()]
        return " ".join([f"from {value.get('from')} to {value.get('to')}", *extra])
    return json.dumps(value, ensure_ascii=False)

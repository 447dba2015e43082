"""Configurations as people look at them."""

from __future__ import annotations

from collections.abc import Container, Iterable

from rich.table import Table

from voice_app.cli.configuration_fields import GROUPING_NAMES
from voice_app.cli.output import plain
from voice_app.twilio import Configuration


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
    return f"{name} ({count} rule{'s' if count != 1 else ''})" if count else name


def _short(grouping: str) -> str:
    return next((name for name, found in GROUPING_NAMES.items() if found == grouping), grouping)

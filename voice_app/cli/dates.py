"""Times as people give them to commands."""

from __future__ import annotations

from datetime import datetime, timedelta

import typer


def moment(text: str | None, option: str, *, end: bool = False) -> datetime | None:
    """A date or a time in this machine's zone; the ``end`` of a day is the beginning of the next.

    Raises `typer.BadParameter`, which names the ``option``.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if end:
            found += timedelta(days=1) if len(text) <= len("2026-11-22") else timedelta(microseconds=1)
        return found.astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option}: {text!r} should look like 2026-11-22 or 2026-11-22T14:30."
        ) from None

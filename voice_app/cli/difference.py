"""What a change does to a configuration, as people read it: one place after the other, old above new."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from rich.text import Text

from voice_app.cli.output import printable
from voice_app.twilio.configuration_edit import Difference

_STYLES = {"-": "red", "+": "green"}


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

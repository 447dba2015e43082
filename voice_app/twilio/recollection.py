"""What is known of a caller, gathered for the beginning of a call and said in lines for a prompt.

Everything in it comes from what people said or typed: it is untrusted input, and stands in a prompt as notes.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voice_app.twilio.memory import MemoryClient, MemoryObservation, MemorySummary
from voice_app.twilio.models import moment

MAX_TRAITS: Final = 10
MAX_SUMMARIES: Final = 3
MAX_OBSERVATIONS: Final = 12
MAX_CHARACTERS: Final = 300
"""Of one line."""


@dataclass(slots=True)
class Recollection:
    """What is known so far. It fills while `recollect` runs, and is good to use at any moment."""

    profile_id: str | None = None
    traits: Mapping[str, Any] = field(default_factory=dict)
    summaries: Sequence[MemorySummary] = ()
    observations: Sequence[MemoryObservation] = ()

    def lines(self, *, without: Iterable[str] = ()) -> list[str]:
        """One line for each thing that is known: what it is, and in quotes what somebody said or typed.

        They are few, short, and without control characters; a quotation cannot end before its line.

        ``without`` names values that need not be repeated, such as the number that the caller phones from.
        """
        left_out = {*without, ""}
        traits = [line for line, value in _traits(self.traits) if value not in left_out][:MAX_TRAITS]
        return [
            *traits,
            *_dated(self._summaries, "summary of a conversation"),
            *_dated(self._observations, "noted in a conversation"),
        ]

    @property
    def ids(self) -> list[str]:
        """Of the summaries and observations that `lines` are made from."""
        return [item.id for item in (*self._summaries, *self._observations)]

    @property
    def _summaries(self) -> Sequence[MemorySummary]:
        return [item for item in self.summaries[:MAX_SUMMARIES] if item.content.strip()]

    @property
    def _observations(self) -> Sequence[MemoryObservation]:
        return [item for item in self.observations[:MAX_OBSERVATIONS] if item.content.strip()]


async def recollect(
    memory: MemoryClient,
    store_id: str,
    phone: str,
    into: Recollection,
    *,
    trait_groups: Sequence[str] = (),
) -> None:
    """Look a caller up and read what is known. Of several profiles the first one counts.

    What could be read stays in ``into`` whatever goes wrong then. Raises the first `ApiError`.
    """
    profiles = await memory.lookup(store_id, phone)
    if not profiles:
        return
    into.profile_id = profiles[0]
    parts = (
        _read_traits(memory, store_id, profiles[0], into, trait_groups),
        _read_memories(memory, store_id, profiles[0], into),
    )
    for failure in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(failure, BaseException):
            raise failure


async def _read_traits(
    memory: MemoryClient, store_id: str, profile_id: str, into: Recollection, trait_groups: Sequence[str]
) -> None:
    profile = await memory.profile(store_id, profile_id, trait_groups=trait_groups)
    into.profile_id, into.traits = profile.id, profile.traits


async def _read_memories(memory: MemoryClient, store_id: str, profile_id: str, into: Recollection) -> None:
    memories = await memory.recall(
        store_id, profile_id, observations=MAX_OBSERVATIONS, summaries=MAX_SUMMARIES
    )
    into.profile_id = memories.profile_id
    into.summaries, into.observations = memories.summaries, memories.observations


def one_line(text: str, longest: int = MAX_CHARACTERS) -> str:
    """A text as it may stand in a list: on one line, of printable characters, and short."""
    kept = ("" if unicodedata.category(char) in ("Cf", "Cs", "Cn") else char for char in text[: 4 * longest])
    spaced = (" " if unicodedata.category(char) == "Cc" else char for char in "".join(kept))
    line = " ".join("".join(spaced).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _traits(traits: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A line for each trait that is a plain value, and that value."""
    for group, values in traits.items():
        for name, value in values.items() if isinstance(values, Mapping) else ():
            text = _plain(value)
            if text:
                yield _line(one_line(f"{_words(group)}, {_words(name)}", MAX_CHARACTERS // 2), text), text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list):
        return ", ".join(filter(None, (_plain(item) for item in value if not isinstance(item, list))))
    return ""


def _words(name: Any) -> str:
    """``firstName`` as people write it."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+", " ", str(name))
    return spaced.lower()


def _line(what: str, text: str) -> str:
    """What something is, and its text in quotes that cannot end in the midst of it."""
    inner = one_line(text, MAX_CHARACTERS - len(what) - 4).replace('"', "'")
    return f'{what}: "{inner}"'


def _dated(items: Sequence[MemorySummary] | Sequence[MemoryObservation], what: str) -> Iterator[str]:
    for item in items:
        at = moment(item.occurred_at) or moment(item.created_at)
        when = f"{at.date().isoformat()}, " if at is not None else ""
        yield _line(f"{when}{what}", item.content)

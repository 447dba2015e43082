"""Who listens to a call: the sources of what the customer said, and whether two of them heard the same.

A *source* is one transcription: a TranscriptionSid, or an engine where each fragment has a SID of its own.
An *utterance* is what a source wrote without a pause. Two sources that take turns are a handoff, and a caller
may say the same again; two that write at the same time are two engines. What proves it:

- the same words at once, faster than anybody can say them twice;
- the same words within `LATE_SECONDS`, from sources of which neither stopped as the other began;
- the same words again and again, each time as much later: one engine that lags behind;
- other words at the same time, again and again: two engines that hear differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from functools import cached_property
from itertools import combinations, pairwise
from typing import Final

from voice_app.twilio import Communication

ALIKE: Final = 0.8
"""Ratio from which two texts are the same words as two engines hear them."""
MIN_WORDS: Final = 3
"""Fewer words are said twice by people, too."""
MIN_PAIRS: Final = 2
"""What may happen once by chance, or at a handoff, proves nothing before it happens twice."""
LATE_SECONDS: Final = 8.0
"""How far one engine may lag behind another."""
STEADY_SECONDS: Final = 1.0
"""How much such a lag varies."""
PAUSE_SECONDS: Final = 1.0
"""Silence that ends an utterance; also the time that the shortest one takes."""
WORD_SECONDS: Final = 0.35
"""What a word takes, where no engine says it."""
FASTEST: Final = 0.5
"""Nobody says the same words again in less than this part of the time that they took."""

_SID: Final = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
_CUSTOMERS_SIDE: Final = 0


@dataclass(frozen=True)
class HeardUtterance:
    """Words that one source wrote without a pause, in seconds of the Unix clock."""

    begin: float
    end: float
    text: str

    @cached_property
    def words(self) -> list[str]:
        return re.findall(r"\w+", self.text.casefold())

    def alike(self, other: HeardUtterance) -> bool:
        """Whether two engines may have written this of the same words."""
        if min(len(self.words), len(other.words)) < MIN_WORDS:
            return False
        return SequenceMatcher(None, self.words, other.words).ratio() >= ALIKE

    def meets(self, other: HeardUtterance) -> bool:
        """Whether both were said at the same time."""
        return self.begin < other.end and other.begin < self.end


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The proof that two engines listen to one customer."""

    utterances: int
    """How many came twice."""
    engines: tuple[str, ...]
    transcriptions: tuple[str, ...]


def heard_twice(said: Sequence[Communication]) -> Duplicate | None:
    """Whether two engines wrote down the customer's words at the same time."""
    sources = _sources([item for item in said if _by_customer(item) and item.at is not None])
    heard = {key: sorted(map(_utterance, items), key=lambda item: item.end) for key, items in sources.items()}
    for key, fragments in heard.items():
        twice = 0 if _steady(key) else _said_too_fast(pairwise(fragments))
        if twice:
            return _duplicate(twice, sources[key])
    for one, two in combinations(heard, 2):
        beside = any(
            _steady(key) and _listened_beside(heard[key], heard[other])
            for key, other in ((one, two), (two, one))
        )
        twice = _lagging(heard[one], heard[two]) or _double(
            _without_pauses(heard[one]), _without_pauses(heard[two]), beside=beside
        )
        if twice:
            return _duplicate(twice, [*sources[one], *sources[two]])
    return None


def spoken(said: Iterable[Communication]) -> tuple[datetime, datetime] | None:
    """When the first and the last words of a conversation were said; None if nothing says it."""
    moments = [item.at for item in said if item.at is not None]
    return (min(moments), max(moments)) if moments else None


def _double(one: Sequence[HeardUtterance], two: Sequence[HeardUtterance], *, beside: bool) -> int:
    """How many utterances two sources wrote both; 0 if that may be chance, or one followed the other.

    ``beside``: one of them is known to have listened while the other wrote.
    """
    alike = _alike(one, two)
    at_once = sum(a.meets(b) for a, b in alike)
    if len(one) == len(two) == 1:
        return at_once
    if _followed(one, two):
        return _said_too_fast(alike)
    together = len(_paired(one, two))
    if beside:
        return len(alike) or (together if together >= MIN_PAIRS else 0)
    # They may have taken turns, more than once: to a person and back.
    proven = at_once or len(alike) >= MIN_PAIRS or together > MIN_PAIRS
    return max(len(alike), together) if proven else 0


def _alike(
    one: Sequence[HeardUtterance], two: Sequence[HeardUtterance]
) -> list[tuple[HeardUtterance, HeardUtterance]]:
    return [(a, b) for a in one for b in two if abs(a.end - b.end) <= LATE_SECONDS and a.alike(b)]


def _steady(source: str) -> bool:
    """Whether a source is one transcription, which listens from its first to its last words."""
    return _SID.fullmatch(source) is not None


def _listened_beside(steady: Sequence[HeardUtterance], other: Sequence[HeardUtterance]) -> bool:
    return any(steady[0].end < heard.end < steady[-1].end for heard in other)


def _lagging(one: Sequence[HeardUtterance], two: Sequence[HeardUtterance]) -> int:
    """How often one source wrote the words of the other, each time as much later; 0 if it is no habit."""
    alike = _alike(one, two)
    lags = [b.end - a.end for a, b in alike]
    habit = len({tuple(a.words) for a, _ in alike}) >= MIN_PAIRS and max(lags) - min(lags) <= STEADY_SECONDS
    return len(alike) if habit else 0


def _followed(one: Sequence[HeardUtterance], two: Sequence[HeardUtterance]) -> bool:
    """Whether one source stopped as the other began: a handoff, or a session that was resumed."""
    return one[-1].end <= two[0].end or two[-1].end <= one[0].end


def _paired(
    one: Sequence[HeardUtterance], two: Sequence[HeardUtterance]
) -> list[tuple[HeardUtterance, HeardUtterance]]:
    """Utterances of two sources at the same time, each in one pair."""
    left = list(two)
    found = []
    for utterance in one:
        other = next((item for item in left if utterance.meets(item)), None)
        if other is not None:
            left.remove(other)
            found.append((utterance, other))
    return found


def _said_too_fast(pairs: Iterable[tuple[HeardUtterance, HeardUtterance]]) -> int:
    """How many pairs are the same words again, faster than anybody can say them twice."""
    return sum(
        abs(a.end - b.end) < FASTEST * min(a.end - a.begin, b.end - b.begin) and a.alike(b) for a, b in pairs
    )


def _sources(fragments: Iterable[Communication]) -> dict[str, list[Communication]]:
    """Fragments by TranscriptionSid; by engine where SIDs are missing, or change with every fragment."""
    by_engine: dict[str, list[Communication]] = {}
    for item in fragments:
        by_engine.setdefault(_engine(item), []).append(item)
    found: dict[str, list[Communication]] = {}
    for engine, items in by_engine.items():
        sids = {_sid(item) for item in items}
        changing = len(sids) == len(items) or (len(sids) > MIN_PAIRS and len(items) < 1.5 * len(sids))
        for item in items:
            found.setdefault(engine if changing or "" in sids else _sid(item), []).append(item)
    return found


def _without_pauses(fragments: Sequence[HeardUtterance]) -> list[HeardUtterance]:
    """Fragments in order of time, those without a pause between them put together.

    The same words again are another utterance, however fast they come.
    """
    found: list[HeardUtterance] = []
    for item in fragments:
        last = found[-1] if found else None
        if last is not None and 0 <= item.begin - last.end <= PAUSE_SECONDS and not item.alike(last):
            found[-1] = HeardUtterance(last.begin, item.end, f"{last.text} {item.text}")
        else:
            found.append(item)
    return found


def _utterance(item: Communication) -> HeardUtterance:
    end = item.at.timestamp() if item.at is not None else 0.0
    return HeardUtterance(end - _seconds(item), end, item.text)


def _seconds(item: Communication) -> float:
    """How long it took to say: by the engine's own times, else by the number of words."""
    words = (item.content.transcription.words if item.content and item.content.transcription else None) or []
    told = [second for word in words for second in (word.start_time, word.end_time)]
    try:
        moments = [float(second) for second in told if second is not None]
    except ValueError:
        moments = []
    spread = max(moments) - min(moments) if moments else len(item.text.split()) * WORD_SECONDS
    return max(spread, PAUSE_SECONDS) if spread <= 60 else PAUSE_SECONDS


def _by_customer(item: Communication) -> bool:
    transcription = item.content.transcription if item.content is not None else None
    return transcription is not None and transcription.channel in (None, _CUSTOMERS_SIDE)


def _engine(item: Communication) -> str:
    transcription = item.content.transcription if item.content is not None else None
    return (transcription.engine or "") if transcription is not None else ""


def _sid(item: Communication) -> str:
    """The transcription that a fragment is a part of: its resource id without the number."""
    found = _SID.match(item.resource_id or "")
    return found[0] if found else ""


def _duplicate(utterances: int, fragments: Iterable[Communication]) -> Duplicate:
    items: Iterator[tuple[str, str]] = ((_engine(item), _sid(item)) for item in fragments)
    engines, sids = zip(*items, strict=True)
    return Duplicate(utterances, tuple(sorted({*engines} - {""})), tuple(sorted({*sids} - {""})))

"""The agent that needs no model and no network: it answers questions from a small TOML file.

It matches honestly: words that every topic shares count little, and where the match is weak it asks
back instead of guessing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voice_app.agents.protocol import Call, EndCall, Keys, Piece, Transfer, Turn
from voice_app.agents.text import fingerprint
from voice_app.settings import TomlError, read_toml, unknown_keys

SURE = 0.5
"""From this similarity on, the topic is answered."""
MAYBE = 0.25
"""From this similarity on, the receptionist asks whether the topic was meant."""

SHIPPED: Final = Path(__file__).with_name("receptionist.toml")
_LINES: Final = ("name", "unsure", "goodbye", "transfer", "silence")
_TOPIC: Final = ("name", "ask", "answer", "key")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_FILLER = frozenset(
    _WORD.findall(
        "a an and are at can could do does for have i in is it me my of on or please tell the there to us we "
        "with would you your hello hi what what's how"
    )
)
_GOODBYE = re.compile(
    r"\b(good ?bye|bye|that('| i)?s all|that is all|hang up|no,? thank(s| you))\b", re.IGNORECASE
)
_PERSON = re.compile(
    r"\b(human|person|colleague|operator|somebody|someone|representative|real agent|manager|staff)\b",
    re.IGNORECASE,
)
_YES = re.compile(r"^\W*(yes|yeah|yep|sure|exactly|correct|right|please do)\b", re.IGNORECASE)


class FaqError(Exception):
    """The file of questions and answers cannot be used. The text says where and why."""


@dataclass(slots=True, frozen=True)
class Topic:
    """Something that the receptionist can tell about."""

    name: str
    ask: tuple[str, ...]
    answer: str
    key: str = ""
    """The key that asks for it."""


@dataclass(slots=True, frozen=True)
class Faq:
    """All that the receptionist knows."""

    name: str
    topics: tuple[Topic, ...]
    unsure: str
    goodbye: str
    transfer: str
    silence: str


class Receptionist:
    """An agent. See `voice_app.agents.protocol` for what that is."""

    keys = Keys(length=1)

    def __init__(self, faq: Faq) -> None:
        self._faq = faq
        phrases = [(topic, _stems(phrase)) for topic in faq.topics for phrase in topic.ask]
        self._weights = _weights([stems for _, stems in phrases], len(faq.topics))
        self._phrases = [(topic, stems, self._length(stems)) for topic, stems in phrases]

    @classmethod
    def from_file(cls, path: Path | None) -> Receptionist:
        """Read a TOML file, or the one that ships. Raises `FaqError`."""
        return cls(_read(path))

    @property
    def version(self) -> str:
        """A hash of its questions and answers."""
        return fingerprint(repr(self._faq).encode())

    async def __call__(self, call: Call, turn: Turn, /) -> AsyncIterator[Piece]:
        faq, text = self._faq, turn.text
        offered = call.state.pop("offered", None)
        if turn.kind == "note":
            return  # it knows its answers, and nothing else
        if turn.kind == "silence":
            yield faq.silence
        elif turn.kind == "keys":
            topic = next((topic for topic in faq.topics if topic.key == text[-1:]), None)
            if topic is not None:
                yield topic.answer
            elif text[-1:] == "0":
                yield faq.transfer
                yield Transfer("asked by key", self._summary(call))
            else:
                yield self._unsure()
        elif _PERSON.search(text):
            yield faq.transfer
            yield Transfer("asked for a person", self._summary(call, text))
        elif offered is not None and _YES.search(text):
            yield offered.answer
        else:
            topic, similarity = self._best(text)
            if similarity >= SURE:
                yield topic.answer
            elif _GOODBYE.search(text):
                yield faq.goodbye
                yield EndCall("the caller said goodbye")
            elif similarity >= MAYBE:
                call.state["offered"] = topic
                yield f"Do you want to know about {topic.name}?"
            else:
                yield self._unsure()

    def _unsure(self) -> str:
        names = [topic.name for topic in self._faq.topics]
        listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
        return self._faq.unsure.replace("{topics}", listed)

    def _summary(self, call: Call, text: str = "") -> str:
        asked = [message.content for message in call.history if message.role == "user"]
        return " / ".join([*asked, *([text] if text else [])][-3:])

    def _best(self, text: str) -> tuple[Topic, float]:
        """The topic whose phrases are most like the text, and how much alike (0 to 1)."""
        said = _stems(text)
        length = self._length(said)
        scores = [
            (sum(self._weight(stem) ** 2 for stem in said & stems) / (length * own or 1), topic)
            for topic, stems, own in self._phrases
        ]
        score, topic = max(scores, key=lambda item: item[0])
        return topic, score

    def _weight(self, stem: str) -> float:
        return self._weights.get(stem, 0.6)

    def _length(self, stems: frozenset[str]) -> float:
        return math.sqrt(sum(self._weight(stem) ** 2 for stem in stems))


def _weights(phrases: Sequence[frozenset[str]], topics: int) -> dict[str, float]:
    """Rare words tell topics apart, so they weigh more."""
    counts = Counter(stem for stems in phrases for stem in stems)
    return {stem: 1.0 + math.log(max(1.0, topics / count)) for stem, count in counts.items()}


def _stems(text: str) -> frozenset[str]:
    words = (word.casefold() for word in _WORD.findall(text))
    return frozenset(_stem(word) for word in words if word not in _FILLER)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _read(path: Path | None) -> Faq:
    source = path or SHIPPED
    try:
        data = read_toml(source)
    except TomlError as error:
        raise FaqError(str(error)) from None
    _only(data, (*_LINES, "topic"), str(source))
    topics = data.get("topic", [])
    if not isinstance(topics, list) or not topics:
        raise FaqError(f"{source}: it has no [[topic]]")
    lines = {name: _text(data, name, str(source)) for name in _LINES}
    return Faq(
        topics=tuple(_topic(item, f"{source}, topic {n}") for n, item in enumerate(topics, 1)), **lines
    )


def _topic(item: Any, where: str) -> Topic:
    if not isinstance(item, dict):
        raise FaqError(f"{where} is no table")
    _only(item, _TOPIC, where)
    ask = item.get("ask")
    if not isinstance(ask, list) or not ask or not all(isinstance(phrase, str) for phrase in ask):
        raise FaqError(f'{where}: `ask` should be a list of phrases, e.g. ask = ["when are you open"]')
    key = item.get("key", "")
    if not isinstance(key, str) or (key and re.fullmatch(r"[1-9*#]", key) is None):
        raise FaqError(f'{where}: `key` should be one key of the phone other than 0, e.g. key = "1"')
    return Topic(_text(item, "name", where), tuple(ask), _text(item, "answer", where), key)


def _only(table: dict[str, Any], known: Sequence[str], where: str) -> None:
    for problem in unknown_keys(table, known):
        raise FaqError(f"{where}: {problem}")


def _text(table: dict[str, Any], name: str, where: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value.strip():
        raise FaqError(f"{where}: `{name}` is missing or empty")
    return value

"""What speech-to-text makes of what a caller says: wrong or lost words, another language, two prompts of one.

Nothing is recorded and nothing synthesised: the errors are data, and the same seed makes the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from voice_app.testing.scenario import LineQuality

LEAST_TO_SPLIT: Final = 4
"""Words: nobody pauses in a shorter sentence."""
MOST_LOST: Final = 2
"""Words at the beginning that are lost before speech-to-text listens."""
FILLERS: Final = ("uh", "um", "mhm")
LANGUAGES: Final = ("en-US", "es-ES", "de-DE", "fr-FR", "pt-BR", "it-IT")
"""What a language is taken for."""

_NEAR: Final[Mapping[str, str]] = dict(zip("bpdtgkmnfvszaeiou", "pbtdkgnmvfzseaeua", strict=True)) | {
    "5": "9",
    "9": "5",
    "2": "3",
    "3": "2",
    "6": "7",
    "7": "6",
}
"""Sounds that are taken for each other on a telephone."""

_HOMOPHONES: Final[Mapping[str, str]] = {
    "en": "their there|to two|four for|eight ate|one won|new knew|right write|know no|hear here|by buy|"
    "hour our|wait weight|sale sail|mail male|pair pear|week weak|meet meat|order odor|price prize|"
    "billing building|fare fair|accept except|sent cent|piece peace",
    "de": "seid seit|wieder wider|mehr meer|das dass|wahr war|viel fiel|mann man|bahn bann|lehre leere|"
    "rad rat|zwei zwo|ware waren|miene mine|statt stadt|wende wände",
    "es": "haber a ver|hola ola|vaya valla|casa caza|tubo tuvo|hay ahí|bota vota|sesenta setenta",
    "fr": "et est|son sont|ses ces|mer mère|vert verre|cent sans|a à|ou où|fin faim|compte conte",
    "it": "anno hanno|a ha|o ho|ai hai|penna pena|casa cassa",
    "pt": "mal mau|sessão seção|há a|conserto concerto|acento assento|seis três",
}
"""Pairs that sound alike, by language."""


@dataclass(slots=True, frozen=True)
class RecognizedPrompt:
    """One final prompt, as the server gets it."""

    text: str
    language: str = ""
    """What it was taken for, if that is wrong."""


class NoisyRecognition:
    """Hears one caller, in a language such as ``en-US``."""

    def __init__(self, quality: LineQuality, seed: int, language: str) -> None:
        self._quality = quality
        self._seed = seed
        self._language = language
        self._alike = _alike(language.partition("-")[0])
        self._heard = 0

    def prompts(self, text: str) -> list[RecognizedPrompt]:
        """What becomes of something that was said: at least one prompt, with at least one word."""
        self._heard += 1
        chance = random.Random(f"{self._seed} {self._heard}")  # noqa: S311 - repeatable, and no secret
        quality, words = self._quality, text.split()
        if chance.random() < quality.dropped_beginnings:
            words = words[min(chance.randint(1, MOST_LOST), len(words) - 1) :]
        words = [heard for word in words for heard in self._misheard(word, chance)] or words[-1:]
        language = ""
        if chance.random() < quality.wrong_language:
            spoken = self._language.partition("-")[0]
            language = chance.choice([other for other in LANGUAGES if not other.startswith(spoken)])
        cut = len(words)
        if len(words) >= LEAST_TO_SPLIT and chance.random() < quality.split_prompts:
            cut = chance.randint(2, len(words) - 2)
        parts = filter(None, (words[:cut], words[cut:]))
        return [RecognizedPrompt(" ".join(part), language) for part in parts]

    def _misheard(self, word: str, chance: random.Random) -> Iterator[str]:
        """The words that are heard instead of one; none where it is lost."""
        bare = word.rstrip(".,!?;:")
        if bare.casefold() in self._alike and chance.random() < self._quality.homophones:
            word = self._alike[bare.casefold()] + word[len(bare) :]
        if chance.random() >= self._quality.word_errors:
            yield word
            return
        error = chance.random()
        if error < 0.2:
            yield chance.choice(FILLERS)
            yield word
        elif error < 0.7:
            yield _blurred(word, chance)


def _blurred(word: str, chance: random.Random) -> str:
    """A word that sounds much like another one."""
    places = [at for at, letter in enumerate(word) if letter.casefold() in _NEAR]
    if not places:
        return word
    at = chance.choice(places)
    return word[:at] + _NEAR[word[at].casefold()] + word[at + 1 :]


def _alike(language: str) -> dict[str, str]:
    """Each word of a language that has another that sounds like it."""
    found: dict[str, str] = {}
    for pair in _HOMOPHONES.get(language, "").split("|"):
        one, _, other = pair.strip().partition(" ")
        if other:
            found |= {one: other, other: one}
    return found

"""A persona without a model: it wants something, knows something, has its ways. The same seed: the same call.

| behaviour | what they do |
|---|---|
| ``in a hurry`` | cut into the answer after a few words, and say again what they want, twice at most |
| ``mumbles`` | words get lost the first time that they say something; asked again, they say it plainly |
| ``corrects itself`` | say a fact wrongly, and at once rightly |
| ``spells`` | say a fact letter by letter |
| ``presses keys`` | type what has digits only |
| ``speaks in bursts`` | stop within a sentence, so that it comes as several prompts |
| ``goes silent`` | say nothing for a while when they are asked for the first time |
| ``wrong language`` | say what they want in another language first |
| ``gives up`` | hang up instead of answering for the third time |
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from voice_app.testing.persona import (
    CallerAction,
    CutsIn,
    HangsUp,
    PressesKeys,
    Speaks,
    StaysSilent,
)
from voice_app.testing.scenario import Behaviour, ScriptedPersona, Text

CUTS_IN_TWICE: Final = 2
GIVES_UP_AT: Final = 3
SHARE_LOST: Final = 0.35
"""Of the words of somebody who mumbles."""
_QUESTION: Final = re.compile("[?？؟]")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。？！])")
_KEYS: Final = re.compile(r"[0-9*#]+")


class ScriptedCaller:
    """A `Persona`. ``text`` puts what is given by language into the language of the call."""

    def __init__(self, persona: ScriptedPersona, seed: int, text: Callable[[Text], str]) -> None:
        self._persona = persona
        self._text = text
        self._random = random.Random(seed)  # noqa: S311 - the same call again, and no secret
        self._said: Counter[str] = Counter()
        """How often they have said something."""
        self._told: Counter[str] = Counter()
        """How often they have told a fact."""
        self._asked = 0
        self._unanswered = 0
        """Questions in a row to which they had no answer."""
        self._last = text(persona.opens)
        """What they have said last, as it is when nobody mumbles."""
        self._cut_in = 0
        self._was_silent = False

    async def acts(self, heard: str) -> CallerAction:
        """What they do next."""
        if not self._said:
            return self._open()
        if self._has("goes silent") and not self._was_silent:
            self._was_silent = True
            return StaysSilent(self._random.randint(8, 20))
        if (answer := self._answer(heard)) is None:
            return self._insist(heard)
        self._asked, self._unanswered = self._asked + 1, 0
        if self._has("gives up") and self._asked >= GIVES_UP_AT:
            return HangsUp(f"asked {GIVES_UP_AT} times")
        return answer

    def _open(self) -> CallerAction:
        opens = self._text(self._persona.opens)
        if self._has("wrong language") and isinstance(self._persona.opens, dict):
            others = [words for words in self._persona.opens.values() if words != opens]
            foreign = self._say(self._random.choice(others))
            self._last = opens
            return foreign
        return self._say(opens)

    def _insist(self, heard: str) -> CallerAction:
        """Asked for what they do not know, they repeat themselves; told something, they are done."""
        self._unanswered += 1
        if self._unanswered > 1 or (heard.strip() and not _QUESTION.search(heard)):
            return HangsUp("nothing more to say" if self._unanswered == 1 else "not understood")
        return self._say(self._last)

    def _answer(self, heard: str) -> CallerAction | None:
        for pattern, words in self._persona.answers.items():
            if re.search(pattern, heard, re.IGNORECASE):
                return self._say(self._text(words))
        for sentence in reversed(_SENTENCE_END.split(heard)):
            asked = _words(sentence)
            for name, fact in self._persona.facts.items():
                if _words(name) <= asked and (not self._told[fact] or _QUESTION.search(sentence)):
                    return self._tell(fact)
        return None

    def _tell(self, fact: str) -> CallerAction:
        self._told[fact] += 1
        if self._has("presses keys") and _KEYS.fullmatch(fact):
            return PressesKeys(fact)
        said = " ".join(fact.replace(" ", "")) if self._has("spells") else fact
        if self._has("corrects itself") and self._told[fact] == 1:
            return Speaks([self._mistaken(said), f"{self._text(self._persona.corrects_with)} {said}"])
        return self._say(said)

    def _say(self, words: str) -> Speaks:
        self._said[words] += 1
        self._last = words
        spoken = self._mumbled(words) if self._has("mumbles") and self._said[words] == 1 else words
        return Speaks(self._bursts(spoken), self._cuts_in())

    def _cuts_in(self) -> CutsIn | None:
        if not self._has("in a hurry") or self._cut_in >= CUTS_IN_TWICE:
            return None
        self._cut_in += 1
        return CutsIn(self._random.randint(2, 5), self._text(self._persona.opens))

    def _bursts(self, words: str) -> list[str]:
        found = words.split()
        if not self._has("speaks in bursts") or len(found) < 2:
            return [words]
        at = self._random.randrange(1, len(found))
        return [" ".join(found[:at]), " ".join(found[at:])]

    def _mumbled(self, words: str) -> str:
        """The words without some of them; of a single one its beginning is lost, or nothing."""
        found = words.split()
        if len(found) == 1:
            return found[0][self._random.randrange(max(1, len(found[0]) - 1)) :]
        lost = set(self._random.sample(range(len(found)), max(1, round(len(found) * SHARE_LOST))))
        return " ".join(word for at, word in enumerate(found) if at not in lost)

    def _mistaken(self, words: str) -> str:
        """The words with another digit, or with their last letters exchanged."""
        digits = [at for at, character in enumerate(words) if character.isdigit()]
        if not digits:
            return words[:-2] + words[-2:][::-1]
        at = self._random.choice(digits)
        return words[:at] + str((int(words[at]) + self._random.randint(1, 9)) % 10) + words[at + 1 :]

    def _has(self, behaviour: Behaviour) -> bool:
        return behaviour in self._persona.behaves


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))

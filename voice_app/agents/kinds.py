"""What a caller can be asked for: how it is said or typed, when it is valid, how it is read back.

Each kind takes an answer with `heard` (words) or `typed` (keys), and gives a value or `None`. All
that it knows of the call is its `AskContext`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Final, Generic, TypeVar

from voice_app.agents.protocol import Keys
from voice_app.agents.spoken import (
    SpokenWords,
    digits_in,
    email_in,
    letters_in,
    said_digits,
    said_email,
    spoken_options,
    without_lead,
    words_of,
)

T = TypeVar("T")

MAX_NAME_WORDS: Final = 6
MAX_NAME: Final = 80
"""Characters."""
MAX_ADDRESS: Final = 200
_CLOSE: Final = 0.8
"""How alike a word and an option have to be."""


@dataclass(slots=True, frozen=True)
class AskContext:
    """Between whom a question is asked, and in which language."""

    language: str = ""
    """BCP-47 tag."""
    caller: str = ""
    number: str = ""
    today: date = date.min

    @property
    def words(self) -> SpokenWords:
        return words_of(self.language)


class AnswerKind(Generic[T]):
    """A kind of answer. A subclass says how it is taken and how it is read back."""

    name: ClassVar[str]
    """Under what its sentences stand in `spoken.toml`."""
    patience: ClassVar[float] = 15.0
    """Seconds for which the caller may look for it."""
    pause_ms: ClassVar[int] = 0
    """Milliseconds for which they may pause in the middle of it; 0: as everywhere."""
    read_back: ClassVar[bool] = True
    """Whether the caller has to confirm it."""
    secret = False
    """It is given to the agent and written nowhere, and is not read back."""

    def keys(self) -> Keys | None:
        """How it is typed; None where it cannot be."""
        return None

    def typing_hint(self, line: AskContext) -> str:
        """Tells the caller how it can be typed; empty where it cannot."""
        return ""

    def hints(self) -> Sequence[str]:
        """What the recognition may expect to hear."""
        return ()

    def heard(self, text: str, line: AskContext) -> T | None:
        """The value in what was said; None if there is none that is valid."""
        raise NotImplementedError

    def typed(self, digits: str, line: AskContext) -> T | None:
        """The value of the keys that were pressed; None if they are none."""
        return None

    def said(self, value: T, line: AskContext, *, spelt: bool = False) -> str:
        """The value as it is read aloud, letter by letter where that helps."""
        return str(value)

    def values(self, line: AskContext) -> Mapping[str, str]:
        """What the sentences of this kind have to be filled in with."""
        return {}


@dataclass(slots=True, frozen=True)
class Email(AnswerKind[str]):
    """An e-mail address, in lower case."""

    name = "email"
    pause_ms = 1500
    patience = 20.0

    def heard(self, text: str, line: AskContext) -> str | None:
        return email_in(text, line.words)

    def said(self, value: str, line: AskContext, *, spelt: bool = False) -> str:
        return said_email(value, line.words, spelt=spelt)


@dataclass(slots=True, frozen=True)
class PhoneNumber(AnswerKind[str]):
    """A phone number, in E.164. Without a country code it is of ``region``, or of the caller's country."""

    region: str | None = None
    name = "phone"
    pause_ms = 1500

    def keys(self) -> Keys:
        return Keys(seconds=4)

    def typing_hint(self, line: AskContext) -> str:
        return line.words.phrases["typed"]

    def heard(self, text: str, line: AskContext) -> str | None:
        words = line.words
        found = self.typed(digits_in(text, words), line)
        if found is None and words.is_said(words.same_number, text):
            return self.typed(line.caller, line)
        return found

    def typed(self, digits: str, line: AskContext) -> str | None:
        from voice_app.agents.spoken_values import phone_of_digits

        return phone_of_digits(digits, self._region(line))

    def said(self, value: str, line: AskContext, *, spelt: bool = False) -> str:
        from voice_app.agents.spoken_values import said_phone

        return said_phone(value, self._region(line), line.words)

    def _region(self, line: AskContext) -> str | None:
        from voice_app.agents.spoken_values import region_of

        return self.region or region_of(line.caller, line.number)


@dataclass(slots=True, frozen=True)
class Name(AnswerKind[str]):
    """A person's name, as it is written."""

    name = "name"

    def heard(self, text: str, line: AskContext) -> str | None:
        if "?" in text:
            return None
        found = letters_in(text, line.words) or without_lead(text, line.words)
        plain = found.replace("’", "'")
        if not re.fullmatch(r"[^\W\d_]+(?:[ .'-]+[^\W\d_]+)*", plain) or len(found) > MAX_NAME:
            return None
        if len(found.split()) > MAX_NAME_WORDS or found.casefold() in (*line.words.yes, *line.words.no):
            return None
        return (
            found
            if found != found.lower()
            else re.sub(r"(?<![^\W\d_]['’])\b\w", lambda match: match[0].upper(), found)
        )

    def said(self, value: str, line: AskContext, *, spelt: bool = False) -> str:
        return ", ".join([value, *value.replace(" ", "")]) if spelt else value


@dataclass(slots=True, frozen=True)
class Date(AnswerKind[date]):
    """A day. Without a year the next such day is meant; with ``past`` the last, as for a birthday."""

    past: bool = False
    name = "date"

    def keys(self) -> Keys:
        return Keys(length=8, seconds=4)

    def typing_hint(self, line: AskContext) -> str:
        from voice_app.agents.spoken_values import month_first

        form = "MMDDYYYY" if month_first(line.language) else "DDMMYYYY"
        return line.words.phrases["typed_date"].format(form=" ".join(form))

    def heard(self, text: str, line: AskContext) -> date | None:
        from voice_app.agents.spoken_values import date_in

        return date_in(text, line.language, line.today, past=self.past)

    def typed(self, digits: str, line: AskContext) -> date | None:
        from voice_app.agents.spoken_values import date_typed

        return date_typed(digits, line.language)

    def said(self, value: date, line: AskContext, *, spelt: bool = False) -> str:
        from voice_app.agents.spoken_values import said_date

        return said_date(value, line.language)


@dataclass(slots=True, frozen=True)
class Address(AnswerKind[str]):
    """A postal address in one line, as it was said."""

    name = "address"
    pause_ms = 1200
    patience = 20.0

    def heard(self, text: str, line: AskContext) -> str | None:
        found = without_lead(text, line.words)
        has_number = bool(re.search(r"\d", found) or digits_in(found, line.words))
        return found if has_number and len(found.split()) >= 2 and len(found) <= MAX_ADDRESS else None


@dataclass(slots=True, frozen=True)
class Digits(AnswerKind[str]):
    """So many digits; ``length`` 0: any number. A ``secret`` (a PIN, a card) is given to the agent alone."""

    length: int = 0
    secret: bool = False
    name = "digits"
    pause_ms = 1500
    patience = 20.0

    def keys(self) -> Keys:
        return Keys(length=self.length, seconds=4, sensitive=self.secret)

    def typing_hint(self, line: AskContext) -> str:
        return line.words.phrases["typed"]

    def heard(self, text: str, line: AskContext) -> str | None:
        return self.typed(digits_in(text, line.words), line)

    def typed(self, digits: str, line: AskContext) -> str | None:
        fits = digits.isdecimal() and (not self.length or len(digits) == self.length)
        return digits if fits else None

    def said(self, value: str, line: AskContext, *, spelt: bool = False) -> str:
        return said_digits(value)


class Choice(AnswerKind[str]):
    """One of several options; in a mapping each has further words that it is called by."""

    name = "choice"
    read_back = False

    def __init__(self, options: Sequence[str] | Mapping[str, Sequence[str]]) -> None:
        """Raises `ValueError` for fewer than two options, or more than there are keys."""
        self.options = dict(options) if isinstance(options, Mapping) else dict.fromkeys(options, ())
        if not 2 <= len(self.options) <= 9:
            raise ValueError("a Choice needs two to nine options: more cannot be remembered, or typed")

    def __repr__(self) -> str:
        return f"Choice({self.options!r})"

    def hints(self) -> Sequence[str]:
        return [word for option, others in self.options.items() for word in (option, *others)]

    def keys(self) -> Keys:
        return Keys(length=1)

    def typing_hint(self, line: AskContext) -> str:
        listed = [f"{number} – {option}" for number, option in enumerate(self.options, 1)]
        return line.words.phrases["typed_choice"].format(options=spoken_options(listed, line.words))

    def heard(self, text: str, line: AskContext) -> str | None:
        words = line.words
        named = {
            option for option, others in self.options.items() if words.is_said(_folded(option, *others), text)
        }
        if len(named) != 1:
            longest = max(named, key=len, default="")
            named = {longest} if named and all(_within(option, longest) for option in named) else set()
        if named:
            return named.pop()
        plain = without_lead(text, words).casefold()
        if (number := self._number(plain, words)) is not None:
            return self.typed(number, line)
        close = {option for option in self.options if _resembles(option.casefold(), plain)}
        return close.pop() if len(close) == 1 else None

    def _number(self, plain: str, words: SpokenWords) -> str | None:
        """Which option is named by its number."""
        if digits := digits_in(plain, words) if len(plain.split()) == 1 else "":
            return digits
        named = {number for word, number in words.ordinal_numbers.items() if words.is_said([word], plain)}
        return str(named.pop()) if len(named) == 1 else None

    def typed(self, digits: str, line: AskContext) -> str | None:
        return dict(enumerate(self.options, 1)).get(int(digits)) if digits.isdecimal() else None

    def values(self, line: AskContext) -> Mapping[str, str]:
        return {"options": spoken_options(self.options, line.words)}


@dataclass(slots=True, frozen=True)
class YesNo(AnswerKind[bool]):
    """Yes or no: `True` or `False`. Key 1 is yes, key 2 is no."""

    name = "yes_no"
    read_back = False

    def keys(self) -> Keys:
        return Keys(length=1)

    def typing_hint(self, line: AskContext) -> str:
        words = line.words
        listed = [f"1 – {words.yes[0]}", f"2 – {words.no[0]}"]
        return words.phrases["typed_choice"].format(options=spoken_options(listed, words))

    def heard(self, text: str, line: AskContext) -> bool | None:
        words = line.words
        if words.is_said(words.no, text):
            return False
        return True if words.is_said(words.yes, text) else None

    def typed(self, digits: str, line: AskContext) -> bool | None:
        return {"1": True, "2": False}.get(digits)


def _resembles(option: str, plain: str) -> bool:
    """Whether the text, or a word of it, is nearly the option."""
    from difflib import SequenceMatcher

    return any(SequenceMatcher(None, option, said).ratio() >= _CLOSE for said in (plain, *plain.split()))


def _folded(*texts: str) -> list[str]:
    return [text.casefold() for text in texts]


def _within(shorter: str, longer: str) -> bool:
    return shorter.casefold() in longer.casefold()

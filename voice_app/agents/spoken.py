"""How people say what is written: digits, letters and e-mail addresses, by language (`spoken.toml`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

_TOKEN: Final = re.compile(r"\+|\d+|[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SPELT_WITH_DASHES: Final = re.compile(r"\b(?:\w-)+\w\b")
_EDGES: Final = " \t\n.,!?;:¡¿\"'()"
_ICAO: Final = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey xray yankee zulu alfa juliett x-ray whisky"
)
ALPHABET: Final = {word: word[0] for word in _ICAO.split()}
"""The spelling alphabet of radio (ICAO). Many of its words are names: it counts where letters are spelt."""
_MIN_SPELT: Final = 3
_TOP_LEVELS: Final = frozenset(
    {"com", "net", "org", "edu", "gov", "info", "io", "de", "fr", "es", "it", "nl"}
)
"""Ends of domains before which people leave the dot out."""
_EMAIL: Final = re.compile(
    r"(?=.{3,254}\Z)(?=.{1,64}@)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)
"""RFC 5321's limits over the unquoted addresses that are in use."""


@dataclass(frozen=True, kw_only=True)
class SpokenWords:
    """The words of one language. A text holds several, separated by spaces."""

    digits: list[str]
    """The words for 0 to 9, each with its variants."""
    teens: str
    tens: str
    hundred: str
    double: str
    triple: str
    ordinals: str
    """First to twentieth, and thirtieth; forms of one with slashes between them."""
    months: str
    weekdays: str
    today: str
    tomorrow: str
    yesterday: str
    next: str
    yes: list[str]
    no: list[str]
    same_number: list[str]
    """How a caller says that it is the number that they call from."""
    as_in: str
    """What stands between a letter and a word that begins with it: alternatives of a pattern."""
    before: str
    """Words that people say before an answer."""
    after: str
    marks: dict[str, list[str]]
    questions: dict[str, str]
    again: dict[str, str]
    """What is asked from the second try on."""
    phrases: dict[str, str]

    @cached_property
    def numbers(self) -> Mapping[str, str]:
        """The words for numbers of one and two digits."""
        found = {word: str(digit) for digit, words in enumerate(self.digits) for word in words.split()}
        found |= {word: str(number) for number, word in enumerate(self.teens.split(), 10)}
        return found | {word: f"{ten}0" for ten, word in enumerate(self.tens.split(), 2)}

    @cached_property
    def ordinal_numbers(self) -> Mapping[str, int]:
        """The words for first, second, third …"""
        listed = enumerate((forms.split("/") for forms in self.ordinals.split()), 1)
        return {form: 30 if number > 20 else number for number, forms in listed for form in forms}

    @cached_property
    def before_words(self) -> frozenset[str]:
        return frozenset(self.before.split())

    @cached_property
    def after_words(self) -> frozenset[str]:
        return frozenset(self.after.split())

    @cached_property
    def _mark_patterns(self) -> list[tuple[re.Pattern[str], str]]:
        said = [(phrase, mark) for mark, phrases in self.marks.items() for phrase in phrases]
        said.sort(key=lambda item: len(item[0]), reverse=True)
        return [(re.compile(rf"(?<!\S){re.escape(phrase)}(?!\S)"), f" {mark} ") for phrase, mark in said]

    def with_marks(self, text: str) -> str:
        """The text with signs in place of the words for them."""
        for pattern, mark in self._mark_patterns:
            text = pattern.sub(mark, text)
        return text

    def is_said(self, phrases: Iterable[str], text: str) -> bool:
        """Whether one of these phrases is in the text, as whole words."""
        words = f" {' '.join(_TOKEN.findall(text.casefold().replace('’', chr(39))))} "
        return any(f" {phrase} " in words for phrase in phrases)


def words_of(language: str) -> SpokenWords:
    """The words of a language by its BCP-47 tag; English where there are none."""
    return _all_words().get(language.partition("-")[0].lower(), _all_words()["en"])


@cache
def _all_words() -> dict[str, SpokenWords]:
    import tomllib
    from importlib import resources

    text = resources.files("voice_app.agents").joinpath("spoken.toml").read_text("utf-8")
    return {language: SpokenWords(**table) for language, table in tomllib.loads(text).items()}


def digits_in(text: str, words: SpokenWords) -> str:
    """The digits that are said in a text, with a plus before them if it is said."""
    tokens = _TOKEN.findall(words.with_marks(_plain(text)))
    found = "".join(item for item in _with_digits(tokens, words) if item.isdecimal() or item == "+")
    return found[:1] + found[1:].replace("+", "")


def letters_in(text: str, words: SpokenWords) -> str | None:
    """The word that a text spells; None if it spells none."""
    tokens = [token.strip(_EDGES) for token in _unspelt(_plain(text), words).split()]
    joined = list(_joined_letters(token for token in tokens if token))
    spelt = [token for token in joined if token not in words.before_words | words.after_words]
    return spelt[0] if len(spelt) == 1 and len(joined) < len(tokens) else None


def email_in(text: str, words: SpokenWords) -> str | None:
    """The e-mail address that is said in a text, in lower case; None if there is no whole one."""
    plain = _unspelt(re.sub(r"[,;](?!\S)", " ", _plain(text)), words)
    plain = words.with_marks(plain).replace("@", " @ ")
    tokens = [token.strip(_EDGES) if len(token) > 1 else token for token in plain.split()]
    tokens = list(_joined_letters(_with_digits([token for token in tokens if token], words, oh=False)))
    if "@" not in tokens:
        return None
    at = len(tokens) - 1 - tokens[::-1].index("@")
    local, domain = tokens[:at], tokens[at + 1 :]
    if "@" in local:  # "you reach me at …"
        del local[: len(local) - local[::-1].index("@")]
    while len(local) > 1 and local[0] in words.before_words and local[1] not in words.marks:
        del local[0]
    while len(domain) > 1 and domain[-1] in words.after_words and domain[-2] not in words.marks:
        domain.pop()
    if len(domain) > 1 and not any("." in token for token in domain) and domain[-1] in _TOP_LEVELS:
        domain.insert(-1, ".")
    address = f"{''.join(local)}@{''.join(domain)}"
    return address if _EMAIL.fullmatch(address) else None


def said_email(address: str, words: SpokenWords, *, spelt: bool = False) -> str:
    """An address as it is read aloud."""
    local, _, domain = address.partition("@")
    parts = re.findall(r"[^\W_]+|.", local)
    if spelt:
        parts = [", ".join(part) if part.isalnum() else part for part in parts]
    said = [words.marks[part][0] if part in words.marks else part for part in [*parts, "@"]]
    dot = f" {words.marks['.'][0]} "
    return f"{(', ' if spelt else ' ').join(said)} {domain.replace('.', dot)}"


def said_digits(digits: str) -> str:
    """Digits read one by one, in groups that can be remembered."""
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2][:2], groups[-2][2:] + groups[-1]]
    return ", ".join(" ".join(group) for group in groups)


def without_lead(text: str, words: SpokenWords) -> str:
    """The text without the words that come before an answer, and those after it."""
    tokens = text.strip(_EDGES).split()
    while len(tokens) > 1 and _bare(tokens[0]) in words.before_words:
        del tokens[0]
    while len(tokens) > 1 and _bare(tokens[-1]) in words.after_words:
        tokens.pop()
    return " ".join(tokens).strip(_EDGES)


def _bare(token: str) -> str:
    return token.casefold().replace("’", "'").strip(_EDGES)


def _plain(text: str) -> str:
    return text.casefold().replace("’", "'")


def _unspelt(text: str, words: SpokenWords) -> str:
    """``b as in boy`` is ``b``, ``j-o-h-n`` is ``j o h n``."""
    text = re.sub(rf"\b([^\W\d_]) (?:{words.as_in}) [^\W\d_]+", r"\1", text)
    return _SPELT_WITH_DASHES.sub(lambda match: match[0].replace("-", " "), text)


def _with_digits(tokens: list[str], words: SpokenWords, *, oh: bool = True) -> Iterator[str]:
    """The tokens with digits in place of the words for them. ``oh``: the letter O may be a zero."""
    numbers = words.numbers
    waiting = iter(range(len(tokens)))
    for at in waiting:
        token = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        value = numbers.get(token) if oh or token not in ("o", "oh") else None
        times = 2 if token in words.double.split() else 3 if token in words.triple.split() else 0
        if times and (repeated := numbers.get(following, following)) and len(repeated) == 1:
            next(waiting)
            yield repeated * times
        elif value is not None and len(value) == 2 and value[1] == "0" and value != "10":
            unit = numbers.get(following, "")
            if len(unit) == 1 and unit != "0":
                next(waiting)
                value = value[0] + unit
            yield value
        elif value is not None and len(value) == 1 and following == words.hundred:
            next(waiting)
            yield f"{value}00"
        else:
            yield token if value is None else value


def _joined_letters(tokens: Iterable[str]) -> Iterator[str]:
    """Letters that follow each other become a word, also those of the spelling alphabet."""
    run: list[str] = []
    for token in [*tokens, ""]:
        if token and (token in ALPHABET or (len(token) == 1 and token.isalnum())):
            run.append(token)
            continue
        by_name = sum(item in ALPHABET for item in run)
        if len(run) >= _MIN_SPELT and by_name != 1:
            yield "".join(ALPHABET.get(item, item) for item in run)
        elif not by_name and run:
            yield "".join(run)
        else:
            yield from run
        run = []
        if token:
            yield token


def spoken_options(options: Iterable[Any], words: SpokenWords) -> str:
    """Options as they are listed aloud: ``small, medium or large``."""
    *most, last = map(str, options)
    return f"{', '.join(most)} {words.phrases['or']} {last}" if most else last

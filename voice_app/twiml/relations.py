"""What belongs together in TwiML: attributes, text and nested elements that Twilio judges as a whole.

A `Relation` is data, read from ``vocabulary.toml``: where everything in ``when`` holds and nothing in
``unless`` does, the element is wrong. Both are tables of a subject and the patterns for its value.

Subjects
    ``voice``, an attribute · ``Language.code``, an attribute of children · ``#text`` · ``#spoken``, all text
    inside · ``#children``, their number · ``#Number``, the number of such children · ``#parent``, its name ·
    ``#before``, the verbs that ran before
Patterns
    ``*``, it is there · a glob, whatever its case · ``>120``, ``<2`` · ``/regular expression/`` · ``@name``,
    an expression under ``[shape]``, whose groups other patterns may use as ``{1}`` · ``!`` before any of them
    for its opposite

``when`` asks for what is written, ``unless`` for what is in effect, defaults included. Where a default
depends on the account nothing is known, and nothing is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from voice_app.findings import Severity
from voice_app.twiml.document import Node

Patterns = str | tuple[str, ...]
_PLACEHOLDER: Final = re.compile(r"\{(\d)\}")
_COUNT: Final = re.compile(r"([<>])\s*(-?\d+(?:\.\d+)?)")


class Relation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that elements may not combine, or have to."""

    on: tuple[str, ...] = ()
    """The elements that it is about; empty: every one that has the attributes of ``when``."""
    when: dict[str, Patterns]
    unless: dict[str, Patterns] = {}
    """Any of these makes it right."""
    rule: str = "TWI121"
    severity: Severity | None = None
    """Where it differs from the rule's own."""
    effect: str = "fails"
    """What becomes of the first attribute of ``when``, for a message that names what ``unless`` asks for."""
    says: str = ""
    """The message instead, to stand after the element."""
    fix: str = ""
    note: str = ""
    """What is not certain about it."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that ``when`` speaks of."""
        return tuple(name for name in self.when if not name.startswith("#") and "." not in name)

    def broken(self, node: Node, facts: Facts) -> bool:
        """Whether an element is wrong in this way."""
        groups: dict[str, str] = {}
        if not all(
            _holds(facts.written(node, subject), patterns, facts.shapes, groups)
            for subject, patterns in self.when.items()
        ):
            return False
        for subject, patterns in self.unless.items():
            values = facts.effective(node, subject)
            if values is None or _holds(values, patterns, facts.shapes, groups):
                return False
        return True


class Facts(msgspec.Struct, frozen=True):
    """What relations need to know of the whole vocabulary."""

    shapes: Mapping[str, re.Pattern[str]]
    defaults: Mapping[str, Mapping[str, str]]
    """What an attribute is where it is left out, by element and attribute: a value, ``@NAME`` for that of
    another attribute, ``^`` for the parent's, ``?`` where it depends on the account.
    """

    def written(self, node: Node, subject: str) -> tuple[str, ...]:
        """The values of a subject as they stand in the document."""
        if subject.startswith("#"):
            return tuple(_counted(node, subject[1:]))
        child, _, attribute = subject.rpartition(".")
        if child:
            return tuple(
                value for item in node.named(child) if (value := item.attributes.get(attribute)) is not None
            )
        value = node.attributes.get(subject)
        return () if value is None else (value,)

    def effective(self, node: Node, subject: str) -> tuple[str, ...] | None:
        """The values that count, defaults included; None where that depends on the account."""
        written = self.written(node, subject)
        if written or subject.startswith("#") or "." in subject:
            return written
        match self.defaults.get(node.name, {}).get(subject, ""):
            case "":
                return ()
            case "?":
                return None
            case "^":
                return self.effective(node.parent, subject) if node.parent is not None else None
            case default if default.startswith("@"):
                return self.effective(node, default[1:])
            case default:
                return (default,)


def _counted(node: Node, subject: str) -> Iterator[str]:
    match subject:
        case "text":
            if text := node.text.strip():
                yield text
        case "children":
            yield str(len(node.children))
        case "parent":
            if node.parent is not None:
                yield node.parent.name
        case "before":
            yield from _before(node)
        case "spoken":
            yield " ".join(_spoken(node).split())
        case name:
            yield str(sum(1 for _ in node.named(name)))


def _before(node: Node) -> Iterator[str]:
    for sibling in node.parent.children if node.parent is not None else ():
        if sibling is node:
            return
        yield sibling.name


def _spoken(node: Node) -> str:
    texts: list[str] = []
    waiting = [node]
    while waiting:
        current = waiting.pop()
        texts.append(current.text)
        waiting += reversed(current.children)
    return " ".join(texts)


def _holds(
    values: tuple[str, ...], patterns: Patterns, shapes: Mapping[str, re.Pattern[str]], groups: dict[str, str]
) -> bool:
    wanted = (patterns,) if isinstance(patterns, str) else patterns
    return any(_one_holds(values, pattern, shapes, groups) for pattern in wanted)


def _one_holds(
    values: tuple[str, ...], pattern: str, shapes: Mapping[str, re.Pattern[str]], groups: dict[str, str]
) -> bool:
    if pattern.startswith("!"):
        return not _one_holds(values, pattern[1:], shapes, groups)
    return any(_matches(value, pattern, shapes, groups) for value in values)


def _matches(value: str, pattern: str, shapes: Mapping[str, re.Pattern[str]], groups: dict[str, str]) -> bool:
    if compare := _COUNT.fullmatch(pattern):
        return _compares(value, compare[1], float(compare[2]))
    if pattern.startswith("@"):
        found = shapes[pattern[1:]].fullmatch(value)
        if found is not None:
            groups |= {str(number): group or "" for number, group in enumerate(found.groups(), 1)}
        return found is not None
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        return re.fullmatch(pattern[1:-1], value, re.DOTALL) is not None
    glob = _PLACEHOLDER.sub(lambda match: groups.get(match[1], ""), pattern)
    return fnmatchcase(value.lower(), glob.lower())


def _compares(value: str, sign: str, limit: float) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return number > limit if sign == ">" else number < limit

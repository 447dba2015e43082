"""Which TwiML Twilio understands: verbs, nouns, attributes and values, read from ``vocabulary.toml``.

The linter and the sandbox's phone both ask here, so what lints clean is what the phone accepts. Facts come
from Twilio's TwiML pages and from the ``twilio`` package; ``note`` and ``confirmed`` mark the weak ones.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from importlib import resources
from typing import Any, Final, Literal

import msgspec

from voice_app.twiml.relations import Facts, Relation
from voice_app.twiml.values import Kind

_PATH: Final = re.compile(r"(?:[A-Za-z][\w-]*\.)?[A-Za-z][\w:-]*", re.ASCII)
_SNAKE = re.compile(r"_([a-zA-Z0-9])")


class Attribute(Kind, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attribute of an element."""

    name: str
    required: bool = False
    note: str = ""
    """What is not certain about it."""
    confirmed: bool = True
    """False: the source is weak, so a breach is doubtful rather than wrong."""
    default: str = ""
    """What it is where it is left out, as `Facts.defaults` has it; empty: as good as not there."""
    named: bool = False
    """A name may stand in place of the id, by one source: then a breach is doubtful too."""


class Element(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A verb or a noun."""

    name: str
    children: frozenset[str] = frozenset()
    """Names of the elements that may stand directly in it."""
    attributes: dict[str, Attribute] = {}
    text: Literal["none", "optional", "required"] = "none"
    text_kind: Kind = Kind()
    nouns: Literal["any", "some", "one"] = "any"
    """How many elements it needs to do anything; text counts as one."""
    ends: Literal["never", "action", "always"] = "never"
    """Whether the verbs after it are out of reach: if it has an ``action``, or always."""
    open: bool = False
    """Its attributes and children are not known well enough to refuse any."""
    note: str = ""
    relations: tuple[Relation, ...] = ()

    def attribute(self, name: str) -> Attribute | None:
        """What is known of an attribute; None if Twilio would ignore it (unless the element is `open`)."""
        return self.attributes.get(name)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.attributes.values() if item.required)


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """Every element of voice TwiML by its name."""

    elements: dict[str, Element]
    facts: Facts
    wrong_names: dict[str, str] = {}
    """Attribute names that people write, and what they meant."""

    def element(self, name: str) -> Element | None:
        """What is known of a verb or noun; None if Twilio has none of that name (case counts)."""
        return self.elements.get(name)

    def parents(self, name: str) -> tuple[str, ...]:
        """The elements in which ``name`` may stand directly."""
        return tuple(item.name for item in self.elements.values() if name in item.children)

    def suggest_element(self, name: str, parent: str = "") -> str | None:
        """The element that was probably meant, preferring those that may stand in ``parent``."""
        inside = self.elements[parent].children if parent in self.elements else frozenset()
        return nearest(name, sorted(inside)) or nearest(name, self.elements)

    def suggest_attribute(self, element: Element, name: str) -> str | None:
        """The attribute of ``element`` that was probably meant by an unknown name."""
        meant = self.wrong_names.get(name)
        if meant in element.attributes:
            return meant
        return nearest(_SNAKE.sub(lambda match: match[1].upper(), name), element.attributes)

    def allowing(self, attributes: Collection[str] = (), elements: Collection[str] = ()) -> Vocabulary:
        """The same vocabulary with further attributes, taking any value, and further elements, unchecked.

        ``attributes``: ``"ConversationRelay.newThing"``, or ``"newThing"`` for every element.
        ``elements``: ``"Start.NewNoun"``, or ``"NewNoun"`` in any element.

        Raises:
            ValueError: one does not look like a name, or its element is none.
        """
        if not attributes and not elements:
            return self
        known = dict(self.elements)
        for path in elements:
            parent, name = _parts(path, {*known, *(path.rpartition(".")[2] for path in elements)})
            known.setdefault(name, Element(name=name, open=True, text="optional"))
            for owner, element in known.items():
                if parent in ("", owner):
                    known[owner] = msgspec.structs.replace(element, children=element.children | {name})
        for path in attributes:
            parent, name = _parts(path, known)
            for owner, element in known.items():
                if parent == owner or (not parent and name not in element.attributes):
                    added = element.attributes | {name: Attribute(name=name)}
                    known[owner] = msgspec.structs.replace(element, attributes=added)
        return msgspec.structs.replace(self, elements=known)


def _parts(path: str, known: Collection[str]) -> tuple[str, str]:
    if not _PATH.fullmatch(path):
        raise ValueError(f'"{path}" is no name, and no Element.name.')
    parent, _, name = path.rpartition(".")
    if parent and parent not in known:
        meant = nearest(parent, known)
        ask = f"; did you mean {meant}.{name}?" if meant else "."
        raise ValueError(f'"{path}": there is no <{parent}>{ask}')
    return parent, name


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, if any is like it at all."""
    lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    kind: dict[str, Kind]
    shape: dict[str, str]
    element: dict[str, dict[str, Any]]
    relation: tuple[Relation, ...]
    wrong_names: dict[str, str]


def load(source: bytes) -> Vocabulary:
    """Read a vocabulary in the format of ``vocabulary.toml``.

    Raises `msgspec.ValidationError` or `KeyError` where the file breaks its own rules.
    """
    file = msgspec.toml.decode(source, type=_File)
    elements = {name: _element(name, entry, file.kind) for name, entry in file.element.items()}
    for relation in file.relation:
        for name in relation.on or _bearers(relation, elements):
            element = elements[name]
            elements[name] = msgspec.structs.replace(element, relations=(*element.relations, relation))
    facts = Facts(
        shapes={name: re.compile(pattern) for name, pattern in file.shape.items()},
        defaults={
            name: {item.name: item.default for item in element.attributes.values() if item.default}
            for name, element in elements.items()
        },
    )
    return Vocabulary(elements=elements, facts=facts, wrong_names=file.wrong_names)


def _bearers(relation: Relation, elements: Mapping[str, Element]) -> list[str]:
    needed = {*relation.attributes, *(name for name in relation.unless if name.isalpha())}
    return [name for name, element in elements.items() if needed <= set(element.attributes)]


def _element(name: str, entry: dict[str, Any], kinds: Mapping[str, Kind]) -> Element:
    attributes = {
        attribute: _attribute(attribute, value, kinds)
        for attribute, value in entry.get("attributes", {}).items()
    }
    text_kind = kinds[entry.get("text_kind", "text")]
    made = entry | {"name": name, "attributes": attributes, "text_kind": text_kind}
    return msgspec.convert(made, Element)


def _attribute(name: str, entry: str | dict[str, Any], kinds: Mapping[str, Kind]) -> Attribute:
    own = {"kind": entry} if isinstance(entry, str) else dict(entry)
    kind = kinds[own.pop("kind", "text")]
    return msgspec.convert(msgspec.structs.asdict(kind) | own | {"name": name}, Attribute)


VOCABULARY = load(resources.files(__package__).joinpath("vocabulary.toml").read_bytes())
"""The vocabulary that ships."""

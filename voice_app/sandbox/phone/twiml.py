"""Reads TwiML as Twilio does: an unknown attribute is ignored in silence, a bad value ends the session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from voice_app.twiml.vocabulary import VOCABULARY, Vocabulary


class RefusedTwimlError(Exception):
    """Twilio would refuse the document. ``code`` is its error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(slots=True)
class TwimlVerb:
    """An element with the attributes that count."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[TwimlVerb] = field(default_factory=list)
    refused: str = ""
    """The bad value that ends a session with 64101, if there is one."""

    def child(self, name: str) -> TwimlVerb | None:
        return next((child for child in self.children if child.name == name), None)

    def get(self, name: str, default: str = "") -> str:
        """The value of an attribute."""
        return self.attributes.get(name, default)

    def is_true(self, name: str, default: bool = False) -> bool:
        """The value of a boolean attribute."""
        return self.attributes[name].lower() == "true" if name in self.attributes else default

    def seconds(self, name: str, default: float) -> float:
        """The value of an attribute in seconds; the default also stands in for what is no number."""
        value = self.attributes.get(name, "")
        return float(value) if value.isdecimal() else default


@dataclass(slots=True)
class TwimlDocument:
    """What Twilio makes of a TwiML document."""

    verbs: list[TwimlVerb]
    problems: list[str]
    """What it passed over in silence."""


def read(source: str, vocabulary: Vocabulary = VOCABULARY) -> TwimlDocument:
    """Read a document. Raises `RefusedTwimlError` where Twilio would stop the call.

    ``vocabulary`` is what Twilio knows: more than ours where a server's settings say so.
    """
    if not source.strip():
        return TwimlDocument([], [])
    try:
        root: Any = ElementTree.fromstring(source)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise RefusedTwimlError(12100, f"the TwiML cannot be parsed: {error}") from None
    if root.tag != "Response":
        raise RefusedTwimlError(12102, f"the TwiML begins with <{root.tag}> instead of <Response>")
    problems: list[str] = []
    return TwimlDocument([_verb(element, "Response", problems, vocabulary) for element in root], problems)


def _text(element: Any) -> str:
    """What is in an element; of a ``<Say>`` with SSML in it, all that is said."""
    text = "".join(element.itertext()) if element.tag == "Say" else element.text or ""
    return " ".join(text.split()) if element.tag == "Say" else text.strip()


def _verb(element: Any, parent: str, problems: list[str], vocabulary: Vocabulary) -> TwimlVerb:
    known = vocabulary.element(element.tag)
    inside = vocabulary.element(parent)
    if inside is not None and inside.open:
        return TwimlVerb(element.tag, dict(element.attrib), (element.text or "").strip())
    if known is None or (inside is not None and known.name not in inside.children):
        raise RefusedTwimlError(12200, f"<{element.tag}> may not stand in <{parent}>")
    verb = TwimlVerb(known.name, text=_text(element))
    for name, value in element.attrib.items():
        attribute = known.attribute(name)
        if attribute is None and not known.open:
            meant = vocabulary.suggest_attribute(known, name)
            hint = f"; did you mean {meant}?" if meant else ""
            problems.append(f"<{known.name} {name}>: Twilio ignores this attribute{hint}")
            continue
        if attribute is not None and (wrong := attribute.problem(value)):
            problem = f"{name}={value!r} {wrong}"
            if attribute.confirmed:
                verb.refused = verb.refused or problem
            else:
                problems.append(f"<{known.name}> {problem}, as far as is known")
        verb.attributes[name] = value
    for name in known.required:
        if name not in verb.attributes:
            verb.refused = verb.refused or f"{name} is missing"
    verb.children = [_verb(child, known.name, problems, vocabulary) for child in element]
    return verb


@dataclass(slots=True, frozen=True)
class Jump:
    """The next document: where it is, and what it is asked with."""

    url: str
    form: dict[str, str]
    method: str = "POST"
    twiml: str | None = None
    """The document itself, where it need not be asked for."""


@dataclass(slots=True, frozen=True)
class Stop:
    """The end of a program, and which verb brought it about; empty when there were no more verbs."""

    verb: str = ""


NextStep = Jump | Stop | None
"""Another document, the end, or the next verb."""

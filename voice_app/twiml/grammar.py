"""Each element of a document by itself, held against the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator

from voice_app.findings import Severity
from voice_app.twiml.document import Document, Node
from voice_app.twiml.rules import Breach
from voice_app.twiml.values import Form, quoted
from voice_app.twiml.vocabulary import Attribute, Element, Need, Vocabulary, nearest

ROOT = "Response"
CONVERSATION_ATTRIBUTES = ("conversationConfiguration", "conversationId")
_RULE_OF_FORM: dict[Form, str] = {"id": "TWI109", "websocket-url": "TWI110", "voice": "TWI111"}
_PROVIDERS = {"polly": "Amazon", "amazon": "Amazon", "google": "Google", "elevenlabs": "ElevenLabs"}


def breaches(document: Document, vocabulary: Vocabulary) -> Iterator[Breach]:
    """Everything that is wrong with single elements: names, places, attributes, values, text."""
    if document.root.name != ROOT:
        yield _wrong_root(document.root)
    for node in document.nodes:
        element = vocabulary.element(node.name)
        if element is None:
            if node.parent is not None and not _in_open(node, vocabulary):
                yield _unknown_element(node, vocabulary)
            continue
        yield from _place(node, vocabulary)
        if element.open:
            yield Breach(
                rule="TWI120",
                offset=node.offset,
                subject=node.name,
                message=f"<{node.name}> is not checked.",
                note=element.note,
            )
            continue
        yield from _content(node, element)
        for name, value in node.attributes.items():
            yield from _attribute(node, element, name, value, vocabulary)
        yield from _together(node, element)


def _in_open(node: Node, vocabulary: Vocabulary) -> bool:
    parent = vocabulary.element(node.parent.name) if node.parent else None
    return parent is not None and parent.open


def _wrong_root(root: Node) -> Breach:
    return Breach(
        rule="TWI103",
        offset=root.offset,
        subject=root.name,
        message=f"The root element is <{root.name}>, not <{ROOT}>.",
        fix=f"Put the verbs into <{ROOT}>…</{ROOT}> (case-sensitive).",
    )


def _unknown_element(node: Node, vocabulary: Vocabulary) -> Breach:
    parent = node.parent.name if node.parent else ""
    meant = vocabulary.suggest_element(node.name, parent)
    return Breach(
        rule="TWI104",
        offset=node.offset,
        subject=node.name,
        message=f"Twilio knows no <{node.name}>.",
        fix=f"Did you mean <{meant}>?" if meant else "Take it out.",
    )


def _place(node: Node, vocabulary: Vocabulary) -> Iterator[Breach]:
    if node.parent is None:
        return
    parent = vocabulary.element(node.parent.name)
    if parent is None or parent.open or node.name in parent.children:
        return
    homes = " or ".join(f"<{name}>" for name in vocabulary.parents(node.name))
    yield Breach(
        rule="TWI105",
        offset=node.offset,
        subject=f"{parent.name}.{node.name}",
        message=f"<{node.name}> may not stand in <{parent.name}>.",
        fix=f"It belongs into {homes}." if homes else f"<{node.name}> can only be the root.",
    )


def _content(node: Node, element: Element) -> Iterator[Breach]:
    text = node.text.strip()
    if text and element.text == "none":
        yield Breach(
            rule="TWI115",
            offset=node.text_offset,
            subject=node.name,
            message=f"<{node.name}> holds the text {quoted(text)}.",
            fix="Put it into <Say>." if element.name == ROOT else "Take it out.",
        )
    elif text and (problem := element.text_kind.problem(text)):
        yield Breach(
            rule="TWI112",
            offset=node.text_offset,
            subject=f"{node.name} text",
            message=f"The text of <{node.name}>, {quoted(text)}, {problem}.",
            fix=f"Write {element.text_kind.described}."
            + (
                " In a template, print values in it with | tojson."
                if element.text_kind.form == "json"
                else ""
            ),
        )
    elif not text and element.text == "required":
        yield Breach(
            rule="TWI116", offset=node.offset, subject=node.name, message=f"<{node.name}> has no text."
        )
    yield from _nouns(node, element, has_text=bool(text))


def _nouns(node: Node, element: Element, *, has_text: bool) -> Iterator[Breach]:
    nouns = " or ".join(f"<{name}>" for name in sorted(element.children))
    if element.nouns != "any" and not node.children and not has_text:
        yield Breach(
            rule="TWI124",
            offset=node.offset,
            subject=node.name,
            message=f"<{node.name}> is empty.",
            fix=f"Put {nouns} into it.",
        )
    elif element.nouns == "one" and len(node.children) > 1:
        yield Breach(
            rule="TWI105",
            offset=node.children[1].offset,
            subject=f"{node.name} second",
            message=f"<{node.name}> holds {len(node.children)} elements; it runs one.",
            fix=f"Give each its own <{node.name}>.",
            severity=Severity.WARNING,
        )


def _attribute(
    node: Node, element: Element, name: str, value: str, vocabulary: Vocabulary
) -> Iterator[Breach]:
    known = element.attribute(name)
    if known is None:
        if not name.startswith(("xmlns", "xml:", "xsi:")):
            yield _unknown_attribute(node, element, name, vocabulary)
    elif value == "None" and not known.values:
        yield Breach(
            rule="TWI123",
            offset=node.place(name),
            subject=f"{node.name}.{name}",
            message=f'{name}="None" on <{node.name}>.',
            fix=f"Leave {name} out where the variable is not set: {{% if … %}} around it, or | xmlattr.",
        )
    elif problem := known.problem(value):
        yield Breach(
            rule=_RULE_OF_FORM.get(known.form, "TWI112"),
            offset=node.place(name),
            subject=f"{node.name}.{name}",
            message=f"{name}={quoted(value)} on <{node.name}> {problem}.",
            fix=_value_fix(element, known, value),
            severity=None if known.confirmed else Severity.WARNING,
            note=known.note,
        )


def _unknown_attribute(node: Node, element: Element, name: str, vocabulary: Vocabulary) -> Breach:
    meant = vocabulary.suggest_attribute(element, name)
    conversation = meant in CONVERSATION_ATTRIBUTES
    fix = f"Did you mean {meant}?" if meant else ""
    if not meant:
        relatives = (*sorted(element.children), *vocabulary.parents(element.name))
        owners = [owner for owner in relatives if name in vocabulary.elements[owner].attributes]
        fix = f"It belongs on <{owners[0]}>." if owners else "Take it out, or allow it by name if it is new."
    return Breach(
        rule="TWI107" if conversation else "TWI106",
        offset=node.place(name),
        subject=f"{node.name}.{name}",
        message=f"<{node.name}> has no attribute {name}.",
        fix=fix,
    )


def _value_fix(element: Element, known: Attribute, value: str) -> str:
    match known.form:
        case "id":
            for other in element.attributes.values():
                if other.form == "id" and other.problem(value) is None:
                    return f"An id like this one goes into {other.name}."
        case "websocket-url" if "://" in value and not value.startswith("wss://"):
            return f"Write {quoted('wss://' + value.partition('://')[2])}."
        case "voice":
            prefix, _, bare = value.partition(".")
            provider = _PROVIDERS.get(prefix.lower())
            return f"Write voice={quoted(bare)}" + (f' and ttsProvider="{provider}".' if provider else ".")
        case _:
            if known.values and (meant := nearest(value, known.values)):
                return f"Did you mean {quoted(meant)}?"
    if known.refused:
        return "Use an id or a name of another kind."
    return f"Write {known.described}."


def _together(node: Node, element: Element) -> Iterator[Breach]:
    for name in element.required:
        if name not in node.attributes:
            yield Breach(
                rule="TWI113",
                offset=node.offset,
                subject=f"{node.name}.{name}",
                message=f"<{node.name}> has no {name}.",
                fix=f'Add {name}="…".',
            )
    if all(name in node.attributes for name in CONVERSATION_ATTRIBUTES) and element.attribute(
        "conversationId"
    ):
        yield Breach(
            rule="TWI108",
            offset=max(node.place(name) for name in CONVERSATION_ATTRIBUTES),
            subject=node.name,
            message=f"<{node.name}> has both {' and '.join(CONVERSATION_ATTRIBUTES)}.",
            fix="Keep one: conversationId for a conversation that exists, else conversationConfiguration.",
        )
    for need in element.needs:
        if need.broken(node.attributes):
            yield _mismatch(node, need)


def _mismatch(node: Node, need: Need) -> Breach:
    name, value = need.attribute, quoted(node.attributes[need.attribute])
    allowed = " or ".join(pattern.rstrip("*") for pattern in need.allowed)
    effect = "is ignored" if need.ignored else "fails"
    return Breach(
        rule="TWI121",
        offset=node.place(name),
        subject=f"{node.name}.{name}.{need.other}",
        message=f"{name}={value} on <{node.name}> {effect} unless {need.other} is {allowed}.",
        fix=f"Set {need.other} to {allowed}, or leave {name} out.",
        severity=Severity.WARNING if need.ignored else None,
    )

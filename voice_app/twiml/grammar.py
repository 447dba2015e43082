"""Each element of a document by itself, held against the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator

from voice_app.findings import Severity
from voice_app.twiml.document import Document, Node
from voice_app.twiml.relations import Patterns, Relation
from voice_app.twiml.rules import Breach
from voice_app.twiml.values import Form, either, quoted
from voice_app.twiml.vocabulary import Attribute, Element, Vocabulary, nearest

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
            if element.note:
                yield _unchecked(node, element)
            continue
        yield from _content(node, element)
        for name, value in node.attributes.items():
            yield from _attribute(node, element, name, value, vocabulary)
        yield from _together(node, element, vocabulary)


def _in_open(node: Node, vocabulary: Vocabulary) -> bool:
    parent = vocabulary.element(node.parent.name) if node.parent else None
    return parent is not None and parent.open


def _unchecked(node: Node, element: Element) -> Breach:
    return Breach(
        rule="TWI120",
        offset=node.offset,
        subject=node.name,
        message=f"<{node.name}> is not checked.",
        note=element.note,
    )


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
        fix=f"Did you mean <{meant}>?" if meant else "",
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
            severity=Severity.WARNING if _doubtful(known, value) else None,
            note=known.note,
        )


def _doubtful(known: Attribute, value: str) -> bool:
    """Whether a bad value may be good after all."""
    return not known.confirmed or (known.named and value != "" and not value.startswith("conv_"))


def _unknown_attribute(node: Node, element: Element, name: str, vocabulary: Vocabulary) -> Breach:
    for other in element.attributes:
        if other.lower() == name.lower():
            return Breach(
                rule="TWI125",
                offset=node.place(name),
                subject=f"{node.name}.{name}",
                message=f"Twilio's helper libraries write {name} on <{node.name}> as {other}.",
                fix=f"Write {other}.",
            )
    meant = vocabulary.suggest_attribute(element, name)
    conversation = meant in CONVERSATION_ATTRIBUTES
    fix = f"Did you mean {meant}?" if meant else ""
    if not meant:
        relatives = (*sorted(element.children), *vocabulary.parents(element.name))
        owners = [owner for owner in relatives if name in vocabulary.elements[owner].attributes]
        fix = f"It belongs on <{owners[0]}>." if owners else ""
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


def _together(node: Node, element: Element, vocabulary: Vocabulary) -> Iterator[Breach]:
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
    for relation in element.relations:
        if relation.broken(node, vocabulary.facts):
            yield _unrelated(node, relation)


def _unrelated(node: Node, relation: Relation) -> Breach:
    written = [name for name in relation.attributes if name in node.attributes]
    shown = "".join(f" {name}={quoted(node.attributes[name])}" for name in written)
    wanted = either(_wanted(subject, patterns) for subject, patterns in relation.unless.items())
    first = next(iter(relation.when))
    if relation.says:
        message = f"<{node.name}{shown}>: {relation.says}."
    else:
        message = f"{shown.strip()} on <{node.name}> {relation.effect} unless {wanted}."
    return Breach(
        rule=relation.rule,
        offset=node.text_offset or node.offset if first == "#text" else node.place(first),
        subject=f"{node.name}.{first}.{'.'.join([*relation.when, *relation.unless])}",
        message=message,
        fix=relation.fix or (f"See to it that {wanted}, or leave {first} out." if relation.unless else ""),
        severity=relation.severity,
        note=relation.note,
        combines=True,
    )


def _wanted(subject: str, patterns: Patterns) -> str:
    """What ``unless`` asks for, as a clause."""
    values = (patterns,) if isinstance(patterns, str) else patterns
    if values == ("*",):
        return f"{subject} is set"
    if all(value.startswith("*") for value in values):
        return f"{subject} has {either(value.strip('*') for value in values)} in it"
    return f"{subject} is {either(value.replace('*', '…') for value in values)}"

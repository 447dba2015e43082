"""What a document does as it runs: what is never reached, and who listens to the call at the same time.

Twilio runs the verbs of a response from top to bottom. `<Start>` returns at once and leaves something
running; `<Connect>`, `<Dial>` and `<Enqueue>` hold the call, and with an ``action`` never come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from voice_app.twiml.document import Document, Node
from voice_app.twiml.grammar import ROOT
from voice_app.twiml.rules import Breach
from voice_app.twiml.vocabulary import Vocabulary

RELAYS = ("ConversationRelay", "ConversationRelaySession")
"""The nouns of `<Connect>` that bring their own speech-to-text through ConversationRelay."""


def breaches(document: Document, vocabulary: Vocabulary) -> Iterator[Breach]:
    """Everything that is wrong between the verbs of a document."""
    if document.root.name != ROOT:
        return
    verbs = document.root.children
    reached = list(_reached(verbs, vocabulary))
    if len(reached) < len(verbs):
        yield _never_runs(reached[-1], verbs[len(reached)])
    yield from _listeners(reached)
    yield from _exclusive(reached)
    for verb in verbs:
        if verb.name == "Connect" and not verb.attributes.get("action"):
            yield from map(_without_action, verb.named(*RELAYS))
        if verb.name in ("Start", "Stop"):
            yield from (
                _without_name(verb, noun)
                for noun in verb.named("Transcription")
                if not noun.attributes.get("name")
            )


def _reached(verbs: Iterable[Node], vocabulary: Vocabulary) -> Iterator[Node]:
    for verb in verbs:
        yield verb
        element = vocabulary.element(verb.name)
        ends = element.ends if element else "never"
        if ends == "always" or (ends == "action" and "action" in verb.attributes):
            return


def _never_runs(last: Node, verb: Node) -> Breach:
    because = "has an action" if "action" in last.attributes else "ends the document"
    return Breach(
        rule="TWI114",
        offset=verb.offset,
        subject=verb.name,
        message=f"<{verb.name}> never runs: the <{last.name}> before it {because}.",
        fix=f"Answer the action's URL with it, or move it above the <{last.name}>."
        if "action" in last.attributes
        else f"Take it out, or move it above the <{last.name}>.",
        related=((f"<{last.name}>", last.offset),),
    )


def _listeners(verbs: Iterable[Node]) -> Iterator[Breach]:
    running: list[Node] = []
    for verb in verbs:
        match verb.name:
            case "Start":
                for noun in verb.named("Transcription"):
                    if running:
                        yield _second_recogniser(noun, running[0])
                    running.append(noun)
            case "Stop":
                names = {noun.attributes.get("name") for noun in verb.named("Transcription")} - {None, ""}
                running = [noun for noun in running if noun.attributes.get("name") not in names]
            case "Connect" if running:
                for relay in verb.named(*RELAYS):
                    yield _billed_twice(relay, running[0])
            case "Gather" if running and "speech" in verb.attributes.get("input", "").split():
                yield _second_recogniser(verb, running[0])


def _billed_twice(relay: Node, transcription: Node) -> Breach:
    name = transcription.attributes.get("name", "")
    stop = f'<Stop><Transcription name="{name or "…"}"/></Stop>'
    return Breach(
        rule="STT104",
        offset=relay.offset,
        subject=relay.name,
        message=f"<{relay.name}> starts while <Transcription> is running.",
        fix=f"Take <Start><Transcription> out, or put {stop} before the <Connect>"
        + ("." if name else " (and give the transcription that name)."),
        related=(("<Transcription>", transcription.offset),),
    )


def _second_recogniser(node: Node, transcription: Node) -> Breach:
    return Breach(
        rule="TWI122",
        offset=node.offset,
        subject=node.name,
        message=f"<{node.name}> listens while a <Transcription> is already running.",
        fix="Stop the transcription first with <Stop>, or leave one of the two out.",
        related=(("<Transcription>", transcription.offset),),
    )


def _exclusive(verbs: Iterable[Node]) -> Iterator[Breach]:
    nouns = [noun for verb in verbs if verb.name == "Connect" for noun in verb.named(*RELAYS, "Stream")]
    for earlier, later in pairwise(nouns):
        if (earlier.name == "Stream") != (later.name == "Stream"):
            yield Breach(
                rule="TWI117",
                offset=later.offset,
                subject=later.name,
                message=f"<{later.name}> on a call that already has <{earlier.name}>.",
                fix="Choose one of the two for the whole call.",
                related=((f"<{earlier.name}>", earlier.offset),),
            )


def _without_action(relay: Node) -> Breach:
    return Breach(
        rule="TWI118",
        offset=relay.parent.offset if relay.parent else relay.offset,
        subject="Connect",
        message=f"<Connect> with <{relay.name}> has no action.",
        fix='Add action="{{ action_url }}", or the URL that answers how the session ended.',
    )


def _without_name(verb: Node, noun: Node) -> Breach:
    return Breach(
        rule="TWI119",
        offset=noun.offset,
        subject=verb.name,
        message=f"<{noun.name}> in <{verb.name}> has no name.",
        fix='Give it one, the same in <Start> and in <Stop>: name="…".',
    )

"""The vocabulary against the installed helper library, and its own promises."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml import TwiML, voice_response

from voice_app.twiml import VOCABULARY
from voice_app.twiml.vocabulary import Attribute, Element


@dataclass
class _Known:
    """What the helper library knows of one element."""

    attributes: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    takes_text: bool = False


def _parameters(function: Callable[..., TwiML]) -> dict[str, str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = [item.name for item in inspect.signature(function).parameters.values() if item.kind in kinds]
    return {name: "x" for name in named if name != "self"}


def _helper_library() -> dict[str, _Known]:
    """Build every element with every argument, and look at what comes out."""
    known: defaultdict[str, _Known] = defaultdict(_Known)
    for _, kind in inspect.getmembers(voice_response, inspect.isclass):
        if not issubclass(kind, TwiML) or kind is TwiML:
            continue
        parent: Any = kind(**_parameters(kind))
        known[parent.name].attributes.update(parent.attrs)
        known[parent.name].takes_text |= parent.value is not None
        for name, method in vars(kind).items():
            if not name.startswith("_") and callable(method):
                child = getattr(parent, name)(**_parameters(method))
                known[parent.name].children.add(child.name)
                known[child.name].attributes.update(child.attrs)
    return dict(known)


HELPER = _helper_library()


def _element(name: str) -> Element:
    element = VOCABULARY.element(name)
    assert element is not None
    return element


def _attribute(element: str, name: str) -> Attribute:
    attribute = _element(element).attribute(name)
    assert attribute is not None
    return attribute


def test_the_helper_library_is_read_right() -> None:
    assert len(HELPER) > 50
    assert {"from", "to", "action"} <= HELPER["Sms"].attributes
    assert "for" in HELPER["Prompt"].attributes
    assert "xml:lang" in HELPER["lang"].attributes
    assert "interpret-as" in HELPER["say-as"].attributes
    assert {"deepgramSmartFormat", "applicationReconnect"} <= HELPER["ConversationRelay"].attributes
    assert "Transcription" in HELPER["Start"].children


@pytest.mark.parametrize("name", sorted(HELPER))
def test_what_the_helper_library_knows_is_in_the_vocabulary(name: str) -> None:
    element = _element(name)
    assert HELPER[name].attributes - set(element.attributes) == set()
    assert HELPER[name].children - element.children == set()
    assert not HELPER[name].takes_text or element.text != "none"


def test_only_confirmed_additions_go_beyond_the_helper_library() -> None:
    """Each was checked by hand; the list shrinks as the helper library catches up."""
    assert set(VOCABULARY.elements) - set(HELPER) == {
        "Annotate",
        "BillingReferenceTag",
        "Failover",
        "MediaFilter",
    }
    further = {
        (element.name, attribute)
        for element in VOCABULARY.elements.values()
        if element.name in HELPER
        for attribute in set(element.attributes) - HELPER[element.name].attributes
    }
    assert further == {
        ("ConversationRelay", "conversationConfiguration"),
        ("ConversationRelay", "conversationId"),
        ("ConversationRelay", "eotThreshold"),
        ("Transcription", "conversationConfiguration"),
        ("Transcription", "conversationId"),
        ("Recording", "name"),
        ("Transcription", "enableProviderData"),
        ("say-as", "role"),
    }


def test_every_child_and_every_needed_attribute_exists() -> None:
    for element in VOCABULARY.elements.values():
        assert element.children <= set(VOCABULARY.elements)
        for relation in element.relations:
            for subject in (*relation.when, *relation.unless):
                assert _is_known_subject(element, subject), (element.name, subject)


def _is_known_subject(element: Element, subject: str) -> bool:
    child, _, attribute = subject.rpartition(".")
    if subject.startswith("#"):
        return subject[1:] in {"text", "children", "parent", "before", "spoken", *element.children}
    return attribute in (_element(child) if child else element).attributes


def test_every_wrong_name_leads_to_a_right_one_and_is_none_itself() -> None:
    known = {name for element in VOCABULARY.elements.values() for name in element.attributes}
    assert set(VOCABULARY.wrong_names.values()) <= known
    for wrong in VOCABULARY.wrong_names:
        assert _element("ConversationRelay").attribute(wrong) is None


def test_every_listed_value_and_every_limit_is_allowed() -> None:
    for element in VOCABULARY.elements.values():
        for attribute in element.attributes.values():
            limits = [f"{limit:g}" for limit in (attribute.min, attribute.max) if limit is not None]
            for value in (*attribute.values, *limits):
                assert attribute.problem(value) is None, (element.name, attribute.name, value)


def test_what_is_not_confirmed_says_so() -> None:
    for element in VOCABULARY.elements.values():
        assert element.note or not element.open
        assert all(item.note for item in element.attributes.values() if not item.confirmed)


@pytest.mark.parametrize(
    ("element", "attribute", "value", "problem"),
    [
        ("ConversationRelay", "url", "ws://example.com", "does not start with wss://"),
        ("ConversationRelay", "url", "wss:///x", "has no host"),
        ("ConversationRelay", "url", "wss://a b", "has white space in it"),
        ("ConversationRelay", "interruptible", "maybe", "is not none, dtmf, speech, any, true or false"),
        ("ConversationRelay", "eotThreshold", "0.91", "is not a number from 0.5 to 0.9"),
        ("Record", "maxLength", "1.5", "is not a whole number from 1 to 14400 seconds"),
        ("ConversationRelay", "voice", "google.x", "starts with 'Google.'"),
        ("Gather", "input", "dtmf voice", 'has the entry "voice", which is not dtmf or speech'),
        ("ConversationRelay", "conversationId", "CH1", "is not an id that starts with conv_conversation_"),
        ("Transcription", "statusCallbackUrl", "/x", "does not start with http:// or https://"),
        ("Transcription", "inboundTrackLabel", "a b", "is not letters and digits"),
        ("Stream", "url", "wss://a/b?c=d", "has a query string, which Twilio drops here"),
        ("Number", "machineDetectionTimeout", "61", "is not a whole number from 3 to 60 seconds"),
        ("Dial", "method", "put", "is not GET or POST"),
    ],
)  # fmt: skip
def test_a_problem_ends_the_sentence_about_the_value(
    element: str, attribute: str, value: str, problem: str
) -> None:
    assert _attribute(element, attribute).problem(value) == problem


@pytest.mark.parametrize(
    ("element", "attribute", "value"),
    [
        ("ConversationRelay", "url", "wss://example.com/relay/token?x=1"),
        ("ConversationRelay", "transcriptionLanguage", "multi"),
        ("ConversationRelay", "language", "cmn-Hans-CN"),
        ("ConversationRelay", "events", ""),
        ("ConversationRelay", "welcomeGreeting", "<&>"),
        ("Connect", "action", "/voice/relay-ended"),
        ("Connect", "action", "relay-ended?a=b:c"),
        ("Connect", "action", "https://example.com/a#rt=5000"),
        ("Dial", "method", "post"),
        ("Gather", "finishOnKey", ""),
    ],
)
def test_a_good_value_has_no_problem(element: str, attribute: str, value: str) -> None:
    assert _attribute(element, attribute).problem(value) is None


@given(st.text(), st.data())
def test_any_value_can_be_asked_about(value: str, data: st.DataObject) -> None:
    element = data.draw(st.sampled_from([*VOCABULARY.elements.values()]))
    for attribute in element.attributes.values():
        problem = attribute.problem(value)
        assert problem is None or problem


def test_suggestions_are_found_for_near_and_for_known_wrong_names() -> None:
    relay = _element("ConversationRelay")
    assert VOCABULARY.suggest_attribute(relay, "conversationConfigurationId") == "conversationConfiguration"
    assert VOCABULARY.suggest_attribute(relay, "tts_provider") == "ttsProvider"
    assert VOCABULARY.suggest_attribute(relay, "WELCOMEGREETING") == "welcomeGreeting"
    assert VOCABULARY.suggest_attribute(relay, "zzz") is None
    assert VOCABULARY.suggest_attribute(_element("Say"), "conversationConfigurationId") is None
    assert VOCABULARY.suggest_element("Conversationrelay", "Connect") == "ConversationRelay"
    assert VOCABULARY.suggest_element("zzz") is None


def test_an_allowed_attribute_takes_any_value_and_leaves_the_vocabulary_as_it_was() -> None:
    wider = VOCABULARY.allowing(["ConversationRelay.newThing", "ConversationRelay.events", "other"])
    relay = wider.element("ConversationRelay")
    say = wider.element("Say")
    assert relay is not None
    assert say is not None
    assert {"newThing", "other"} <= set(relay.attributes)
    assert relay.attributes["events"].problem("brand-new-event") is None
    assert "other" in say.attributes
    assert "newThing" not in say.attributes
    assert _element("ConversationRelay").attribute("newThing") is None


@pytest.mark.parametrize(
    ("attributes", "elements", "told"),
    [
        ([], ["Say x"], '"Say x" is no name, and no Element.name'),
        ([], ["<Say>"], '"<Say>" is no name'),
        (["a.b.c"], [], '"a.b.c" is no name'),
        (["Conversationrelay.new"], [], "no <Conversationrelay>; did you mean ConversationRelay.new?"),
        ([], ["Start2.Noun"], "no <Start2>; did you mean Start.Noun?"),
        (["Qqq.new"], [], '"Qqq.new": there is no <Qqq>'),
    ],
)
def test_what_allows_nothing_is_refused(attributes: list[str], elements: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        VOCABULARY.allowing(attributes, elements)


def test_an_allowed_element_may_have_an_allowed_noun() -> None:
    wider = VOCABULARY.allowing(["NewVerb.sound"], ["NewVerb.NewNoun", "NewVerb"])
    assert wider.suggest_element("NewNou", "NewVerb") == "NewNoun"


def test_an_attribute_allowed_everywhere_keeps_its_values_where_it_is_known() -> None:
    relay = VOCABULARY.allowing(["dtmfDetection"]).element("ConversationRelay")
    assert relay is not None
    assert relay.attributes["dtmfDetection"].problem("maybe") is not None

"""What is billed in an account, and why: one row for each state in which it may be.

``once``: one engine listens to our calls. ``twice``: it is proven that a second one does. ``perhaps``: nobody
documents whether the rule catches our calls. ``unknown``: what could not be read may have such a rule in it.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from support.accounts import (
    NUMBER,
    ORIGIN,
    OTHER_NUMBER,
    OURS,
    PERSON,
    THEIRS,
    capturing,
    configuration,
    number,
    others,
    rule,
    snapshot,
    stores,
    trouble,
)
from voice_app.findings import Finding, Severity
from voice_app.guard import Named, Verdict, exit_code, judge, verdict
from voice_app.guard.rendering import overview
from voice_app.guard.snapshot import Part, Unread
from voice_app.twilio import Trouble
from voice_app.twilio.classic_api import VoiceApplication

SETTING = "TWILIO_CONVERSATION_CONFIGURATION_ID"
STRANGER, PSTN_IN, PSTN_OUT = "+15550100077", rule("*", NUMBER), rule(NUMBER, "*")
APPLICATION = "AP" + "a" * 32
CONVERSATION = "conv_conversation_00000000000000000000000007"
TIMEOUTS = {"statusTimeouts": {"inactive": 5, "closed": 30}}
State = dict[str, Any]
Row = tuple[State, str, set[str]]


def ours(channel_settings: Any) -> State:
    """The named configuration has these channel settings."""
    return {"ours": configuration(channelSettings=channel_settings)}


def ours_captures(*rules: Any) -> State:
    return {"ours": capturing(*rules)}


def theirs(*rules: Any, **scope: Any) -> State:
    """A configuration that our TwiML does not name has these VOICE capture rules."""
    return {"configurations": others(*rules), "scope": scope}


def legs(to: str, *rules: Any) -> State:
    """Callers are handed to this address while another configuration has these rules."""
    return theirs(*rules, handoff_to=(to,))


def led_here(incoming: Any, *rules: Any, **parts: Any) -> State:
    """The account has these numbers, the settings name none, and another configuration has these rules."""
    return {"incoming": incoming, "configurations": others(*rules), "scope": {"numbers": ()}, **parts}


def by_application(voice_url: str | None, *rules: Any) -> State:
    """Our number names a TwiML application; None: one that does not exist."""
    found = None if voice_url is None else VoiceApplication(sid=APPLICATION, voice_url=voice_url)
    by_name = number(voice_url="", voice_application_sid=APPLICATION)
    return led_here((by_name,), *rules, applications={APPLICATION: found})


def unread(*parts: tuple[Part, str], kind: Trouble = Trouble.SERVER, **more: Any) -> State:
    return {"unread": tuple(Unread(part, where, trouble(kind)) for part, where in parts), **more}


def without(*missing: Part, strict: bool = True, **more: Any) -> State:
    """The named configuration and the list are unread, whichever are given."""
    state: State = {"scope": {"strict": strict, **more.pop("scope", {})}, **more}
    if Part.CONFIGURATION in missing:
        state["named"] = (Named(OURS, SETTING),)
    if Part.CONFIGURATIONS in missing:
        state["configurations"] = None
    elif Part.CONFIGURATION in missing:
        state["configurations"] = ()
    places = {Part.CONFIGURATION: OURS}
    return unread(*[(part, places.get(part, "")) for part in missing], **state)


def for_people(*numbers: str, everywhere: bool = False, **more: Any) -> State:
    """No engine of ours listens on these numbers, or on none at all."""
    scope = {"for_people": lambda item: everywhere or item in numbers, **more.pop("scope", {})}
    return {"scope": scope, **more}


def asked(value: str, by: str, *rules: Any) -> State:
    """TwiML names a configuration by a name, and that configuration has these rules."""
    found = capturing(*rules, configuration_id=THEIRS)
    named = (Named(OURS, SETTING, configuration()), Named(THEIRS, by, found, asked=value))
    return {"named": named, "configurations": (configuration(), found), "scope": {"in_templates": (value,)}}


def two_answers(single: list[Any], listed: list[Any]) -> State:
    return {"ours": capturing(*single), "configurations": (capturing(*listed),)}


NAMED: dict[str, Row] = {
    "no channel settings": (ours(None), "once", set()),
    "settings without a channel": (ours({}), "once", set()),
    "VOICE is null": (ours({"VOICE": None}), "once", set()),
    "VOICE is empty": (ours({"VOICE": {}}), "once", set()),
    "VOICE has timeouts only": (ours({"VOICE": TIMEOUTS}), "once", set()),
    "rules are null": (ours({"VOICE": {"captureRules": None}}), "once", set()),
    "rules are empty": (ours({"VOICE": {"captureRules": []}}), "once", set()),
    "an unknown switch": (ours({"VOICE": {"passive": True, "captureRules": []}}), "once", set()),
    "rules for SMS": (ours({"SMS": {"captureRules": [rule("*", NUMBER, None)]}, "VOICE": {}}), "once", set()),
    "rules for chat": (ours({"CHAT": {"captureRules": [rule("*", "user", None)]}}), "once", set()),
    "a rule for us": (ours_captures(PSTN_IN), "twice", {"STT101"}),
    "a rule for us, going out": (ours_captures(PSTN_OUT), "twice", {"STT101"}),
    "a rule without call type": (ours_captures(rule("*", NUMBER, None)), "twice", {"STT101"}),
    "a rule for a number that is not ours": (ours_captures(rule("*", STRANGER)), "twice", {"STT101"}),
    "a rule for a client": (ours_captures(rule("*", "agent-1", "CLIENT")), "twice", {"STT101"}),
    "a rule for everything": (ours_captures(rule("*", "*")), "twice", {"STT101"}),
    "a rule that is none": (ours_captures({}), "twice", {"STT101"}),
    "a rule that is null": (ours_captures(None), "twice", {"STT101"}),
    "a rule of numbers": (ours_captures({"from": 1, "to": 2}), "twice", {"STT101"}),
    "the channel in lower case": (ours({"voice": {"captureRules": [PSTN_IN]}}), "twice", {"STT101"}),
    "the channel twice": (
        ours({"Voice": {}, "VOICE": {"captureRules": [PSTN_IN]}}),
        "twice",
        {"STT101"},
    ),
    "rules that are an object": (ours({"VOICE": {"captureRules": PSTN_IN}}), "unknown", {"STT106"}),
    "rules that are a word": (ours({"VOICE": {"captureRules": "none"}}), "unknown", {"STT106"}),
    "VOICE is a list": (ours({"VOICE": []}), "unknown", {"STT106"}),
    "VOICE is off": (ours({"VOICE": False}), "unknown", {"STT106"}),
    "settings are a list": (ours([]), "unknown", {"STT106"}),
}

ELSEWHERE: dict[str, Row] = {
    "none": (theirs(), "once", set()),
    "to us": (theirs(PSTN_IN), "twice", {"STT102"}),
    "from us": (theirs(PSTN_OUT), "twice", {"STT102"}),
    "to us from one caller": (theirs(rule(STRANGER, NUMBER)), "twice", {"STT102"}),
    "to us without call type": (theirs(rule("*", NUMBER, None)), "twice", {"STT102"}),
    "to us in two rules": (theirs(PSTN_IN, PSTN_OUT), "twice", {"STT102"}),
    "to us over SIP": (theirs(rule("*", NUMBER, "PUBLIC_SIP")), "perhaps", {"STT102"}),
    "to us by the older name of SIP": (theirs(rule("*", NUMBER, "SIP")), "perhaps", {"STT102"}),
    "to us by our SIP address": (
        theirs(rule("*", f"sip:{NUMBER}@a.example", "PUBLIC_SIP")),
        "perhaps",
        {"STT102"},
    ),
    "to us from browsers": (theirs(rule("*", NUMBER, "CLIENT")), "perhaps", {"STT102"}),
    "to us by an unknown call type": (theirs(rule("*", NUMBER, "VIDEO")), "perhaps", {"STT102"}),
    "to half a number": (theirs(rule("*", "+1555*")), "perhaps", {"STT102"}),
    "to us without the plus": (theirs(rule("*", NUMBER[1:])), "perhaps", {"STT102"}),
    "what is no rule": (theirs({"to": NUMBER}), "perhaps", {"STT102"}),
    "all calls": (theirs(rule("*", "*")), "twice", {"STT103"}),
    "all calls without call type": (theirs(rule("*", "*", None)), "twice", {"STT103"}),
    "all calls, with blanks": (theirs(rule(" *", "* ")), "twice", {"STT103"}),
    "all calls of browsers": (theirs(rule("*", "*", "CLIENT")), "perhaps", {"STT102"}),
    "to another number": (theirs(rule("*", STRANGER)), "once", set()),
    "from another number": (theirs(rule(STRANGER, "*")), "once", set()),
    "between others": (theirs(rule(OTHER_NUMBER, STRANGER)), "once", set()),
    "to another number without call type": (theirs(rule("*", STRANGER, None)), "once", set()),
    "from another number without call type": (theirs(rule(STRANGER, "*", None)), "once", set()),
    "to another number by an unknown call type": (theirs(rule("*", STRANGER, "VIDEO")), "once", set()),
    "from another number by an unknown call type": (theirs(rule(STRANGER, "*", "VIDEO")), "once", set()),
    "to another number from browsers": (theirs(rule("*", STRANGER, "CLIENT")), "once", set()),
    "to a client": (theirs(rule("*", "agent-1", "CLIENT")), "once", set()),
    "to a client without call type": (theirs(rule("*", "agent-1", None)), "once", set()),
    "to a SIP address": (theirs(rule("*", "sip:desk@example.com", "PUBLIC_SIP")), "once", set()),
    "from half of another number": (theirs(rule("+44*", STRANGER)), "once", set()),
    "for SMS only": (
        {"configurations": (configuration(), capturing(PSTN_IN, channel="SMS", configuration_id=THEIRS))},
        "once",
        set(),
    ),
    "in another configuration with a strange type": (
        {"configurations": (configuration(), configuration(THEIRS, channelSettings={"VOICE": "off"}))},
        "unknown",
        {"STT106"},
    ),
    "ours and theirs": (
        {
            "ours": capturing(PSTN_IN),
            "configurations": (capturing(PSTN_IN), capturing(PSTN_IN, configuration_id=THEIRS)),
        },
        "twice",
        {"STT101", "STT102"},
    ),
    "nothing named, and a rule for us": (
        {"named": (), **theirs(PSTN_IN, configuration_id=None)},
        "twice",
        {"STT102"},
    ),
    "nothing named, and no rule": ({"named": (), **theirs(configuration_id=None)}, "once", set()),
    "we are a client, and a rule has its call type": (
        theirs(rule("*", "agent-1", "CLIENT"), numbers=("client:agent-1",)),
        "twice",
        {"STT102"},
    ),
    "we are a client, and a rule has no call type": (
        theirs(rule("*", "agent-1", None), numbers=("client:agent-1",)),
        "perhaps",
        {"STT102"},
    ),
    "we are a SIP address": (
        theirs(rule("*", "sip:bot@EXAMPLE.com:5060", "PUBLIC_SIP"), numbers=("sip:bot@example.com",)),
        "twice",
        {"STT102"},
    ),
}

SPELLINGS: Final = (
    "+1 (555) 010-0001",
    "+1.555.010.0001",
    "+1\u00a0555\u00a0010\u00a00001",
    "+1\u2011555\u2011010\u20110001",
    " +15550100001 ",
    "0015550100001",
    "tel:+1-555-010-0001",
    "\uff0b15550100001",
    "+1555010\u200b0001",
    "whatsapp:+15550100001",
)
SPELT: dict[str, Row] = {
    **{f"a rule to {text!a}": (theirs(rule("*", text)), "twice", {"STT102"}) for text in SPELLINGS},
    **{
        f"a setting of {text!a}": (theirs(PSTN_IN, numbers=(text,)) | {"incoming": ()}, "twice", {"STT102"})
        for text in SPELLINGS
    },
}

NUMBERS: dict[str, Row] = {
    "its voice URL is ours": (led_here((number(),), PSTN_IN), "twice", {"STT102"}),
    "its voice URL has our port": (
        led_here((number(voice_url="https://VOICE.example.com:443/voice"),), PSTN_IN),
        "twice",
        {"STT102"},
    ),
    "its voice URL has a query": (
        led_here((number(voice_url=f"{ORIGIN}/voice?a=1"),), PSTN_IN),
        "twice",
        {"STT102"},
    ),
    "its voice URL ends with a slash": (
        led_here((number(voice_url=f"{ORIGIN}/voice/"),), PSTN_IN),
        "twice",
        {"STT102"},
    ),
    "its voice URL is another application on our host": (
        led_here((number(), number(OTHER_NUMBER, voice_url=f"{ORIGIN}/ivr")), rule("*", OTHER_NUMBER)),
        "once",
        set(),
    ),
    "its voice URL only begins like ours": (
        led_here((number(), number(OTHER_NUMBER, voice_url=f"{ORIGIN}/voice-mail")), rule("*", OTHER_NUMBER)),
        "once",
        set(),
    ),
    "its voice URL is on another host": (
        led_here(
            (number(), number(OTHER_NUMBER, voice_url="https://a.example/voice")), rule("*", OTHER_NUMBER)
        ),
        "once",
        set(),
    ),
    "an application leads here": (by_application(f"{ORIGIN}/voice", PSTN_IN), "twice", {"STT102"}),
    "an application leads here, and nobody captures": (by_application(f"{ORIGIN}/voice"), "once", set()),
    "an application leads elsewhere": (
        by_application("https://a.example/voice", PSTN_IN) | {"scope": {"numbers": (OTHER_NUMBER,)}},
        "once",
        set(),
    ),
    "an application does not exist": (
        by_application(None, PSTN_IN) | {"scope": {"numbers": (OTHER_NUMBER,)}},
        "once",
        set(),
    ),
    "a trunk goes before an application": (
        led_here(
            (number(), number(OTHER_NUMBER, voice_application_sid=APPLICATION, trunk_sid="TK1")),
            rule("*", OTHER_NUMBER),
            applications={APPLICATION: VoiceApplication(sid=APPLICATION, voice_url=f"{ORIGIN}/voice")},
        ),
        "once",
        set(),
    ),
    "an application goes before a voice URL": (
        led_here(
            (number(), number(OTHER_NUMBER, voice_application_sid=APPLICATION)),
            rule("*", OTHER_NUMBER),
            applications={APPLICATION: VoiceApplication(sid=APPLICATION, voice_url="https://a.example/")},
        ),
        "once",
        set(),
    ),
    "an application could not be read, and somebody captures": (
        by_application(None, PSTN_IN)
        | unread((Part.APPLICATION, APPLICATION), applications={}, scope={"numbers": (OTHER_NUMBER,)}),
        "unknown",
        {"STT106"},
    ),
    "an application could not be read, and nobody captures": (
        by_application(None)
        | unread((Part.APPLICATION, APPLICATION), applications={}, scope={"numbers": (OTHER_NUMBER,)}),
        "once",
        set(),
    ),
    "nobody knows our numbers": (led_here(None, PSTN_IN), "perhaps", {"STT102"}),
    "nobody knows our numbers, and all calls are captured": (
        led_here(None, rule("*", "*")),
        "twice",
        {"STT103"},
    ),
    "the settings know a number that leads nowhere": (
        {"incoming": (number(voice_url=""),), "configurations": others(PSTN_IN)},
        "twice",
        {"STT102"},
    ),
}

LEGS: dict[str, Row] = {
    "to a number": (legs(PERSON, rule("*", PERSON)), "twice", {"STT105"}),
    "to a number in another spelling": (legs(PERSON, rule("*", "+1 555 010 0099")), "twice", {"STT105"}),
    "to a number from us": (legs(PERSON, rule(NUMBER, PERSON)), "twice", {"STT102"}),
    "to another number": (legs(PERSON, rule("*", STRANGER)), "once", set()),
    "from others without call type": (legs(PERSON, rule(STRANGER, "*", None)), "once", set()),
    "from others by an unknown call type": (legs(PERSON, rule(STRANGER, "*", "VIDEO")), "once", set()),
    "to a client": (legs("client:ann", rule("*", "ann", "CLIENT")), "twice", {"STT105"}),
    "to a client, without call type": (legs("client:ann", rule("*", "ann", None)), "once", set()),
    "to another client": (legs("client:ann", rule("*", "bob", "CLIENT")), "once", set()),
    "to a SIP address": (
        legs("sip:desk@example.com", rule("*", "sip:desk@EXAMPLE.com", "PUBLIC_SIP")),
        "twice",
        {"STT105"},
    ),
    "to a SIP address by its number": (
        legs(f"sip:{PERSON}@example.com", rule("*", PERSON, "PUBLIC_SIP")),
        "twice",
        {"STT105"},
    ),
    "to a SIP address, the plus escaped": (
        legs(f"sip:%2B{PERSON[1:]}@example.com;transport=tls", rule("*", PERSON, "PUBLIC_SIP")),
        "twice",
        {"STT105"},
    ),
    "to a SIP address by another number": (
        legs(f"sip:{PERSON}@example.com", rule("*", STRANGER, "PUBLIC_SIP")),
        "once",
        set(),
    ),
    "to a SIP address, over the telephone": (
        legs(f"sip:{PERSON}@example.com", rule("*", PERSON)),
        "once",
        set(),
    ),
    "to the same user at another host": (
        legs(f"sip:{PERSON}@example.com", rule("*", f"sip:{PERSON}@other.example", "PUBLIC_SIP")),
        "once",
        set(),
    ),
    "over all calls": (legs(PERSON, rule("*", "*")), "twice", {"STT103"}),
    "over all calls of browsers": (
        legs("client:ann", rule("*", "*", "CLIENT")),
        "perhaps+leg",
        {"STT102", "STT105"},
    ),
}

PEOPLE: dict[str, Row] = {
    "a rule on a number of people": (
        for_people(NUMBER, configurations=others(PSTN_IN)),
        "once",
        set(),
    ),
    "a rule on a number of the agent beside": (
        for_people(
            NUMBER,
            configurations=others(rule("*", OTHER_NUMBER)),
            scope={"numbers": (NUMBER, OTHER_NUMBER)},
        ),
        "twice",
        {"STT102"},
    ),
    "all numbers are people's, and all calls are captured": (
        for_people(NUMBER, configurations=others(rule("*", "*"))),
        "once",
        set(),
    ),
    "nothing is answered by an agent, and another configuration captures": (
        for_people(everywhere=True, configurations=others(PSTN_IN)),
        "once",
        set(),
    ),
    "nothing is answered by an agent, and all calls are captured": (
        for_people(everywhere=True, configurations=others(rule("*", "*"))),
        "once",
        set(),
    ),
    "nothing is answered by an agent, and the named configuration captures": (
        for_people(everywhere=True, ours=capturing(PSTN_IN)),
        "once",
        set(),
    ),
    "nothing is answered by an agent, and nothing was read": (
        without(Part.CONFIGURATION, Part.CONFIGURATIONS, scope={"for_people": lambda item: True}),
        "once",
        set(),
    ),
    "nothing is answered by an agent, but for a template": (
        for_people(everywhere=True, ours=capturing(PSTN_IN), scope={"in_templates": (OURS,)}),
        "twice",
        {"STT101"},
    ),
}

UNREAD: dict[str, Row] = {
    "the configuration": (without(Part.CONFIGURATION), "unknown", {"STT106"}),
    "the configuration, and the list has it": (
        unread((Part.CONFIGURATION, OURS), named=(Named(OURS, SETTING),)),
        "once",
        set(),
    ),
    "the configuration, and the list proves it": (
        unread(
            (Part.CONFIGURATION, OURS), named=(Named(OURS, SETTING),), configurations=(capturing(PSTN_IN),)
        ),
        "twice",
        {"STT101"},
    ),
    "the list": (without(Part.CONFIGURATIONS), "unknown", {"STT106"}),
    "the list and the configuration": (
        without(Part.CONFIGURATION, Part.CONFIGURATIONS),
        "unknown",
        {"STT106"},
    ),
    "everything, and the guard is lenient": (
        without(Part.CONFIGURATION, Part.CONFIGURATIONS, Part.NUMBERS, strict=False),
        "unknown",
        {"STT106"},
    ),
    "the list, and the configuration captures": (
        without(Part.CONFIGURATIONS, ours=capturing(PSTN_IN)),
        "twice",
        {"STT101", "STT106"},
    ),
    "the list, and nothing is named": (
        unread((Part.CONFIGURATIONS, ""), named=(), configurations=None, scope={"configuration_id": None}),
        "unknown",
        {"STT106"},
    ),
    "the list, where there is no Orchestrator": (
        unread(
            (Part.CONFIGURATIONS, ""),
            kind=Trouble.NOT_FOUND,
            named=(),
            configurations=None,
            scope={"configuration_id": None},
        ),
        "once",
        set(),
    ),
    "one row of the list": (unread((Part.CONFIGURATION, THEIRS)), "unknown", {"STT106"}),
    "a conversation in a template": (unread((Part.CONVERSATION, CONVERSATION)), "unknown", {"STT106"}),
    "the numbers, and nobody captures": (unread((Part.NUMBERS, ""), incoming=None), "once", set()),
    "the numbers, and somebody captures ours": (
        unread((Part.NUMBERS, ""), incoming=None, configurations=others(PSTN_IN)),
        "twice",
        {"STT102", "STT106"},
    ),
    "the numbers, and somebody captures one that may be ours": (
        unread((Part.NUMBERS, ""), incoming=None, configurations=others(rule("*", STRANGER))),
        "unknown",
        {"STT106"},
    ),
    "the numbers, and none is in the settings": (
        unread((Part.NUMBERS, ""), incoming=None, configurations=others(PSTN_IN), scope={"numbers": ()}),
        "perhaps",
        {"STT102", "STT106"},
    ),
    "the memory store": (unread((Part.STORE, "mem_store_1")), "once", set()),
    "the open conversations": (unread((Part.CONVERSATIONS, "")), "once", set()),
    "the answer is about another configuration": (
        {"named": (Named(OURS, SETTING, configuration(THEIRS)),), "configurations": ()},
        "unknown",
        {"STT106"},
    ),
}

NAMES: dict[str, Row] = {
    "a template names one that captures": (asked("acme-old", "a template", PSTN_IN), "twice", {"STT101"}),
    "a template names one that does not": (asked("acme-old", "a template"), "once", set()),
    "a number has one that captures": (
        {
            "named": (
                Named(OURS, SETTING, configuration()),
                Named(THEIRS, "the number +1", capturing(PSTN_IN, configuration_id=THEIRS)),
            ),
            "configurations": others(PSTN_IN),
            "scope": {"of_numbers": {OTHER_NUMBER: THEIRS}},
        },
        "twice",
        {"STT101"},
    ),
    "the list shows rules that the single answer does not": (two_answers([], [PSTN_IN]), "twice", {"STT101"}),
    "the single answer shows rules that the list does not": (two_answers([PSTN_IN], []), "twice", {"STT101"}),
    "both show the same rules": (two_answers([PSTN_IN], [PSTN_IN]), "twice", {"STT101"}),
}

BESIDE: dict[str, Row] = {
    "the memory store is gone": ({"stores": stores(None)}, "once", set()),
    "too many links": (
        {"ours": configuration(intelligenceConfigurationIds=["intelligence_configuration_1"] * 6)},
        "once",
        set(),
    ),
    "a callback that nobody can reach": (
        {"ours": configuration(statusCallbacks=[{"url": "http://voice.example.com/x"}])},
        "once",
        set(),
    ),
    "an SMS rule that matches nothing": (
        {"ours": capturing(rule("*", "+1555*", None), channel="SMS")},
        "once",
        set(),
    ),
    "no memory store": ({"ours": configuration(memoryStoreId=None)}, "once", set()),
    "101 rules for WhatsApp": (
        {
            "ours": capturing(
                *[rule("*", f"whatsapp:+1555{n:07}", None) for n in range(101)], channel="WHATSAPP"
            )
        },
        "once",
        set(),
    ),
    "no number leads here": (led_here(()), "once", set()),
    "no timeouts for calls": (ours({"VOICE": {"statusTimeouts": None, "captureRules": []}}), "once", set()),
}

GROUPS = {
    "the named configuration": NAMED,
    "another configuration": ELSEWHERE,
    "a spelling": SPELT,
    "a number of ours": NUMBERS,
    "a leg": LEGS,
    "people": PEOPLE,
    "unread": UNREAD,
    "names": NAMES,
    "beside": BESIDE,
}
ROWS = {f"{group}: {name}": row for group, rows in GROUPS.items() for name, row in rows.items()}


def billed(findings: list[Finding]) -> str:
    """What the findings say of the bill."""
    proven = {item.rule for item in findings if item.severity is Severity.ERROR and item.rule != "STT106"}
    perhaps = {item.rule for item in findings if item.severity is Severity.WARNING and item.rule != "STT106"}
    if "STT105" in proven and perhaps:
        return "perhaps+leg"
    if proven:
        return "twice"
    if perhaps:
        return "perhaps"
    return "unknown" if findings else "once"


@pytest.mark.parametrize("name", ROWS)
def test_it_is_said_what_is_billed_and_why(name: str) -> None:
    state, expected, why = ROWS[name]
    told = judge(snapshot(**state))
    found = [item for item in told if item.rule.startswith("STT") and item.severity is not Severity.NOTE]
    assert (billed(found), {item.rule for item in found}) == (expected, why)
    for item in found:
        assert item.reason
        assert item.fix
    refused = any(item.severity is Severity.ERROR for item in found)
    assert bool(exit_code(told)) is refused, "nothing but speech-to-text refuses in these accounts"


@pytest.mark.parametrize("name", ROWS)
def test_the_headline_never_says_fine_of_what_was_not_read(name: str) -> None:
    state, expected, _ = ROWS[name]
    findings = judge(snapshot(**state))
    headline = overview(verdict(findings), [], findings).plain.splitlines()[0]
    assert headline.startswith("Fine") is (verdict(findings) is Verdict.FINE)
    if expected == "unknown":
        assert headline.startswith("Not verified")
    if expected == "once":
        assert headline.startswith("Fine")


def test_there_are_states_of_every_kind() -> None:
    assert len(ROWS) >= 100
    assert {row[1] for row in ROWS.values()} >= {"once", "twice", "perhaps", "unknown"}
    assert {rule_id for row in ROWS.values() for rule_id in row[2]} == {
        "STT101",
        "STT102",
        "STT103",
        "STT105",
        "STT106",
    }

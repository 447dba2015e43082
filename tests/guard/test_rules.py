"""One case for every rule of the reference (``orchestrator.md`` §8), good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support import accounts
from support.accounts import (
    LINK,
    NUMBER,
    OTHER_NUMBER,
    OURS,
    PERSON,
    STORE,
    THEIRS,
    capturing,
    configuration,
    conversation,
    customer,
    judged,
    linked,
    number,
    others,
    rule,
    trouble,
)
from voice_app.findings import RULES, Finding, Severity
from voice_app.guard import Allowance, Named
from voice_app.guard.snapshot import Part, Unread
from voice_app.twilio import Trouble
from voice_app.twilio.alerts import Alert
from voice_app.twiml import RULES as TWIML_RULES
from voice_app.twiml import lint_text

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE
SMS_BOTH = [rule("*", NUMBER, None), rule(NUMBER, "*", None)]
CONVERSATION = "conv_conversation_00000000000000000000000007"


CALL, OTHER = "CA" + "1" * 32, "CA" + "2" * 32


def alerts(*told: tuple[str, str]) -> dict[str, Any]:
    """Twilio reported these errors of these calls; `CALL` came to our number."""
    found = tuple(Alert(f"NO{code}", code, "error", "2026-11-01T00:00:00Z", sid) for code, sid in told)
    ends = {CALL: frozenset({PERSON, NUMBER}), OTHER: frozenset({PERSON, "+15550100066"})}
    return {"alerts": found, "alerted_calls": ends}


def with_(**fields: Any) -> dict[str, Any]:
    """The named configuration has these fields."""
    return {"ours": configuration(**fields)}


def voice(*rules: Any) -> dict[str, Any]:
    """The named configuration has these VOICE capture rules."""
    return {"ours": capturing(*rules)}


def texts(*rules: Any, channel: str = "SMS") -> dict[str, Any]:
    """The named configuration has these capture rules for messages."""
    return {"ours": capturing(*rules, channel=channel)}


def elsewhere(*rules: Any, **scope: Any) -> dict[str, Any]:
    """Another configuration has these VOICE capture rules."""
    return {"configurations": others(*rules), "scope": scope}


def called_back(*callbacks: dict[str, str]) -> dict[str, Any]:
    return with_(statusCallbacks=list(callbacks))


def chats(**fields: Any) -> dict[str, Any]:
    channels = {"VOICE": accounts.VOICE, "CHAT": {"captureRules": [rule("*", "user123", None)]}}
    return with_(channelSettings=channels, **fields)


def triggered(on: str, **trigger: Any) -> dict[str, Any]:
    """The linked intelligence configuration runs an operator on this."""
    rules = [{"operators": [{"id": accounts.OPERATOR}], "triggers": [{"on": on, **trigger}]}]
    return linking(intelligence=linked(rules=rules))


def linking(**parts: Any) -> dict[str, Any]:
    return {"ours": configuration(intelligenceConfigurationIds=[LINK]), **parts}


def timeouts(grouping: str, sms: int, **changed: Any) -> dict[str, Any]:
    """``changed``: ``voice=None`` takes the timeouts of VOICE away."""
    voice = {**accounts.VOICE, "statusTimeouts": None} if "voice" in changed else accounts.VOICE
    channels = {"VOICE": voice, "SMS": {"statusTimeouts": {"inactive": 10, "closed": sms}}}
    return with_(conversationGroupingType=grouping, channelSettings=channels)


def people(known: int, unknown: int) -> dict[str, Any]:
    profiles = ["mem_profile_1"] * known + [None] * unknown
    found = [conversation(n, participants=[customer(item)]) for n, item in enumerate(profiles)]
    return {"conversations": tuple(found)}


def behind(*rules: Any) -> dict[str, Any]:
    """A template names a conversation of another configuration, which has these VOICE capture rules."""
    other = capturing(*rules, configuration_id=THEIRS)
    ours = configuration()
    named = (Named(OURS, "TWILIO_CONVERSATION_CONFIGURATION_ID", ours), Named(THEIRS, CONVERSATION, other))
    return {"named": named, "configurations": (ours, other)}


def unread(part: Part, where: str = "", kind: Trouble = Trouble.SERVER, **parts: Any) -> dict[str, Any]:
    return {"unread": (Unread(part, where, trouble(kind)),), **parts}


def unknown_configuration(kind: Trouble = Trouble.SERVER) -> dict[str, Any]:
    """Neither singly nor in the list."""
    named = (Named(OURS, "TWILIO_CONVERSATION_CONFIGURATION_ID"),)
    return unread(Part.CONFIGURATION, OURS, kind, named=named, configurations=())


def many(count: int) -> dict[str, Any]:
    """So many configurations in the account."""
    rest = [configuration(f"conv_configuration_{n:026}") for n in range(2, count + 1)]
    return {"configurations": (configuration(), *rest)}


PSTN_IN = rule("*", NUMBER)

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], Severity]] = {
    "1 VOICE rules on the named configuration": ("STT101", voice(), voice(PSTN_IN), E),
    "1 with metadata {}": ("STT101", voice(), voice(rule("*", NUMBER, None)), E),
    "1 that match nothing of ours": ("STT101", voice(), voice(rule("*", "agent-7", "CLIENT")), E),
    "2 another configuration, calls to us": ("STT102", elsewhere(), elsewhere(PSTN_IN), E),
    "2 another configuration, calls from us": (
        "STT102",
        elsewhere(rule(OTHER_NUMBER, "+15550100003")),
        elsewhere(rule(NUMBER, "*")),
        E,
    ),
    "2 by call type": (
        "STT102",
        elsewhere(rule("*", OTHER_NUMBER, "CLIENT")),
        elsewhere(rule("*", NUMBER, "CLIENT")),
        W,
    ),
    "2 half a wildcard": ("STT102", elsewhere(rule("*", OTHER_NUMBER)), elsewhere(rule("*", "+1555*")), W),
    "2 nobody knows our numbers": (
        "STT102",
        {"configurations": others(), "incoming": None, "scope": {"numbers": ()}},
        {"configurations": others(PSTN_IN), "incoming": None, "scope": {"numbers": ()}},
        W,
    ),
    "2 a number of the account, in another spelling": (
        "STT102",
        {"configurations": others(PSTN_IN), "incoming": (), "scope": {"numbers": (OTHER_NUMBER,)}},
        {"configurations": others(rule("*", "+1 (555) 010-0001")), "scope": {"numbers": ()}},
        E,
    ),
    "2 only by account-wide wildcards": (
        "STT103",
        elsewhere(rule("*", "*", "CLIENT")),
        elsewhere(rule("*", "*")),
        E,
    ),
    "3 the configuration behind a conversationId": ("STT101", behind(), behind(PSTN_IN), E),
    "4 TwiML that names nothing": (
        "STT102",
        {"named": (), "configurations": others(), "scope": {"configuration_id": None}},
        {"named": (), "configurations": others(PSTN_IN), "scope": {"configuration_id": None}},
        E,
    ),
    "8 VOICE without settings": (
        "CFG102",
        with_(channelSettings={"VOICE": {}}),
        with_(channelSettings={}),
        W,
    ),
    "12 a leg to a person": (
        "STT105",
        elsewhere(rule("*", OTHER_NUMBER), handoff_to=(PERSON,)),
        elsewhere(rule("*", PERSON), handoff_to=(PERSON,)),
        E,
    ),
    "12 a leg to a client": (
        "STT105",
        elsewhere(rule("*", "agent-7"), handoff_to=("client:agent-7",)),
        elsewhere(rule("*", "agent-7", "CLIENT"), handoff_to=("client:agent-7",)),
        E,
    ),
    "13 a client without its call type": (
        "CFG110",
        voice(rule("agent-1", NUMBER, "CLIENT")),
        voice(rule("agent-1", NUMBER, None)),
        W,
    ),
    "13 SIP without its call type": (
        "CFG110",
        voice(rule("sip:a@example.com", NUMBER, "PUBLIC_SIP")),
        voice(rule("sip:a@example.com", NUMBER, "PSTN")),
        W,
    ),
    "13 the older name of SIP": (
        "CFG111",
        voice(rule("sip:a@example.com", NUMBER, "PUBLIC_SIP")),
        voice(rule("sip:a@example.com", NUMBER, "SIP")),
        W,
    ),
    "14 a wildcard identity": (
        "CFG112",
        voice(rule("agent-1", "*", "CLIENT")),
        voice(rule("*", NUMBER, "CLIENT")),
        W,
    ),
    "15 the whole account": ("CFG113", voice(rule("*", NUMBER)), voice(rule("*", "*")), W),
    "16 two rules for one call": (
        "CFG114",
        texts(*SMS_BOTH),
        texts(*SMS_BOTH, rule("*", NUMBER, None)),
        W,
    ),
    "16 a rule inside another": (
        "CFG114",
        voice(rule("*", NUMBER), rule("*", NUMBER, "CLIENT")),
        voice(rule("*", NUMBER), rule(OTHER_NUMBER, NUMBER)),
        W,
    ),
    "17 SMS in one direction": ("CFG115", texts(*SMS_BOTH), texts(rule("*", NUMBER, None)), W),
    "18 close to 100 rules": (
        "CFG116",
        texts(*[rule("*", f"+155501{n:05}", None) for n in range(89)], channel="WHATSAPP"),
        texts(*[rule("*", f"+155501{n:05}", None) for n in range(90)], channel="WHATSAPP"),
        W,
    ),
    "18 more than 100 rules": (
        "CFG116",
        texts(*[rule("*", f"+155501{n:05}", None) for n in range(89)], channel="WHATSAPP"),
        texts(*[rule("*", f"+155501{n:05}", None) for n in range(101)], channel="WHATSAPP"),
        W,
    ),
    "19 metadata that is no text": (
        "CFG117",
        texts({"from": "*", "to": NUMBER, "metadata": {"team": "a"}}),
        texts({"from": "*", "to": NUMBER, "metadata": {"team": 7}}),
        W,
    ),
    "19 a rule without to": ("CFG117", texts(*SMS_BOTH), texts({"from": "*"}), W),
    "20 not E.164": ("CFG118", texts(*SMS_BOTH), texts(rule("*", "+1 555 010 0001", None)), W),
    "20 WhatsApp without its prefix": (
        "CFG118",
        texts(rule("*", f"whatsapp:{NUMBER}", None), channel="WHATSAPP"),
        texts(rule("*", NUMBER, None), channel="WHATSAPP"),
        W,
    ),
    "20 half a wildcard": ("CFG118", texts(*SMS_BOTH), texts(rule("*", "+1555*", None)), W),
    "24 close to 10 configurations": ("CFG119", many(7), many(8), W),
    "our own: a region that Twilio does not have": (
        "CFG104",
        {"scope": {"region": "ie1"}},
        {"scope": {"region": "de1"}},
        E,
    ),
    "27 no memory store": ("CFG120", with_(), with_(memoryStoreId=None), W),
    "27 something else as memory store": ("CFG120", with_(), with_(memoryStoreId=OURS), W),
    "29 open conversations with older settings": (
        "CFG121",
        {"conversations": (conversation(createdAt="2026-01-01T00:00:01Z"),)},
        {"conversations": (conversation(createdAt="2025-12-31T23:59:59Z"),)},
        N,
    ),
    "31 a link to nothing": ("INT101", linking(intelligence=linked()), linking(intelligence={LINK: None}), W),
    "31 a link without rules": (
        "INT102",
        linking(intelligence=linked()),
        linking(intelligence=linked(rules=[])),
        W,
    ),
    "31 more than five links": (
        "INT106",
        with_(intelligenceConfigurationIds=[LINK] * 5),
        with_(intelligenceConfigurationIds=[LINK] * 6),
        W,
    ),
    "31 a link that cannot be read": (
        "INT105",
        linking(intelligence=linked()),
        linking(**unread(Part.INTELLIGENCE, LINK)),
        W,
    ),
    "32 a callback without https": (
        "CFG130",
        with_(),
        called_back({"url": "http://voice.example.com/orchestrator/events"}),
        W,
    ),
    "32 a callback to a private host": ("CFG130", with_(), called_back({"url": "https://localhost/x"}), W),
    "32 three callbacks": (
        "CFG131",
        called_back(*[{"url": "https://a.example.com"}] * 2),
        called_back(*[{"url": "https://a.example.com"}] * 3),
        W,
    ),
    "32 a callback by GET": (
        "CFG132",
        with_(),
        called_back({"url": "https://voice.example.com/orchestrator/events", "method": "GET"}),
        W,
    ),
    "32 a callback to a tunnel that is gone": (
        "CFG133",
        called_back({"url": "https://VOICE.example.com:443/orchestrator/events"}),
        called_back({"url": "https://1234.tunnel.example/orchestrator/events"}),
        W,
    ),
    "32 a callback where nothing answers": (
        "CFG133",
        with_(),
        called_back({"url": "https://voice.example.com/events"}),
        W,
    ),
    "33 a conversation that nobody closes": (
        "CFG122",
        {"conversations": (conversation(updatedAt="2026-01-01T11:00:01Z"),)},
        {"conversations": (conversation(updatedAt="2026-01-01T10:59:59Z"),)},
        N,
    ),
    "34 messages hold a call's conversation open": (
        "CFG123",
        timeouts("GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE", 60),
        timeouts("GROUP_BY_PROFILE", 60),
        W,
    ),
    "34 no longer than the call": (
        "CFG123",
        timeouts("GROUP_BY_PROFILE", 30),
        timeouts("GROUP_BY_PROFILE", 31),
        W,
    ),
    "33 calls without timeouts beside messages that close": (
        "CFG127",
        timeouts("GROUP_BY_PROFILE", 60),
        timeouts("GROUP_BY_PROFILE", 60, voice=None),
        N,
    ),
    "33 inactive not before closed": ("CFG128", timeouts("X", 11), timeouts("X", 10), W),
    "39 the list and the single answer differ": (
        "CFG126",
        {},
        {"configurations": (capturing(PSTN_IN),)},
        W,
    ),
    "35 no extraction": ("MEM103", with_(), with_(memoryExtractionEnabled=False), W),
    "36 an operator on every fragment": (
        "INT103",
        triggered("CONVERSATION_END"),
        triggered("COMMUNICATION"),
        W,
    ),
    "36 an operator on few fragments": (
        "INT103",
        triggered("COMMUNICATION", parameters={"count": 5}),
        triggered("COMMUNICATION", parameters={"count": 4}),
        W,
    ),
    "37 a prompt for nobody's words": (
        "INT104",
        linking(intelligence=linked(), operators=accounts.operator("How does the customer feel?")),
        linking(intelligence=linked(), operators=accounts.operator("How is the mood?")),
        N,
    ),
    "38 the store is gone": ("MEM101", {}, {"stores": accounts.stores(None)}, W),
    "38 the store has failed": ("MEM101", {}, {"stores": accounts.stores("FAILED")}, W),
    "38 the store is being made": ("MEM101", {}, {"stores": accounts.stores("PROVISIONING")}, W),
    "38 the store is gone and nobody cares": (
        "MEM101",
        with_(memoryExtractionEnabled=False),
        with_(memoryExtractionEnabled=False) | {"stores": accounts.stores(None)},
        W,
    ),
    "38 the store cannot be read": ("MEM104", {}, unread(Part.STORE, STORE), W),
    "38 customers without profiles": ("MEM102", people(3, 2), people(2, 3), W),
    "38 the link to the memory fails": ("ERR101", alerts(("530003", OTHER)), alerts(("530003", CALL)), W),
    "38 alerts cannot be read": ("ERR102", {}, unread(Part.ALERTS, ""), N),
    "42 chat without the bridge": ("CFG124", chats(conversationsV1Bridge={"serviceId": "IS1"}), chats(), W),
    "45 the configuration cannot be read": ("STT106", {}, unknown_configuration(), E),
    "45 the list cannot be read": ("STT106", {}, unread(Part.CONFIGURATIONS), E),
    "45 the conversation cannot be read": ("STT106", {}, unread(Part.CONVERSATION, CONVERSATION), E),
    "45 our numbers cannot be read, and somebody captures": (
        "STT106",
        {"configurations": others(PSTN_IN)},
        unread(Part.NUMBERS, configurations=others(PSTN_IN), incoming=None, scope={"numbers": ()}),
        E,
    ),
    "45 our numbers cannot be read, and nobody captures": (
        "STT106",
        {},
        unread(Part.NUMBERS, incoming=None),
        N,
    ),
    "45 the open conversations cannot be read": ("CFG125", {}, unread(Part.CONVERSATIONS), N),
    "our own: no number leads here": (
        "NUM101",
        {"scope": {"numbers": ()}},
        {"incoming": (number(voice_url="https://demo.twilio.com/x"),), "scope": {"numbers": ()}},
        W,
    ),
    "our own: a number leads elsewhere": ("NUM102", {}, {"incoming": (number(voice_url=""),)}, W),
    "our own: a number leads to an application": (
        "NUM102",
        {},
        {"incoming": (number(voice_application_sid="AP1"),)},
        W,
    ),
    "our own: a number is not in the account": ("NUM102", {}, {"incoming": ()}, W),
    "our own: a number without a fallback": ("NUM103", {}, {"incoming": (number(voice_fallback_url=""),)}, N),
    "our own: a number with another path": (
        "NUM103",
        {},
        {"incoming": (number(voice_url="https://voice.example.com/voice/"),)},
        W,
    ),
}

TWIML = (
    "<Response><Connect action='/x'><ConversationRelay url='wss://a.example.com/' {}/></Connect></Response>"
)
RELAY = TWIML.format("")
BOTH = RELAY.replace("<Connect", "<Start><Transcription name='t'/></Start><Connect")
CONFIGURATION = f"conversationConfiguration='{OURS}'"
OLD_NAME = f"conversationConfigurationId='{OURS}'"
SWAPPED = f"conversationConfiguration='{CONVERSATION}'"
TWO_NAMES = f"{CONFIGURATION} conversationId='{CONVERSATION}'"

IN_TWIML: dict[str, tuple[str, str, str]] = {
    "5 two engines in one document": ("STT104", RELAY, BOTH),
    "6 the attribute with Id": ("TWI107", TWIML.format(CONFIGURATION), TWIML.format(OLD_NAME)),
    "7 the wrong kind of id": ("TWI109", TWIML.format(CONFIGURATION), TWIML.format(SWAPPED)),
    "7 both attributes": ("TWI108", TWIML.format(CONFIGURATION), TWIML.format(TWO_NAMES)),
}

SHOWN_ELSEWHERE = {
    "9": "test_the_samples_of_the_skill_are_refused",
    "10": "test_the_refusal_names_the_likely_cause",
    "11": "test_a_team_of_people_may_be_allowed_its_rules",
    "21": "tests/twilio_clients/test_configurations.py: a PUT carries every field",
    "22": "tests/twilio_clients/test_configurations.py: a race is told from the versions",
    "23": "tests/twilio_clients/test_configurations.py: another grouping is refused",
    "25": "tests/twilio_clients/test_configurations.py: the id is the operation's",
    "26": "test_check.py: what answers 404 cannot be verified",
    "28": "tests/sandbox/twilio/test_orchestrator.py: anything but JSON is 415",
    "30": "tests/twilio_clients/test_plan.py: 101 numbers need two",
    "39": "tests/twilio_clients/test_conversations.py: lists that leave fields out",
    "40": "test_evidence.py: STT201, and CFG201 for none",
    "41": "test_listeners.py: STT202",
}
NOT_DETECTABLE = {
    "43": "Media never reaches a conversation, so nothing of it is there to be read.",
    "44": "Whether a prompt is safe from the text in it is a property of our own code: tests/agents.",
}


def of(findings: list[Finding], rule_id: str) -> list[Finding]:
    return [finding for finding in findings if finding.rule == rule_id]


def test_with_nothing_wrong_there_is_nothing_to_say() -> None:
    assert judged() == []


@pytest.mark.parametrize("case", CASES)
def test_the_good_account_passes_and_the_bad_one_does_not(case: str) -> None:
    rule_id, good, bad, severity = CASES[case]
    assert of(judged(**good), rule_id) == []
    [finding] = of(judged(**bad), rule_id)
    assert finding.severity is severity
    assert finding.where
    assert finding.message
    assert finding.reason == RULES[rule_id].why
    assert finding.fix


@pytest.mark.parametrize("case", IN_TWIML)
def test_the_good_document_passes_and_the_bad_one_does_not(case: str) -> None:
    rule_id, good, bad = IN_TWIML[case]
    assert of(lint_text(good, "x.xml"), rule_id) == []
    assert of(lint_text(bad, "x.xml"), rule_id)


def test_every_rule_of_the_reference_has_a_case_or_a_reason() -> None:
    covered = {case.split()[0] for case in [*CASES, *IN_TWIML]} | set(SHOWN_ELSEWHERE) | set(NOT_DETECTABLE)
    assert {str(n) for n in range(1, 46)} <= covered
    for place in SHOWN_ELSEWHERE.values():
        path, _, _ = place.partition(":")
        if path.endswith(".py"):
            found = [Path(__file__).parents[2] / path, Path(__file__).parent / path]
            assert any(item.exists() for item in found), place


def test_every_rule_of_the_guard_has_a_case() -> None:
    seen_in_calls = {"STT201", "STT202", "CFG201"}
    about_settings = {"CFG101", "CFG103", "CFG105", "CFG106"}
    cases = {rule_id for rule_id, *_ in CASES.values()}
    assert cases | seen_in_calls | about_settings == set(RULES) - set(TWIML_RULES)


@pytest.mark.parametrize("kind", [Trouble.UNAUTHENTICATED, Trouble.LACKS_PERMISSION])
def test_45_says_what_to_do_about_credentials(kind: Trouble) -> None:
    [finding] = of(judged(**unknown_configuration(kind)), "STT106")
    told = {Trouble.UNAUTHENTICATED: "terms of service", Trouble.LACKS_PERMISSION: "grant"}
    assert told[kind] in finding.fix


def test_a_failure_that_hides_no_configuration_is_left_to_the_rules_of_its_parts() -> None:
    """What the list showed of the configuration is as good as the configuration itself."""
    missed = (Unread(Part.CONFIGURATION, OURS, trouble()), Unread(Part.STORE, STORE, trouble()))
    findings = judged(unread=missed, stores={})
    assert [finding.rule for finding in findings] == ["MEM104"]


SAMPLE = {
    "SMS": {"captureRules": SMS_BOTH, "statusTimeouts": {"inactive": 10, "closed": 60}},
    "VOICE": {"captureRules": [{"from": "*", "to": NUMBER, "metadata": {}}]},
}


def test_the_samples_of_the_skill_are_refused() -> None:
    """9: they are for people's calls, and anybody may copy them for an agent's."""
    assert of(judged(configuration(channelSettings=SAMPLE)), "STT101")


def test_the_refusal_names_the_likely_cause() -> None:
    """10"""
    [finding] = of(judged(capturing(PSTN_IN)), "STT101")
    assert "Twilio Agent Connect" in finding.fix
    assert json.dumps({"from": "*"})[1:-1] not in finding.fix  # the change, not the rules


def test_a_team_of_people_may_be_allowed_its_rules() -> None:
    """11"""
    allowed = (Allowance("STT102", THEIRS),)
    [finding] = judged(configurations=others(PSTN_IN), scope={"allowances": allowed})
    assert (finding.rule, finding.severity) == ("STT102", N)


@pytest.mark.parametrize(
    "case",
    [case for case, (rule_id, *_) in CASES.items() if rule_id.startswith("CFG11") and "24" not in case],
)
def test_what_is_wrong_with_somebody_elses_configuration_is_a_note(case: str) -> None:
    rule_id, _, bad, _ = CASES[case]
    raw = bad["ours"].raw | {"id": THEIRS}
    theirs = type(bad["ours"])(raw)
    [finding] = of(judged(configurations=(configuration(), theirs)), rule_id)
    assert (finding.severity, finding.where) == (N, THEIRS)


def test_a_lenient_guard_makes_doubts_warnings_and_nothing_else() -> None:
    lenient = {"strict": False}
    doubts = of(judged(**unread(Part.CONFIGURATIONS), scope=lenient), "STT106")
    assert [finding.severity for finding in doubts] == [W]
    assert of(judged(capturing(PSTN_IN), scope=lenient), "STT101")[0].severity is E


def test_without_a_configuration_an_account_may_have_no_orchestrator() -> None:
    parts = unread(Part.CONFIGURATIONS, named=(), configurations=None, scope={"configuration_id": None})
    [finding] = of(judged(**parts), "STT106")
    assert finding.severity is W


def test_what_the_list_shows_is_as_good_as_the_single_answer() -> None:
    parts = unread(
        Part.CONFIGURATION,
        OURS,
        named=(Named(OURS, "TWILIO_CONVERSATION_CONFIGURATION_ID"),),
        configurations=(capturing(PSTN_IN),),
    )
    findings = judged(**parts)
    assert of(findings, "STT101")
    assert not of(findings, "STT106")


def test_without_promised_memories_nobody_misses_them() -> None:
    assert (
        of(judged(configuration(memoryExtractionEnabled=False), scope={"uses_memory": False}), "MEM103") == []
    )


def test_the_rules_of_another_team_are_its_own_business() -> None:
    assert judged(configurations=others(rule("*", OTHER_NUMBER), rule(OTHER_NUMBER, "*"))) == []


def test_evidence_is_told_up_to_a_limit() -> None:
    rules = [rule("*", f"+155501{n:05}") for n in range(12)]
    [finding] = of(judged(capturing(*rules)), "STT101")
    assert len(finding.evidence) == 11
    assert finding.evidence[-1] == "and 2 more"


def test_the_proof_names_rule_configuration_and_number() -> None:
    [finding] = judged(configurations=others(rule("*", OTHER_NUMBER), PSTN_IN))
    assert finding.where == THEIRS
    assert finding.evidence == (
        f"VOICE capture rule 2: from * to {NUMBER} (callType PSTN) catches calls to {NUMBER}",
    )
    assert f'VOICE_APP_GUARD_ALLOW="STT102:{THEIRS}"' in finding.fix


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (CONVERSATION, "it is the id of a conversation"),
        (STORE, "it is the id of a memory store"),
        ("conv_configuration_", "letters and digits"),
        ("conv_configuration_1/../2", "letters and digits"),
        ("conv_configuration_1\n", "letters and digits"),
        ("CONV_CONFIGURATION_1", "begins with conv_configuration_"),
        ("cfg_configuration_1", "begins with conv_configuration_"),
        (" ", "begins with conv_configuration_"),
    ],
)
def test_another_id_is_refused_with_what_it_is(value: str, told: str) -> None:
    [finding] = of(judged(named=(), scope={"configuration_id": value}), "CFG101")
    assert finding.severity is E
    assert told in finding.message


def test_every_rule_has_a_title_a_reason_and_a_fix() -> None:
    for rule_id, item in RULES.items():
        assert item.id == rule_id
        assert item.title
        assert not item.title.endswith(".")
        assert item.why.endswith(".")
        assert item.fix.endswith(".")

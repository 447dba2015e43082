"""The rules for documents, one by one: a document that breaks each, and one that is just right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.findings import Finding, Severity, refuses
from voice_app.twiml import RULES, VOCABULARY, lint_path, lint_text
from voice_app.twiml.linter import lint_bytes

CONFIGURATION = "conv_configuration_01k7abcdefghjkmnpqrstvwxyz"
CONVERSATION = "conv_conversation_01k7abcdefghjkmnpqrstvwxyz"
HEARD = 'reportInputDuringAgentSpeech="any"'
RELAY = f'<ConversationRelay url="wss://example.com/relay/x" {HEARD}/>'
CONNECT = f'<Connect action="/ended">{RELAY}</Connect>'


def _response(inside: str) -> str:
    return f"<Response>{inside}</Response>"


def _relay(attributes: str, inside: str = "", url: str = "wss://example.com/relay/x") -> str:
    relay = f'<ConversationRelay url="{url}" {HEARD} {attributes}>{inside}</ConversationRelay>'
    return _response(f'<Connect action="/ended">{relay}</Connect>')


def _transcription(attributes: str) -> str:
    return _response(f'<Start><Transcription name="t" {attributes}/></Start>')


def _start(name: str = "t") -> str:
    return f'<Start><Transcription name="{name}"/></Start>'


def _stop(name: str = "t") -> str:
    return f'<Stop><Transcription name="{name}"/></Stop>'


BAD: dict[str, list[str]] = {
    "TWI101": [
        "",
        "not xml",
        "<Response>",
        "<Response><Say>Fish & chips</Say></Response>",
        "\n<?xml version='1.0'?><Response/>",
        "<Response><Say voice='a' voice='b'>Hi</Say></Response>",
        "<Response>\x00</Response>",
        "<Response><Say>&nbsp;</Say></Response>",
    ],
    "TWI102": [
        "<!DOCTYPE Response><Response/>",
        '<!DOCTYPE r [<!ENTITY a "b">]><Response><Say>&a;</Say></Response>',
        '<!DOCTYPE r SYSTEM "file:///etc/passwd"><Response/>',
    ],
    "TWI103": ["<Respons/>", "<response/>", "<Say>Hello</Say>"],
    "TWI104": [
        _response("<Sya>Hello</Sya>"),
        _response("<say>Hello</say>"),
        _response("<Dial><Foo/></Dial>"),
    ],
    "TWI105": [
        _response(RELAY),
        _response("<Number>+14155550100</Number>"),
        _response(f"<Start>{RELAY}</Start>"),
        _response("<Response/>"),
        _response('<Connect action="/e"><Transcription name="t"/></Connect>'),
        _response(f'<Connect action="/e">{RELAY}{RELAY}</Connect>'),
    ],
    "TWI106": [
        _relay('interruptByDtmf="true"'),
        _relay('welcome_greeting="Hello"'),
        _relay('brandNew="1"'),
        _response('<Connect action="/e" conversationId="x"><Room>r</Room></Connect>'),
        _transcription('statusCallback="https://example.com/"'),
    ],
    "TWI107": [
        _relay(f'conversationConfigurationId="{CONFIGURATION}"'),
        _relay(f'conversationConfigurationSid="{CONFIGURATION}"'),
        _transcription(f'conversationConfigurationId="{CONFIGURATION}"'),
    ],
    "TWI108": [
        _relay(f'conversationConfiguration="{CONFIGURATION}" conversationId="{CONVERSATION}"'),
        _transcription(f'conversationConfiguration="{CONFIGURATION}" conversationId="{CONVERSATION}"'),
    ],
    "TWI109": [
        _relay(f'conversationConfiguration="{CONVERSATION}"'),
        _relay(f'conversationId="{CONFIGURATION}"'),
        _relay('conversationConfiguration="CONFIG_ID"'),
        _relay('conversationId="conv_conversation_"'),
        _transcription('conversationId="CH0123"'),
    ],
    "TWI110": [
        _relay("", url="ws://example.com/relay"),
        _relay("", url="https://example.com/relay"),
        _relay("", url="/relay"),
        _relay("", url="wss://"),
        _relay("", url=""),
        _response('<Connect><Stream url="wss://example.com/s?a=b"/></Connect>'),
    ],
    "TWI111": [
        _relay('voice="Google.en-US-Journey-O"'),
        _relay('voice="Polly.Joanna-Neural"'),
        _relay("", '<Language code="en-US" voice="ElevenLabs.x"/>'),
    ],
    "TWI112": [
        _relay('interruptible="yes"'),
        _relay('dtmfDetection="True"'),
        _relay('speechTimeout="599"'),
        _relay('speechTimeout="5001"'),
        _relay('eotThreshold="0.95" speechModel="flux"'),
        _relay('eagerEotThreshold="half" speechModel="flux"'),
        _relay('language="en_US"'),
        _relay('ttsProvider="Deepgram"'),
        _relay('events="speaker-events wishes"'),
        _relay('welcomeGreetingInterruptible="true"'),
        _relay('intelligenceService="intelligence_configuration_1"'),
        _transcription('transcriptionEngine="whisper"'),
        _transcription('statusCallbackUrl="/transcription"'),
        _transcription(f'hints="{"x" * 101}"'),
        _transcription(f'hints="{",".join(["x"] * 501)}"'),
        _response('<Dial method="PUT">+14155550100</Dial>'),
        _response('<Enqueue workflowSid="WW0123"><Task>not JSON</Task></Enqueue>'),
        _response("<Redirect>ftp://example.com</Redirect>"),
        _response('<Gather input="speech voice"/>'),
    ],
    "TWI113": [
        _response(f'<Connect action="/e"><ConversationRelay {HEARD}/></Connect>'),
        _relay("", '<Language voice="x"/>'),
        _relay("", '<Parameter name="x"/>'),
    ],
    "TWI114": [
        _response(f"{CONNECT}<Say>Bye</Say>"),
        _response("<Hangup/><Say>Bye</Say>"),
        _response('<Dial action="/dialled">+14155550100</Dial><Say>Nobody is here.</Say>'),
        _response("<Redirect>/voice</Redirect><Hangup/>"),
    ],
    "TWI115": [_response("Hello"), _response("<Hangup>now</Hangup>"), _relay("", "Hello")],
    "TWI116": [_response("<Dial><Number/></Dial>"), _response("<Dial><Queue> </Queue></Dial>")],
    "TWI117": [
        _response(f'<Connect><Stream url="wss://example.com/s"/></Connect>{CONNECT}'),
        _response(f'<Connect action="/e">{RELAY}<Stream url="wss://example.com/s"/></Connect>'),
    ],
    "TWI118": [_response(f"<Connect>{RELAY}</Connect>"), _response(f'<Connect action="">{RELAY}</Connect>')],
    "TWI119": [
        _response("<Start><Transcription/></Start>"),
        _response(f"{_start()}<Stop><Transcription/></Stop>"),
    ],
    "TWI120": [_relay("", '<Failover anything="x"><Anything/></Failover>')],
    "TWI121": [
        _relay('ttsLanguage="multi" ttsProvider="Google"'),
        _relay('transcriptionLanguage="multi" transcriptionProvider="Google"'),
        _relay('speechModel="flux" transcriptionProvider="Google"'),
        _relay('speechModel="telephony" transcriptionProvider="Deepgram"'),
        _relay('eotThreshold="0.7" speechModel="nova-3-general"'),
        _transcription('speechModel="nova-3"'),
        _relay("", '<Language code="multi" ttsProvider="Amazon"/>'),
    ],
    "TWI122": [
        _response(f"{_start('a')}{_start('b')}"),
        _response(f'{_start()}<Gather input="dtmf speech"/>'),
    ],
    "TWI123": [_relay('voice="None"'), _relay('conversationId="None"')],
    "TWI124": [_response("<Connect/>"), _response("<Start/>"), _response("<Dial> </Dial>")],
    "TWI125": [
        _relay('speechtimeout="auto"'),
        _relay('ignorebackchannel="true"'),
        _relay('WELCOMEGREETING="Hello"'),
        _response('<Say Voice="alice">Hello</Say>'),
    ],
    "TWI126": [
        _response("<Gather><Say>Press 1</Say></Gather>"),
        _response('<Record maxLength="60"/>'),
        _response("<Redirect/>"),
    ],
    "TWI127": [
        _response(f"<Say>{'a' * 65_536}</Say>"),
        _response(f"<Say>{'é' * 33_000}</Say>"),
        _response(f"<Say>{'a' * 4_000}</Say>"),
    ],
    "TWI128": [
        '<?xml version="1.0" encoding="ISO-8859-1"?><Response><Say>Grüße</Say></Response>',
        "<?xml version='1.0' encoding='utf-16'?><Response/>",
    ],
    "TWI130": [
        _response('<Connect action="/e"><ConversationRelay url="wss://example.com/r"/></Connect>'),
        _response(
            '<Connect action="/e"><ConversationRelay url="wss://e.example/r" interruptible="none"/></Connect>'
        ),
    ],
    "TWI129": [
        _response('<Gather input="speech" action="/a"><Say>Press 1 for sales.</Say></Gather>'),
        _response('<Gather action="/a"><Say>Please say yes or no.</Say></Gather>'),
    ],
    "STT104": [
        _response(f"{_start()}{CONNECT}"),
        _response(f"{_start()}<Say>Hello</Say>{CONNECT}"),
        _response(f"{_start('a')}{_stop('b')}{CONNECT}"),
        _response(f"{_start('a')}{_start('b')}{_stop('a')}{CONNECT}"),
        _response(f"<Start><Transcription/></Start><Stop><Transcription/></Stop>{CONNECT}"),
        _response(f"{_start()}<Connect>{RELAY}</Connect>"),
        _response(f'{_start()}<Connect action="/e"><ConversationRelaySession connector="x"/></Connect>'),
    ],
}

GOOD: dict[str, list[str]] = {
    "TWI101": ["<Response/>", "<?xml version='1.0' encoding='UTF-8'?>\n<Response><!-- a note --></Response>"],
    "TWI102": [_response("<Say>Fish &amp; chips &lt;3 &#128512;</Say>")],
    "TWI103": [_response("<Say>Hello</Say>"), '<Response xmlns:x="urn:x"/>'],
    "TWI104": [_response('<Say>A <break time="200ms"/><emphasis level="strong">b</emphasis></Say>')],
    "TWI105": [_response("<Dial><Number>+14155550100</Number></Dial>"), _response(CONNECT)],
    "TWI106": [_relay('interruptible="any" welcomeGreeting="Hello" dtmfDetection="true"')],
    "TWI107": [_relay(f'conversationConfiguration="{CONFIGURATION}"')],
    "TWI108": [
        _relay(f'conversationId="{CONVERSATION}"'),
        _transcription(f'conversationId="{CONVERSATION}"'),
    ],
    "TWI109": [
        _relay('conversationId="conv_conversation_0b0f6a52-4cf7-4a0b-9a8b-3d2f7d6b1c11"'),
        _response('<Enqueue workflowSid="WW0123"><Task priority="5">{"a": 1}</Task></Enqueue>'),
    ],
    "TWI110": [
        _relay("", url="wss://example.com:8443/relay?a=b"),
        _response('<Connect><Stream url="wss://example.com/s"/></Connect>'),
    ],
    "TWI111": [
        _relay('voice="en-US-Journey-O" ttsProvider="Google"'),
        _relay('voice="UgBBYS2sOqTuMpoF3BR0-flash_v2_5-1.0_0.5_0.75"'),
        _response('<Say voice="Polly.Joanna-Neural">Hello</Say>'),
    ],
    "TWI112": [
        _relay('interruptible="none" speechTimeout="600"'),
        _relay('interruptible="false" speechTimeout="auto" language="es-419"'),
        _relay('events="speaker-events tokens-played config-updated" debug="debugging"'),
        _relay('transcriptionProvider="deepgram" ttsProvider="google"'),
        _relay('eotThreshold="0.5" eagerEotThreshold=".3" speechModel="flux"'),
        _transcription('transcriptionEngine="Deepgram" track="inbound_track" hints="a,b"'),
        _response('<Dial method="get" timeout="20" callerId="+14155550199">+14155550100</Dial>'),
        _response('<Record maxLength="120" finishOnKey="#" playBeep="true" action="/recorded"/>'),
    ],
    "TWI113": [_relay("", '<Language code="de-DE"/><Parameter name="shop" value=""/>')],
    "TWI114": [
        _response(f"<Connect>{RELAY}</Connect><Say>Bye</Say>").replace(
            "<Connect>", '<Connect method="POST">'
        ),
        _response('<Gather action="/keys"><Say>Press 1</Say></Gather><Say>Nothing pressed.</Say>'),
        _response('<Record action="/recorded"/><Say>I heard nothing.</Say>'),
    ],
    "TWI115": [_response("\n  <Say>Hello</Say>\n")],
    "TWI116": [_response("<Dial><Queue>support</Queue></Dial>"), _response("<Say/>")],
    "TWI117": [
        _response(f'<Start><Stream url="wss://example.com/s" name="s"/></Start>{CONNECT}'),
    ],
    "TWI118": [_response(CONNECT), _response("<Connect><Room>r</Room></Connect>")],
    "TWI119": [_response(_start() + _stop())],
    "TWI120": [_relay("")],
    "TWI121": [
        _relay('ttsLanguage="multi"'),
        _relay('transcriptionLanguage="multi" transcriptionProvider="Deepgram" speechModel="nova-3-general"'),
        _relay('eotThreshold="0.7" speechModel="flux" transcriptionProvider="deepgram"'),
        _transcription('speechModel="nova-3" transcriptionEngine="deepgram"'),
    ],
    "TWI122": [
        _response(f"{_start('a')}{_stop('a')}{_start('b')}"),
        _response('<Gather input="speech"/>' + _start()),
        _response(_start() + '<Gather input="dtmf"/>'),
    ],
    "TWI123": [_relay('voice="Nonesuch"')],
    "TWI124": [_response("<Dial>+14155550100</Dial>"), _response(CONNECT)],
    "TWI125": [_relay('speechTimeout="auto" ignoreBackchannel="true"')],
    "TWI126": [
        _response('<Gather action="/keys"/>'),
        _response('<Record action="/recorded"/>'),
        _response("<Redirect>/voice</Redirect>"),
    ],
    "TWI127": [_response(f"<Say>{'a' * 3_900}</Say>")],
    "TWI128": [
        '<?xml version="1.0" encoding="utf-8"?><Response><Say>Grüße</Say></Response>',
        "<?xml version='1.0'?><Response><Say>Grüße</Say></Response>",
    ],
    "TWI130": [
        _relay(""),
        _relay("").replace('"any"', '"none"'),
        _relay("").replace('"any"', '"dtmf"'),
    ],
    "TWI129": [
        _response('<Gather input="dtmf speech" action="/a"><Say>Press 1 or say sales.</Say></Gather>'),
        _response('<Gather input="speech" action="/a"><Say>What is your impression?</Say></Gather>'),
    ],
    "STT104": [
        _response(f"{_start()}{_stop()}{CONNECT}"),
        _response(f'<Gather input="speech"><Say>Yes?</Say></Gather>{CONNECT}'),
        _response(f"<Connect>{RELAY}</Connect>{_start()}<Dial>+14155550100</Dial>"),
        _response(f"{CONNECT}{_start()}"),
        _response(f"{_start()}<Dial><Number>+14155550100</Number></Dial>"),
    ],
}


def _rules(source: str) -> set[str]:
    return {finding.rule for finding in lint_text(source, "test.xml")}


def _cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(rule, source) for rule, sources in table.items() for source in sources]


@pytest.mark.parametrize(("rule", "source"), _cases(BAD))
def test_a_document_that_breaks_a_rule_is_found(rule: str, source: str) -> None:
    assert rule in _rules(source)


@pytest.mark.parametrize(("rule", "source"), _cases(GOOD))
def test_a_document_that_keeps_a_rule_is_not_found(rule: str, source: str) -> None:
    assert rule not in _rules(source)


def test_every_rule_for_documents_has_a_good_and_a_bad_case() -> None:
    rules = {rule for rule in RULES if not rule.startswith("TWI2")}
    assert set(BAD) == rules
    assert set(GOOD) == rules


@pytest.mark.parametrize("source", [source for _, source in _cases(BAD)])
def test_every_finding_explains_itself(source: str) -> None:
    for finding in lint_text(source, "test.xml"):
        assert finding.where == "test.xml"
        assert finding.line == 1 or "\n" in source
        assert finding.message.endswith(".")
        assert finding.reason.startswith(RULES[finding.rule].why)


def test_one_mistake_is_one_finding() -> None:
    for source in (
        _relay(f'conversationConfigurationId="{CONFIGURATION}"'),
        _relay("", url="ws://example.com/relay"),
        _relay('voice="Google.en-US-Journey-O"'),
        _response("<Sya>Hello</Sya>"),
        _response(f"{_start()}{CONNECT}"),
    ):
        assert len(lint_text(source, "test.xml")) == 1


def _only(source: str) -> Finding:
    (finding,) = lint_text(source, "test.xml")
    return finding


@pytest.mark.parametrize(
    ("source", "fix"),
    [
        (_relay(f'conversationConfigurationId="{CONFIGURATION}"'), "Did you mean conversationConfiguration?"),
        (_relay('interruptByDtmf="true"'), "Did you mean interruptible?"),
        (_relay('welcome_greeting="Hi"'), "Did you mean welcomeGreeting?"),
        (_relay('dtmfDetction="true"'), "Did you mean dtmfDetection?"),
        (
            _relay(f'conversationId="{CONFIGURATION}"'),
            "An id like this one goes into conversationConfiguration.",
        ),
        (_relay("", url="ws://example.com/r"), 'Write "wss://example.com/r".'),
        (_relay('voice="Polly.Joanna-Neural"'), 'Write voice="Joanna-Neural" and ttsProvider="Amazon".'),
        (_relay('dtmfDetection="True"'), 'Did you mean "true"?'),
        (_relay('speechTimeout="100"'), "Write a whole number from 600 to 5000 milliseconds or auto."),
        (_response("<Sya>Hello</Sya>"), "Did you mean <Say>?"),
        (_response("<Number>+14155550100</Number>"), "It belongs into <Dial>."),
        (_response('<Dial machineDetection="Enable">+1</Dial>'), "It belongs on <Number>."),
        (_response("Hello"), "Put it into <Say>."),
        ("<Response><Say>a</Response>", "<Say> is still open here: close it first."),
        ("<Response><Say>a & b</Say></Response>", "Write a bare & as &amp;."),
    ],
)
def test_a_finding_says_what_to_write_instead(source: str, fix: str) -> None:
    assert _only(source).fix == fix


def test_findings_carry_the_line_of_the_attribute_and_of_the_text() -> None:
    source = (
        '<?xml version="1.0"?>\n'
        "<Response>\n"
        "  <Say>Grüß Gott 🙂</Say>\n"
        '  <Connect action="/e">\n'
        f"    <ConversationRelay {HEARD}\n"
        '        url="wss://example.com/relay"\n'
        '        welcomeGreeting="dtmfDetection = 1 🙂"\n'
        '        dtmfDetection="yes"/>\n'
        "  </Connect>\n"
        "  <!-- the end -->\n"
        "  loose words\n"
        "</Response>\n"
    )
    found = [(finding.rule, finding.line) for finding in lint_text(source, "test.xml")]
    assert found == [("TWI112", 8), ("TWI115", 11)]


def test_a_double_bill_names_both_ends() -> None:
    finding = _only(_response(f"\n{_start()}\n{CONNECT}\n"))
    assert (finding.rule, finding.severity, finding.line) == ("STT104", Severity.ERROR, 3)
    assert finding.evidence == ("<Transcription> stands at test.xml:2",)
    assert '<Stop><Transcription name="t"/></Stop>' in finding.fix


def test_what_stands_in_a_failover_is_noted_and_never_refused() -> None:
    finding = _only(_relay("", '<Failover ttsProvider="Google" x="y"><Anything/></Failover>'))
    assert (finding.rule, finding.severity) == ("TWI120", Severity.NOTE)
    assert "not confirmed" in finding.reason


def test_a_breach_of_a_weak_fact_is_a_warning_with_a_note() -> None:
    finding = _only(_relay('backgroundNoiseReduction="high"'))
    assert finding.severity is Severity.WARNING
    assert "not documented" in finding.reason


def test_a_switch_that_is_only_ignored_is_a_warning() -> None:
    assert not refuses(lint_text(_relay('eotThreshold="0.7" speechModel="nova-3-general"'), "test.xml"))
    assert refuses(lint_text(_relay('speechModel="flux" transcriptionProvider="Google"'), "test.xml"))


@pytest.mark.parametrize("allow", ["brandNew", "ConversationRelay.brandNew"])
def test_an_attribute_can_be_allowed_by_name(allow: str) -> None:
    source = _relay('brandNew="1"')
    assert lint_text(source, "test.xml", vocabulary=VOCABULARY.allowing([allow])) == []
    assert _rules(source) == {"TWI106"}


def test_an_attribute_allowed_on_one_element_is_unknown_on_others() -> None:
    source = _relay('brandNew="1"')
    assert [
        finding.rule
        for finding in lint_text(source, "t.xml", vocabulary=VOCABULARY.allowing(["Say.brandNew"]))
    ] == ["TWI106"]


def test_double_billing_cannot_be_allowed() -> None:
    source = _response(f"{_start()}{CONNECT}")
    assert [
        finding.rule
        for finding in lint_text(source, "t.xml", vocabulary=VOCABULARY.allowing(["STT104", "name"]))
    ] == ["STT104"]


def test_a_document_nested_ten_thousand_deep_is_read() -> None:
    source = "<Response>" + "<Say>" * 10_000 + "</Say>" * 10_000 + "</Response>"
    assert _rules(source) == {"TWI105", "TWI127"}


@given(st.text())
def test_any_text_is_linted_without_an_exception(source: str) -> None:
    lint_text(source, "any.xml")


_NAMES = st.sampled_from([*VOCABULARY.elements, "Sya", "x:y"])
_ATTRIBUTES = st.sampled_from(
    ["bogus", *sorted({name for element in VOCABULARY.elements.values() for name in element.attributes})]
)
_VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='<&"')) | st.sampled_from(
    ["true", "0.5", "-1", "wss://[", "wss://a:b", "https://[::1", "multi", "9" * 30, "None", "1.", "."]
)


@st.composite
def _elements(draw: st.DrawFn, depth: int = 3) -> str:
    name = draw(_NAMES)
    attributes = draw(st.dictionaries(_ATTRIBUTES, _VALUES, max_size=4))
    inside = draw(st.lists(_elements(depth - 1), max_size=3)) if depth else [draw(_VALUES)]
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(inside)}</{name}>"


@given(_elements())
def test_any_document_is_linted_without_an_exception(inside: str) -> None:
    source = _response(inside)
    for finding in lint_text(source, "any.xml"):
        assert finding.rule in RULES
        assert finding.line is not None
        assert 1 <= finding.line <= source.count("\n") + 1


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(["a", "b"]), max_size=6))
def test_a_relay_is_billed_twice_exactly_while_a_transcription_runs(
    chance: random.Random, names: list[str]
) -> None:
    running: list[str] = []
    verbs = []
    for name in names:
        if chance.random() < 0.5:
            running.append(name)
            verbs.append(_start(name))
        else:
            running = [other for other in running if other != name]
            verbs.append(_stop(name))
    assert ("STT104" in _rules(_response("".join(verbs) + CONNECT))) == bool(running)


def test_the_templates_that_ship_lint_clean() -> None:
    assert lint_path(Path(__file__).parents[2] / "twiml_templates") == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (_response('<Gather action="/g" hints="a"/>'), "unless input has speech in it."),
        (_response('<Dial trim="trim-silence">+15550100002</Dial>'), "unless record is true or record-…."),
        (_relay('eotThreshold="0.7"'), "unless speechModel is flux…."),
    ],
)
def test_what_another_attribute_should_be_is_said_in_words(source: str, told: str) -> None:
    assert _only(source).message.endswith(told)


@pytest.mark.parametrize(
    "encoding", ["utf-7", "unicode_escape", "idna", "punycode", "rot13", "no such", "\x00"]
)
def test_an_encoding_that_no_xml_has_is_told(encoding: str) -> None:
    hidden = f'<?xml version="1.0" encoding="{encoding}"?><Response><Say>+ADw-Hangup/+AD4-</Say></Response>'
    (finding,) = lint_bytes(hidden.encode(), "x")
    assert finding.rule == "TWI128"
    assert "There is no encoding" in finding.message

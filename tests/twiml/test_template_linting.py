"""Templates: every branch is rendered, and findings point at the lines that people edit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voice_app.findings import Finding, Severity
from voice_app.settings import NumberSettings
from voice_app.twiml import RULES, VOCABULARY, Documents
from voice_app.twiml import lint_path as lint_whole_path
from voice_app.twiml.document import parse
from voice_app.twiml.samples import BARE, FULL, HOSTILE, JOINED, samples
from voice_app.twiml.templates import FIELDS
from voice_app.twiml.vocabulary import Vocabulary

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write templates, given as ``name="text"`` (``__`` for the dot), and give their folder."""

    def write(**templates: str) -> Path:
        for name, text in templates.items():
            (tmp_path / name.replace("__", ".")).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def lint_path(path: Path, *, vocabulary: Vocabulary = VOCABULARY) -> list[Finding]:
    """What is wrong with the templates; that most are missing or lose words is no matter here."""
    found = lint_whole_path(path, vocabulary=vocabulary)
    return [item for item in found if item.rule not in ("TWI130", "TWI207")]


def _found(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    return [(finding.rule, Path(finding.where).name, finding.line) for finding in findings]


def _response(inside: str) -> str:
    return f"<Response>\n{inside}\n</Response>"


BAD = {
    "TWI201": "{% if %}",
    "TWI202": "<Say>{{ greting }}</Say>",
    "TWI203": '{% include "_relai.xml" %}',
    "TWI204": "<Say>{{ 1 / 0 }}</Say>",
    "TWI205": "",
}
SERVED = {"TWI206", "TWI207"}
"""Rules about what is served, in test_served_documents.py."""
GOOD = {
    "TWI201": "{% if greeting %}<Pause/>{% endif %}",
    "TWI202": "{% set greting = greeting %}<Say>{{ greting }}</Say>{{ other | default('') }}",
    "TWI203": '{% include "_relai.xml" ignore missing %}',
    "TWI204": "<Pause length='{{ 1 / 1 | int }}'/>",
    "TWI205": "<Say>Grüße 🙂</Say>",
}


@pytest.mark.parametrize("rule", BAD)
def test_a_template_that_breaks_a_rule_is_found_where_it_does(rule: str, write: Write) -> None:
    folder = write(answer__xml=_response(BAD[rule]))
    if rule == "TWI205":
        (folder / "answer.xml").write_bytes(b"<Response>\xff</Response>")
    line = 1 if rule == "TWI205" else 2
    assert _found(lint_path(folder)) == [(rule, "answer.xml", line)]


@pytest.mark.parametrize("rule", GOOD)
def test_a_template_that_keeps_a_rule_is_not_found(rule: str, write: Write) -> None:
    assert rule not in {finding.rule for finding in lint_path(write(answer__xml=_response(GOOD[rule])))}


def test_every_rule_for_templates_has_a_good_and_a_bad_case() -> None:
    rules = {rule for rule in RULES if rule.startswith("TWI2")} - SERVED
    assert set(BAD) == rules
    assert set(GOOD) == rules


def test_a_misspelt_variable_is_named_with_the_right_one(write: Write) -> None:
    (finding,) = lint_path(write(answer__xml=_response("<Say>{{ greting }}</Say>")))
    assert "'greting' is undefined" in finding.message
    assert finding.fix == "Did you mean greeting?"


def test_a_variable_that_is_like_none_is_answered_with_all_of_them(write: Write) -> None:
    (finding,) = lint_path(write(answer__xml=_response("<Say>{{ zzz }}</Say>")))
    assert all(name in finding.fix for name in FIELDS)


def test_a_missing_template_is_named_with_a_near_one(write: Write) -> None:
    folder = write(answer__xml=_response('{% include "_rely.xml" %}'), _relay__xml="<Hangup/>")
    (finding,) = lint_path(folder)
    assert finding.fix == "Did you mean '_relay.xml'?"


def test_lines_are_those_of_the_template_before_within_and_after_a_loop_and_an_include(write: Write) -> None:
    folder = write(
        answer__xml=(
            '<?xml version="1.0"?>\n'
            "{#- a comment\n"
            "   over two lines #}\n"
            "<Response>\n"
            '  <Pause a1="1"/>\n'
            "  {%- for name, value in parameters.items() %}\n"
            '  <Say a2="{{ name }}">{{ value }}</Say>\n'
            "  {%- endfor %}\n"
            '  {% include "_part.xml" %}\n'
            '  <Pause a3="1"/>\n'
            "</Response>\n"
        ),
        _part__xml='{#- shared -#}\n\n<Say>\n{{ greeting }}</Say>\n<Say\n   b1="1"/>\n',
    )
    assert _found(lint_path(folder)) == [
        ("TWI106", "_part.xml", 6),
        ("TWI106", "answer.xml", 5),
        ("TWI106", "answer.xml", 7),
        ("TWI106", "answer.xml", 10),
    ]


def test_printed_line_breaks_do_not_shift_the_lines(write: Write) -> None:
    text = '<Say>{{ "a\\n\\n\\nb" }}</Say>\n<Say>{{ "\\n" }}</Say><Pause bogus="1"/>'
    assert _found(lint_path(write(answer__xml=_response(text)))) == [("TWI106", "answer.xml", 3)]


def test_a_slice_in_an_expression_is_read(write: Write) -> None:
    text = '<Say>{{ caller[:2] }}</Say>\n<Pause bogus="{{ caller[-4:] }}"/>'
    assert _found(lint_path(write(answer__xml=_response(text)))) == [("TWI106", "answer.xml", 3)]


def test_voices_that_are_made_up_are_not_held_against_what_a_template_says(write: Write) -> None:
    relay = '<ConversationRelay url="{{ relay_url }}" ttsProvider="Google" voice="{{ voice }}"/>'
    text = f'{{% if voice %}}<Connect action="{{{{ action_url }}}}">{relay}</Connect>{{% endif %}}'
    assert _found(lint_path(write(answer__xml=_response(text)))) == []


def test_what_a_template_says_itself_has_to_go_together(write: Write) -> None:
    relay = '<ConversationRelay url="{{ relay_url }}" hints="{{ greeting }}"\n voice="en-US-Journey-O"/>'
    text = f'<Connect action="{{{{ action_url }}}}">{relay}</Connect>'
    assert _found(lint_path(write(answer__xml=_response(text)))) == [("TWI121", "answer.xml", 3)]


def test_windows_line_ends_do_not_shift_the_lines(write: Write) -> None:
    folder = write(answer__xml="")
    (folder / "answer.xml").write_bytes(
        b"<Response>\r\n<Say>{{ greeting }}</Say>\r\n<Pause bogus='1'/>\r\n</Response>"
    )
    assert _found(lint_path(folder)) == [("TWI106", "answer.xml", 3)]


def test_an_attribute_from_xmlattr_is_found_on_its_own_line(write: Write) -> None:
    text = (
        '<Connect action="{{ action_url }}">\n'
        '<ConversationRelay url="{{ relay_url }}"\n'
        "  {{- {\n"
        '    "language": language or None,\n'
        '    "conversationConfigurationId": conversation_configuration,\n'
        "  } | xmlattr }}/>\n"
        "</Connect>"
    )
    assert _found(lint_path(write(answer__xml=_response(text)))) == [("TWI107", "answer.xml", 6)]


def test_a_block_is_found_in_the_template_that_wrote_it(write: Write) -> None:
    folder = write(
        answer__xml='{% extends "_base.xml" %}\n\n{% block verbs %}\n<Sya>Hello</Sya>\n{% endblock %}',
        _base__xml="<Response>\n{% block verbs %}{% endblock %}\n<Pause bogus='1'/></Response>",
    )
    assert _found(lint_path(folder)) == [("TWI106", "_base.xml", 3), ("TWI104", "answer.xml", 4)]


def test_a_macro_is_found_where_it_is_written(write: Write) -> None:
    text = (
        "{% macro say(text) %}\n<Say bogus='1'>{{ text }}</Say>\n{% endmacro %}\n"
        "{{ say(greeting) }}\n{{ say('Bye') }}"
    )
    assert _found(lint_path(write(answer__xml=_response(text)))) == [("TWI106", "answer.xml", 3)]


def test_text_caught_in_a_variable_keeps_its_value_under_the_linter(write: Write) -> None:
    text = (
        "{% set extra %}{% if caller == 'nobody' %}x{% endif %}{% endset %}"
        "{% if extra | length > 1 %}<Sya/>{% endif %}{% filter upper %}<pause/>{% endfilter %}"
    )
    found = lint_path(write(answer__xml=_response(text)))
    assert {finding.message for finding in found} == {
        "Twilio knows no <Sya>.",
        "Twilio knows no <PAUSE>.",
    }


@pytest.mark.parametrize(
    "condition",
    [
        "conversation_id",
        "conversation_configuration",
        "not conversation_id and not conversation_configuration",
        "reason == 'vip'",
        "'night' == reason",
        "reason in ('vip', 'night')",
        "language == 'de-DE' and conversation_id",
        "voice and not hints",
        "hints and not voice",
        "not parameters",
        "partial_prompts",
        "not partial_prompts",
        "not greeting",
        "caller.startswith('+49')",
        "call_sid == number",
        "false",
    ],
)
def test_every_branch_is_seen(condition: str, write: Write) -> None:
    text = f"{{% if {condition} %}}\n<Sya/>\n{{% endif %}}"
    assert _found(lint_path(write(answer__xml=_response(text)))) == [("TWI104", "answer.xml", 3)]


def test_branches_within_branches_that_no_sample_takes_are_seen(write: Write) -> None:
    text = (
        "{% if caller.startswith('+49') %}\n"
        "{% if number.endswith('7') %}\n<Sya/>\n"
        "{% elif number.endswith('8') %}\n<Dail/>\n"
        "{% else %}\n<Hangupp/>\n{% endif %}\n"
        "{% endif %}\n"
        "<Pause length=\"{{ 'x' if number.endswith('6') else 1 }}\"/>\n"
        "{% for name in parameters if name.startswith('zz') %}\n<Pley/>\n{% else %}\n<Reccord/>\n{% endfor %}"
    )
    lines = [finding.line for finding in lint_path(write(answer__xml=_response(text)))]
    assert lines == [4, 6, 8, 11, 13, 15]


def test_a_forced_branch_says_so(write: Write) -> None:
    (finding,) = lint_path(write(answer__xml=_response("{% if caller.startswith('+49') %}<Sya/>{% endif %}")))
    assert finding.evidence == (
        "rendered with everything set and a configuration and the condition at answer.xml:2 taken as true",
    )


@pytest.mark.parametrize(
    "text",
    [
        "{% if topic is defined %}<Say>{{ topic }}</Say>{% endif %}",
        "{% if voice and conversation_id and number.endswith('7') %}{{ conversation_id.pop() }}{% endif %}",
        "{% if conversation_id and number.endswith('7') %}"
        '<Start><Transcription name="t" conversationId="{{ conversation_id }}"/></Start>{% endif %}',
    ],
)
def test_a_forced_branch_is_not_blamed_for_values_that_would_not_be_there(text: str, write: Write) -> None:
    assert lint_path(write(answer__xml=_response(text))) == []


def test_a_misspelt_variable_in_a_branch_that_no_sample_takes_is_found(write: Write) -> None:
    text = "{% if caller.startswith('+49') %}\n{{ callr }}\n{% endif %}"
    assert _found(lint_path(write(answer__xml=_response(text)))) == [("TWI202", "answer.xml", 3)]


def test_text_that_is_not_escaped_is_found_with_hostile_text(write: Write) -> None:
    (finding,) = lint_path(write(answer__xml=_response("<Say>{{ greeting | safe }}</Say>")))
    assert (finding.rule, finding.line) == ("TWI101", 2)
    assert finding.evidence == ("rendered with hostile text",)


def test_json_in_a_task_has_to_be_written_as_json(write: Write) -> None:
    task = '<Enqueue workflowSid="WW0"><Task>{{"caller": {}}}</Task></Enqueue>'
    raw, encoded = task.format('"{{ caller }}"'), task.format("{{ caller | tojson }}")
    (finding,) = lint_path(write(answer__xml=_response(raw)))
    assert (finding.rule, finding.line) == ("TWI112", 2)
    assert "tojson" in finding.fix
    assert lint_path(write(answer__xml=_response(encoded))) == []


def test_a_variable_that_is_not_set_may_not_be_printed_as_a_value(write: Write) -> None:
    relay = '<ConversationRelay url="{{ relay_url }}" voice="{{ voice }}"/>'
    text = f'<Connect action="{{{{ action_url }}}}">{relay}</Connect>'
    (finding,) = lint_path(write(answer__xml=_response(text)))
    assert finding.rule == "TWI123"


def test_a_transcription_in_one_file_and_a_relay_in_another_are_seen_together(write: Write) -> None:
    folder = write(
        answer__xml=_response(
            '<Start>\n<Transcription name="t"/></Start>\n'
            '<Connect action="/e">{% include "_relay.xml" %}</Connect>'
        ),
        _relay__xml='\n<ConversationRelay url="{{ relay_url }}"/>',
    )
    (finding,) = lint_path(folder)
    assert (finding.rule, Path(finding.where).name, finding.line) == ("STT104", "_relay.xml", 2)
    assert finding.evidence[0].endswith("answer.xml:3")


def test_the_same_mistake_in_many_renderings_is_one_finding(write: Write) -> None:
    text = "{% if language %}<Pause/>{% endif %}<Say voize='{{ caller }}'>{{ greeting }}</Say>"
    assert len(lint_path(write(answer__xml=_response(text)))) == 1


def test_a_partial_alone_is_checked_through_the_templates_that_include_it(write: Write) -> None:
    folder = write(
        answer__xml=_response('{% include "_part.xml" %}<Sya/>'),
        _part__xml="<Say bogus='1'>{{ greeting }}</Say>",
        _unused__xml="<Sya/>",
    )
    assert _found(lint_path(folder / "_part.xml")) == [("TWI106", "_part.xml", 1)]
    (finding,) = lint_path(folder / "_unused.xml")
    assert (finding.rule, finding.severity) == ("TWI205", Severity.WARNING)


def test_a_file_in_a_subfolder_includes_from_the_templates_folder(tmp_path: Path) -> None:
    folder = tmp_path / "twiml_templates"
    (folder / "night").mkdir(parents=True)
    (folder / "_bye.xml").write_text("<Hangup/>")
    (folder / "night" / "answer.xml").write_text('<Response>{% include "_bye.xml" %}</Response>')
    assert lint_path(folder) == []
    assert lint_path(folder / "night" / "answer.xml") == []


def test_a_file_of_plain_twiml_is_checked_without_talk_of_samples(write: Write) -> None:
    (finding,) = lint_path(write(plain__xml="<Response>\n<Sya/></Response>") / "plain.xml")
    assert (finding.rule, finding.line, finding.evidence) == ("TWI104", 2, ())


def test_one_template_leaves_no_trace_on_the_next(write: Write) -> None:
    folder = write(
        a__xml=_response("{% if caller.startswith('+49') %}<Pause/>{% endif %}"),
        b__xml="<Response>\n<Sya/></Response>",
    )
    assert [finding.evidence for finding in lint_path(folder)] == [()]


def test_what_is_not_there_is_a_finding(tmp_path: Path) -> None:
    assert [finding.rule for finding in lint_path(tmp_path / "nothing.xml")] == ["TWI205"]
    assert [finding.rule for finding in lint_path(tmp_path)] == ["TWI205"]


@pytest.mark.parametrize(
    "text",
    [
        '{% include "answer.xml" %}',
        "{{ ().__class__.__mro__ }}",
        "{{ greeting.nothing() }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{{ nothing | nonesuch }}",
        '{% extends "answer.xml" %}',
        "{{ " + "(" * 500 + ")" * 500 + " }}",
    ],
)
def test_a_template_that_misbehaves_is_a_finding_never_an_exception(text: str, write: Write) -> None:
    found = lint_path(write(answer__xml=_response(text)))
    assert {finding.rule for finding in found} <= {"TWI201", "TWI202", "TWI204"}
    assert found


def test_an_allowed_attribute_is_allowed_in_templates(write: Write) -> None:
    folder = write(answer__xml=_response("<Say newThing='1'>{{ greeting }}</Say>"))
    assert lint_path(folder, vocabulary=VOCABULARY.allowing(["Say.newThing"])) == []
    assert lint_path(folder / "answer.xml", vocabulary=VOCABULARY.allowing(["newThing"])) == []


def test_the_samples_set_every_field_and_leave_out_every_field_that_may_be() -> None:
    for name in FIELDS:
        values = [getattr(sample.context, name) for sample in samples({})]
        assert any(values), f"samples.FULL has no {name}"
        assert getattr(BARE, name) in values
    assert FULL.conversation_id is None
    assert JOINED.conversation_configuration is None


def test_no_sample_names_both_a_configuration_and_a_conversation() -> None:
    everything = samples({"reason": ["a"], "conversation_id": ["b"]})
    assert not any(s.context.conversation_id and s.context.conversation_configuration for s in everything)


def test_hostile_text_goes_through_the_templates_that_ship_unharmed() -> None:
    hostile = next(sample.context for sample in samples({}) if sample.label == "hostile text")
    folder = Path(__file__).parents[2] / "twiml_templates"
    document = parse(Documents(folder, {"": NumberSettings()}).render("answer.xml", hostile))
    relay = next(node for node in document.nodes if node.name == "ConversationRelay")
    assert relay.attributes["welcomeGreeting"] == HOSTILE
    parameters = [child.attributes for child in relay.children if child.name == "Parameter"]
    assert parameters == [{"name": HOSTILE, "value": HOSTILE}]

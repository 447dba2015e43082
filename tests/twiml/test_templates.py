"""Filling in templates on a call."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, Template
from msgspec.structs import replace

from voice_app.settings import NumberSettings
from voice_app.twiml import Context, Documents, default_folder
from voice_app.twiml.document import parse
from voice_app.twiml.prefilled import Prefilled
from voice_app.twiml.templates import Sources, options, variables

SHIPPED = Path(__file__).parents[2] / "twiml_templates"
TEMPLATES = Documents(SHIPPED, {"": NumberSettings()})


def _relay(context: Context, name: str = "answer.xml") -> dict[str, str]:
    document = parse(TEMPLATES.render(name, context))
    return next(node.attributes for node in document.nodes if node.name == "ConversationRelay")


def test_what_is_not_set_is_left_out() -> None:
    attributes = _relay(Context(relay_url="wss://example.com/relay/x"))
    assert not {"conversationId", "conversationConfiguration", "language", "voice"} & set(attributes)


def test_a_configuration_is_named_where_there_is_one() -> None:
    attributes = _relay(Context(conversation_configuration="conv_configuration_1"))
    assert attributes["conversationConfiguration"] == "conv_configuration_1"
    assert "conversationConfigurationId" not in attributes


def test_a_conversation_goes_before_its_configuration() -> None:
    context = Context(
        conversation_configuration="conv_configuration_1", conversation_id="conv_conversation_1"
    )
    attributes = _relay(context, "resume.xml")
    assert attributes["conversationId"] == "conv_conversation_1"
    assert "conversationConfiguration" not in attributes


@given(st.text())
def test_any_text_makes_a_document_that_can_be_read(text: str) -> None:
    attributes = _relay(Context(greeting=text, hints=text, parameters={"x": text}))
    written = "".join(character for character in text if character.isalnum())
    read = "".join(character for character in attributes.get("welcomeGreeting", "") if character.isalnum())
    assert read == written


def test_an_unknown_variable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<Response>{{ nothing }}</Response>")
    documents = Documents(tmp_path, {"": NumberSettings(template="a.xml")})
    with pytest.raises(jinja2.UndefinedError):
        documents.render("a.xml", Context())


def test_the_folder_of_the_working_directory_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_folder().resolve() == SHIPPED.resolve()
    (tmp_path / "twiml_templates").mkdir()
    assert default_folder() == tmp_path / "twiml_templates"


OURS = "+15550100001"
RELAY_URL = "wss://voice.example.com/relay/CA1.nonce"
OWN = st.from_regex(r"\+[0-9]{7,15}|client:[a-z.&<'\x0b]{1,8}|sip:a@b[a-z]|", fullmatch=True)


def call(number: int, caller: str) -> Context:
    return Context(
        call_sid=f"CA{number}",
        caller=caller,
        number=OURS,
        relay_url=f"{RELAY_URL}{number}" if number else "",
        action_url="https://voice.example.com/voice/relay-ended",
        parameters={"number": OURS, "caller": caller},
    )


def alone(documents: Documents, name: str, context: Context) -> str:
    """The document as Jinja makes it of this context and nothing else."""
    return _environment(documents.folder).get_template(name).render(variables(context))


@cache
def _environment(folder: Path) -> Environment:
    return Environment(**options(Sources(folder)))


@pytest.mark.parametrize("name", ["answer.xml", "resume.xml"])
@given(
    callers=st.lists(OWN, max_size=4),
    texts=st.lists(st.text(max_size=8) | st.just("\ud800"), min_size=4, max_size=4),
)
def test_calls_that_share_a_document_each_get_their_own(
    name: str, callers: list[str], texts: list[str]
) -> None:
    for number, caller in enumerate([*callers, OURS, "+15550199999"]):
        own = call(number, caller)
        for context in (own, replace(own, parameters={**own.parameters, "x": texts[number % 4]})):
            assert TEMPLATES.render(name, context) == alone(TEMPLATES, name, context)


@pytest.mark.parametrize(
    "looked_at",
    [
        "{% if caller == '+15550100002' %}two{% endif %}",
        "{% if '+15550100002' in caller %}two{% endif %}",
        "{% if caller in ('+15550100002', '') %}two{% endif %}",
        "{% if parameters.caller.endswith('2') %}two{% endif %}",
        "{% if caller %}somebody{% endif %}",
        "{% if caller is sequence %}a text{% endif %}",
        "{% if caller is string and caller is iterable and caller is not mapping %}a text{% endif %}",
        "{{ caller[:3] | default('nobody') }}",
        "{{ caller | length }} {{ caller | upper }} {{ caller | replace('+', '00') }}",
        "{{ call_sid + '/' + caller }} {{ 'of ' ~ caller }} {{ '%s' | format(caller) }}",
        "{{ {'a': caller, 'b': parameters['caller']} | xmlattr }} {{ [caller, number] | join(' ') }}",
        "{{ {'+15550100002': 'two'}.get(caller) }} {{ {'x': caller} | tojson }}",
        "{% for name, value in parameters.items() if value == caller %}{{ name }}{% endfor %}",
        "{% set who = caller %}{% if who < '+15550100002' %}one{% endif %}",
        "{{ relay_url | urlencode }} {{ relay_url.split('/')[-1] }}",
    ],
)
def test_a_template_may_do_with_what_is_a_calls_own_whatever_it_likes(looked_at: str, tmp_path: Path) -> None:
    (tmp_path / "answer.xml").write_text(f"<Response><Say>{looked_at}</Say></Response>")
    documents = Documents(tmp_path, {"": NumberSettings()})
    for caller in ("+15550100001", "+15550100002", "", "client:anna"):
        for number in (1, 2):
            context = call(number, caller)
            assert documents.render("answer.xml", context) == alone(documents, "answer.xml", context)


def test_the_shipped_answers_are_filled_in_once_for_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    filled_in: list[str] = []
    found = Template.render

    def render(template: Template, values: dict[str, Any]) -> str:
        filled_in.append(template.name or "")
        return found(template, values)

    monkeypatch.setattr(Template, "render", render)
    prefilled = Prefilled(Environment(**options(Sources(SHIPPED))))
    for number in (2, 3, 4):
        for name in ("answer.xml", "resume.xml"):
            assert f"{RELAY_URL}{number}" in prefilled.render(name, call(number, f"+1555010000{number}"))
    assert filled_in == ["answer.xml", "resume.xml"]

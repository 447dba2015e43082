"""Filling in templates on a call."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.settings import NumberSettings
from voice_app.twiml import Context, Documents, default_folder
from voice_app.twiml.document import parse

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

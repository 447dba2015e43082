"""Which ids templates name."""

from __future__ import annotations

from pathlib import Path

from voice_app.guard import Allowance, named_in
from voice_app.settings import NumberSettings
from voice_app.twiml import Documents


def test_ids_are_found_wherever_they_stand() -> None:
    answer = (
        "{% if number == '+1' %}<ConversationRelay conversationConfiguration='conv_configuration_a1'/>"
        "{% else %}<ConversationRelay conversationId='conv_conversation_b2'/>{% endif %}"
    )
    handoff = '<Transcription conversationConfiguration="conv_configuration_a1"/>'
    assert named_in([answer, handoff]) == ("conv_configuration_a1", "conv_conversation_b2")


def test_a_unique_name_is_found_where_it_is_written_out() -> None:
    named = """<ConversationRelay conversationConfiguration = 'acme-voice'/>"""
    variable = '<ConversationRelay conversationConfiguration="{{ conversation_configuration }}"/>'
    assert named_in([named, variable, named.replace("acme-voice", "")]) == ("acme-voice",)


def test_comments_name_nothing() -> None:
    assert named_in(["{# conv_configuration_1 #}<!-- conv_configuration_2\n --><Response/>"]) == ()


FOLDER = {
    "answer.xml": "{% include '_relay.txt' %}",
    "_relay.txt": "<ConversationRelay conversationConfiguration='conv_configuration_1'/>",
    "answer.old.xml": "<ConversationRelay conversationConfiguration='conv_configuration_2'/>",
    "backup/answer.xml": "<ConversationRelay conversationConfiguration='conv_configuration_3'/>",
}


def test_what_no_call_comes_to_is_not_in_use(tmp_path: Path) -> None:
    for name, source in FOLDER.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    documents = Documents(tmp_path, {"": NumberSettings()})
    assert named_in(documents.texts) == ("conv_configuration_1",)


def test_an_allowance_is_read_as_it_is_written() -> None:
    assert Allowance.read(" STT102 : conv_configuration_1 ") == Allowance("STT102", "conv_configuration_1")
    assert str(Allowance.read("TWI118:answer.xml")) == "TWI118:answer.xml"

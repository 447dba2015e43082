"""Which ids templates name."""

from __future__ import annotations

from pathlib import Path

from voice_app.guard import Allowance, named_in


def test_ids_in_templates_are_found_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "answer.xml").write_text(
        "{% if number == '+1' %}<ConversationRelay conversationConfiguration='conv_configuration_a1'/>"
        "{% else %}<ConversationRelay conversationId='conv_conversation_b2'/>{% endif %}"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x.xml").write_text(
        '<Transcription conversationConfiguration="conv_configuration_a1"/>'
    )
    assert named_in(tmp_path) == ("conv_configuration_a1", "conv_conversation_b2")


def test_comments_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("{# conv_configuration_1 #}<!-- conv_configuration_2\n --><Response/>")
    assert named_in(tmp_path) == ()


def test_what_cannot_be_read_is_left_to_the_linter(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"\xff conv_configuration_1")
    assert named_in(tmp_path) == ()
    assert named_in(tmp_path / "nowhere") == ()


def test_an_allowance_is_read_as_it_is_written() -> None:
    assert Allowance.read(" STT102 : conv_configuration_1 ") == Allowance("STT102", "conv_configuration_1")
    assert str(Allowance.read("TWI118:answer.xml")) == "TWI118:answer.xml"

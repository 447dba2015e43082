"""Further languages of a number, each with its voice and model, as ``<Language>``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from voice_app.findings import refuses
from voice_app.settings import LanguageSettings, NumberSettings, Settings, number_settings
from voice_app.twiml import Context, Documents, shipped_folder, values_of

SPANISH = {"code": "es-ES", "tts_provider": "Amazon", "voice": "Lucia-Neural", "hints": "Twilio"}


def test_each_is_an_element_that_has_what_differs() -> None:
    line = NumberSettings(languages=[SPANISH, {"code": "fr-FR"}])
    documents = Documents(shipped_folder(), {"": line})
    assert documents.findings == []
    document = documents.render("answer.xml", Context(relay_url="wss://a.example/r", **values_of(line)))
    assert '<Language code="es-ES" ttsProvider="Amazon" voice="Lucia-Neural" hints="Twilio"/>' in document
    assert '<Language code="fr-FR"/>' in document


def test_a_voice_of_another_provider_is_found_before_a_call() -> None:
    line = NumberSettings(languages=[{"code": "es-ES", "tts_provider": "Google", "voice": "Lucia-Neural"}])
    assert Documents(shipped_folder(), {"": line}).findings != []


VOICES = {
    "language": "en-US",
    "tts_provider": "ElevenLabs",
    "voice": "UgBBYS2sOqTuMpoF3BR0",
    "transcription_provider": "Deepgram",
    "speech_model": "nova-3-medical",
    "hints": "Twilio",
}
OWN = {"code": "es-ES", "tts_provider": "Amazon", "voice": "Lucia-Neural", "hints": "factura"}


@pytest.mark.parametrize(
    ("spoken", "understood", "expected"),
    [
        (None, None, {}),
        ("en-US", "en-US", {}),
        ("fr-FR", None, {"voice": None}),
        (None, "fr-FR", {"speech_model": None}),
        ("fr-FR", "fr-FR", {"voice": None, "speech_model": None}),
        ("es-ES", None, {"tts_provider": "Amazon", "voice": "Lucia-Neural"}),
        (None, "es-ES", {"speech_model": None, "hints": "factura"}),
    ],
)
def test_a_language_that_was_switched_to_has_its_own_voice_and_model_or_none(
    spoken: str | None, understood: str | None, expected: dict[str, str | None]
) -> None:
    values = values_of(NumberSettings(**VOICES, languages=[OWN]), spoken, understood)
    assert values["tts_language"] == spoken
    assert values["transcription_language"] == understood
    assert {name: values[name] for name in VOICES} == {**VOICES, **expected}


def test_without_a_language_of_its_own_a_number_speaks_american_english() -> None:
    line = NumberSettings(voice="UgBBYS2sOqTuMpoF3BR0")
    assert values_of(line, "en-US")["voice"] == "UgBBYS2sOqTuMpoF3BR0"
    assert values_of(line, "en-GB")["voice"] is None


def test_a_document_is_checked_in_every_language_that_the_agent_may_have_switched_to(tmp_path: Path) -> None:
    (tmp_path / "resume.xml").write_text(
        '<Response><Connect action="{{ action_url }}"><ConversationRelay url="{{ relay_url }}" '
        'ttsProvider="Google" voice="en-US-Journey-O" ttsLanguage="{{ tts_language or language }}"/>'
        "</Connect></Response>"
    )
    english = NumberSettings(language="en-US", tts_provider="Google")
    assert not refuses(Documents(tmp_path, {"": english}).findings)
    french = english.model_copy(update={"languages": (LanguageSettings(code="fr-FR"),)})
    (found,) = (item for item in Documents(tmp_path, {"": french}).findings if refuses([item]))
    assert "the voice speaks another language than the session" in found.message
    assert "the language fr-FR" in " ".join(found.evidence)


def test_a_number_has_languages_in_its_table(tmp_path: Path) -> None:
    file = tmp_path / "numbers.toml"
    file.write_text(
        '["+15550100002"]\n[["+15550100002".languages]]\ncode = "es-ES"\nvoice = "Lucia-Neural"\n', "utf-8"
    )
    found = number_settings(Settings.model_construct(numbers=file))
    assert [language.code for language in found["+15550100002"].languages] == ["es-ES"]


def test_a_language_needs_a_tag() -> None:
    with pytest.raises(ValidationError):
        NumberSettings(languages=[{"code": "Spanish, please"}])

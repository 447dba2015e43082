"""Further languages of a number, each with its voice and model, as ``<Language>``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from voice_app.settings import NumberSettings, Settings, number_settings
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

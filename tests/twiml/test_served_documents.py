"""What was linted is what is served: every template that a call can come to, for every number."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest

from voice_app.findings import Finding, refuses
from voice_app.settings import NumberSettings
from voice_app.twiml import VOCABULARY, Context, Documents, lint_path, shipped_folder

CONFIGURATION = "conv_configuration_01k7abcdefghjkmnpqrstvwxyz"
OTHER = "conv_configuration_01k7otherotherotherother00"
CALL = Context(relay_url="wss://voice.example.com/relay/x", action_url="https://voice.example.com/ended")
RELAY = '<Connect action="{{ action_url }}"><ConversationRelay url="{{ relay_url }}" %s/></Connect>'

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write templates, given as ``name="verbs"`` (``__`` for the dot), and give their folder."""

    def write(**templates: str) -> Path:
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        for name, verbs in templates.items():
            (folder / name.replace("__", ".")).write_text(f"<Response>\n{verbs}\n</Response>", "utf-8")
        return folder

    return write


def _documents(folder: Path, *numbers: dict[str, Any]) -> Documents:
    named = {f"+1555010000{index}": NumberSettings(**values) for index, values in enumerate(numbers, 1)}
    return Documents(folder, {"": NumberSettings(), **named})


def _found(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.rule, Path(finding.where).name) for finding in findings]


def test_what_ships_serves_every_number_without_a_finding() -> None:
    assert _documents(shipped_folder(), {"language": "es-ES"}).findings == []


@pytest.mark.parametrize("template", ["nope.xml", "spanish.xml", "../answer.xml", "sub/answer.xml"])
def test_a_template_that_is_not_there_is_found_at_the_start(template: str) -> None:
    documents = _documents(shipped_folder(), {"template": template})
    assert [finding.rule for finding in documents.findings] == ["TWI203"]
    assert refuses(documents.findings)


@pytest.mark.parametrize("template", ["answer.twiml", "_mine.xml", "de.txt", "answer.xml.j2"])
def test_a_template_is_checked_whatever_its_name(template: str, write: Write) -> None:
    folder = write(**{template.replace(".", "__"): '<Say bogus="1">Hello</Say>'})
    assert ("TWI106", template) in _found(_documents(folder, {"template": template}).findings)


def test_what_is_included_is_checked_whatever_its_name_and_the_way_to_it(write: Write) -> None:
    folder = write(answer__xml='{% set part = "words.txt" %}{% include part %}{% include "more.inc" %}')
    (folder / "words.txt").write_text("<Say bogus='1'/>")
    (folder / "more.inc").write_text("<Pause bogus='1'/>")
    found = _found(_documents(folder).findings)
    assert ("TWI106", "words.txt") in found
    assert ("TWI106", "more.inc") in found


def test_what_no_call_comes_to_is_not_in_use(write: Write) -> None:
    folder = write(answer__xml="<Say>Hello</Say>", backup__xml=f"<Sya/>{RELAY % ''}")
    (folder / "old.xml").write_text(f'<Connect conversationConfiguration="{OTHER}"/>')
    documents = _documents(folder)
    assert not refuses(documents.findings)
    assert not any(OTHER in text for text in documents.texts)


@pytest.mark.parametrize(
    "settings",
    [
        {"voice": "Polly.Joanna"},
        {"voice": "en-US-Journey-O"},
        {"voice": "bn-IN-Wavenet-A", "tts_provider": "Google"},
        {"voice": "UgBBYS2sOqTuMpoF3BR0", "tts_provider": "Amazon"},
        {"language": "en_US"},
        {"speech_model": "nova-3-general", "transcription_provider": "Google"},
        {"speech_model": "telephony", "transcription_provider": "Deepgram"},
    ],
)
def test_documents_are_checked_with_the_settings_of_each_number(settings: dict[str, Any]) -> None:
    documents = _documents(shipped_folder(), {}, settings)
    assert refuses(documents.findings)
    assert {Path(finding.where).name for finding in documents.findings} <= {
        "_relay.xml",
        "_transcription.xml",
    }
    assert "the settings of +15550100002" in " ".join(documents.findings[0].evidence)
    everywhere = Documents(shipped_folder(), {"": NumberSettings(**settings)})
    assert [item.rule for item in everywhere.findings] == [item.rule for item in documents.findings]


def test_settings_that_fit_what_a_template_says_are_no_finding(write: Write) -> None:
    relay = RELAY % 'ttsProvider="Google" voice="{{ voice }}"'
    folder = write(answer__xml=relay, resume__xml=relay)
    good = {"voice": "en-US-Journey-O"}
    bad = {"voice": "UgBBYS2sOqTuMpoF3BR0"}
    assert not refuses(Documents(folder, {"": NumberSettings(**good)}).findings)
    assert refuses(Documents(folder, {"": NumberSettings(**bad)}).findings)


def test_a_missing_template_is_taken_from_those_that_ship_and_said(write: Write) -> None:
    documents = _documents(write(answer__xml="<Say>Hello</Say><Hangup/>"))
    (finding,) = documents.findings
    assert (finding.rule, finding.severity.value) == ("TWI207", "note")
    assert lint_path(documents.folder) == [finding]
    for name in ("busy", "fallback", "goodbye", "handoff", "queue_wait", "resume", "voicemail", "whisper"):
        assert f"{name}.xml" in finding.message
        shipped = _documents(shipped_folder()).render(f"{name}.xml", CALL)
        assert documents.render(f"{name}.xml", CALL) == shipped
    assert documents.render("answer.xml", CALL) == "<Response>\n<Say>Hello</Say><Hangup/>\n</Response>"


def test_an_edit_is_served_only_after_it_was_checked(write: Write) -> None:
    documents = _documents(folder := write(answer__xml="<Say>One</Say>"))
    write(answer__xml="<Say>Two</Say>", goodbye__xml="<Hangup bogus='1'/>")
    assert "One" in documents.render("answer.xml", CALL)
    assert refuses(documents.reload())
    assert "One" in documents.render("answer.xml", CALL)
    assert "bogus" not in documents.render("goodbye.xml", CALL)
    (folder / "goodbye.xml").write_text("<Response><Hangup/></Response>")
    assert not refuses(documents.reload())
    assert "Two" in documents.render("answer.xml", CALL)
    assert documents.render("goodbye.xml", CALL) == "<Response><Hangup/></Response>"


def test_what_has_changed_since_another_server_of_the_process_judged_it_is_judged_again(write: Write) -> None:
    folder = write(answer__xml='{% include "more.inc" ignore missing %}<Say>One</Say>')
    assert "One" in _documents(folder).render("answer.xml", CALL)
    write(answer__xml='{% include "more.inc" ignore missing %}<Say>Two</Say>')
    assert "Two" in _documents(folder).render("answer.xml", CALL)
    (folder / "more.inc").write_text("<Say bogus='1'/>")
    assert ("TWI106", "more.inc") in _found(_documents(folder).findings)
    (folder / "more.inc").unlink()
    write(busy__xml="<Sya/>")  # the one that ships was served before
    assert ("TWI104", "busy.xml") in _found(_documents(folder).findings)
    (folder / "busy.xml").unlink()
    (folder / "answer.xml").unlink()
    assert "Two" not in _documents(folder).render("answer.xml", CALL)


def test_a_relative_folder_is_that_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "mine").mkdir(parents=True)
        (tmp_path / name / "mine" / "answer.xml").write_text(f"<Response><Say>{name}</Say></Response>")
        monkeypatch.chdir(tmp_path / name)
        assert name in _documents(Path("mine")).render("answer.xml", CALL)


def test_what_is_judged_once_is_judged_for_these_values_alone(write: Write) -> None:
    folder = write(answer__xml="<Say>{{ greeting }}</Say>" + RELAY % "bogus='1'")
    allowing = VOCABULARY.allowing(["ConversationRelay.bogus"])
    numbers = {"": NumberSettings()}
    assert not refuses(Documents(folder, numbers, vocabulary=allowing).findings)
    assert "TWI106" in [finding.rule for finding in Documents(folder, numbers).findings]
    assert _documents(shipped_folder(), {"language": "es-ES"}).findings == []
    assert refuses(_documents(shipped_folder(), {"language": "en_US"}).findings)


def test_what_one_process_has_checked_another_serves_unread(write: Write) -> None:
    """As a worker gets it from its parent: through a pipe."""
    first = _documents(folder := write(answer__xml="<Say>One</Say><Hangup/>"))
    write(answer__xml="<Say bogus='1'>Two</Say>")
    checked = pickle.loads(pickle.dumps(first.checked))
    second = Documents(folder, {"": NumberSettings()}, checked=checked)
    assert second.render("answer.xml", CALL) == first.render("answer.xml", CALL)
    assert (second.findings, second.texts, second.named) == (
        first.findings,
        first.texts,
        first.named,
    )
    assert refuses(second.reload())
    assert "One" in second.render("answer.xml", CALL)


def test_nothing_is_served_that_was_not_there_at_the_start(write: Write) -> None:
    documents = _documents(write(answer__xml='{% include reason ~ ".xml" ignore missing %}<Hangup/>'))
    write(later__xml="<Say>Unseen</Say>")
    with pytest.raises(jinja2.TemplateNotFound):
        documents.render("later.xml", CALL)
    assert "Unseen" not in documents.render("answer.xml", Context(reason="later"))


@pytest.mark.parametrize(
    ("attributes", "settings", "found"),
    [
        ("", {"conversation_configuration": CONFIGURATION}, True),
        ("", {}, False),
        (f'conversationConfiguration="{OTHER}"', {"conversation_configuration": CONFIGURATION}, False),
        (
            'conversationConfiguration="{{ conversation_configuration }}"',
            {"conversation_configuration": CONFIGURATION},
            False,
        ),
    ],
)
def test_a_configuration_that_is_set_and_not_passed_on_is_said(
    attributes: str, settings: dict[str, Any], found: bool, write: Write
) -> None:
    documents = Documents(write(answer__xml=RELAY % attributes), {"": NumberSettings(**settings)})
    assert ("TWI206" in {finding.rule for finding in documents.findings}) is found


def test_a_number_for_people_passes_its_configuration_on_in_the_handoff(write: Write) -> None:
    settings = NumberSettings(
        answer="people", conversation_configuration=CONFIGURATION, template="answer.xml"
    )
    folder = write(answer__xml="<Hangup/>")
    assert "TWI206" not in {finding.rule for finding in Documents(folder, {"": settings}).findings}
    write(handoff__xml="<Dial action='/x'>+15550100002</Dial>")
    assert "TWI206" in {finding.rule for finding in Documents(folder, {"": settings}).findings}


def test_attributes_and_elements_can_be_allowed(write: Write) -> None:
    folder = write(answer__xml='<NewVerb/><Say newThing="1">Hello</Say>')
    assert refuses(_documents(folder).findings)
    wider = VOCABULARY.allowing(["Say.newThing"], ["NewVerb"])
    assert not refuses(Documents(folder, {"": NumberSettings()}, vocabulary=wider).findings)

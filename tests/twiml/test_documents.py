"""`voice-app lint` over whole documents: what Twilio takes passes, what it does not take is found."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support.twiml_documents import BAD, VALID
from voice_app.cli.main import app
from voice_app.findings import Severity
from voice_app.twiml import VOCABULARY, lint_bytes, lint_text
from voice_app.twiml.document import parse

RUNNER = CliRunner()


def _lint(documents: list[str], folder: Path) -> list[list[dict[str, Any]]]:
    """What the command reports on each document, all written to one folder."""
    for number, document in enumerate(documents):
        (folder / f"{number}.xml").write_text(document.replace("{", "{{ '{' }}"), encoding="utf-8")
    result = RUNNER.invoke(app, ["lint", str(folder), "--json"])
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for finding in json.loads(result.stdout)["findings"]:
        found[Path(finding["where"]).stem].append(finding)
    return [found[str(number)] for number in range(len(documents))]


def test_documents_that_twilio_takes_are_not_refused(tmp_path: Path) -> None:
    assert len(VALID) >= 60
    found = dict(zip(VALID, _lint([*VALID.values()], tmp_path), strict=True))
    assert {
        name: items for name, items in found.items() if any(item["rule"] != "TWI120" for item in items)
    } == {}


def test_they_hold_every_verb_noun_and_attribute() -> None:
    elements: set[str] = set()
    attributes: set[tuple[str, str]] = set()
    for document in VALID.values():
        for node in parse(document).nodes:
            elements.add(node.name)
            attributes |= {(node.name, name) for name in node.attributes}
    assert set(VOCABULARY.elements) - elements == set()
    known = {(item.name, name) for item in VOCABULARY.elements.values() for name in item.attributes}
    assert known - attributes == set()


def test_documents_that_twilio_does_not_take_are_found(tmp_path: Path) -> None:
    assert len(BAD) >= 80
    found = _lint([document for _, _, document in BAD], tmp_path)
    missed = [
        (rule, severity.value, document, items)
        for (rule, severity, document), items in zip(BAD, found, strict=True)
        if (rule, severity.value) not in {(item["rule"], item["severity"]) for item in items}
    ]
    assert missed == []


@pytest.mark.parametrize(("rule", "severity", "document"), BAD)
def test_what_is_found_is_one_thing_with_a_message_and_a_way_out(
    rule: str, severity: Severity, document: str
) -> None:
    found = lint_text(document, "bad.xml")
    assert [(item.rule, item.severity) for item in found if item.rule == rule] == [(rule, severity)]
    assert all(item.message.endswith(".") and item.fix and item.reason for item in found)
    assert {item.severity for item in found if item.rule != rule} <= {Severity.WARNING}


def _declaring(encoding: str, word: str = "Grüße") -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?><Response><Say>{word}</Say></Response>'


@pytest.mark.parametrize(
    ("data", "rules"),
    [
        ("<Response><Say>Grüße</Say></Response>".encode(), []),
        ("<Response><Say>Grüße</Say></Response>".encode("latin-1"), ["TWI128"]),
        (_declaring("UTF-8").encode("cp1252"), ["TWI128"]),
        (_declaring("ISO-8859-1").encode(), ["TWI128"]),
        (_declaring("ISO-8859-1").encode("latin-1"), []),
        (_declaring("US-ASCII").encode(), ["TWI128"]),
        (_declaring("klingon").encode(), ["TWI128"]),
        (_declaring("UTF-16").encode("utf-16"), []),
        (_declaring("UTF-8").encode("utf-8-sig"), []),
    ],
)
def test_bytes_have_to_be_what_the_declaration_says(data: bytes, rules: list[str]) -> None:
    assert [finding.rule for finding in lint_bytes(data, "(bytes)")] == rules
    result = RUNNER.invoke(app, ["lint", "-", "--json"], input=data)
    assert [finding["rule"] for finding in json.loads(result.stdout)["findings"]] == rules


@pytest.mark.parametrize("declared", ["ISO-8859-1", "UTF-16", "windows-1252"])
def test_a_template_is_sent_as_utf_8_whatever_it_declares(declared: str, tmp_path: Path) -> None:
    template = f'<?xml version="1.0" encoding="{declared}"?>\n<Response><Say>Grüße</Say></Response>'
    (tmp_path / "answer.xml").write_text(template, encoding="utf-8")
    result = RUNNER.invoke(app, ["lint", str(tmp_path), "--json"])
    assert [(item["rule"], item["severity"]) for item in json.loads(result.stdout)["findings"]] == [
        ("TWI128", "error"),
        ("TWI207", "note"),
    ]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("allow", "document", "found"),
    [
        ("Start.NewNoun", "<Start><NewNoun a='b'><Inner/>text</NewNoun></Start>", False),
        ("NewNoun", "<Start><NewNoun/></Start>", False),
        ("NewVerb", "<NewVerb>text</NewVerb>", False),
        ("Dial.NewNoun", "<Start><NewNoun/></Start>", True),
        ("Other", "<Start><NewNoun/></Start>", True),
    ],
)
def test_elements_can_be_allowed_by_name(allow: str, document: str, found: bool) -> None:
    source = f"<Response>{document}</Response>"
    wider = VOCABULARY.allowing(elements=[allow])
    assert bool(lint_text(source, "x.xml", vocabulary=wider)) is found
    assert lint_text(source, "x.xml")
    result = RUNNER.invoke(app, ["lint", "-", "--allow-element", allow], input=source)
    assert result.exit_code == int(found)

"""The README tells what there is: nothing is missing in it, and nothing in it is made up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

import voice_app
from voice_app import guard, twiml
from voice_app.app import build, desk
from voice_app.cli.main import app
from voice_app.settings import Line, Settings, environment_name

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", README)) | set(re.findall(r"(?m)^(\w+)=", README))


def words(pattern: str) -> set[str]:
    return set(re.findall(pattern, README))


def test_every_setting_is_in_the_table_and_every_name_is_a_setting() -> None:
    settings = {environment_name(field) for field in Settings.model_fields}
    table = set(re.findall(r"(?m)^\| `((?:VOICE_APP|TWILIO|OPENAI)_\w+)` \|", README))
    assert table == settings
    assert words(r"\b(?:VOICE_APP|TWILIO|OPENAI)_[A-Z_]+\b") - {"VOICE_APP_"} == settings


def test_every_default_in_the_table_is_the_default() -> None:
    for field, info in Settings.model_fields.items():
        row = re.search(rf"(?m)^\| `{environment_name(field)}` \| (?:`(.*?)`)? \|", README)
        assert row is not None
        if isinstance(info.default, str | int | float):
            assert row[1] == str(info.default)


def test_every_setting_of_a_number_is_named() -> None:
    assert set(Line.model_fields) <= CODE


def test_every_rule_is_in_the_table_and_every_id_is_a_rule() -> None:
    rules = {rule_id: rule.title for rule_id, rule in twiml.RULES.items()}
    rules |= {rule_id: rule.title for rule_id, rule in guard.RULES.items()}
    table = dict(re.findall(r"(?m)^\| ([A-Z]{3}\d{3}) \| (.+?) \|$", README))
    assert table == rules
    assert words(r"\b[A-Z]{3}\d{3}\b") == set(rules)


def test_every_command_is_in_the_table() -> None:
    context: Any = None

    def names(command: Any, prefix: str) -> list[str]:
        if not isinstance(command, TyperGroup):
            return [prefix]
        found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
        return [line for name, child in found if child for line in names(child, f"{prefix} {name}")]

    table = README.partition("## Commands")[2].partition("##")[0]
    for name in names(get_command(app), "voice-app"):
        assert f"`{name}" in table, name


async def test_every_route_is_in_the_table_and_every_path_is_a_route() -> None:
    settings = Settings.model_construct(
        account_sid="AC" + "1" * 32, public_domain="voice.example.com", database_url="sqlite://"
    )
    mounted = {route.path for route in build(desk(settings, None)).routes}  # type: ignore[arg-type,attr-defined]
    table = README.partition("## Routes")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(/[^`]*)`", table)) == mounted


def test_every_template_is_in_the_table() -> None:
    table = README.partition("## Edit the TwiML")[2].partition("\n## ")[0]
    assert set(re.findall(r"(?m)^\| `(\w+\.xml)`", table)) == {
        path.name for path in (ROOT / "twiml_templates").glob("*.xml")
    }


def test_every_public_name_is_in_the_face_of_the_package() -> None:
    public = {name for name in vars(voice_app) if not name.startswith("_")}
    modules = {path.stem for path in (ROOT / "voice_app").iterdir()}
    assert public - modules == set(voice_app.__all__)
    assert voice_app.__all__ == sorted(voice_app.__all__)

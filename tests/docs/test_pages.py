"""README and pages tell what there is: nothing is missing in them, and nothing in them is made up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import voice_app
from voice_app import agents, guard, twiml
from voice_app.app import build, build_services
from voice_app.cli.main import app
from voice_app.docs.generated import PAGES
from voice_app.findings import Rule
from voice_app.settings import Settings, environment_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "voice_app/docs"
README = (ROOT / "README.md").read_text("utf-8")
TEXTS = {"README.md": README} | {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
ALL = "\n".join(TEXTS.values())
MAX_README = 250
"""Lines. What is longer belongs on a page."""


def page(name: str) -> str:
    return TEXTS[f"{name}.md"]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MAX_README


def test_every_page_is_linked_from_the_readme_and_every_link_leads_somewhere() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+)\)", README))
    assert {f"voice_app/docs/{path.name}" for path in FOLDER.glob("*.md")} <= linked
    for link in linked:
        assert (ROOT / link).exists(), link


def test_every_section_of_the_readme_is_in_its_contents() -> None:
    sections = re.findall(r"(?m)^## (.+)$", README)
    contents = re.findall(r"(?m)^- \[(.+)\]\(#(.+)\)$", README)
    assert [title for title, _ in contents] == sections
    for title, anchor in contents:
        assert anchor == re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert TEXTS[name] == PAGES[name](), "run: python -m voice_app.docs.generated"


def test_every_setting_and_rule_has_a_description() -> None:
    assert "| None |" not in page("settings")
    assert "|  |" not in page("rules")


def test_every_name_of_a_setting_and_every_id_of_a_rule_exists() -> None:
    settings = {environment_name(field) for field in Settings.model_fields}
    assert set(re.findall(r"\b(?:VOICE_APP|TWILIO|OPENAI)_[A-Z_]+\b", ALL)) - {"VOICE_APP_"} <= settings
    rules = {*twiml.RULES, *guard.RULES}
    assert set(re.findall(r"\b(?:STT|CFG|MEM|INT|NUM|TWI)\d{3}\b", ALL)) <= rules


def test_every_setting_is_told_of_where_it_matters_and_not_in_the_table_alone() -> None:
    told = "\n".join(text for name, text in TEXTS.items() if name not in ("settings.md", "changelog.md"))
    names = set(re.findall(r"\b[A-Z_]+\b", told))
    assert {environment_name(field) for field in Settings.model_fields} - names == set()


def _commands(command: Any, prefix: str) -> list[str]:
    if not isinstance(command, TyperGroup):
        return [prefix]
    context: Any = None
    found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [line for name, child in found if child for line in _commands(child, f"{prefix} {name}")]


COMMANDS = _commands(get_command(app), "voice-app")


def test_every_command_is_in_the_table() -> None:
    for name in COMMANDS:
        assert f"`{name}" in page("commands"), name


@pytest.mark.parametrize(
    "rule", [*guard.RULES.values(), *twiml.RULES.values()], ids=lambda rule: str(rule.id)
)
def test_every_command_that_a_rule_advises_exists(rule: Rule) -> None:
    for told in re.findall(r"voice-app [a-z-]+(?: [a-z-]+)?", f"{rule.why} {rule.fix}"):
        assert any(f"{told} ".startswith(f"{name} ") for name in COMMANDS), told


async def test_every_route_is_in_the_table_and_every_path_is_a_route() -> None:
    settings = Settings.model_construct(
        account_sid="AC" + "1" * 32, public_domain="voice.example.com", database_url="sqlite://"
    )
    mounted = {route.path for route in build(build_services(settings, None)).routes}  # type: ignore[arg-type,attr-defined]
    assert set(re.findall(r"`(/[^`]*)`", page("routes"))) == mounted


def test_every_template_is_in_the_table() -> None:
    assert set(re.findall(r"(?m)^\| `(\w+\.xml)`", page("twiml"))) == {
        path.name for path in (ROOT / "twiml_templates").glob("*.xml")
    }


def test_every_public_name_is_in_the_face_of_the_package() -> None:
    assert all(getattr(voice_app, name) is getattr(agents, name) for name in voice_app.__all__)
    assert dir(voice_app) == voice_app.__all__ == sorted(voice_app.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Transfr'"):
        getattr(voice_app, "Transfr")  # noqa: B009

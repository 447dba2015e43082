from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from voice_app.cli.call import PACE, PEOPLE
from voice_app.cli.configuration_fields import CHANNELS, GROUPING_NAMES
from voice_app.cli.main import COMMANDS, Commands, Group, app
from voice_app.sandbox.phone import WORDS_PER_SECOND
from voice_app.sandbox.phone import people as people_module
from voice_app.twilio import limits


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="voice-app", env=environment)


def every_command(commands: Commands = COMMANDS) -> Iterator[str]:
    for name, entry in commands.items():
        if isinstance(entry, Group):
            yield from (f"{name} {below}" for below in every_command(entry.commands))
        else:
            yield name


@pytest.mark.parametrize("command", list(every_command()))
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"voice-app {command}" in result.output


@pytest.mark.parametrize("arguments", [[], ["calls"], ["config"], ["conversations"]])
def test_no_command_at_all_shows_what_there_is(arguments: list[str]) -> None:
    commands = COMMANDS
    for name in arguments:
        group = commands[name]
        assert isinstance(group, Group)
        commands = group.commands
    output = run(*arguments).output
    for name, entry in commands.items():
        assert name in output
        assert " ".join(entry.summary.split()) in " ".join(output.split())


def test_an_unknown_command_is_a_usage_error() -> None:
    assert run("sevre").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "meant"), [(["docz"], "docs"), (["calls", "lst"], "list"), (["conifg"], "config")]
)
def test_a_misspelt_command_is_told_which_was_meant(arguments: list[str], meant: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.output


def test_it_tells_its_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.output) == (0, f"voice-app {version('voice-app')}\n")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("voice-app ca", ["call", "calls"]), ("voice-app calls pur", ["purge"]), ("voice-app docs", ["docs"])],
)
def test_a_shell_completes_commands(typed: str, offered: list[str]) -> None:
    words = len(typed.split()) - 1
    result = run(_VOICE_APP_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(words))
    assert result.output.split() == offered


def test_what_options_repeat_is_what_the_rest_of_the_house_has() -> None:
    assert CHANNELS == limits.CHANNELS
    assert tuple(GROUPING_NAMES.values()) == limits.GROUPINGS
    assert people_module.PersonKind.__args__ == PEOPLE  # type: ignore[attr-defined]
    assert WORDS_PER_SECOND == PACE


# --- voice-app docs -----------------------------------------------------------------------------


PAGES = sorted((Path(__file__).parents[2] / "voice_app/docs").glob("*.md"))


def test_docs_lists_every_page_with_its_title() -> None:
    lines = run("docs").output.splitlines()
    for page in PAGES:
        title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        assert any(line.split()[:1] == [page.stem] and line.endswith(title) for line in lines), page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_docs_prints_a_page_as_it_is_into_a_pipe(page: Path) -> None:
    assert run("docs", page.stem).output.rstrip() == page.read_text("utf-8").rstrip()


def test_docs_tells_which_page_was_meant() -> None:
    result = run("docs", "setings")
    assert result.exit_code == 2
    assert "did you mean settings?" in result.output

import pytest
from typer.testing import CliRunner

from voice_app.cli.main import app


@pytest.mark.parametrize(
    "command",
    [
        *("serve", "check", "lint", "call", "demo"),
        *("calls list", "calls show", "calls export", "calls forget", "calls purge"),
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output


def test_no_command_at_all_shows_what_there_is() -> None:
    assert "serve" in CliRunner().invoke(app, []).output


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["sevre"]).exit_code == 2

"""Whatever is wrong with what a command is given: it says what, where and what to do, and in one form."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import Finished, voice_app
from voice_app.cli.main import COMMANDS, Commands, Group

NOWHERE = "http://127.0.0.1:9"
CONFIGURATION = "conv_configuration_00000000000000000000000001"
CONVERSATION = "conv_conversation_00000000000000000000000001"
INTELLIGENCE = "intelligence_configuration_00000000000000000000000001"
ACCOUNT = {
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "token",
    "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
    "VOICE_APP_TWILIO_BASE_URL": NOWHERE,
}

# A command line, what its error has to name, and settings that it is given.
GIVEN: list[tuple[str, str, dict[str, str]]] = [
    ("init file/inside", "file/inside", {}),
    ("init --example chatt", "did you mean chat?", {}),
    ("serve --port 99999", "VOICE_APP_PORT", {}),
    ("serve --check-only", "VOICE_APP_AGENT=nobody:agent", {"VOICE_APP_AGENT": "nobody:agent"}),
    ("serve --check-only", "VOICE_APP_GREETINGS", {"VOICE_APP_GREETINGS": "Hi!"}),
    ("serve --workers 2", "VOICE_APP_DATABASE_URL", {}),
    ("check", "VOICE_APP_AGENT=sevretary", {"VOICE_APP_AGENT": "sevretary"}),
    ("check", "VOICE_APP_NUMBERS", {"VOICE_APP_NUMBERS": "nowhere.toml"}),
    ("lint nowhere.xml", "nowhere.xml", {}),
    ("explain STT999", "STT999", {}),
    ("docs agnets", "agents", {}),
    ("call --url ftp://x", "ftp://x", {}),
    ("top --once ftp://x", "ftp://x", {}),
    (f"call --url {NOWHERE}/voice", "voice-app serve", {}),
    ("call --interrupt-after 3 --say Hello.", "--say", {}),
    ("call --person nobody", "answers", {}),
    ("conformance", "--url", {}),
    (f"conformance {NOWHERE}", "wss://", {}),
    (f"conformance --url {NOWHERE}/voice", NOWHERE.removeprefix("http://"), {}),
    ("conformance --list --only intrrupt-first", "interrupt-first", {}),
    ("demo --loud", "--loud", {}),
    ("rehearse", "--from", {}),
    ("rehearse nowhere.yaml", "nowhere.yaml", {}),
    ("rehearse file", "file:1", {}),
    ("rehearse --judge CA1", "FILE", {}),
    ("rehearse --from CA1", "voice-app.db", {}),
    ("sandbox --webhooks-to here", "http://127.0.0.1", {}),
    ("sandbox", "TWILIO_ACCOUNT_SID", ACCOUNT),
    ("fleet --servers 0", "--servers", {}),
    ("bench", "--stub", {}),
    (f"bench {NOWHERE}/voice --calls 1", NOWHERE, {}),
    ("bench nowhere --calls 1", "nowhere", {}),
    ("stats --by week", "--by", {}),
    ("stats", "voice-app.db", {}),
    ("user add anna", "VOICE_APP_USERS", {}),
    ("user add anna --role boss --file users.toml", "--role", {}),
    ("user add an/na --file users.toml", "an/na", {}),
    ("user add anna --file users.toml", "12 characters", {}),
    ("user add anna --file file", "VOICE_APP_USERS: file", {}),
    ("user key wall --role boss --file users.toml", "--role", {}),
    ("user list --file file", "VOICE_APP_USERS: file", {}),
    ("user remove anna --file users.toml", "anna", {}),
    ("calls list", "voice-app.db", {}),
    ("calls list --since yesterday", "--since", {}),
    ("calls list --number nobody", "nobody", {}),
    ("calls list --database-url mysql://x", "mysql", {}),
    ("calls show CA1", "voice-app.db", {}),
    ("calls export --output nowhere/calls.jsonl", "voice-app.db", {}),
    ("calls export --format xls", "csv", {}),
    ("calls forget nobody", "nobody", {}),
    ("calls forget +15550100002", "voice-app.db", {}),
    ("calls purge --older-than never", "--older-than", {}),
    ("calls purge --older-than 3", "voice-app.db", {}),
    ("calls report CA1", "voice-app.db", {}),
    ("config list", "TWILIO_ACCOUNT_SID", {}),
    (f"config list --url {NOWHERE}", "voice-app serve", {}),
    ("config list", NOWHERE, ACCOUNT),
    ("config show mine", NOWHERE, ACCOUNT),
    (f"config show {CONFIGURATION}", NOWHERE, ACCOUNT),
    (f"config diff {CONFIGURATION} nowhere.json", "nowhere.json", ACCOUNT),
    ("config create", "displayName", ACCOUNT),
    ("config create --from mine", NOWHERE, ACCOUNT),
    (f"config set {CONFIGURATION} nowhere.json", "nowhere.json", ACCOUNT),
    (f"config delete {CONFIGURATION}", NOWHERE, ACCOUNT),
    (f"config add-rule {CONFIGURATION} PIGEON", "PIGEON", ACCOUNT),
    (f"config add-rule {CONFIGURATION} SMS", "--", ACCOUNT),
    (f"config remove-rule {CONFIGURATION} SMS", "--", ACCOUNT),
    (f"config link-intelligence {CONFIGURATION} mine", "mine", ACCOUNT),
    (f"config link-intelligence {CONFIGURATION} {INTELLIGENCE}", NOWHERE, ACCOUNT),
    (f"config unlink-intelligence {CONFIGURATION} {INTELLIGENCE}", NOWHERE, ACCOUNT),
    ("config plan nowhere.csv --name a", "nowhere.csv", {}),
    ("config plan file --name a", "file", {}),
    ("conversations list --channel PIGEON", "PIGEON", ACCOUNT),
    ("conversations list", NOWHERE, ACCOUNT),
    ("conversations show CA1", "CA1", ACCOUNT),
    (f"conversations show {CONVERSATION}", NOWHERE, ACCOUNT),
    ("conversations close", "--config", ACCOUNT),
    (f"conversations close {CONVERSATION}", NOWHERE, ACCOUNT),
    ("conversations export one", "one", ACCOUNT),
    (f"conversations export {CONVERSATION} --format xls", "vcon", ACCOUNT),
]


def every_command(commands: Commands = COMMANDS, before: str = "") -> list[str]:
    """The words of each command."""
    return [
        line
        for name, entry in commands.items()
        for line in (
            every_command(entry.commands, f"{name} ") if isinstance(entry, Group) else [before + name]
        )
    ]


def test_every_command_is_given_something_wrong() -> None:
    lines = [line for line, _, _ in GIVEN]
    missing = [
        name for name in every_command() if not any(f"{line} ".startswith(f"{name} ") for line in lines)
    ]
    assert missing == []


@pytest.mark.parametrize(("line", "named", "settings"), GIVEN, ids=[line for line, _, _ in GIVEN])
async def test_an_error_begins_as_every_other_and_names_what_is_wrong(
    line: str, named: str, settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not,a\nlist,of,numbers\n")
    result = await voice_app(tmp_path, *line.split(), **settings)
    in_form(result)
    assert result.code in (1, 2, 3)
    assert named in result.err


@pytest.mark.parametrize("command", every_command())
async def test_an_option_that_there_is_not_is_such_an_error(command: str, tmp_path: Path) -> None:
    result = await voice_app(tmp_path, *command.split(), "--loudly")
    in_form(result)
    assert result.code == 2
    assert "--loudly" in result.err


def in_form(result: Finished) -> None:
    """Standard error is ``Error: …``, whose later lines are indented; Typer puts the usage above it."""
    assert "Traceback" not in result.err
    told = result.err
    if told.startswith("Usage: "):
        told = told.split("\n\n", 1)[1]
    first, *rest = [line for line in told.splitlines() if not line.startswith(("note ", "warning "))]
    assert first.startswith("Error: "), told
    assert all(line.startswith(("  ", "Error: ")) for line in rest), told

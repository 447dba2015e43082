"""What a command imports: its start is quick because it leaves out what it does not need."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from voice_app.cli.main import COMMANDS, Commands, Group
from voice_app.journal.store import Store
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve

HEAVY = frozenset(
    {
        *("aiohttp", "alembic", "dbos", "jinja2", "phonenumbers", "prometheus_client", "psycopg", "rich"),
        *("sqlalchemy", "starlette", "twilio", "uvicorn", "websockets"),
        *("voice_app.app", "voice_app.guard", "voice_app.journal", "voice_app.relay", "voice_app.sandbox"),
        *("voice_app.server", "voice_app.settings", "voice_app.twilio", "voice_app.twiml"),
    }
)
"""What takes long to import. Typer itself imports pydantic once an option has a value."""


async def imported(folder: Path, *runs: str) -> dict[str, set[str]]:
    """Run commands one after the other in one process of its own; of ``HEAVY``, what each has imported."""
    code = (
        "import sys\n"
        "from voice_app.cli.main import app\n"
        f"for run in {runs!r}:\n"
        "    try:\n"
        "        app(run.split())\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, run\n"
        "    print(run, *sys.modules, sep=' ', file=sys.stderr)\n"
    )
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "VOICE_APP_"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        cwd=folder,
        env=kept,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    lines = err.decode().splitlines()
    return {run: set(line.split()) for run, line in zip(runs, lines, strict=True)}


def every_command(commands: Commands, prefix: str = "") -> Iterator[str]:
    for name, entry in commands.items():
        yield f"{prefix}{name}"
        if isinstance(entry, Group):
            yield from every_command(entry.commands, f"{prefix}{name} ")


async def test_the_help_of_all_commands_imports_none_of_them(tmp_path: Path) -> None:
    modules = (await imported(tmp_path, "--help"))["--help"]
    assert not modules & {*HEAVY, "pydantic", "asyncio", "voice_app.cli.serve", "voice_app.cli.calls"}


async def test_the_help_of_a_command_imports_nothing_that_it_works_with(tmp_path: Path) -> None:
    runs = [f"{command} --help" for command in every_command(COMMANDS)]
    for run, modules in (await imported(tmp_path, *runs)).items():
        assert not modules & HEAVY, run


async def test_listing_calls_imports_no_server(tmp_path: Path) -> None:
    Store("sqlite:///" + str(tmp_path / "voice-app.db")).create()
    modules = (await imported(tmp_path, "calls list"))["calls list"]
    assert "sqlalchemy" in modules
    allowed = {"sqlalchemy", "prometheus_client", "voice_app.journal", "voice_app.settings"}
    assert modules & HEAVY <= allowed


async def test_importing_the_package_imports_nothing_before_a_name_is_asked_for(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import voice_app, sys; print(*sys.modules)"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    modules = set(out.decode().split())
    assert not modules & {*HEAVY, "pydantic", "asyncio", "typer", "voice_app.agents"}


async def test_a_server_with_an_account_imports_nothing_of_the_sandbox(tmp_path: Path) -> None:
    twilio = SandboxAccount("AC" + "1" * 32, "token")
    named = twilio.add_configuration(channelSettings={"VOICE": {"captureRules": []}})
    (tmp_path / "watching.py").write_text(
        "import atexit, pathlib, sys\n"
        "atexit.register(lambda: pathlib.Path('modules').write_text(' '.join(sys.modules)))\n"
        "async def agent(call, turn):\n"
        "    yield 'Hello.'\n"
    )
    settings = {
        "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
        "TWILIO_CONVERSATION_CONFIGURATION_ID": named,
        "VOICE_APP_AGENT": "watching:agent",
    }
    async with serve(double_app(twilio)) as base_url:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voice_app", "serve", "--port", "0"),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "VOICE_APP_TWILIO_BASE_URL": base_url, **settings},
            stdout=asyncio.subprocess.PIPE,
        )
        assert server.stdout is not None
        await server.stdout.readuntil(b"Listening on")
        server.terminate()
        await server.communicate()
    modules = set((tmp_path / "modules").read_text().split())
    assert "voice_app.server.serving" in modules
    assert not modules & {
        *("voice_app.sandbox", "voice_app.server.sandbox"),
        *("alembic", "dbos", "phonenumbers", "twilio.rest"),
    }

"""Every block of README and of the pages does what it is there for.

Commands are run line by line, in a folder of their own, against a server and an account on this machine.
Python is phoned, TOML is read by the setting that the page names for it, XML is served as a template.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from support.blocks import ROOT, Block, blocks
from support.commands import TESTS, serving, voice_app
from support.journals import talk, write
from support.model import ScriptedModel
from support.modules import modules_of
from support.sandbox import sandbox
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve

LANGUAGES: Final = {"console", "sh", "python", "toml", "xml", "text"}
"""``text`` is what a program prints, or a picture."""

NOT_RUN: Final = {
    "scripts/demo": "sets up a virtual environment; its command is run by tests/cli/test_demo.py",
    "scripts/test": "runs all the tests, this one too",
    "scripts/fleet": "serves until it is stopped",
    "scripts/fleet --demo": "takes minutes, PostgreSQL and nginx",
    "scripts/chaos --minutes 10 --callers 100": "takes ten minutes; tests/fleet/test_chaos.py runs one",
    "scripts/chaos --seed 7 --json chaos.json --keep logs": "the same",
    "scripts/conformance --page": "rewrites its page; tests/testing/test_conformance.py plays the suite",
    "scripts/bench --quick": "takes minutes; tests/sandbox/load/test_rivals.py runs the comparison",
    "scripts/bench --json figures.json": "takes ten minutes of an idle machine",
}
"""Lines that are looked at and not run, with the reason."""

SID: Final = "AC" + "1" * 32
TOKEN: Final = "token-of-the-docs"
NUMBER: Final = "+15550100001"
CALL: Final = "CA" + "2" * 32
ANN: Final = "+15550190001"
"""Who phones; `agents.md` knows her."""
PACE: Final = ("--pace", "300")
_SHELL: Final = re.compile(r"[|<>&;$`]")
"""What makes a line bash's."""

BILLING: Final = """\
from voice_app import Call, Turn


async def agent(call: Call, turn: Turn):
    yield "This is billing."
"""
TOOLS: Final = """\
from voice_app.agents.tools import tool


@tool
async def refund(order: int) -> str:
    '''Pay an order back.'''
    return "paid back"
"""
"""What the reader has beside a block."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with modules of its own."""
    monkeypatch.chdir(tmp_path)
    with modules_of(tmp_path):
        monkeypatch.syspath_prepend(tmp_path)
        yield tmp_path


def test_every_block_names_a_language_in_which_blocks_are_tested() -> None:
    assert {str(block): block.language for block in blocks() if block.language not in LANGUAGES} == {}


# --- commands -----------------------------------------------------------------------------------


@dataclass
class Shell:
    """Runs the lines of a block as a person would, one after another."""

    folder: Path
    environment: dict[str, str]
    """The settings. A block may export more."""
    placeholders: dict[str, str]
    servers: AsyncExitStack
    billed_twice: bool = False
    """The account has a second engine for speech-to-text, until it is repaired."""
    out: str = ""
    phoned: bool = False
    serves: bool = False

    async def run(self, line: str) -> None:
        """Run a line to its end; a server is started, and serves until the block ends."""
        for placeholder, value in self.placeholders.items():
            line = line.replace(placeholder, value)
        words = shlex.split(line, comments=True)
        own: dict[str, str] = {}
        while words and (assigned := re.fullmatch(r"([A-Z_]+)=(.*)", words[0])):
            own[assigned[1]] = assigned[2]
            del words[0]
        match words:
            case ["export", *assignments]:
                self.environment |= dict(word.split("=", 1) for word in assignments)
            case ["cd", folder]:
                self.folder = self.folder / folder
                os.chdir(self.folder)
            case [_, "check", "--fix"]:  # it asks a person, at a terminal
                await self._bash(line)
                self.billed_twice = False
            case [program, *arguments] if Path(program).name == "voice-app" and not any(
                map(_SHELL.search, words)
            ):
                await self._voice_app(arguments, {**self.environment, **own})
            case _:
                await self._bash(line)

    async def _voice_app(self, arguments: list[str], environment: dict[str, str]) -> None:
        if arguments[0] == "serve":
            started = await voice_app(self.folder, *arguments, "--check-only", "--port", "0", **environment)
            assert started.code == 0, started.out + started.err
            await self.serve(**environment)
            return
        if arguments[0] == "call":
            if not self.serves:
                await self.serve(**environment)
            self.phoned = True
            arguments += PACE
        result = await voice_app(
            self.folder, *arguments, stdin="yes\n", **{**environment, **self.environment}
        )
        wanted = int(self.billed_twice and arguments[0] == "check")
        assert result.code == wanted, f"{arguments} ended with {result.code}: {result.out}{result.err}"
        self.out += result.out

    async def serve(self, **environment: str) -> None:
        """Start a server; `voice-app call` finds it from now on."""
        base_url = await self.servers.enter_async_context(serving(self.folder, **environment))
        self.environment["VOICE_APP_PORT"] = base_url.rpartition(":")[2]
        self.serves = True

    async def _bash(self, line: str) -> None:
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        program = programs / "voice-app"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT}:{TESTS} exec {sys.executable} -m voice_app "$@"\n')
        program.chmod(0o755)
        (self.folder / ".curlrc").write_text("fail\nsilent\nshow-error\n")
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        typed, terminal = os.openpty()
        os.write(typed, b"yes\n")
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", line),
            cwd=self.folder,
            env={**kept, "PATH": path, "HOME": str(self.folder), **self.environment},
            stdin=terminal,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for end in (typed, terminal):
            self.servers.callback(os.close, end)
        assert process.stdout is not None
        if "curl -N" in line:  # it goes on until somebody stops it
            async with asyncio.timeout(60):
                self.out += (await process.stdout.readuntil(b"\n\n")).decode()
            process.terminate()
            await process.communicate()
            return
        out, err = await process.communicate()
        assert process.returncode == 0, f"{line} ended with {process.returncode}: {out!r} {err!r}"
        self.out += out.decode()


@asynccontextmanager
async def account_environment(
    folder: Path, *, billed_twice: bool = False
) -> AsyncIterator[tuple[dict[str, str], dict[str, str]]]:
    """An account with a number, a configuration and a journal; its settings, and what stands for its ids."""
    account = SandboxAccount(SID, TOKEN)
    store = account.add_store()
    rules = [{"from": "*", "to": NUMBER, "metadata": {"callType": "PSTN"}}] if billed_twice else []
    configuration = account.add_configuration(
        memoryStoreId=store,
        memoryExtractionEnabled=True,
        channelSettings={"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": rules}},
        statusCallbacks=[{"url": "https://voice.example.com/orchestrator/events", "method": "POST"}],
    )
    webhook = "https://voice.example.com/voice"
    account.add_number(
        NUMBER,
        voice_url=webhook,
        voice_fallback_url=f"{webhook}/fallback",
        status_callback=f"{webhook}/status",
    )
    await write(f"sqlite:///{folder}/voice-app.db", {CALL: talk(NUMBER)}, at=1_793_000_000.0)
    async with serve(double_app(account)) as base_url:
        yield (
            {
                "TWILIO_ACCOUNT_SID": SID,
                "TWILIO_AUTH_TOKEN": TOKEN,
                "TWILIO_PHONE_NUMBER": NUMBER,
                "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
                "TWILIO_CONVERSATION_CONFIGURATION_ID": configuration,
                "VOICE_APP_TWILIO_BASE_URL": base_url,
            },
            {"conv_configuration_…": configuration, "mem_store_…": store, "CA…": CALL, "AC…": SID},
        )


@pytest.mark.parametrize("block", blocks("console"), ids=str)
async def test_a_console_block_runs(block: Block, folder: Path, model: ScriptedModel) -> None:
    assert block.commands, "a line that is typed begins with `$ `"
    if looked_at := [line for line in block.commands if _bare(line) in NOT_RUN]:
        assert looked_at == block.commands, "what can be run and what cannot are in blocks of their own"
        await _look_at(block)
        return
    agents = [each.text for each in blocks("python") if each.page == block.page and each.line < block.line]
    for text in agents[-1:]:
        (folder / "my_agent.py").write_text(text)
    phones = any(re.search(r"voice-app (serve|call|init)\b", line) for line in block.commands)
    async with AsyncExitStack() as stack:
        environment, placeholders = {"OPENAI_BASE_URL": model.base_url}, {"KEY=…": "KEY=a-key"}
        if "curl" in block.text:
            api = await stack.enter_async_context(_api(folder, placeholders))
            environment["VOICE_APP_API_TOKEN"] = api
        elif not phones:
            more, placeholders = await stack.enter_async_context(
                account_environment(folder, billed_twice="--fix" in block.text)
            )
            environment |= more
        shell = Shell(folder, environment, placeholders, await stack.enter_async_context(AsyncExitStack()))
        shell.billed_twice = "--fix" in block.text
        for line in block.commands:
            await shell.run(line)
        if "--fix" in block.text:
            await shell.run("voice-app check")
        if shell.serves and not shell.phoned:
            model.say("Hello.")
            await shell.run("voice-app call --say Hello. --expect Hello")


def test_every_line_that_is_not_run_is_in_a_block() -> None:
    assert {_bare(line) for block in blocks("console") for line in block.commands} >= set(NOT_RUN)


def _bare(line: str) -> str:
    return " ".join(shlex.split(line, comments=True))


async def _look_at(block: Block) -> None:
    """The scripts exist, can be started, and bash can read them."""
    for line in block.commands:
        script = ROOT / line.split()[0]
        assert os.access(script, os.X_OK), script
        process = await asyncio.create_subprocess_exec("bash", "-n", str(script))
        assert await process.wait() == 0, script


@asynccontextmanager
async def _api(folder: Path, placeholders: dict[str, str]) -> AsyncIterator[str]:
    """A server with a call that goes on, and its API; gives the token."""
    async with sandbox(folder, api_token=SecretStr("an-api-token")) as server, server.call() as call:
        await call.reply()
        placeholders |= {"https://voice.example.com": server.base_url, "CA…": call.sid}
        yield "an-api-token"


# --- Python -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Talk:
    """What is said to the agent of a block, and what has to be heard."""

    says: tuple[str, ...]
    hears: tuple[str, ...]
    model: tuple[str | tuple[str, str], ...] = ()
    """What the model answers, one after another: words, or the name and the arguments of a tool."""


TALKS: Final = {
    ("README.md", "Your agent"): [Talk(("Hello.", "A refund, please."), ("You said: Hello.", "a colleague"))],
    ("agents.md", "Ask for something"): [
        Talk(
            ("A table, please.", "Tomorrow.", "Yes.", "john dot smith at example dot com", "Yes."),
            ("For which day?", "A confirmation goes to"),
        ),
        Talk(
            ("Unlock my account.", "4711"),
            ("Please type your PIN.", "It is open now."),
            model=(("unlock", "{}"), "It is open now."),
        ),
    ],
    ("agents.md", "Say what has to be heard"): [
        Talk(("Hello.", "Yes."), ("kept for thirty days", "Do you agree?", "What can I do for you?"))
    ],
    ("agents.md", "Decide how a call is answered"): [
        Talk(("Hello.",), ("Good morning, Ann!", "At your service, Ann."))
    ],
    ("agents.md", "Several agents"): [
        Talk(
            ("My invoice, please.",), ("This is billing.",), model=(("to_billing", "{}"), "This is billing.")
        ),
        Talk(("Hello.", "¿En español?"), ("Gladly. What can I do", "Con mucho gusto.")),
    ],
    ("agents.md", "The agents that are built in"): [
        Talk(
            ("Where is order 81?",),
            ("It leaves today.",),
            model=(("order_status", '{"number": 81}'), "It leaves today."),
        )
    ],
}
"""By page and section, in the order of the blocks there."""


def python_blocks() -> Iterator[tuple[Block, Talk]]:
    """Each with what is said to it; an agent of which nothing is said there has to answer."""
    seen: dict[tuple[str, str], int] = {}
    for block in blocks("python"):
        place = block.page, block.section
        number = seen[place] = seen.get(place, -1) + 1
        talks = TALKS.get(place, ())
        yield block, talks[number] if number < len(talks) else Talk(("Hello.",), ("",))


@pytest.mark.parametrize(
    ("block", "talk"), [pytest.param(*each, id=str(each[0])) for each in python_blocks()]
)
async def test_a_python_block_is_an_agent_that_answers(
    block: Block, talk: Talk, folder: Path, model: ScriptedModel
) -> None:
    (folder / "my_agent.py").write_text(block.text)
    (folder / "billing.py").write_text(BILLING)
    (folder / "agents.toml").write_text('[billing]\nagent = "billing:agent"\n')
    for answer in talk.model:
        if isinstance(answer, str):
            model.say(answer)
        else:
            model.call(("call_1", *answer))
    said = [word for line in talk.says for word in ("--say", line)]
    expected = [word for line in talk.hears for word in ("--expect", line)]
    environment = {
        "VOICE_APP_AGENT": "my_agent:agent",
        "VOICE_APP_AGENTS": "agents.toml",
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "a-key",
    }
    async with serving(folder, **environment) as base_url:
        url = f"{base_url}/voice"
        result = await voice_app(folder, "call", "--url", url, *PACE, "--from", ANN, *said, *expected)
    assert result.code == 0, result.out + result.err


def test_every_talk_belongs_to_a_block() -> None:
    places = [(block.page, block.section) for block in blocks("python")]
    for place, talks in TALKS.items():
        assert places.count(place) == len(talks), place


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
async def test_a_toml_block_is_what_the_setting_above_it_names(block: Block, folder: Path) -> None:
    setting = re.findall(r"VOICE_APP_(?:NUMBERS|HANDOFF|AGENTS|RECEPTIONIST|PRICES)\b", block.before)[-1]
    (folder / "file.toml").write_text(block.text)
    (folder / "billing.md").write_text("You are the billing department.")
    (folder / "my_agent.py").write_text(BILLING)
    (folder / "my_tools.py").write_text(TOOLS)
    environment = {setting: "file.toml", "VOICE_APP_MODEL": "gpt-4o-mini"}
    result = await voice_app(folder, "serve", "--check-only", "--port", "0", **environment)
    assert result.code == 0, result.out + result.err
    misspelt = block.text.replace(" = ", "s = ", 1)
    (folder / "file.toml").write_text(misspelt)
    result = await voice_app(folder, "serve", "--check-only", "--port", "0", **environment)
    assert (result.code, setting in result.err) == (2, True), "the block is not read by this setting"


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
async def test_a_block_of_settings_is_a_file_that_every_command_reads(block: Block, folder: Path) -> None:
    async with account_environment(folder) as (environment, placeholders):
        text = block.text
        for placeholder, value in {**placeholders, "=…": f"={TOKEN}"}.items():
            text = text.replace(placeholder, value)
        (folder / ".env").write_text(text)
        named = set(re.findall(r"(?m)^([A-Z_]+)=", text))
        assert named, "a line has the form NAME=value"
        own = {name: value for name, value in environment.items() if name not in named}
        result = await voice_app(folder, "check", **own)
        assert result.code == 0, result.out + result.err
        sourced = await asyncio.create_subprocess_exec("bash", "-euc", ". ./.env", cwd=folder)
        assert await sourced.wait() == 0


@pytest.mark.parametrize("block", blocks("xml"), ids=str)
async def test_an_xml_block_is_a_template_that_is_served(block: Block, folder: Path) -> None:
    templates = folder / "twiml_templates"
    templates.mkdir()
    (templates / _template_named(block)).write_text(block.text)
    await voice_app(folder, "init")  # the others
    linted = await voice_app(folder, "lint", "twiml_templates")
    assert (linted.code, linted.out) == (0, "Clean.\n"), linted.out + linted.err
    started = await voice_app(folder, "serve", "--check-only", "--port", "0")
    assert started.code == 0, started.out + started.err


def _template_named(block: Block) -> str:
    """The name of the template that the page says last before the block."""
    names: list[str] = re.findall(r"`(\w+\.xml)`", block.before)
    return names[-1]

"""``serve --check-only`` makes every check of the start; what is wrong is a sentence, never a traceback."""

from __future__ import annotations

import re
import resource
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from support.commands import Finished, voice_app
from voice_app.sandbox.twilio import Fault, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.twiml import shipped_folder
from voice_app.twiml.templates import ROLES

FREE_PORT = {"VOICE_APP_PORT": "0"}


async def check_only(folder: Path, **environment: str) -> Finished:
    return await voice_app(folder, "serve", "--check-only", **{**FREE_PORT, **environment})


def refused(result: Finished, *told: str) -> None:
    """It ended with a sentence about the settings."""
    assert result.code == 2, result.err
    assert result.err.startswith("Error: The settings cannot be used:\n")
    for text in told:
        assert text in result.err
    assert "Traceback" not in result.err


# --- the database -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://voice.db",
        "sqlite://user:hunter2@host/voice.db",
        "sqlite:voice.db",
        "sqlite:/voice.db",
        "sqlite:///voice.db?timeout=soon",
        "sqlite:///voice.db?timeout=1&timeout=2",
        "voice.db",
        "mysql://user:hunter2@host/voice",
        "postgresql://user:hunter2@[::1/voice",
    ],
)
async def test_an_address_that_names_no_database_is_told_how_it_should_look(tmp_path: Path, url: str) -> None:
    result = await check_only(tmp_path, VOICE_APP_DATABASE_URL=url)
    refused(result, "VOICE_APP_DATABASE_URL should look like sqlite:///voice-app.db")
    assert "hunter2" not in result.err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "sqlite:///nowhere/voice.db",
            "nowhere/voice.db.serving cannot be written (No such file",
        ),
        ("sqlite:///folder", "folder is a folder: name a file in it"),
        ("sqlite:///" + "x" * 400, "cannot be written (File name too long)"),
        ("sqlite:///broken.db", "file is not a database"),
        ("sqlite:///other.db", "not a journal: it has a table 'calls' of another kind"),
        ("postgresql://127.0.0.1:1/voice", "Cannot open the journal at postgresql://127.0.0.1:1/voice"),
    ],
)
async def test_a_database_that_cannot_be_used_is_a_sentence(tmp_path: Path, url: str, told: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE calls (id INTEGER)")
    refused(await check_only(tmp_path, VOICE_APP_DATABASE_URL=url), told)


async def test_a_check_makes_no_database_and_leaves_one_as_it_is(tmp_path: Path) -> None:
    missing = await check_only(tmp_path)
    assert (missing.code, missing.out) == (0, "Every check passed.\n")
    assert not (tmp_path / "voice-app.db").exists()
    sqlite3.connect(tmp_path / "empty.db").execute("VACUUM")
    empty = await check_only(tmp_path, VOICE_APP_DATABASE_URL="sqlite:///empty.db")
    assert empty.code == 0
    assert sqlite3.connect(tmp_path / "empty.db").execute("SELECT name FROM sqlite_master").fetchall() == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[None]:
    """No file of this process can grow, once pytest has written its own."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("command", ["--check-only", "--port=0"])
async def test_a_full_disk_is_a_sentence(tmp_path: Path, command: str) -> None:
    result = await voice_app(tmp_path, "serve", command, **FREE_PORT)
    refused(result, "voice-app.db.serving cannot be written (File too large)")


# --- the port, the folders ----------------------------------------------------------------------


async def test_a_port_that_is_taken_fails_the_check(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = await check_only(tmp_path, VOICE_APP_PORT=str(taken.getsockname()[1]))
    refused(result, "VOICE_APP_HOST, VOICE_APP_PORT: cannot listen on 127.0.0.1:")


@pytest.mark.parametrize("host", ["localhost", "::1"])
async def test_a_host_that_is_loopback_passes_or_is_told(tmp_path: Path, host: str) -> None:
    result = await check_only(tmp_path, VOICE_APP_HOST=host)
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("VOICE_APP_TEMPLATES", "nowhere", "VOICE_APP_TEMPLATES: nowhere is no folder"),
        ("VOICE_APP_TEMPLATES", "file", "VOICE_APP_TEMPLATES: file is no folder"),
        ("VOICE_APP_RECORDINGS", "file/calls", "VOICE_APP_RECORDINGS: file/calls cannot be written to: "),
        ("VOICE_APP_SPOOL", "file", "VOICE_APP_SPOOL: file cannot be written to: "),
    ],
)
@pytest.mark.parametrize("command", [["serve", "--check-only"], ["serve"], ["check"]])
async def test_a_folder_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, name: str, value: str, told: str, command: list[str]
) -> None:
    (tmp_path / "file").touch()
    refused(await voice_app(tmp_path, *command, **{name: value}, **FREE_PORT), told)


# --- files that settings name -------------------------------------------------------------------

DEEP = b"x = " + b"[" * 50_000


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (".env", "VOICE_APP_GREETING=Grüße".encode("latin-1"), ".env is not UTF-8 (line 1)"),
        (".env", b"VOICE_APP_AGENT: chat", ".env, line 1: it is not NAME=value"),
        ("numbers.toml", DEEP, "VOICE_APP_NUMBERS: numbers.toml is nested too deep"),
        ("handoff.toml", DEEP, "VOICE_APP_HANDOFF: handoff.toml is nested too deep"),
        ("receptionist.toml", DEEP, "VOICE_APP_RECEPTIONIST: receptionist.toml is nested too deep"),
        ("handoff.toml", b"[[targets]]", "targets is no key here: did you mean target?"),
        ("receptionist.toml", b"[[topics]]", "topics is no key here: did you mean topic?"),
        ("numbers.toml", b'["+15550100002"]\nvioce = "x"', "vioce is no key here: did you mean voice?"),
    ],
)
async def test_a_file_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    named = {} if name == ".env" else {f"VOICE_APP_{name.removesuffix('.toml').upper()}": name}
    refused(await check_only(tmp_path, **named), told)


@pytest.mark.parametrize("encoding", ["klingon", "utf-7", "hex_codec", "idna"])
async def test_an_encoding_that_a_template_cannot_have_is_a_finding(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "twiml_templates"
    folder.mkdir()
    text = f'<?xml version="1.0" encoding="{encoding}"?><Response><Hangup/></Response>'
    (folder / "goodbye.xml").write_text(text)
    result = await check_only(tmp_path)
    assert f"goodbye.xml:1: The XML declaration says {encoding}" in result.err
    assert "Traceback" not in result.err


# --- the model ----------------------------------------------------------------------------------


@asynccontextmanager
async def models(answer: Callable[[], web.Response]) -> AsyncIterator[str]:
    """An endpoint whose ``GET /models`` answers so. Gives its base URL."""

    async def handle(request: web.Request) -> web.Response:
        return answer()

    app = web.Application()
    app.router.add_get("/v1/models", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


def listed(*names: str) -> web.Response:
    return web.json_response({"data": [{"id": name} for name in names]})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda: listed("small", "large"), ""),
        (lambda: web.Response(status=404), ""),
        (lambda: listed("smaller", "large"), "lists no model small: did you mean smaller?"),
        (lambda: web.Response(status=401), "401"),
        (lambda: web.Response(status=302, headers={"Location": "https://elsewhere.example"}), "redirects"),
    ],
)
async def test_the_model_is_asked_for_at_the_start(
    tmp_path: Path, answer: Callable[[], web.Response], told: str
) -> None:
    async with models(answer) as base_url:
        result = await check_only(
            tmp_path, VOICE_APP_AGENT="chat", VOICE_APP_MODEL="small", OPENAI_BASE_URL=base_url
        )
    warned = ", with 1 warning: see above" if told else ""
    assert (result.code, result.out) == (0, f"Every check passed{warned}.\n")
    assert ("warning CFG105" in result.err) is bool(told)
    assert told in result.err


async def test_a_model_that_cannot_be_reached_is_a_warning(tmp_path: Path) -> None:
    unreachable = {"VOICE_APP_MODEL": "small", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    result = await check_only(tmp_path, VOICE_APP_AGENT="chat", **unreachable)
    strict = await voice_app(tmp_path, "check", "--strict", VOICE_APP_AGENT="chat", **unreachable)
    assert result.code == 0
    assert "http://127.0.0.1:1/v1 cannot be reached" in result.err
    assert strict.code == 1


# --- settings without effect --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"VOICE_APP_MODEL": "small"}, "VOICE_APP_MODEL is set, but the agent is receptionist"),
        ({"VOICE_APP_TEMPERATURE": "1"}, "VOICE_APP_TEMPERATURE is set, but the agent is receptionist"),
        ({"VOICE_APP_FALLBACK_BASE_URL": "http://x"}, "but VOICE_APP_FALLBACK_MODEL is not"),
        ({"VOICE_APP_OUTCOME": "default"}, "VOICE_APP_OUTCOME is set, but VOICE_APP_MODEL is not"),
        ({"VOICE_APP_REPORT_SECRET": "whsec_" + "A" * 32}, "but VOICE_APP_REPORT_URL is not"),
        (
            {"TWILIO_API_KEY": "SK" + "1" * 32, "TWILIO_API_SECRET": "x"},
            "TWILIO_API_KEY is set, but TWILIO_ACCOUNT_SID is not: this is the sandbox",
        ),
        (
            {"VOICE_APP_HANDOFF": "handoff.toml", "VOICE_APP_HANDOFF_TO": "client:ann"},
            "VOICE_APP_HANDOFF_TO is set, but the file of VOICE_APP_HANDOFF",
        ),
        ({}, ""),
        ({"VOICE_APP_MODEL": ""}, ""),
        ({"VOICE_APP_MODEL": "small", "VOICE_APP_AGENT": "mine:agent"}, ""),
        ({"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://x"}, ""),
    ],
)
async def test_a_setting_that_nothing_uses_is_said(
    tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    (tmp_path / "handoff.toml").write_text('[[target]]\nto = "client:ann"\n')
    (tmp_path / "mine.py").write_text("async def agent(call, turn):\n    yield turn.text\n")
    result = await check_only(tmp_path, **environment)
    assert result.code == 0
    if told:
        assert re.fullmatch(r"Every check passed, with \d warnings?: see above\.\n", result.out)
    else:
        assert result.out == "Every check passed.\n"
    assert ("warning CFG106" in result.err) is bool(told)
    assert told in result.err


@pytest.mark.parametrize("command", [["serve", "--check-only"], ["check", "--strict"]])
async def test_a_setting_that_nothing_uses_can_be_allowed(tmp_path: Path, command: list[str]) -> None:
    environment = {"VOICE_APP_MODEL": "small", "VOICE_APP_GUARD_ALLOW": "CFG106:VOICE_APP_MODEL", **FREE_PORT}
    result = await voice_app(tmp_path, *command, **environment)
    assert result.code == 0, result.out
    assert "warning" not in result.out + result.err


# --- the documents ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "numbers", "rule"),
    [
        ({"VOICE_APP_TEMPLATE": "nope.xml"}, "", "TWI203"),
        ({}, 'template = "spanish.xml"', "TWI203"),
        ({"VOICE_APP_VOICE": "Polly.Joanna"}, "", "TWI111"),
        ({}, 'voice = "Polly.Joanna"', "TWI111"),
        ({"VOICE_APP_LANGUAGE": "en_US"}, "", "TWI112"),
        ({}, 'language = "en_US"', "TWI112"),
        (
            {"VOICE_APP_SPEECH_MODEL": "nova-3-general", "VOICE_APP_TRANSCRIPTION_PROVIDER": "Google"},
            "",
            "TWI121",
        ),
        ({}, 'speech_model = "nova-3-general"\ntranscription_provider = "Google"', "TWI121"),
    ],
)
@pytest.mark.parametrize("command", [["serve", "--check-only"], ["check"]])
async def test_what_calls_would_be_answered_with_is_judged(
    tmp_path: Path, environment: dict[str, str], numbers: str, rule: str, command: list[str]
) -> None:
    (tmp_path / "numbers.toml").write_text(f'["+15550100002"]\n{numbers}\n')
    settings = {"VOICE_APP_NUMBERS": "numbers.toml", **environment, **FREE_PORT}
    result = await voice_app(tmp_path, *command, **settings)
    assert result.code == 1
    assert f"error {rule}" in result.out + result.err


@pytest.mark.parametrize("lacking", sorted(Path(name).stem for name in {"answer.xml", *ROLES}))
async def test_a_folder_that_lacks_a_template_takes_the_one_that_ships_and_says_so(
    tmp_path: Path, lacking: str
) -> None:
    own = tmp_path / "twiml_templates"
    shutil.copytree(shipped_folder(), own)
    (own / f"{lacking}.xml").unlink()
    result = await voice_app(tmp_path, "check")
    assert result.code == 0
    assert f"It has no {lacking}.xml: what ships is served instead." in result.out


async def test_people_whose_calls_a_capture_rule_writes_down_are_no_second_engine(tmp_path: Path) -> None:
    """Said for all numbers, in the environment, as well as for one."""
    account = SandboxAccount("AC" + "1" * 32, "token")
    capturing = {"VOICE": {"captureRules": [{"from": "*", "to": "+15550100001"}]}}
    account.add_configuration(channelSettings=capturing)
    async with serve(double_app(account)) as base_url:
        values = {
            "VOICE_APP_TWILIO_BASE_URL": base_url,
            "TWILIO_ACCOUNT_SID": account.sid,
            "TWILIO_AUTH_TOKEN": "token",
            "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
            "TWILIO_PHONE_NUMBER": "+15550100001",
            "VOICE_APP_HANDOFF_TO": "+15550100099",
        }
        agent = await check_only(tmp_path, **values)
        people = await check_only(
            tmp_path, VOICE_APP_TRANSCRIBE="passive", VOICE_APP_ANSWER="people", **values
        )
    assert (agent.code, people.code) == (1, 0), people.err


# --- the sandbox's numbers ----------------------------------------------------------------------


async def test_the_sandbox_owns_every_number_and_configuration_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "numbers.toml").write_text(
        '["+15550100002"]\ngreeting = "Two."\n'
        f'["+1 555 010 0003"]\nconfiguration = "conv_configuration_{"0" * 25}3"\n'
        '["sip:desk@voice.example.com"]\ngreeting = "Desk."\n'
    )
    result = await voice_app(
        tmp_path, "check", VOICE_APP_NUMBERS="numbers.toml", TWILIO_PHONE_NUMBER="+15550100007"
    )
    assert result.code == 0, result.out
    assert "Nothing to complain about." in result.out
    for number in ("+15550100007", "+15550100002", "+15550100003"):
        assert number in result.out


# --- credentials that Twilio does not accept ----------------------------------------------------


async def test_one_cause_is_one_finding_and_one_exit_code(tmp_path: Path) -> None:
    twilio = SandboxAccount("AC" + "1" * 32, "token")
    configuration_id = twilio.add_configuration(channelSettings={})
    twilio.faults.add(Fault(status=401, times=None))
    async with serve(double_app(twilio)) as base_url:
        account = {
            "TWILIO_ACCOUNT_SID": twilio.sid,
            "TWILIO_AUTH_TOKEN": "wrong",
            "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
            "TWILIO_CONVERSATION_CONFIGURATION_ID": configuration_id,
            "VOICE_APP_TWILIO_BASE_URL": base_url,
        }
        results = [
            await voice_app(tmp_path, *command, **account)
            for command in (["serve"], ["serve", "--check-only"], ["check"], ["config", "list"])
        ]
    assert [result.code for result in results] == [3, 3, 3, 3]
    for result in results[:3]:
        told = result.out + result.err
        assert told.count("STT106") == 1
        assert "Check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN" in told
        assert f"the configuration {configuration_id} could not be read" in told
        assert "Fix: Check" in told
        assert "lenient" not in told


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('agent = "nope:agent"', "VOICE_APP_AGENT=nope:agent: there is no module nope"),
        ('agent = "chat"', "VOICE_APP_MODEL is missing"),
        ('receptionist = "nope.toml"', "VOICE_APP_RECEPTIONIST: nope.toml cannot be read"),
        ('handoff_to = "bob"', "VOICE_APP_HANDOFF_TO: 'bob' is no target"),
    ],
)
async def test_what_the_table_of_a_number_names_is_blamed_on_that_table(
    tmp_path: Path, table: str, told: str
) -> None:
    (tmp_path / "numbers.toml").write_text(f'["+1 555 010 0002"]\n{table}\n')
    result = await voice_app(tmp_path, "serve", "--check-only", VOICE_APP_NUMBERS="numbers.toml", **FREE_PORT)
    assert result.code == 2
    assert f"VOICE_APP_NUMBERS, [+15550100002]: {told}" in result.err

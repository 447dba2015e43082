"""``voice-app calls export``, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from support.commands import serving, started, voice_app
from support.journals import THEN, talk, write
from support.waiting import until
from voice_app.cli.main import app

ANN, BOB = "+15550100001", "client:bob"
Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``calls export`` on a journal with three calls in it."""
    calls = {"CA1": talk(ANN), "CA2": talk(BOB, said="=1+1"), "CA3": talk(ANN, said="\x9b2J¿Qué?")}
    asyncio.run(write(database_url, calls, step=100))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICE_APP_DATABASE_URL", database_url)
    return lambda *arguments: CliRunner().invoke(app, ["calls", "export", *arguments])


def exported(result: Result) -> list[str]:
    """The SIDs of the calls, in order."""
    assert result.exit_code == 0, result.output
    return [json.loads(line)["call"]["call_sid"] for line in result.stdout.splitlines()]


def test_every_call_is_a_line_with_all_that_happened_on_it_oldest_first(run: Run) -> None:
    result = run()
    assert exported(result) == ["CA1", "CA2", "CA3"]
    first = json.loads(result.stdout.splitlines()[0])
    assert first["call"]["from"] == ANN
    assert [line["content"] for line in first["history"]] == [
        "Are you open?",
        "We are open from nine to five.",
    ]
    assert [item["role"] for item in first["dialogue"]] == ["user", "assistant"]
    assert [entry["event"]["kind"] for entry in first["events"]] == ["opened", "prompt", "reply", "closed"]
    assert result.stderr == "3 calls exported.\n"


def test_only_the_calls_that_are_named(run: Run) -> None:
    assert exported(run("CA3", "CA1", "CA3")) == ["CA3", "CA1"]


def test_an_unknown_call_is_an_error_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    result = run("CA1", "CA9", "--output", "calls.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no call CA9" in result.stderr
    assert not (tmp_path / "calls.jsonl").exists()


@pytest.mark.parametrize("number", [ANN, "+1 (555) 010-0001", "555 010 0001"])
def test_only_the_calls_of_a_number_however_it_is_written(run: Run, number: str) -> None:
    assert exported(run("--number", number, "--region", "US")) == ["CA1", "CA3"]


def test_only_the_calls_of_a_time(run: Run) -> None:
    second = datetime.fromtimestamp(THEN + 400).isoformat()
    assert exported(run("--since", second)) == ["CA2", "CA3"]
    assert exported(run("--until", second)) == ["CA1", "CA2"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "yesterday"], "should look like 2026-11-22"),
        (["--number", "12"], "country"),
        (["--number", ""], "is not a phone number"),
        (["CA1", "--since", "2026-11-22"], "Give the ids of calls, or say which"),
        (["--output", "."], "is no file"),
        (["--output", "nowhere/calls.jsonl"], "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_told(run: Run, arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in " ".join(result.stderr.replace("│", " ").split())


def test_json_is_one_document(run: Run) -> None:
    documents = json.loads(run("--format", "json").stdout)
    assert [item["call"]["call_sid"] for item in documents] == ["CA1", "CA2", "CA3"]
    assert json.loads(run("--format", "json", "--since", "2099-01-01").stdout) == []


def test_csv_is_a_table_in_which_nothing_is_a_formula(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("--format", "csv").stdout, newline="")))
    assert [row["call_sid"] for row in rows] == ["CA1", "CA2", "CA3"]
    assert (rows[0]["from"], rows[1]["from"]) == (ANN, BOB)
    assert rows[1]["transcript"] == "caller: =1+1\nagent: We are open from nine to five."
    assert rows[2]["transcript"].startswith("caller: 2J¿Qué?")


def test_nothing_a_caller_said_steers_the_terminal(run: Run) -> None:
    for format_ in ("jsonl", "json", "csv"):
        assert "\x9b" not in run("--format", format_).stdout


def test_a_file_is_utf_8_and_only_its_owner_reads_it(run: Run, tmp_path: Path) -> None:
    result = run("--format", "csv", "--output", "calls.csv")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "3 calls exported.\n")
    path = tmp_path / "calls.csv"
    assert path.read_text("utf-8-sig").startswith("call_sid,from,to,")
    assert "¿Qué?" in path.read_text("utf-8-sig")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.glob("*calls.csv*")] == ["calls.csv"]


def test_a_link_to_a_file_stays_a_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("calls.jsonl")
    assert run("--output", "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 3


def test_a_link_out_of_the_folder_is_followed_by_force_only(
    run: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    elsewhere.write_text("precious")
    (tmp_path / "link").symlink_to(elsewhere)
    refused = run("--output", "link")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert elsewhere.read_text() == "precious"
    assert run("--output", "link", "--force").exit_code == 0
    assert len(elsewhere.read_text().splitlines()) == 3


async def test_an_export_that_is_killed_leaves_the_file_of_before(database_url: str, tmp_path: Path) -> None:
    await write(database_url, {f"CA{number}": talk(ANN) for number in range(1000)})
    target = tmp_path / "calls.jsonl"
    target.write_text("before")
    arguments = ("calls", "export", "--output", str(target), "--database-url", database_url)
    async with started(tmp_path, *arguments) as process:
        await until(lambda: [*tmp_path.glob(".calls.jsonl.*.part")], "the file to be written")
        process.kill()
        await process.wait()
    assert target.read_text() == "before"


async def test_calls_are_exported_while_a_server_writes(database_url: str, tmp_path: Path) -> None:
    async with serving(tmp_path, VOICE_APP_DATABASE_URL=database_url) as base_url:
        spoken = ("--say", "When are you open?", "--pace", "300")
        phoned = await voice_app(tmp_path, "call", "--url", f"{base_url}/voice", *spoken)
        assert phoned.code == 0, phoned.err
        finished = await voice_app(tmp_path, "calls", "export", VOICE_APP_DATABASE_URL=database_url)
    assert finished.code == 0, finished.err
    [call] = [json.loads(line) for line in finished.out.splitlines()]
    assert "When are you open?" in [line["content"] for line in call["history"]]

"""``voice-app calls purge``: old calls are erased, and young ones stay."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from support.journals import talk, write
from voice_app.cli.main import app
from voice_app.journal import Journal

DAY = 86_400.0
Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``calls purge`` on a journal with two calls of a month ago, and one of yesterday."""
    old = {f"CA{number}": talk("+15550100001") for number in range(2)}
    asyncio.run(write(database_url, old, at=time.time() - 30 * DAY))
    asyncio.run(write(database_url, {"CA9": talk("+15550100001")}, at=time.time() - DAY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICE_APP_DATABASE_URL", database_url)
    return lambda *arguments, **options: CliRunner().invoke(app, ["calls", "purge", *arguments], **options)


def left(url: str) -> list[str]:
    async def read() -> list[str]:
        async with Journal(url) as journal:
            return [call.call_sid async for call in journal.select(newest_first=False)]

    return asyncio.run(read())


def test_calls_that_are_old_enough_are_erased(run: Run, database_url: str) -> None:
    result = run("--older-than", "7", "--yes")
    assert (result.exit_code, result.output) == (0, "Erased 2 calls.\n")
    assert left(database_url) == ["CA9"]


def test_it_says_how_many_and_asks(run: Run, database_url: str) -> None:
    result = run("--older-than", "7", input="n\n")
    assert result.exit_code == 0
    assert "Erase 2 calls? It cannot be undone." in result.output
    assert run("--older-than", "7", "--dry-run").output == "Nothing was done (--dry-run).\n"
    assert run("--older-than", "7").exit_code == 2
    assert left(database_url) == ["CA0", "CA1", "CA9"]


def test_json_tells_how_many_there_were_and_how_many_are_gone(run: Run) -> None:
    assert json.loads(run("--older-than", "7", "--json", "--yes").stdout) == {"found": 2, "erased": 2}
    assert json.loads(run("--older-than", "7", "--json", "--yes").stdout) == {"found": 0, "erased": 0}


def test_where_nothing_is_old_nothing_is_asked(run: Run) -> None:
    result = run("--older-than", "365")
    assert (result.exit_code, result.output) == (0, "No call is older than 365 days.\n")

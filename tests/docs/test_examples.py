"""The examples as somebody has them: written by ``voice-app init``, and tested, in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.commands import voice_app
from support.projects import pytest_of
from voice_app.docs.generated import FOLDER

EXAMPLES = sorted(path.name for path in (FOLDER / "examples").iterdir())


@pytest.fixture(params=EXAMPLES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An example in a folder of its own."""
    written = asyncio.run(voice_app(tmp_path, "init", "--example", request.param))
    assert written.code == 0, written.err
    assert written.out.count("written") == len(list(tmp_path.iterdir()))
    return tmp_path


def test_the_tests_of_an_example_pass(folder: Path) -> None:
    code, out = pytest_of(folder)
    assert code == 0, out


def test_the_scenarios_of_an_example_pass(folder: Path) -> None:
    result = asyncio.run(voice_app(folder, "rehearse", "."))
    assert result.code == 0, result.out + result.err
    assert "all passed" in result.out

"""The examples as somebody has them: written by ``voice-app init``, and tested, in this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import voice_app
from voice_app.docs.generated import FOLDER

EXAMPLES = sorted(path.name for path in (FOLDER / "examples").iterdir())


@pytest.fixture(params=EXAMPLES)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An example in a folder of its own, which is the working directory."""
    written = asyncio.run(voice_app(tmp_path, "init", "--example", request.param))
    assert written.code == 0, written.err
    assert written.out.count("written") == len(list(tmp_path.iterdir()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_the_tests_of_an_example_pass(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they need no other plugin than ours
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "voice_app.testing.plugin", str(folder)])
    assert code == 0, capfd.readouterr().out


def test_the_scenarios_of_an_example_pass(folder: Path) -> None:
    result = asyncio.run(voice_app(folder, "rehearse", "."))
    assert result.code == 0, result.out + result.err
    assert "all passed" in result.out

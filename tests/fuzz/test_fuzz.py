"""What fuzzing has found, and what it begins with: no reader fails on it, and its promises hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.fuzz import TARGETS

HERE = Path(__file__).parent
INPUTS = [path for target in TARGETS for path in sorted((HERE / target).iterdir())]
SECONDS = 60


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_does_no_harm(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_inputs() -> None:
    assert {path.parent.name for path in INPUTS} == TARGETS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_minute_of_fuzzing_finds_nothing(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="there is none for this system")
    options = [f"-max_total_time={SECONDS // len(TARGETS)}", f"-artifact_prefix={tmp_path}/"]
    fuzz = HERE.parents[1] / "scripts/fuzz"
    done = subprocess.run([fuzz, target, *options], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Done " in done.stderr

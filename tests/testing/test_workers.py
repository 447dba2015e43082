"""What becomes of tests that several workers run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.commands import TESTS

MODULES = {
    "test_1_good.py": """
        import pytest

        @pytest.mark.parametrize("number", range(30))
        def test_it(number, tmp_path):
            assert list(tmp_path.parent.parent.glob("worker-?")) and not list(tmp_path.iterdir())
    """,
    "test_2_bad.py": """
        import os
        import pytest

        def test_it():
            print("said before")
            os.write(2, b"written before")
            assert [1, 2] == [1, 3]

        @pytest.mark.skip("not today")
        def test_another():
            pass
    """,
    "test_3_deadly.py": """
        import os

        def test_it():
            os._exit(0)
    """,
}


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and what pytest prints, of a run in a process of its own."""
    for name, text in MODULES.items():
        (folder / name).write_text(text.replace("\n        ", "\n"))
    options = ("-p", "support.workers", "--workers", "2", "-ra", "-p", "no:cacheprovider")
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_they_find_is_told_and_a_worker_that_dies_fails_the_run(tmp_path: Path) -> None:
    code, out = run(tmp_path)
    assert code == 1
    assert "2 failed, 30 passed, 1 skipped" in out
    assert "said before" in out
    assert "written before" in out
    assert "assert [1, 2] == [1, 3]" in out
    assert "not today" in out
    assert "FAILED test_3_deadly.py::test_it - The process that ran it" in out
    assert "1 of the tests were not run to their end" in out


def test_a_run_may_stop_at_the_first_failure(tmp_path: Path) -> None:
    code, out = run(tmp_path, "-x", "test_2_bad.py", "test_1_good.py")
    assert code == 1
    assert "stopping after 1 failures" in out
    assert "1 failed" in out

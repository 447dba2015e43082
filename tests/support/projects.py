"""Runs the tests of somebody's project with pytest, in this process and with our plugin alone."""

from __future__ import annotations

import io
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest

from support.modules import modules_of


def pytest_of(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and what pytest prints. The project's own modules are forgotten afterwards."""
    options = ("-q", "-p", "no:cacheprovider", "-p", "voice_app.testing.plugin", "--capture=sys")
    out = io.StringIO()
    with (
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(out),
        patch.dict("os.environ", {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "80"}),
        modules_of(folder),
    ):
        code = pytest.main([*options, *arguments])
    return code, out.getvalue()

"""Programs beside Python that some tests need: `scripts/setup tools` installs them where it may."""

from __future__ import annotations

import os
import shutil
from typing import Final, NoReturn

import pytest

_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
"""Debian keeps servers where the PATH of most users does not lead."""


def required(name: str) -> str:
    """Where a program is. Without it the test (or the module) is skipped; in CI that is a failure."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        unavailable(f"{name} is not installed: run scripts/setup tools as root")
    return found


def unavailable(reason: str) -> NoReturn:
    """Skip for something that this machine does not have; in CI, where everything has to be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)

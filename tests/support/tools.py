"""Programs beside Python that some tests need: `scripts/setup tools` installs them where it may."""

from __future__ import annotations

import os
import shutil
from typing import Final, NoReturn

import pytest

_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
"""Debian keeps servers where the PATH of most users does not lead."""


def required(*names: str) -> str:
    """Where the first of these programs is that is there. Without any the test (or the module) is skipped; in
    CI that is a failure.
    """
    found = next(filter(None, (shutil.which(name, path=_PATH) for name in names)), None)
    if found is None:
        unavailable(f"{' or '.join(names)} is not installed: run scripts/setup tools as root")
    return found


def unavailable(reason: str) -> NoReturn:
    """Skip for something that this machine does not have; in CI, where everything has to be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)

"""Modules of somebody's project, imported in this process: the next project has others of the same names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """What is imported from the folder while the block runs is forgotten at its end, and so is the path."""
    before = set(sys.modules)
    try:
        with patch.object(sys, "path", sys.path[:]), patch.object(sys, "dont_write_bytecode", True):
            yield
    finally:
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder}/"):
                del sys.modules[name]

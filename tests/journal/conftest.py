"""A journal's store on each of the two databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.journals import prepare
from voice_app.journal.store import Store


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    if database_url.startswith("sqlite"):
        prepare(tmp_path / "journal.db")
    store = Store(database_url)
    store.create()
    yield store
    store.close()

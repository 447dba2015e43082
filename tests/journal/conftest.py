"""A journal's store on each of the two databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voice_app.journal.store import Store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    store.create()
    yield store
    store.close()

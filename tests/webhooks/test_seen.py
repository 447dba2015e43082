from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_app.webhooks.seen import Seen


def test_a_key_is_new_once() -> None:
    seen = Seen()
    assert [seen.first(key) for key in ("a", "b", "a", "a", "b")] == [True, True, False, False, False]


def test_the_oldest_keys_are_forgotten_first() -> None:
    seen = Seen(capacity=2)
    for key in ("a", "b", "a", "c"):
        seen.first(key)
    assert [seen.first(key) for key in ("a", "b")] == [False, True]


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_it_never_calls_a_key_new_that_is_among_the_latest(keys: list[int], capacity: int) -> None:
    seen = Seen(capacity)
    latest: list[int] = []
    for key in keys:
        assert seen.first(str(key)) is (key not in latest)
        latest = [*(item for item in latest if item != key), key][-capacity:]

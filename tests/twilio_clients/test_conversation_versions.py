from __future__ import annotations

from typing import Any

import pytest

from voice_app.twilio import Configuration, Conversation
from voice_app.twilio.conversations import older_than, pinned_version

CHANGED = "2026-01-01T12:00:00.000Z"
BEFORE, AFTER = "2026-01-01T11:59:59.999Z", "2026-01-01T12:00:00.001Z"


def conversation(created: str, snapshot: dict[str, Any] | None = None) -> Conversation:
    return Conversation.read({"id": "c", "createdAt": created, "configuration": snapshot})


def configuration(version: int | None = 5) -> Configuration:
    return Configuration({"version": version, "updatedAt": CHANGED})


@pytest.mark.parametrize(
    ("created", "version", "older"),
    [
        (BEFORE, 5, True),
        (BEFORE, 6, True),
        (BEFORE, 4, None),
        (CHANGED, 5, False),
        (AFTER, 5, False),
        (AFTER, 4, False),
        (AFTER, 6, True),
        ("", 5, None),
    ],
)
def test_time_tells_what_the_conversation_does_not(created: str, version: int, older: bool | None) -> None:
    assert older_than(conversation(created), configuration(), version) is older


def test_without_a_version_of_the_configuration_nothing_can_be_told() -> None:
    assert older_than(conversation(BEFORE), configuration(None), 5) is None


@pytest.mark.parametrize(("pinned", "older"), [(3, True), (4, False), (5, False)])
def test_a_version_that_the_conversation_tells_is_the_truth(pinned: int, older: bool) -> None:
    assert older_than(conversation(BEFORE, {"version": pinned}), configuration(), 4) is older


@pytest.mark.parametrize("snapshot", [None, {}, {"version": "3"}, {"version": True}])
def test_only_a_number_is_a_version(snapshot: dict[str, Any] | None) -> None:
    assert pinned_version(conversation(BEFORE, snapshot)) is None

"""What is told of an alert, and what its code means."""

from __future__ import annotations

import pytest

from voice_app.twilio.alerts import MEANINGS, Alert, code_label, meaning, shown_url


@pytest.mark.parametrize("code", ["11200", "12200", "13617", "64101", "64109", "64114", "530001", "530004"])
def test_the_codes_of_calls_are_explained(code: str) -> None:
    assert code in MEANINGS
    assert meaning(code).fix.endswith(f"https://www.twilio.com/docs/api/errors/{code}.")


@pytest.mark.parametrize(
    ("code", "word"), [("64112", "ConversationRelay"), ("530009", "Orchestrator"), ("1", "")]
)
def test_one_that_nobody_explains_is_told_by_its_family(code: str, word: str) -> None:
    assert word in meaning(code).what
    assert code_label(code) == "other"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@voice.example.com/voice?x=1#y", "https://voice.example.com/voice"),
        (f"wss://voice.example.com/relay/{'t' * 40}", "wss://voice.example.com/relay/…"),
        ("nonsense", ""),
        ("https://[broken", ""),
    ],
)
def test_a_url_is_shown_without_what_could_be_a_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_what_is_missing_or_strange_in_an_alert_is_empty() -> None:
    assert Alert.read({"error_code": 11200, "log_level": None, "request_url": {}}) == Alert(
        "", "11200", "", ""
    )

from __future__ import annotations

import base64

import pytest

from voice_app.settings import SettingsError, load

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


def problems(monkeypatch: pytest.MonkeyPatch, url: str, secret: str | None = SECRET) -> str:
    monkeypatch.setenv("VOICE_APP_REPORT_URL", url)
    if secret is not None:
        monkeypatch.setenv("VOICE_APP_REPORT_SECRET", secret)
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


@pytest.mark.parametrize("url", ["https://example.com/calls", "http://127.0.0.1:9000/x", "http://[::1]:9/"])
def test_reports_go_to_https_or_to_loopback(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VOICE_APP_REPORT_URL", url)
    monkeypatch.setenv("VOICE_APP_REPORT_SECRET", SECRET)
    assert load().report_url == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/calls", "should begin with https://"),
        ("example.com/calls", "should look like https://example.com/calls"),
        ("https://", "should look like https://example.com/calls"),
        ("https://[::1/calls", "should look like https://example.com/calls"),
        ("https://example.com:99999/", "should look like https://example.com/calls"),
        ("https://me:secret@example.com/", "neither a user name nor a fragment"),
        ("https://example.com/#calls", "neither a user name nor a fragment"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    told = problems(monkeypatch, url)
    assert "VOICE_APP_REPORT_URL" in told
    assert why in told
    assert "me:secret" not in told


@pytest.mark.parametrize("secret", ["secret", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", SECRET[6:]])
def test_a_secret_of_another_kind_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    told = problems(monkeypatch, "https://example.com/calls", secret)
    assert "VOICE_APP_REPORT_SECRET" in told
    assert "openssl rand -base64 32" in told
    assert secret == "whsec_" or secret not in told.replace("whsec_ and", "")


def test_reports_are_never_sent_without_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(monkeypatch, "https://example.com/calls", None)
    assert "VOICE_APP_REPORT_SECRET is not" in told

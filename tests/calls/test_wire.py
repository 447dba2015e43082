"""What the journal keeps of documents and frames: bounded, and without secrets."""

from __future__ import annotations

import json

import pytest

from voice_app.calls.wire import DOTS, MAX_DOCUMENT, MAX_FRAME, kept_document, kept_frame


@pytest.mark.parametrize(
    ("document", "kept"),
    [
        ('<ConversationRelay url="wss://x.example/relay/CA1.a-b.c_d"/>', 'url="wss://x.example/relay/••••"'),
        ("<Task>{&quot;join&quot;: &quot;https://x/console/join/IkNB.aX&quot;}</Task>", "/join/••••&quot;}"),
        ('<Parameter name="api_key" value="k1"/>', '<Parameter name="api_key" value="••••"/>'),
        ("<Parameter value='1234' name='customerPin'/>", "<Parameter value='••••' name='customerPin'/>"),
        ('<Parameter name="customer" value="81"/>', '<Parameter name="customer" value="81"/>'),
        ('<Sip username="u" password="p1">sip:a@b</Sip>', '<Sip username="u" password="••••">sip:a@b</Sip>'),
        ("<Play>https://u:p1@x.example/a.mp3</Play>", "<Play>https://••••@x.example/a.mp3</Play>"),
        ('<Connect action="https://x.example/voice/relay-ended"/>', "/voice/relay-ended"),
    ],
)
def test_a_document_is_kept_without_its_secrets(document: str, kept: str) -> None:
    assert kept in kept_document(document)


def test_what_is_kept_is_bounded() -> None:
    assert len(kept_document("<Say>" + "a" * 100_000 + "</Say>")) == MAX_DOCUMENT
    assert len(kept_frame(json.dumps({"type": "text", "token": "a" * 100_000}))) == MAX_FRAME


@pytest.mark.parametrize(
    ("frame", "secret", "kept"),
    [
        ({"type": "prompt", "voicePrompt": "hi"}, False, {"type": "prompt", "voicePrompt": "hi"}),
        ({"type": "prompt", "voicePrompt": "1234"}, True, {"type": "prompt", "voicePrompt": DOTS}),
        ({"type": "dtmf", "digit": "1"}, True, {"type": "dtmf", "digit": DOTS}),
        (
            {"type": "setup", "customParameters": {"authToken": "t", "number": "81"}},
            False,
            {"type": "setup", "customParameters": {"authToken": DOTS, "number": "81"}},
        ),
    ],
)
def test_a_frame_is_kept_without_its_secrets(
    frame: dict[str, object], secret: bool, kept: dict[str, object]
) -> None:
    assert json.loads(kept_frame(json.dumps(frame), secret=secret)) == kept


@pytest.mark.parametrize("frame", ["no JSON", "[1]", "[" * 100_000, '"1234"'])
def test_of_what_is_no_frame_nothing_is_kept_while_a_secret_is_expected(frame: str) -> None:
    assert DOTS in kept_frame(frame, secret=True)
    assert "1234" not in kept_frame(frame, secret=True)

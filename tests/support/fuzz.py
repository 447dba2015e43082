"""What is fuzzed: each reader of what strangers send, with what holds whatever it is given.

`TARGETS` are fed by `scripts/fuzz` (atheris) with what it makes up, and by the tests with what was kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qsl

from support.driver import Driver
from voice_app.agents.completions import Completion
from voice_app.agents.endpoints import Endpoint, _models
from voice_app.agents.failures import ModelError, refusal
from voice_app.agents.sse import EventReader, read_chunk
from voice_app.agents.tool_calls import ArgumentsError, read_arguments
from voice_app.followups.outcome import read_object
from voice_app.relay.speech_text import Speakable, spoken
from voice_app.relay.text_reader import HOLD
from voice_app.twilio.errors import from_reply
from voice_app.twiml import lint_bytes
from voice_app.webhooks import events
from voice_app.webhooks.request import CallRequest
from voice_app.webhooks.routing import _account, _json_object
from voice_app.webhooks.signature import QUESTION, Form, RequestRefusedError, _pairs

OUTGOING: Final = {"text", "play", "sendDigits", "language", "config", "hints", "end"}


def frames(data: bytes) -> None:
    """A session that is sent these lines, one a frame, and whose agent answers every turn."""
    driver = Driver(greeting="Hello there, how are you?")
    answered = 0
    for line in data.split(b"\n")[:50]:
        driver.raw(line)
        if len(driver.turns) > answered:
            answered = len(driver.turns)
            driver.agent("One two. ", "Three.")
        driver.pass_time(0.2)
        for frame in driver.flush():
            assert frame["type"] in OUTGOING, frame


def twiml(data: bytes) -> None:
    """The linter says of any bytes what is wrong with them, and where."""
    for finding in lint_bytes(data, "x.xml"):
        assert finding.where.startswith("x.xml"), finding
        assert finding.message


def forms(data: bytes) -> None:
    """A form is read as the standard library reads it, and makes a request whatever its fields are."""
    try:
        pairs = _pairs(data.decode("utf-8", "replace"), QUESTION)
    except RequestRefusedError:
        return
    assert pairs == parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, errors="replace")
    form = Form(pairs)
    CallRequest.of(form | {"CallSid": "CA1"}, form, form)
    entry = events.debugger_form(form)
    if events.debugger_problem(entry) is None:
        assert events.debugger_key(entry)


def json(data: bytes) -> None:
    """What comes as JSON, from Twilio, from a model, from its endpoint: read, or told to be none."""
    if (body := _json_object(data)) is not None:
        _account(body)
        _is_event(body)
    from_reply("GET", "https://example.com", 400, {}, data)
    refusal("example.com", "model", 400, {}, data)
    _models(data)
    text = data.decode("utf-8", "replace")
    read_object(text)
    with suppress(ArgumentsError):
        assert isinstance(read_arguments(text), dict)
    with suppress(ModelError):
        _completed(data)


def _is_event(body: Mapping[str, Any]) -> None:
    if events.event_problem(body) is None:
        assert events.event_key(body)
    if events.results_problem(body) is None:
        assert events.results_key(body)


def _completed(data: bytes) -> None:
    """A stream of a model's, which is the same however it is cut."""
    whole, cut = EventReader(read_chunk), EventReader(read_chunk)
    found = whole.feed(data) + whole.close()
    again = [chunk for at in range(0, len(data), 7) for chunk in cut.feed(data[at : at + 7])] + cut.close()
    assert found == again
    answer = Completion(Endpoint("model", "https://example.com/v1"), first_token=5, between_tokens=5)
    for chunk in found:
        assert isinstance(answer._read(chunk), str)
    for call in answer.calls:
        assert isinstance(call.arguments, str)


def speech(data: bytes) -> None:
    """Text for a voice is the same however it is cut, and only a bounded part of it is held back."""
    text = data[4:].decode("utf-8", "replace")
    edges = sorted({0, len(text), *(byte for byte in data[:4] if byte < len(text))})
    speakable, said = Speakable(), ""
    for begin, end in pairwise(edges):
        said += speakable.feed(text[begin:end])
        assert len(speakable._held) <= HOLD
    assert said + speakable.flush() == spoken(text)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    function.__name__: function for function in (frames, twiml, forms, json, speech)
}

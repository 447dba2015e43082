"""The body of an answer as servers send it, in whatever pieces the network makes of it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.agents.failures import ModelError
from voice_app.agents.sse import MAX_EVENT, EventReader


def decode(data: bytes, name: bytes) -> object:
    """A JSON object that has a "t", as a chunk has choices; or the mark of the end."""
    if data == b"[DONE]":
        return "DONE"
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value.get("t") if isinstance(value, dict) else None


def read(*pieces: bytes) -> list[object]:
    reader = EventReader(decode)
    values = [value for piece in pieces for value in reader.feed(piece)]
    return values + reader.close()


STREAMS = [
    pytest.param(b'data: {"t":1}\n\ndata: {"t":2}\n\ndata: [DONE]\n\n', id="as the standard has it"),
    pytest.param(b'data:{"t":1}\n\ndata:{"t":2}\n\ndata:[DONE]\n\n', id="no space"),
    pytest.param(b'data: {"t":1}\r\n\r\ndata: {"t":2}\r\n\r\ndata: [DONE]\r\n\r\n', id="CRLF"),
    pytest.param(b'data: {"t":1}\r\rdata: {"t":2}\r\rdata: [DONE]\r\r', id="CR"),
    pytest.param(b'data: {"t":1}\n\r\ndata: {"t":2}\r\rdata: [DONE]\n\n', id="line ends of all kinds"),
    pytest.param(b'\xef\xbb\xbfdata: {"t":1}\n\ndata: {"t":2}\n\ndata: [DONE]\n\n', id="a byte order mark"),
    pytest.param(b'data: {"t":1}\ndata: {"t":2}\ndata: [DONE]\n', id="no blank lines"),
    pytest.param(b'data: {"t":1}\n\ndata: {"t":2}\n\ndata: [DONE]', id="no end of the last line"),
    pytest.param(
        b'data:\n\ndata: {"t":1}\n\ndata\n\ndata: \n\ndata: {"t":2}\n\ndata: [DONE]\n\n', id="empty data"
    ),
    pytest.param(
        b': hello\n\nevent: ping\ndata: {"type":"ping"}\n\nid: 7\nretry: 3\ndata: {"t":1}\n\n'
        b'event: other\ndata: {"x":[]}\n\n:\n\ndata: {"t":2}\n\ndata: [DONE]\n\n',
        id="comments, foreign events, ids",
    ),
    pytest.param(
        b'data: 5\n\ndata: null\n\ndata: [1]\n\ndata: "x"\n\n'
        b'data: {"t":1}\n\ndata: {"t":2}\n\ndata: [DONE]\n\n',
        id="values that are no objects",
    ),
    pytest.param(
        b'data: {"t":\ndata: 1}\n\ndata: {"t"\ndata: :\ndata: 2}\n\ndata: [DONE]\n\n', id="two lines"
    ),
    pytest.param(b'data: {"bro\ndata: {"t":1}\ndata: {"t":2}\n\ndata: [DONE]\n\n', id="a broken line first"),
    pytest.param(b'{"t":1}\n{"t":2}\n[DONE]', id="lines of JSON"),
    pytest.param(b'data: {"t":1}\n\n{"t":2}\ndata: [DONE]\n\n', id="a line of JSON among events"),
    pytest.param(b'Data: {"t":1}\n\nDATA : {"t":2}\n\ndata: [DONE]\n\n', id="names of fields in capitals"),
]


@pytest.mark.parametrize("stream", STREAMS)
def test_an_answer_is_read_in_every_form(stream: bytes) -> None:
    assert read(stream) == [1, 2, "DONE"]
    assert read(*(bytes([byte]) for byte in stream)) == [1, 2, "DONE"]


@pytest.mark.parametrize("stream", STREAMS)
@given(data=st.data())
def test_an_answer_is_read_however_the_bytes_are_cut(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    assert read(*(stream[a:b] for a, b in pairwise([0, *cuts, len(stream)]))) == [1, 2, "DONE"]


def test_a_whole_document_over_many_lines_is_one_value() -> None:
    document = json.dumps({"t": {"inner": {}}, "list": [{}, {"t": 5}]}, indent=2).encode()
    assert read(document) == [{"inner": {}}]
    assert read(b"\n\n" + document + b"\n") == [{"inner": {}}]


def test_a_value_is_there_with_its_line_before_the_event_is_over() -> None:
    assert EventReader(decode).feed(b'data: {"t":1}\n') == [1]


def test_the_name_of_an_event_is_told() -> None:
    names: list[bytes] = []

    def named(data: bytes, name: bytes) -> None:
        names.append(name)

    EventReader(named).feed(b"event: error\ndata: x\n\ndata: y\n\n")
    assert names == [b"error", b""]


def test_what_was_of_no_use_is_kept_for_the_log() -> None:
    reader = EventReader(decode)
    reader.feed(b"<html>502 Bad Gateway</html>\n")
    assert reader.junk == b"<html>502 Bad Gateway</html>"


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * (MAX_EVENT + 1), (b"data: " + b"x" * 1000 + b"\n") * (MAX_EVENT // 1000 + 1)],
    ids=["one line", "many lines"],
)
def test_an_endless_event_is_an_error(stream: bytes) -> None:
    with pytest.raises(ModelError, match="more than"):
        EventReader(decode).feed(stream)

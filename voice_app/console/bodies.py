"""What the API takes and gives as JSON, beside what pages show too."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from voice_app.console.health import OwnNumber
from voice_app.console.one_call import LiveCall
from voice_app.console.visitors import Visitor
from voice_app.console.waiting import LeftMessage
from voice_app.webhooks import read_body

MAX_BODY: Final = 16 * 1024
"""Bytes."""
MAX_TEXT: Final = 2000
"""Characters of what is said or noted."""

_S = TypeVar("_S", bound=msgspec.Struct)


class HandoffAct(msgspec.Struct, frozen=True):
    """Send the caller to a person."""

    reason: str = "supervisor"
    summary: str = ""
    """What the person has to know; empty: what was said is summed up."""
    target: str = ""
    """Who is rung first, at any hour: one of ``VOICE_APP_HANDOFF_TO`` or ``VOICE_APP_HANDOFF``, as it is
    written there. Empty: whoever it is for this reason, at this time."""
    at_once: bool = False
    """Cut off what is being said."""


class EndAct(msgspec.Struct, frozen=True):
    """End the call."""

    goodbye: str = ""
    """Said before the end."""
    at_once: bool = False


class TextAct(msgspec.Struct, frozen=True):
    """Something to say to the caller, to tell the agent, or to write down."""

    text: str


class Accepted(msgspec.Struct):
    """It is done, or will be in a moment."""

    call_sid: str
    accepted: bool = True


class LiveCalls(msgspec.Struct):
    """The calls that go on."""

    calls: list[LiveCall]


class Voicemails(msgspec.Struct):
    """Messages that callers left, the newest first."""

    voicemails: list[LeftMessage]


class Numbers(msgspec.Struct):
    """Our numbers."""

    numbers: list[OwnNumber]


class EventPage(msgspec.Struct):
    """What happened on a call, in order."""

    events: list[dict[str, Any]]
    next: str | None
    """The ``after`` of what follows; `None` at the end."""


class RefusedError(Exception):
    """A request is refused. The text says what is wrong with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def answer(visitor: Visitor, value: Any, status: int = 200) -> Response:
    """A value as JSON, with what this visitor may not see masked."""
    return Response(visitor.shown(msgspec.json.encode(value).decode()), status, media_type="application/json")


def accepted(call_sid: str) -> Response:
    """The answer to an act: it is done, or will be in a moment."""
    return Response(msgspec.json.encode(Accepted(call_sid)), 202, media_type="application/json")


def text_of(text: str, *, required: bool = True) -> str:
    """The text without blanks around it. Raises `RefusedError` where it is empty or too long."""
    if required and not text.strip():
        raise RefusedError(400, "`text` is empty")
    if len(text) > MAX_TEXT:
        raise RefusedError(400, f"the text should have {MAX_TEXT} characters or less")
    return text.strip()


async def body_of(request: Request, wanted: type[_S]) -> _S:
    """The JSON object of a request, or without a body one of defaults. Raises `RefusedError`."""
    data = await read_body(request.receive, request.headers, MAX_BODY)
    if data is None:
        raise RefusedError(400, f"the body has more than {MAX_BODY} bytes")
    try:
        return msgspec.json.decode(data or b"{}", type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        names = ", ".join(f"`{item.name}`" for item in msgspec.structs.fields(wanted))
        raise RefusedError(400, f"the body is no JSON object with {names}: {error}") from None

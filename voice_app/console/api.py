"""``/api/v1/…``: what the console knows, and what may be done about a call, as JSON for programs.

Who may is told by `voice_app.console.access`. What there is to ask is the table `ROUTES` below: routes are
mounted from it, and the OpenAPI document is made from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from voice_app.agents import Transfer
from voice_app.calls import CallState, call_document
from voice_app.console import calls, health
from voice_app.console.access import Access, Visitor, api_error
from voice_app.console.feed import feed, live_feed
from voice_app.console.figures import CallFigures, FigureQuery, figures
from voice_app.console.openapi import ApiOperation, described
from voice_app.console.waiting import LeftMessage, Waiting, voicemails, waiting
from voice_app.followups.report import CallReport, report_of
from voice_app.journal import JournalError
from voice_app.journal.events import Stored
from voice_app.journal.statistics import GROUPINGS
from voice_app.runtime import ActRefusedError, Services, Supervision
from voice_app.runtime.call_transfer import MAX_REASON, MAX_SUMMARY
from voice_app.settings import Role
from voice_app.twilio import ApiError
from voice_app.twilio.vcon import vcon
from voice_app.webhooks import CALL_SID, read_body

PREFIX: Final = "/api/v1"
MAX_BODY: Final = 16 * 1024
"""Bytes."""
MAX_TEXT: Final = 2000
"""Characters of what is said or noted."""
_EVENTS_ON_A_PAGE: Final = 1000

_T = TypeVar("_T")
_S = TypeVar("_S", bound=msgspec.Struct)

Answerer: TypeAlias = Callable[[Any, Request, Visitor], Awaitable[Response]]


class HandoffAct(msgspec.Struct, frozen=True):
    """Send the caller to a person."""

    reason: str = "supervisor"
    summary: str = ""
    """What the person has to know; empty: what was said is summed up."""
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

    calls: list[calls.LiveCall]


class Voicemails(msgspec.Struct):
    """Messages that callers left, the newest first."""

    voicemails: list[LeftMessage]


class Numbers(msgspec.Struct):
    """Our numbers."""

    numbers: list[health.OwnNumber]


class EventPage(msgspec.Struct):
    """What happened on a call, in order."""

    events: list[dict[str, Any]]
    next: str | None
    """The ``after`` of what follows; `None` at the end."""


class _RefusedError(Exception):
    """A request is refused. The text says what is wrong with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """What answers. Each method is one operation of `ROUTES`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._supervision = Supervision(services)

    # --- calls -----------------------------------------------------------------------------------

    async def list_calls(self, request: Request, visitor: Visitor) -> Response:
        try:
            query = calls.CallQuery.of(request.query_params)
        except ValueError as error:
            raise _RefusedError(400, str(error)) from None
        return answer(visitor, await calls.list_calls(self._services.journal, query))

    async def call(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        return answer(visitor, _known(await calls.call_detail(self._services.journal, call_sid), call_sid))

    async def events(self, request: Request, visitor: Visitor) -> Response:
        call_sid, after = _call_sid(request), request.query_params.get("after", "")
        entries = _known(await self._services.journal.events(call_sid), call_sid)
        rest = [entry for entry in entries if entry.id > after]
        page = rest[:_EVENTS_ON_A_PAGE]
        told = [{"id": entry.id, "at": entry.at, "event": msgspec.to_builtins(entry.event)} for entry in page]
        return answer(visitor, EventPage(told, page[-1].id if len(rest) > len(page) else None))

    async def report(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        return answer(visitor, _known(await report_of(self._services.journal, call_sid), call_sid))

    async def export(self, request: Request, visitor: Visitor) -> Response:
        call_sid, format_ = _call_sid(request), request.query_params.get("format", "json")
        journal = self._services.journal
        entries = _known(await journal.events(call_sid), call_sid)
        call = _known(await journal.call(call_sid), call_sid)
        match format_:
            case "json":
                response = answer(visitor, call_document(call, entries))
            case "text":
                response = PlainTextResponse(visitor.shown(calls.as_text(call, entries)))
            case "vcon":
                response = answer(visitor, await self._vcon(call_sid))
            case _:
                raise _RefusedError(400, f"format: {format_!r} should be json, text or vcon")
        suffix = {"text": "txt"}.get(format_, format_)
        response.headers["Content-Disposition"] = f'attachment; filename="{call_sid}.{suffix}"'
        return response

    async def _vcon(self, call_sid: str) -> dict[str, Any]:
        detail = _known(await calls.call_detail(self._services.journal, call_sid), call_sid)
        if detail.conversation_id is None:
            raise _RefusedError(409, f"the call {call_sid} has no conversation, which a vCon is made of")
        found = self._services.conversations
        return vcon(
            await found.fetch(detail.conversation_id),
            await found.participants(detail.conversation_id),
            await found.communications(detail.conversation_id),
            exported_at=datetime.now(UTC),
        )

    async def feed(self, request: Request, visitor: Visitor) -> Response:
        return await feed(self._services, request, visitor)

    async def live_feed(self, request: Request, visitor: Visitor) -> Response:
        return await live_feed(self._services, request, visitor)

    # --- acts ------------------------------------------------------------------------------------

    async def handoff(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await _body(request, HandoffAct)
        transfer = Transfer(wanted.reason[:MAX_REASON], wanted.summary[:MAX_SUMMARY])
        await self._supervision.hand_over(call_sid, visitor.name, transfer, at_once=wanted.at_once)
        return _accepted(call_sid)

    async def end(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await _body(request, EndAct)
        goodbye = _text(wanted.goodbye, required=False)
        await self._supervision.end(call_sid, visitor.name, goodbye=goodbye, at_once=wanted.at_once)
        return _accepted(call_sid)

    async def say(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await _body(request, TextAct)
        await self._supervision.act(call_sid, "say", visitor.name, _text(wanted.text))
        return _accepted(call_sid)

    async def note(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await _body(request, TextAct)
        await self._supervision.act(call_sid, "note", visitor.name, _text(wanted.text))
        return _accepted(call_sid)

    async def comment(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await _body(request, TextAct)
        await self._supervision.write_down(call_sid, "comment", visitor.name, _text(wanted.text))
        return _accepted(call_sid)

    async def done(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.write_down(call_sid, "done", visitor.name)
        return _accepted(call_sid)

    async def send_report(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.report(call_sid, visitor.name)
        return _accepted(call_sid)

    async def call_back(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.call_back(call_sid, visitor.name)
        return _accepted(call_sid)

    async def no_call_back(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.call_back(call_sid, visitor.name, stop=True)
        return _accepted(call_sid)

    async def mute(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.act(call_sid, "mute", visitor.name)
        return _accepted(call_sid)

    async def unmute(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.act(call_sid, "unmute", visitor.name)
        return _accepted(call_sid)

    # --- the rest --------------------------------------------------------------------------------

    async def live(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, LiveCalls(await calls.live_calls(self._services.journal)))

    async def waiting(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, await waiting(self._services.journal))

    async def voicemails(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, Voicemails(await voicemails(self._services.journal)))

    async def recording(self, request: Request, visitor: Visitor) -> Response:
        """The audio of a message, as it was fetched into the folder of the settings."""
        call_sid, folder = _call_sid(request), self._services.settings.recordings
        if folder is None:
            raise _RefusedError(404, "recordings are not fetched: set VOICE_APP_RECORDINGS")
        state = CallState.of(await self._services.journal.events(call_sid))
        wanted = request.path_params["recording_sid"]
        names = [event.file for event in state.events(Stored) if event.recording_sid == wanted]
        path = folder / names[-1] if names else None
        # What an event names is a name that we made; one of a folder is none.
        if path is None or path.name != names[-1] or not await asyncio.to_thread(path.is_file):
            raise _RefusedError(404, f"there is no recording {wanted[:40]} of the call {call_sid} here")
        return FileResponse(path, media_type="audio/mpeg")

    async def figures(self, request: Request, visitor: Visitor) -> Response:
        try:
            query = FigureQuery.of(request.query_params)
        except ValueError as error:
            raise _RefusedError(400, str(error)) from None
        return answer(visitor, await figures(self._services.journal, query))

    async def status(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, health.status(self._services))

    async def findings(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, health.found_now(self._services.watch.report))

    async def check(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, health.found_now(await self._services.watch.check()))

    async def numbers(self, request: Request, visitor: Visitor) -> Response:
        # They are ours, and no caller's: nobody has them masked.
        return answer(Visitor(visitor.name, Role.ACT), Numbers(health.numbers(self._services)))


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One operation: who may, what answers, and what it takes and gives."""

    method: str
    path: str
    """Under ``/api/v1``."""
    role: Role
    answerer: Answerer
    summary: str
    answers: Any = None
    """The type of the answer; `None`: no JSON."""
    takes: Any = None
    """The type of the body."""
    query: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"

    @property
    def operation(self) -> ApiOperation:
        name = self.answerer.__name__
        return ApiOperation(
            self.method,
            self.path,
            name,
            str(self.role),
            self.summary,
            self.answers,
            self.takes,
            self.query,
            self.media,
        )


_CALL: Final = "/calls/{call_sid}"
ROUTES: Final = (
    ApiRoute(
        "GET",
        "/calls",
        Role.WATCH,
        Api.list_calls,
        "Calls, the newest first.",
        calls.CallPage,
        query={
            "state": "`live` or `over`",
            "number": "from or to this address, E.164, `client:…` or `sip:…`",
            "agent": "this agent had the call",
            "variant": "one of VOICE_APP_VARIANTS",
            "outcome": "what came of it",
            "reason": "why a person was asked for",
            "flags": "what happened, separated by commas: all of them",
            "from": "opened then or later: `2026-11-22`, `2026-11-22T14:30Z`, or seconds since the epoch",
            "to": "opened before; a day counts to its end",
            "text": "all of these words were said at once; of calls that are over",
            "limit": "calls on a page, at most 500",
            "cursor": "the `next` of the page before",
        },
    ),
    ApiRoute("GET", _CALL, Role.WATCH, Api.call, "One call, with its dialogue.", calls.CallDetail),
    ApiRoute(
        "GET",
        f"{_CALL}/events",
        Role.WATCH,
        Api.events,
        "Everything that happened on a call.",
        EventPage,
        query={"after": "the `next` of the page before"},
    ),
    ApiRoute("GET", f"{_CALL}/report", Role.WATCH, Api.report, "The report of a call.", CallReport),
    ApiRoute(
        "GET",
        f"{_CALL}/export",
        Role.WATCH,
        Api.export,
        "A call as a file.",
        dict[str, Any],
        query={"format": "`json`, `text` or `vcon`"},
    ),
    ApiRoute(
        "GET",
        "/feed",
        Role.WATCH,
        Api.feed,
        "What happens on the calls, as server-sent events.",
        query={
            "call": "one call: first what has happened, then what happens",
            "after": "as `Last-Event-ID`, where that cannot be sent",
        },
        media="text/event-stream",
    ),
    ApiRoute("POST", f"{_CALL}/handoff", Role.ACT, Api.handoff, "Send to a person.", Accepted, HandoffAct),
    ApiRoute("POST", f"{_CALL}/end", Role.ACT, Api.end, "End a call.", Accepted, EndAct),
    ApiRoute("POST", f"{_CALL}/say", Role.ACT, Api.say, "Say something to the caller.", Accepted, TextAct),
    ApiRoute("POST", f"{_CALL}/note", Role.ACT, Api.note, "Tell the agent something.", Accepted, TextAct),
    ApiRoute("POST", f"{_CALL}/comment", Role.ACT, Api.comment, "Write something down.", Accepted, TextAct),
    ApiRoute("POST", f"{_CALL}/report", Role.ACT, Api.send_report, "Send the report again.", Accepted),
    ApiRoute("POST", f"{_CALL}/done", Role.ACT, Api.done, "The caller has been seen to.", Accepted),
    ApiRoute("POST", f"{_CALL}/call-back", Role.ACT, Api.call_back, "Call the caller back now.", Accepted),
    ApiRoute(
        "POST", f"{_CALL}/no-call-back", Role.ACT, Api.no_call_back, "Do not call back any more.", Accepted
    ),
    ApiRoute("POST", f"{_CALL}/mute", Role.ACT, Api.mute, "Have the agent be silent.", Accepted),
    ApiRoute("POST", f"{_CALL}/unmute", Role.ACT, Api.unmute, "Have the agent answer again.", Accepted),
    ApiRoute(
        "GET",
        f"{_CALL}/recordings/{{recording_sid}}",
        Role.WATCH,
        Api.recording,
        "The audio of a message.",
        media="audio/mpeg",
    ),
    ApiRoute("GET", "/live", Role.WATCH, Api.live, "The calls that go on.", LiveCalls),
    ApiRoute("GET", "/waiting", Role.WATCH, Api.waiting, "Who waits for somebody.", Waiting),
    ApiRoute("GET", "/voicemails", Role.WATCH, Api.voicemails, "Messages that callers left.", Voicemails),
    ApiRoute(
        "GET",
        "/figures",
        Role.WATCH,
        Api.figures,
        "Calls in figures.",
        CallFigures,
        query={
            "by": ", ".join(f"`{name}`" for name in GROUPINGS),
            "from": "opened then or later; a week before `to`, if it is left out",
            "to": "opened before; a day counts to its end",
            "offset": "minutes by which days begin before those of UTC",
        },
    ),
    ApiRoute("GET", "/status", Role.WATCH, Api.status, "How the servers are.", health.ServerStatus),
    ApiRoute("GET", "/findings", Role.WATCH, Api.findings, "What the guard has found.", health.FoundNow),
    ApiRoute("POST", "/findings", Role.ACT, Api.check, "Have the guard look now.", health.FoundNow),
    ApiRoute("GET", "/numbers", Role.WATCH, Api.numbers, "Our numbers, and where they lead.", Numbers),
)


def api_routes(services: Services, access: Access) -> list[BaseRoute]:
    """The API, and the paths that it had before it had versions."""
    api = Api(services)

    async def document(request: Request, visitor: Visitor) -> Response:
        return Response(
            msgspec.json.encode(described(PREFIX, [route.operation for route in ROUTES])),
            media_type="application/json",
        )

    def endpoint(role: Role, answerer: Answerer) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request, visitor: Visitor) -> Response:
            return await _answered(answerer(api, request, visitor))

        return access.api(role, handler)

    return [
        *(
            Route(PREFIX + item.path, endpoint(item.role, item.answerer), methods=[item.method])
            for item in ROUTES
        ),
        Route(f"{PREFIX}/openapi.json", access.api(Role.WATCH, document)),
        Route("/api/feed", endpoint(Role.WATCH, Api.live_feed)),
        Route("/api/calls/{call_sid}/handoff", endpoint(Role.ACT, Api.handoff), methods=["POST"]),
        Route("/api/calls/{call_sid}/end", endpoint(Role.ACT, Api.end), methods=["POST"]),
    ]


async def _answered(answering: Awaitable[Response]) -> Response:
    """The answer, or why there is none."""
    try:
        return await answering
    except (_RefusedError, ActRefusedError) as error:
        return api_error(error.status, str(error))
    except JournalError as error:
        return api_error(503, f"the journal cannot be read, so try again: {error}")
    except ApiError as error:
        return api_error(502, str(error))


def answer(visitor: Visitor, value: Any, status: int = 200) -> Response:
    """A value as JSON, with what this visitor may not see masked."""
    return Response(visitor.shown(msgspec.json.encode(value).decode()), status, media_type="application/json")


def _accepted(call_sid: str) -> Response:
    return Response(msgspec.json.encode(Accepted(call_sid)), 202, media_type="application/json")


def _known(found: _T | None, call_sid: str) -> _T:
    if not found:
        raise _RefusedError(404, f"no call {call_sid} is known here")
    return found


def _call_sid(request: Request) -> str:
    call_sid: str = request.path_params["call_sid"]
    if CALL_SID.fullmatch(call_sid) is None:
        raise _RefusedError(404, "that is no CallSid")
    return call_sid


def _text(text: str, *, required: bool = True) -> str:
    if required and not text.strip():
        raise _RefusedError(400, "`text` is empty")
    if len(text) > MAX_TEXT:
        raise _RefusedError(400, f"the text should have {MAX_TEXT} characters or less")
    return text.strip()


async def _body(request: Request, wanted: type[_S]) -> _S:
    """The JSON object of a request, or without a body one of defaults."""
    data = await read_body(request, MAX_BODY)
    if data is None:
        raise _RefusedError(400, f"the body has more than {MAX_BODY} bytes")
    try:
        return msgspec.json.decode(data or b"{}", type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        names = ", ".join(f"`{item.name}`" for item in msgspec.structs.fields(wanted))
        raise _RefusedError(400, f"the body is no JSON object with {names}: {error}") from None

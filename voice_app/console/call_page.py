"""One call, live or over: ``/console/calls/{call_sid}``, and its parts as they change.

``/console/join/{code}`` is the same call for the person who takes it: the code in the link is all they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from voice_app.calls import CallState
from voice_app.console.feed import feed
from voice_app.console.headers import api_error, same_origin
from voice_app.console.one_call import CallDetail, DialogueLine, call_detail
from voice_app.console.pages import Pages
from voice_app.console.visitors import Visitor
from voice_app.followups.report import CallReport, ReportedTool, report_of
from voice_app.journal import Entry
from voice_app.journal.events import (
    Connected,
    Framed,
    Heard,
    Noted,
    Opened,
    Overheard,
    Partial,
    Played,
    Prompted,
    Replied,
    Served,
    Transcribed,
)
from voice_app.runtime import ActRefusedError, Services, Supervision
from voice_app.settings import Role

MOST_EVENTS: Final = 2000
"""Events of a call that are shown one by one; the API gives them all."""


class TimedStep(msgspec.Struct, kw_only=True):
    """What took time on a call."""

    at: float
    what: str
    first_ms: float | None = None
    """Until the first token was on the wire."""
    sound_ms: float | None = None
    """Until the caller heard the voice."""
    total_ms: float | None = None
    note: str = ""

    @property
    def parts(self) -> list[tuple[str, float]]:
        """What of it is known, the longest first: ``whole``, ``sound``, ``first``."""
        known = (("whole", self.total_ms), ("sound", self.sound_ms), ("first", self.first_ms))
        return sorted(
            ((name, value) for name, value in known if value is not None), key=itemgetter(1), reverse=True
        )


class GrowingLine(msgspec.Struct):
    """What is being said, or pressed, and may still change; of a call that is over, what was cut short."""

    who: str
    text: str


class WireText(msgspec.Struct):
    """A document or a frame, as it went over the wire, without secrets."""

    at: float
    what: str
    """``TwiML answer.xml``, ``frame sent``, ``frame received``."""
    text: str


class CallView(msgspec.Struct, kw_only=True):
    """All that the page shows."""

    detail: CallDetail
    report: CallReport
    lines: list[DialogueLine | ReportedTool]
    """What was said and done, in order."""
    partial: str
    """The line whose end is still to come."""
    growing: list[GrowingLine]
    steps: list[TimedStep]
    served: list[tuple[float, Served]]
    noted: list[str]


def call_routes(pages: Pages, services: Services) -> list[BaseRoute]:
    """Under ``/console``."""

    async def page(request: Request, visitor: Visitor) -> Response:
        return pages.show(request, visitor, "call.html", **await shown(request))

    async def parts(request: Request, visitor: Visitor) -> Response:
        return pages.show(request, visitor, "call-parts.html", **await shown(request))

    async def shown(request: Request) -> dict[str, Any]:
        view = await call_view(services, request.path_params["call_sid"])
        return {
            "view": view,
            "call": view.detail.call,
            "live": view.detail.state != "over",
            "targets": [item.label for item in services.targets_for(view.detail.call.number)],
            "reports": services.settings.report_url is not None,
            "recordings": services.settings.recordings is not None,
            "join": services.join_links.url(view.detail.call.call_sid),
        }

    async def events(request: Request, visitor: Visitor) -> Response:
        entries = await services.journal.events(request.path_params["call_sid"])
        told = [(entry.at, msgspec.to_builtins(entry.event)) for entry in entries[:MOST_EVENTS]]
        return pages.show(request, visitor, "call-events.html", events=told, more=len(entries) > len(told))

    async def wire(request: Request, visitor: Visitor) -> Response:
        told = list(_on_the_wire(await services.journal.events(request.path_params["call_sid"])))
        kept, more = services.settings.keep_frames > 0, len(told) > MOST_EVENTS
        return pages.show(request, visitor, "call-wire.html", told=told[:MOST_EVENTS], more=more, kept=kept)

    path = "/calls/{call_sid}"
    return [
        *_join_routes(pages, services),
        pages.route(path, Role.WATCH, page),
        pages.route(f"{path}/parts", Role.WATCH, parts),
        pages.route(f"{path}/events", Role.WATCH, events),
        pages.route(f"{path}/wire", Role.WATCH, wire),
    ]


def _join_routes(pages: Pages, services: Services) -> list[BaseRoute]:
    """What somebody may with the link to one call: read it, follow it, and give the caller back."""
    person = Visitor("the person", Role.ACT)
    supervision = Supervision(services)

    def call_of(request: Request) -> str:
        if (call_sid := services.join_links.call_of(request.path_params["code"])) is None:
            raise HTTPException(404, "This link is not good any more.")
        return call_sid

    async def shown(request: Request, template: str) -> Response:
        view = await call_view(services, call_of(request))
        path = request.url.path.removesuffix("/parts")
        context: dict[str, Any] = {"view": view, "call": view.detail.call, "here": path, "nav": False}
        return pages.show(request, person, template, **context)

    async def page(request: Request) -> Response:
        return await shown(request, "join.html")

    async def parts(request: Request) -> Response:
        return await shown(request, "join-parts.html")

    async def followed(request: Request) -> Response:
        return await feed(services, request, person, call_of(request))

    async def give_back(request: Request) -> Response:
        call_sid = call_of(request)
        if not same_origin(request):
            return api_error(403, "it was sent by a page of another site")
        try:
            await supervision.give_back(call_sid, person.name)
        except ActRefusedError as error:
            return api_error(error.status, str(error))
        return JSONResponse({"accepted": True}, 202)

    path = "/join/{code}"
    return [
        Route(path, pages.guarded(page)),
        Route(f"{path}/parts", pages.guarded(parts)),
        Route(f"{path}/feed", pages.guarded(followed)),
        Route(f"{path}/return", pages.guarded(give_back), methods=["POST"]),
    ]


async def call_view(services: Services, call_sid: str) -> CallView:
    """A call as it is known now. Raises `HTTPException` if it is not, and `JournalError`."""
    detail = await call_detail(services.journal, call_sid)
    report = await report_of(services.journal, call_sid, services.prices)
    if detail is None or report is None:
        raise HTTPException(404, f"No call {call_sid[:40]} is known here.")
    entries = await services.journal.events(call_sid)
    state = CallState.of(entries)
    live = detail.state != "over"
    return CallView(
        detail=detail,
        report=report,
        lines=sorted([*detail.dialogue, *detail.tools], key=attrgetter("at")),
        partial=_partial(detail.dialogue, entries) if live else "",
        growing=list(_growing(state, entries, live=live)),
        steps=sorted(_steps(detail, entries), key=attrgetter("at")),
        served=state.timed(Served),
        noted=[event.text for event in state.events(Noted)],
    )


def _partial(dialogue: Sequence[DialogueLine], entries: Sequence[Entry]) -> str:
    """The id of the agent's line that grows."""
    last = next(
        (entry.event for entry in reversed(entries) if isinstance(entry.event, Replied | Heard)), None
    )
    if not isinstance(last, Replied) or last.done:
        return ""
    return next((line.id for line in reversed(dialogue) if line.who == "agent"), "")


def _growing(state: CallState, entries: Iterable[Entry], *, live: bool) -> Iterator[GrowingLine]:
    heard: dict[tuple[str, int], Transcribed] = {}
    partial = ""
    for entry in entries:
        match entry.event:
            case Transcribed() as event:
                key, partial = (event.transcription_sid, event.sequence), ""
                if key not in heard or not heard[key].final:
                    heard[key] = event
            case Partial(text=text):
                partial = text
            case Prompted() | Overheard() | Connected():
                partial = ""
            case _:
                pass
    if partial:
        yield GrowingLine("caller", partial)
    if live:
        yield from (GrowingLine(event.speaker, event.text) for event in heard.values() if not event.final)
    if live and state.digits:
        yield GrowingLine("caller", f"(pressed {state.digits})")


def _on_the_wire(entries: Iterable[Entry]) -> Iterator[WireText]:
    for entry in entries:
        match entry.event:
            case Served(template=template, document=document) if document:
                yield WireText(entry.at, f"TwiML {template}", document)
            case Framed(frames=frames):
                for frame in frames:
                    yield WireText(frame.at, f"frame {'sent' if frame.sent else 'received'}", frame.text)
            case _:
                pass


def _steps(detail: CallDetail, entries: Iterable[Entry]) -> Iterator[TimedStep]:
    asked: float | None = None
    answered: float | None = None
    replies: dict[tuple[str, int], TimedStep] = {}
    for entry in entries:
        match entry.event:
            case Opened():
                asked = entry.at
            case Served() if asked is not None:
                yield TimedStep(at=asked, what="webhook", total_ms=(entry.at - asked) * 1000)
                asked, answered = None, entry.at
            case Connected() if answered is not None:
                took = (entry.at - answered) * 1000
                yield TimedStep(at=answered, what="until the session began", total_ms=took)
                answered = None
            case Replied() as event:
                key = event.session_id, event.reply
                step = replies.setdefault(key, TimedStep(at=entry.at, what="reply"))
                step.note = event.after(step.note)
                step.first_ms = step.first_ms if event.first_token_ms is None else event.first_token_ms
                step.total_ms = step.total_ms if event.total_ms is None else event.total_ms
            case Played(sound_ms=sound) as event if sound is not None:
                key = event.session_id, event.reply
                replies.setdefault(key, TimedStep(at=entry.at, what="reply")).sound_ms = sound
            case Heard(played_ms=played) if played is not None:
                note = f"after {played / 1000:.1f} s of speech"
                yield TimedStep(at=entry.at, what="the caller cut in", note=note)
            case _:
                pass
    yield from (step for step in replies.values() if step.first_ms is not None)
    for tool in detail.tools:
        yield TimedStep(at=tool.at, what=f"tool {tool.name}", total_ms=tool.duration_ms)

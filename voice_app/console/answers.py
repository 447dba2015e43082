"""What answers the API: one method for each operation of `voice_app.console.api.ROUTES`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from voice_app.agents import Transfer
from voice_app.calls import CallState, call_document
from voice_app.console import calls, health, one_call
from voice_app.console.bodies import (
    EndAct,
    EventPage,
    HandoffAct,
    LiveCalls,
    Numbers,
    RefusedError,
    TextAct,
    Voicemails,
    accepted,
    answer,
    body_of,
    text_of,
)
from voice_app.console.feed import feed, live_feed
from voice_app.console.figures import FigureQuery, figures
from voice_app.console.visitors import Visitor
from voice_app.console.waiting import voicemails, waiting
from voice_app.followups.report import report_of
from voice_app.journal.events import Stored
from voice_app.runtime import Services, Supervision
from voice_app.runtime.call_transfer import MAX_REASON, MAX_SUMMARY
from voice_app.settings import Role
from voice_app.twilio.vcon import vcon
from voice_app.webhooks import CALL_SID

_EVENTS_ON_A_PAGE: Final = 1000

_T = TypeVar("_T")


class Answers:
    """The answers of one server."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._supervision = Supervision(services)

    # --- calls -----------------------------------------------------------------------------------

    async def list_calls(self, request: Request, visitor: Visitor) -> Response:
        try:
            query = calls.CallQuery.of(request.query_params, self._services.settings.zone)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        return answer(visitor, await calls.list_calls(self._services.journal, query))

    async def call(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        return answer(visitor, _known(await one_call.call_detail(self._services.journal, call_sid), call_sid))

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
                response = PlainTextResponse(visitor.shown(one_call.as_text(call, entries)))
            case "vcon":
                response = answer(visitor, await self._vcon(call_sid))
            case _:
                raise RefusedError(400, f"format: {format_!r} should be json, text or vcon")
        suffix = {"text": "txt"}.get(format_, format_)
        response.headers["Content-Disposition"] = f'attachment; filename="{call_sid}.{suffix}"'
        return response

    async def _vcon(self, call_sid: str) -> dict[str, Any]:
        detail = _known(await one_call.call_detail(self._services.journal, call_sid), call_sid)
        if detail.conversation_id is None:
            raise RefusedError(409, f"the call {call_sid} has no conversation, which a vCon is made of")
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
        call_sid, wanted = _call_sid(request), await body_of(request, HandoffAct)
        transfer = Transfer(wanted.reason[:MAX_REASON], wanted.summary[:MAX_SUMMARY])
        await self._supervision.hand_over(
            call_sid, visitor.name, transfer, target=wanted.target, at_once=wanted.at_once
        )
        return accepted(call_sid)

    async def end(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await body_of(request, EndAct)
        goodbye = text_of(wanted.goodbye, required=False)
        await self._supervision.end(call_sid, visitor.name, goodbye=goodbye, at_once=wanted.at_once)
        return accepted(call_sid)

    async def say(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await body_of(request, TextAct)
        await self._supervision.act(call_sid, "say", visitor.name, text_of(wanted.text))
        return accepted(call_sid)

    async def note(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await body_of(request, TextAct)
        await self._supervision.act(call_sid, "note", visitor.name, text_of(wanted.text))
        return accepted(call_sid)

    async def comment(self, request: Request, visitor: Visitor) -> Response:
        call_sid, wanted = _call_sid(request), await body_of(request, TextAct)
        await self._supervision.write_down(call_sid, "comment", visitor.name, text_of(wanted.text))
        return accepted(call_sid)

    async def done(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.write_down(call_sid, "done", visitor.name)
        return accepted(call_sid)

    async def send_report(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.report(call_sid, visitor.name)
        return accepted(call_sid)

    async def call_back(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.call_back(call_sid, visitor.name)
        return accepted(call_sid)

    async def no_call_back(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.call_back(call_sid, visitor.name, stop=True)
        return accepted(call_sid)

    async def mute(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.act(call_sid, "mute", visitor.name)
        return accepted(call_sid)

    async def unmute(self, request: Request, visitor: Visitor) -> Response:
        call_sid = _call_sid(request)
        await self._supervision.act(call_sid, "unmute", visitor.name)
        return accepted(call_sid)

    # --- the rest --------------------------------------------------------------------------------

    async def live(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, LiveCalls(await one_call.live_calls(self._services.journal)))

    async def waiting(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, await waiting(self._services.journal))

    async def voicemails(self, request: Request, visitor: Visitor) -> Response:
        return answer(visitor, Voicemails(await voicemails(self._services.journal)))

    async def recording(self, request: Request, visitor: Visitor) -> Response:
        """The audio of a message, as it was fetched into the folder of the settings."""
        call_sid, folder = _call_sid(request), self._services.settings.recordings
        if folder is None:
            raise RefusedError(404, "recordings are not fetched: set VOICE_APP_RECORDINGS")
        state = CallState.of(await self._services.journal.events(call_sid))
        wanted = request.path_params["recording_sid"]
        names = [event.file for event in state.events(Stored) if event.recording_sid == wanted]
        path = folder / names[-1] if names else None
        # What an event names is a name that we made; one of a folder is none.
        if path is None or path.name != names[-1] or not await asyncio.to_thread(path.is_file):
            raise RefusedError(404, f"there is no recording {wanted[:40]} of the call {call_sid} here")
        return FileResponse(path, media_type="audio/mpeg")

    async def figures(self, request: Request, visitor: Visitor) -> Response:
        try:
            query = FigureQuery.of(request.query_params, self._services.settings.zone)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
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


def _known(found: _T | None, call_sid: str) -> _T:
    if not found:
        raise RefusedError(404, f"no call {call_sid} is known here")
    return found


def _call_sid(request: Request) -> str:
    call_sid: str = request.path_params["call_sid"]
    if CALL_SID.fullmatch(call_sid) is None:
        raise RefusedError(404, "that is no CallSid")
    return call_sid

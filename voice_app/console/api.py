"""``/api/v1/…``: what the console knows, and what may be done about a call, as JSON for programs.

Who may is told by `voice_app.console.access`. What there is to ask is the table `ROUTES` below: routes are
mounted from it, and the OpenAPI document is made from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from voice_app.console import calls, health, one_call
from voice_app.console.access import Access
from voice_app.console.answers import Answers
from voice_app.console.bodies import (
    Accepted,
    EndAct,
    EventPage,
    HandoffAct,
    LiveCalls,
    Numbers,
    RefusedError,
    TextAct,
    Voicemails,
)
from voice_app.console.figures import CallFigures
from voice_app.console.headers import api_error
from voice_app.console.openapi import Answerer, ApiRoute, described
from voice_app.console.visitors import Visitor
from voice_app.console.waiting import Waiting
from voice_app.followups.report import CallReport
from voice_app.journal import JournalError
from voice_app.journal.statistics import GROUPINGS
from voice_app.runtime import ActRefusedError, Services
from voice_app.settings import Role
from voice_app.twilio import ApiError

PREFIX: Final = "/api/v1"
_CALL: Final = "/calls/{call_sid}"


def _act(name: str, answerer: Answerer, summary: str, takes: Any = None) -> ApiRoute:
    return ApiRoute("POST", f"{_CALL}/{name}", Role.ACT, answerer, summary, Accepted, takes)


ROUTES: Final = (
    ApiRoute(
        "GET",
        "/calls",
        Role.WATCH,
        Answers.list_calls,
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
    ApiRoute("GET", _CALL, Role.WATCH, Answers.call, "One call, with its dialogue.", one_call.CallDetail),
    ApiRoute(
        "GET",
        f"{_CALL}/events",
        Role.WATCH,
        Answers.events,
        "Everything that happened on a call.",
        EventPage,
        query={"after": "the `next` of the page before"},
    ),
    ApiRoute("GET", f"{_CALL}/report", Role.WATCH, Answers.report, "The report of a call.", CallReport),
    ApiRoute(
        "GET",
        f"{_CALL}/export",
        Role.WATCH,
        Answers.export,
        "A call as a file.",
        dict[str, Any],
        query={"format": "`json`, `text` or `vcon`"},
    ),
    ApiRoute(
        "GET",
        "/feed",
        Role.WATCH,
        Answers.feed,
        "What happens on the calls, as server-sent events.",
        query={
            "call": "one call: first what has happened, then what happens",
            "after": "as `Last-Event-ID`, where that cannot be sent",
        },
        media="text/event-stream",
    ),
    _act("handoff", Answers.handoff, "Send to a person.", HandoffAct),
    _act("end", Answers.end, "End a call.", EndAct),
    _act("say", Answers.say, "Say something to the caller.", TextAct),
    _act("note", Answers.note, "Tell the agent something.", TextAct),
    _act("comment", Answers.comment, "Write something down.", TextAct),
    _act("report", Answers.send_report, "Send the report again."),
    _act("done", Answers.done, "The caller has been seen to."),
    _act("call-back", Answers.call_back, "Call the caller back now."),
    _act("no-call-back", Answers.no_call_back, "Do not call back any more."),
    _act("mute", Answers.mute, "Have the agent be silent."),
    _act("unmute", Answers.unmute, "Have the agent answer again."),
    ApiRoute(
        "GET",
        f"{_CALL}/recordings/{{recording_sid}}",
        Role.WATCH,
        Answers.recording,
        "The audio of a message.",
        media="audio/mpeg",
    ),
    ApiRoute("GET", "/live", Role.WATCH, Answers.live, "The calls that go on.", LiveCalls),
    ApiRoute("GET", "/waiting", Role.WATCH, Answers.waiting, "Who waits for somebody.", Waiting),
    ApiRoute("GET", "/voicemails", Role.WATCH, Answers.voicemails, "Messages that callers left.", Voicemails),
    ApiRoute(
        "GET",
        "/figures",
        Role.WATCH,
        Answers.figures,
        "Calls in figures.",
        CallFigures,
        query={
            "by": ", ".join(f"`{name}`" for name in GROUPINGS),
            "from": "opened then or later; a week before `to`, if it is left out",
            "to": "opened before; a day counts to its end",
            "zone": "where days begin, e.g. `Europe/Berlin`; VOICE_APP_TIMEZONE, if it is left out",
        },
    ),
    ApiRoute("GET", "/status", Role.WATCH, Answers.status, "How the servers are.", health.ServerStatus),
    ApiRoute("GET", "/findings", Role.WATCH, Answers.findings, "What the guard has found.", health.FoundNow),
    ApiRoute("POST", "/findings", Role.ACT, Answers.check, "Have the guard look now.", health.FoundNow),
    ApiRoute("GET", "/numbers", Role.WATCH, Answers.numbers, "Our numbers, and where they lead.", Numbers),
)


def api_routes(services: Services, access: Access) -> list[BaseRoute]:
    """The API, and the paths that it had before it had versions."""
    answers = Answers(services)

    async def document(request: Request, visitor: Visitor) -> Response:
        told = msgspec.json.encode(described(PREFIX, ROUTES))
        return Response(told, media_type="application/json")

    def endpoint(role: Role, answerer: Answerer) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request, visitor: Visitor) -> Response:
            return await _answered(answerer(answers, request, visitor))

        return access.api(role, handler)

    return [
        *(
            Route(PREFIX + item.path, endpoint(item.role, item.answerer), methods=[item.method])
            for item in ROUTES
        ),
        Route(f"{PREFIX}/openapi.json", access.api(Role.WATCH, document)),
        Route("/api/feed", endpoint(Role.WATCH, Answers.live_feed)),
        Route("/api/calls/{call_sid}/handoff", endpoint(Role.ACT, Answers.handoff), methods=["POST"]),
        Route("/api/calls/{call_sid}/end", endpoint(Role.ACT, Answers.end), methods=["POST"]),
    ]


async def _answered(answering: Awaitable[Response]) -> Response:
    """The answer, or why there is none."""
    try:
        return await answering
    except (RefusedError, ActRefusedError) as error:
        return api_error(error.status, str(error))
    except JournalError as error:
        return api_error(503, f"the journal cannot be read, so try again: {error}")
    except ApiError as error:
        return api_error(502, str(error))

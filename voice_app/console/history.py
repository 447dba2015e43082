"""The history of calls: ``/console/calls`` with its filters, the same for a spreadsheet, and the erasure of a
caller. Filters, pages and the erasure are plain links and forms: they work without a script.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from voice_app.calls.spreadsheet import line
from voice_app.console.calls import MOST, CallPage, CallQuery, CallRow, list_calls
from voice_app.console.headers import form_of
from voice_app.console.pages import Pages
from voice_app.console.visitors import Visitor
from voice_app.followups.erasure import CallerData, caller_data, erase_files, refusal, still_there
from voice_app.journal import Journal
from voice_app.journal.search import FLAGS
from voice_app.runtime import Services
from voice_app.settings import Role, plain_address
from voice_app.twilio import ApiError

MOST_PAGES: Final = 200
"""Of the list, in one spreadsheet: 100,000 calls."""
COLUMNS: Final = (
    *("call_sid", "opened", "direction", "caller", "number", "status", "seconds"),
    *("agents", "variant", "reasons", "outcomes", "flags"),
)


def history_routes(pages: Pages, services: Services) -> list[BaseRoute]:
    """Under ``/console``."""
    history = _History(pages, services)
    return [
        pages.route("/calls", Role.WATCH, history.calls),
        pages.route("/calls.csv", Role.WATCH, history.spreadsheet),
        pages.route("/erase", Role.ADMIN, history.caller),
        pages.route("/erase", Role.ADMIN, history.erase, "POST"),
    ]


class _History:
    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services
        self._zone = services.settings.zone
        self._agents = sorted({services.settings.agent, *services.named_agents})

    async def calls(self, request: Request, visitor: Visitor) -> Response:
        given, found, problem = filters_of(request.query_params), CallPage([], None), ""
        shown = dict(given)
        try:
            query = CallQuery.of(given, self._zone)
            shown |= {
                "from": self._field(given.get("from", ""), query.since),
                "to": self._field(given.get("to", ""), query.until),
            }
            found = await list_calls(self._services.journal, query)
        except ValueError as error:
            problem = str(error)
        rest = {name: value for name, value in given.items() if name != "cursor"}
        return self._pages.show(
            request,
            visitor,
            "calls.html",
            400 if problem else 200,
            given=defaultdict(str, shown),
            zone=self._zone.key,
            filtered=bool(rest),
            calls=found.calls,
            next="" if found.next is None else f"?{urlencode(rest | {'cursor': found.next})}",
            query=urlencode(rest),
            problem=problem,
            flags=FLAGS,
            agents=self._agents,
        )

    def _field(self, text: str, at: float | None) -> str:
        """A time as its field has it, which knows no offset; a day stays one."""
        if at is None or len(text) <= len("2026-11-22"):
            return text
        return datetime.fromtimestamp(at, self._zone).strftime("%Y-%m-%dT%H:%M:%S")

    async def spreadsheet(self, request: Request, visitor: Visitor) -> Response:
        try:
            query = CallQuery.of(filters_of(request.query_params), self._zone)
        except ValueError as error:
            raise HTTPException(400, f"{error}.") from None
        rows = _spreadsheet(self._services.journal, msgspec.structs.replace(query, limit=MOST), visitor)
        first = await anext(rows)  # a journal that cannot be read is told before anything is sent
        return StreamingResponse(
            _behind(first, rows),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="calls.csv"'},
        )

    async def caller(self, request: Request, visitor: Visitor) -> Response:
        return await self._preview(request, visitor, request.query_params.get("number", ""))

    async def erase(self, request: Request, visitor: Visitor) -> Response:
        """At Twilio first: what fails there can be tried again, as long as the journal has the ids."""
        form = await form_of(request)
        found = await self._found(form.get("number", ""))
        if not found.calls or refusal(found) is not None:
            return await self._preview(request, visitor, found.address)
        asked = bool(form.get("at_twilio"))
        if asked:
            at_twilio = self._services.at_twilio(found)
            try:
                await at_twilio.find()
                failed = await at_twilio.erase()
            except ApiError as error:
                raise HTTPException(502, f"Nothing was erased: {error}") from None
            if failed:
                told = "; ".join(f"{name}: {error}" for name, error in failed.items())
                raise HTTPException(502, f"Not all was erased at Twilio, and nothing here. Again? {told}")
        journal, folder = self._services.journal, self._services.settings.recordings
        forgotten = await journal.forget(found.address)
        left = await still_there(journal, found.address, (*forgotten.call_sids, *forgotten.conversation_ids))
        files = await asyncio.to_thread(erase_files, folder, found.files)
        return self._pages.show(
            request, visitor, "erased.html", found=found, left=left, files=files, at_twilio=asked
        )

    async def _preview(self, request: Request, visitor: Visitor, number: str) -> Response:
        found = await self._found(number)
        context: dict[str, Any] = {"found": found, "refusal": refusal(found), "at_twilio": {}, "problem": ""}
        if found.calls:
            try:
                context["at_twilio"] = await self._services.at_twilio(found).find()
            except ApiError as error:
                context["problem"] = str(error)
        return self._pages.show(request, visitor, "erase.html", **context)

    async def _found(self, number: str) -> CallerData:
        address = plain_address(number.strip())
        return await caller_data(self._services.journal, address) if address else CallerData(address="")


def filters_of(params: QueryParams) -> dict[str, str]:
    """What a form asks for: fields that are empty do not count, and one that is there twice has a list."""
    return {
        name: value
        for name in params
        if (value := ",".join(filter(None, map(str.strip, params.getlist(name)))))
    }


async def _spreadsheet(journal: Journal, query: CallQuery, visitor: Visitor) -> AsyncIterator[str]:
    """The table, page by page."""
    head, after = "\ufeff" + line(COLUMNS), query.after
    for _ in range(MOST_PAGES):
        page = await list_calls(journal, msgspec.structs.replace(query, after=after))
        yield head + "".join(line(_cells(row, visitor)) for row in page.calls)
        if page.next is None:
            return
        head, after = "", (page.calls[-1].opened_at, page.calls[-1].call_sid)


def _cells(row: CallRow, visitor: Visitor) -> Iterable[str | float | None]:
    opened = datetime.fromtimestamp(row.opened_at, UTC).isoformat(timespec="seconds")
    yield from (row.call_sid, opened, row.direction, visitor.shown(row.caller), row.number, row.status)
    yield None if row.duration_s is None else round(row.duration_s, 1)
    lists = (row.agents, [row.variant] if row.variant else [], row.reasons, row.outcomes, row.flags)
    yield from (visitor.shown("; ".join(values)) for values in lists)


async def _behind(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for text in rest:
        yield text

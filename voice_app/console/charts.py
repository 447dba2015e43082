"""Figures: ``/console/figures``, with charts that are drawn here, as SVG, and the same numbers in a table.

Charts have no script, no style and no link of their own: the style sheet colours them for light and dark, and
screen readers get the table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from voice_app.console.figures import CallFigures, FigureQuery, FigureRow, as_csv, figures
from voice_app.console.history import filters_of
from voice_app.console.pages import Pages
from voice_app.console.visitors import Visitor
from voice_app.journal.statistics import Grouping
from voice_app.runtime import Services
from voice_app.settings import Role

GROUPS: Final[Mapping[Grouping, str]] = {
    "hour": "Hour",
    "day": "Day",
    "number": "Our number",
    "agent": "Agent",
    "variant": "Variant",
    "reason": "Reason of the handoff",
    "outcome": "Outcome",
}
MOST_BARS: Final = 72
"""Groups in a chart, the last ones of times and the largest of others; the table has all."""
MOST_ROWS: Final = 500
"""Groups in the table; the spreadsheet has all."""
_WIDTH, _HEIGHT = 640, 260
_LABELS: Final = 7
"""Under a chart, about."""
_NOT_SHOWN: Final = frozenset({"script", "style", "desc", "title"})
_TIMES: Final = ("hour", "day")


def figures_routes(pages: Pages, services: Services) -> list[BaseRoute]:
    """Under ``/console``."""
    journal, settings = services.journal, services.settings

    async def page(request: Request, visitor: Visitor) -> Response:
        given, problem = filters_of(request.query_params), ""
        try:
            query = FigureQuery.of(given, settings.zone)
        except ValueError as error:
            now = time.time()
            query, problem = FigureQuery(since=now - 86_400, until=now, zone=settings.zone), str(error)
        day = partial(_day, query.zone)
        found = await figures(journal, query)
        before = await figures(journal, msgspec.structs.replace(query.before, by="total"))
        return pages.show(
            request,
            visitor,
            "figures.html",
            400 if problem else 200,
            problem=problem,
            by=query.by,
            groups=GROUPS,
            since=day(query.since),
            until=day(query.until - 1),
            days=day,
            zone=query.zone.key,
            query=urlencode(given),
            found=found,
            rows=found.rows[-MOST_ROWS:],
            links=[_calls_of(found, row) for row in found.rows[-MOST_ROWS:]],
            total_link=_calls_of(found, None),
            before=before.total,
            charts=await asyncio.to_thread(_charts, found, visitor),
        )

    async def spreadsheet(request: Request, visitor: Visitor) -> Response:
        try:
            found = await figures(journal, FigureQuery.of(filters_of(request.query_params), settings.zone))
        except ValueError as error:
            raise HTTPException(400, f"{error}.") from None
        return Response(
            visitor.shown("\ufeff" + as_csv(found.rows)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="calls-by-{found.by}.csv"'},
        )

    return [
        pages.route("/figures", Role.WATCH, page),
        pages.route("/figures.csv", Role.WATCH, spreadsheet),
    ]


def _day(zone: ZoneInfo, at: float) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d")


def _calls_of(found: CallFigures, row: FigureRow | None) -> str:
    """The list of the calls that a row counts; without one of all that are counted."""
    since, until, named = found.since, found.until, {}
    if row is not None and found.by in _TIMES:
        begin = datetime.fromisoformat(row.key)
        if found.by == "day":  # of 23, 24 or 25 hours
            begin = begin.replace(tzinfo=ZoneInfo(found.zone))
            end = (begin + timedelta(days=1)).timestamp()
        else:
            end = begin.timestamp() + 3600
        since, until = max(since, begin.timestamp()), min(until, end)
    elif row is not None and found.by != "total":
        named = {found.by: row.key}
    times = {"from": _moment(since), "to": _moment(until)}
    return f"/console/calls?{urlencode(named | times)}"


def _moment(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z" if at % 60 else f"{moment:%Y-%m-%dT%H:%M}Z"


# --- charts ---------------------------------------------------------------------------------------


def _charts(found: CallFigures, visitor: Visitor) -> list[tuple[str, list[str], Markup]]:
    """Title, names of the series, and SVG of each chart that has something to show."""
    most = sorted(found.rows, key=lambda row: -row.calls)[:MOST_BARS]
    rows = found.rows[-MOST_BARS:] if found.by in _TIMES else most
    labels = [visitor.shown(_label(found.by, row.key)) for row in rows]
    charts = []
    for title, of in _series(found.total.costs):
        values = {name: [value(row) for row in rows] for name, value in of.items()}
        shown = {name: some for name, some in values.items() if any(some)}
        if shown:
            charts.append((title, [*shown], _bars(labels, shown, stacked=title == "Calls")))
    return charts


_Series: TypeAlias = dict[str, Callable[[FigureRow], float | None]]


def _series(currencies: Iterable[str]) -> Iterator[tuple[str, _Series]]:
    """What each chart shows of a row, by name."""
    yield (
        "Calls",
        {
            "Contained": lambda row: row.contained,
            "Handed over": lambda row: row.handed_over,
            "Others": lambda row: max(0, row.calls - row.contained - row.handed_over),
        },
    )
    yield (
        "What callers wait, in milliseconds",
        {
            "First word, p50": lambda row: row.first_token_p50_ms,
            "First word, p95": lambda row: row.first_token_p95_ms,
            "Voice, p50": lambda row: row.sound_p50_ms,
            "Voice, p95": lambda row: row.sound_p95_ms,
        },
    )
    for currency in sorted(currencies):
        yield f"Cost, in {currency}", {"Cost": partial(_cost, currency)}


def _cost(currency: str, row: FigureRow) -> float | None:
    return row.costs.get(currency)


def _label(by: Grouping, key: str) -> str:
    if by not in _TIMES:
        return key or "–"
    return f"{datetime.fromisoformat(key):{'%d %b' if by == 'day' else '%d %b %H:%M'}}"


def _bars(labels: Sequence[str], series: Mapping[str, Sequence[float | None]], *, stacked: bool) -> Markup:
    import pygal  # takes a fifth of a second to load, and most servers draw nothing
    from pygal.style import Style

    made = pygal.StackedBar if stacked else pygal.Bar
    chart: Any = made(
        width=_WIDTH,
        height=_HEIGHT,
        margin=8,
        spacing=10,
        style=Style(label_font_size=14, major_label_font_size=14),
        css=(),
        js=(),
        show_legend=False,
        truncate_label=18,
        x_labels_major_every=max(1, -(-len(labels) // _LABELS)),
        show_minor_x_labels=len(labels) <= _LABELS,
        max_scale=6,
    )
    chart.x_labels = labels
    for name, values in series.items():
        chart.add(name, values)
    return Markup(_drawn(chart.render_tree()))  # noqa: S704 - texts in it are escaped by the serializer


def _drawn(root: Any) -> str:
    """The SVG alone: no script, no style, no ids that two charts share, and nothing for screen readers."""
    from xml.etree import ElementTree

    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] in _NOT_SHOWN:
                parent.remove(child)
    for element in root.iter():
        for name in ("id", "style"):
            element.attrib.pop(name, None)
    root.set("aria-hidden", "true")
    text: str = ElementTree.tostring(root, encoding="unicode")
    return text

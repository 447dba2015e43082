"""``/v1/Alerts`` of the Monitor API: what the Debugger has, in lists and singly.

Source: https://www.twilio.com/docs/usage/monitor-alert
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request

from voice_app.sandbox.twilio.errors import invalid, not_found
from voice_app.sandbox.twilio.middleware import account_of, route
from voice_app.sandbox.twilio.records import Json

LEVELS: Final = frozenset({"error", "warning", "notice", "debug"})
_QUERY: Final = ("LogLevel", "StartDate", "EndDate", "PageSize", "Page", "PageToken")
_ONLY_SINGLY: Final = frozenset({"request_variables", "request_headers", "response_body", "response_headers"})
"""Fields that no list has."""
_DEFAULT_SIZE: Final = 50
_MAX_SIZE: Final = 1000


async def _alerts(request: Request) -> Json:
    """One page of the alerts, the newest first."""
    query = request.query_params
    level, since, until = query.get("LogLevel"), _moment(request, "StartDate"), _moment(request, "EndDate")
    if level is not None and level not in LEVELS:
        raise invalid(f"LogLevel must be one of {', '.join(sorted(LEVELS))}, not {level!r}")
    found = [
        alert
        for alert in reversed(account_of(request).alerts)
        if level in (None, alert["log_level"])
        and (since is None or _read(alert["date_generated"]) >= since)
        and (until is None or _read(alert["date_generated"]) <= until)
    ]
    size, page = _whole(request, "PageSize", _DEFAULT_SIZE, 1), _whole(request, "Page", 0, 0)
    size = min(size, _MAX_SIZE)
    rows = found[page * size : (page + 1) * size]
    more = (page + 1) * size < len(found)
    return {
        "alerts": [_row(request, alert) for alert in rows],
        "meta": {
            "key": "alerts",
            "page": page,
            "page_size": size,
            "url": _url(request, page, size),
            "first_page_url": _url(request, 0, size),
            "previous_page_url": _url(request, page - 1, size) if page else None,
            "next_page_url": _url(request, page + 1, size) if more else None,
        },
    }


async def _alert(request: Request) -> Json:
    for alert in account_of(request).alerts:
        if alert["sid"] == request.path_params["sid"]:
            return {**alert, "url": f"{request.base_url}v1/Alerts/{alert['sid']}"}
    raise not_found(request.url.path)


def _row(request: Request, alert: Json) -> Json:
    kept = {name: value for name, value in alert.items() if name not in _ONLY_SINGLY}
    return {**kept, "url": f"{request.base_url}v1/Alerts/{alert['sid']}"}


def _moment(request: Request, name: str) -> datetime | None:
    """A date, or a time in UTC. Raises `RefusedRequestError`."""
    value = request.query_params.get(name)
    if value is None:
        return None
    try:
        return _read(value if "T" in value else f"{value}T00:00:00Z")
    except ValueError:
        raise invalid(f"{name} must look like 2026-11-29 or 2026-11-29T08:00:00Z, not {value!r}") from None


def _read(value: str) -> datetime:
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _whole(request: Request, name: str, default: int, least: int) -> int:
    value = request.query_params.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise invalid(f"{name} must be a whole number from {least}, not {value!r}")
    return int(value)


def _url(request: Request, page: int, size: int) -> str:
    kept = {name: request.query_params[name] for name in _QUERY[:3] if name in request.query_params}
    return f"{request.base_url}v1/Alerts?{urlencode({**kept, 'PageSize': size, 'Page': page})}"


ROUTES = [
    route("GET", "/v1/Alerts", _alerts, *_QUERY),
    route("GET", "/v1/Alerts/{sid}", _alert),
]

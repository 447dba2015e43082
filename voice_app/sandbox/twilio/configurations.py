"""``/v2/ControlPlane``: configurations and operations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.bodies import (
    CreateConfiguration,
    PatchConfiguration,
    ReplaceConfiguration,
    accepted,
)
from voice_app.sandbox.twilio.errors import RefusedRequestError, conflict, invalid
from voice_app.sandbox.twilio.middleware import (
    PAGE_NAMES,
    SAMPLED_PAGE_NAMES,
    account_of,
    json_of,
    one_of,
    operation_url,
    page,
    route,
    started_once,
)
from voice_app.sandbox.twilio.records import Json, PendingOperation, new_id

_READ_ONLY = ("id", "createdAt", "updatedAt", "version")
_PARTIAL = ("id", "displayName", "version")


async def _list(request: Request) -> Json:
    account = account_of(request)
    store = request.query_params.get("memoryStoreId")
    found = [item for item in account.configurations.values() if store in (None, item["memoryStoreId"])]
    if account.behaviour.partial_lists:
        found = [{name: item[name] for name in _PARTIAL} for item in found]
    return page(request, "configurations", found)


async def _fetch(request: Request) -> Json:
    return _one(request)


async def _create(request: Request) -> Response:
    account = account_of(request)
    raw = await json_of(request)

    def change() -> PendingOperation:
        accepted(CreateConfiguration, raw, beside=account.behaviour.undocumented)
        if len(account.configurations) >= account.behaviour.max_configurations:
            most = account.behaviour.max_configurations
            raise invalid(f"The account has {most} configurations, which is the most it can have")
        _no_clash(account, raw, None)
        configuration_id = new_id("conv_configuration_")

        def effect() -> None:
            now = account.now()
            dates = {"createdAt": now, "updatedAt": now, "version": 1}
            account.configurations[configuration_id] = _stored(raw) | {"id": configuration_id} | dates

        return account.start_operation({"configurationId": configuration_id}, effect)

    return started_once(request, change)


async def _replace(request: Request) -> Response:
    account, current = account_of(request), _one(request)
    raw = await json_of(request)

    def change() -> PendingOperation:
        given = raw
        if account.behaviour.echoes_read_only and isinstance(raw, dict):
            echoed = {name for name in _READ_ONLY if name in raw and raw[name] == current.get(name)}
            given = {name: value for name, value in raw.items() if name not in echoed}
        accepted(ReplaceConfiguration, given, beside=account.behaviour.undocumented)
        _same_grouping(current, given)
        _no_clash(account, given, current["id"])
        return _write(account, current["id"], lambda _: _stored(given))

    return started_once(request, change)


async def _patch(request: Request) -> Response:
    account = account_of(request)
    if not account.behaviour.patch:
        raise RefusedRequestError(405, 20004, "Method not allowed", headers={"Allow": "GET, PUT, DELETE"})
    current = _one(request)
    raw = await json_of(request)

    def change() -> PendingOperation:
        accepted(PatchConfiguration, raw, beside=account.behaviour.undocumented)
        _same_grouping(current, raw)
        _no_clash(account, raw, current["id"])
        return _write(account, current["id"], lambda before: _merged(before, raw))

    return started_once(request, change)


async def _delete(request: Request) -> Response:
    account, current = account_of(request), _one(request)
    configuration_id: str = current["id"]

    def change() -> PendingOperation:
        return account.start_operation(
            {"configurationId": configuration_id},
            lambda: account.configurations.pop(configuration_id, None),
        )

    return started_once(request, change)


async def _operation(request: Request) -> Json:
    """Each poll brings the operation one step on."""
    account = account_of(request)
    operation = one_of(request, account.operations)
    steps = account.behaviour.operation_statuses
    status = operation.status
    if operation.completed_at is None:
        if operation.polls < len(steps):
            status = steps[operation.polls]
            operation.polls += 1
        else:
            account.complete(operation)
            status = operation.status
    body: Json = {
        "operationId": operation.id,
        "status": status,
        "createdAt": _instant(operation.created_at),
        "statusUrl": operation_url(request, operation),
        "related": operation.related,
        "error": operation.error if status == "FAILED" else None,
    }
    if operation.completed_at is not None:
        body["completedAt"] = _instant(operation.completed_at)
    return body


def _one(request: Request) -> Json:
    return one_of(request, account_of(request).configurations)


def _write(account: SandboxAccount, configuration_id: str, new: Callable[[Json], Json]) -> PendingOperation:
    def effect() -> None:
        before = account.configurations.get(configuration_id)
        if before is None:
            return
        kept = {"id": configuration_id, "createdAt": before["createdAt"]}
        dates = {"updatedAt": account.now(), "version": before["version"] + 1}
        account.configurations[configuration_id] = new(before) | kept | dates

    return account.start_operation({"configurationId": configuration_id}, effect)


def _stored(raw: Json) -> Json:
    return {"channelSettings": {}, "memoryExtractionEnabled": False} | copy.deepcopy(raw)


def _merged(before: Json, raw: Json) -> Json:
    """Merge semantics: what is left out stays, a null removes, a channel is replaced as a whole."""
    merged = copy.deepcopy(before)
    channels: dict[str, Any] = merged.get("channelSettings") or {}
    for name, value in copy.deepcopy(raw).items():
        if name == "channelSettings":
            channels |= value
            merged[name] = {channel: setting for channel, setting in channels.items() if setting is not None}
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return {"memoryExtractionEnabled": False} | merged


def _same_grouping(current: Json, raw: Json) -> None:
    if (
        raw.get("conversationGroupingType", current["conversationGroupingType"])
        != (current["conversationGroupingType"])
    ):
        raise invalid("conversationGroupingType cannot be changed after creation")


def _no_clash(account: SandboxAccount, raw: Json, own_id: str | None) -> None:
    """Names are unique, and a classic service is bridged once."""
    service = (raw.get("conversationsV1Bridge") or {}).get("serviceId")
    for other in account.configurations.values():
        if other["id"] == own_id:
            continue
        if raw.get("displayName") is not None and other.get("displayName") == raw["displayName"]:
            raise conflict(f"A configuration named {raw['displayName']!r} exists", other["id"])
        if service is not None and (other.get("conversationsV1Bridge") or {}).get("serviceId") == service:
            raise conflict(f"The service {service} is bridged by another configuration", other["id"])


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_COLLECTION = "/v2/ControlPlane/Configurations"

ROUTES = [
    route("GET", _COLLECTION, _list, *PAGE_NAMES, "memoryStoreId", sampled=SAMPLED_PAGE_NAMES),
    route("POST", _COLLECTION, _create),
    route("GET", f"{_COLLECTION}/{{id}}", _fetch),
    route("PUT", f"{_COLLECTION}/{{id}}", _replace),
    route("PATCH", f"{_COLLECTION}/{{id}}", _patch),
    route("DELETE", f"{_COLLECTION}/{{id}}", _delete),
    route("GET", "/v2/ControlPlane/Operations/{id}", _operation),
]

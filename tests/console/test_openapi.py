"""The OpenAPI document and the routes are one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from support.journals import talk
from support.sandbox import REAL, Sandbox, sandbox
from support.visitors import key_of, sid, users_file, with_calls
from voice_app.console.access import Access
from voice_app.console.api import PREFIX, ROUTES, api_routes
from voice_app.settings import Settings

HEADERS = {"Authorization": f"Bearer {key_of('act')}"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 15


async def document_of(server: Sandbox) -> dict[str, Any]:
    response = await server.http.get(f"{server.base_url}{PREFIX}/openapi.json", headers=HEADERS)
    found: dict[str, Any] = await response.json()
    return found


async def document(tmp_path: Path) -> dict[str, Any]:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server:
        return await document_of(server)


async def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    told = await document(tmp_path)
    described = {(method.upper(), path) for path, item in told["paths"].items() for method in item}
    settings = Settings.model_construct(**REAL)
    mounted = {
        (method, route.path)
        for route in api_routes(_Services(settings), Access(settings))  # type: ignore[arg-type]
        if isinstance(route, Route) and route.path.startswith(PREFIX)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert mounted == described | {("GET", f"{PREFIX}/openapi.json")}


async def test_every_reference_leads_somewhere_and_every_name_is_one(tmp_path: Path) -> None:
    told = await document(tmp_path)
    names = [item["operationId"] for path in told["paths"].values() for item in path.values()]
    assert len(names) == len(set(names)) == len(ROUTES)

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if "$ref" in value else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    schemas = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    assert references(told) <= schemas


def asking_for(told: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """The document, with a CallSid that is often one of these."""
    for operation in (operation for path in told["paths"].values() for operation in path.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "call_sid":
                parameter["schema"] = {"anyOf": [{"enum": known}, parameter["schema"]]}
    return told


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the server does, in another thread
async def test_whatever_is_asked_is_answered_as_the_document_says(tmp_path: Path) -> None:
    """Over a socket: no 500, no status and no document that it does not tell of."""
    calls = {sid(number): talk(f"+1555010000{number}") for number in range(3)}
    async with with_calls(tmp_path, calls) as server:
        base_url, told = server.base_url, await document_of(server)
        schema = openapi.from_dict(asking_for(told, sorted(calls)))
        asked = 0
        for found in schema.get_all_operations():
            operation = cast("Any", found).ok()
            if operation.path.endswith("/feed"):
                continue  # it never ends

            @given(case=operation.as_strategy())
            @hypothesis_settings(max_examples=EXAMPLES)
            def ask(case: Any) -> None:
                case.call_and_validate(base_url=base_url, headers=HEADERS, checks=CHECKS)

            await asyncio.to_thread(ask)
            asked += 1
    assert asked > 15


class _Services:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

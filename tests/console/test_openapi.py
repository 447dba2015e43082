"""The OpenAPI document and the routes are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.routing import Route

from support.sandbox import REAL, sandbox
from support.visitors import key_of, users_file
from voice_app.console.access import Access
from voice_app.console.api import PREFIX, ROUTES, api_routes
from voice_app.settings import Settings


async def document(tmp_path: Path) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key_of('watch')}"}
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server:
        response = await server.http.get(f"{server.base_url}{PREFIX}/openapi.json", headers=headers)
        found: dict[str, Any] = await response.json()
    return found


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


class _Services:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

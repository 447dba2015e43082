"""The OpenAPI document of the API (https://spec.openapis.org/oas/v3.1.0), made from its table of routes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from voice_app.console.visitors import Visitor
from voice_app.settings import Role

REFUSALS: Final = {
    "400": "something in the request cannot be used",
    "401": "who asks is not known",
    "403": "who asks may not, or the CSRF token is missing",
    "404": "the call is not known",
    "409": "the call is over, or nobody is there to act on it",
    "429": "too many wrong keys",
    "502": "Twilio refuses",
    "503": "the journal cannot be read",
}


Answerer: TypeAlias = Callable[[Any, Request, Visitor], Awaitable[Response]]


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
    """The type of the body; `None`: there is none."""
    query: Mapping[str, str] = field(default_factory=dict)
    """The parameters of the query, with what each says."""
    media: str = "application/json"

    @property
    def answers_later(self) -> bool:
        """Whether it is accepted, and done in a moment."""
        return self.method == "POST" and "{" in self.path


def described(prefix: str, routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """The document. ``prefix`` stands before every path."""
    types = [wanted for item in routes for wanted in (item.answers, item.takes) if wanted is not None]
    shapes, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    shape_of = {id(wanted): shape for wanted, shape in zip(types, shapes, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for item in routes:
        paths.setdefault(prefix + item.path, {})[item.method.lower()] = _operation(item, shape_of)
    refused = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "voice-app", "version": version("voice-app")},
        "paths": paths,
        "components": {
            "schemas": {**components, "Refusal": refused},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _operation(item: ApiRoute, shape_of: Mapping[int, Any]) -> dict[str, Any]:
    schema = shape_of[id(item.answers)] if item.answers is not None else {"type": "string"}
    done = {"description": "done", "content": {item.media: {"schema": schema}}}
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    told: dict[str, Any] = {
        "operationId": item.answerer.__name__,
        "summary": item.summary,
        "description": f"For the role `{item.role}`, and those above it.",
        "parameters": [*_in_path(item.path), *_in_query(item.query)],
        "responses": {
            "202" if item.answers_later else "200": done,
            **{status: {"description": text, "content": refusal} for status, text in REFUSALS.items()},
        },
    }
    if item.takes is not None:
        told["requestBody"] = {"content": {"application/json": {"schema": shape_of[id(item.takes)]}}}
    return told


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _in_query(query: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in query.items()
    ]

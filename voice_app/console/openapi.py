"""The OpenAPI document of the API (https://spec.openapis.org/oas/v3.1.0), made from its table of routes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import msgspec

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


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One operation as the document describes it."""

    method: str
    path: str
    name: str
    role: str
    summary: str
    answers: Any
    """The type of the answer; `None`: no JSON."""
    takes: Any
    """The type of the body; `None`: there is none."""
    query: Mapping[str, str]
    """The parameters of the query, with what each says."""
    media: str

    @property
    def answers_later(self) -> bool:
        """Whether it is accepted, and done in a moment."""
        return self.method == "POST" and "{" in self.path


def described(prefix: str, operations: Sequence[ApiOperation]) -> dict[str, Any]:
    """The document. ``prefix`` stands before every path."""
    types = [wanted for item in operations for wanted in (item.answers, item.takes) if wanted is not None]
    shapes, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    shape_of = {id(wanted): shape for wanted, shape in zip(types, shapes, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for item in operations:
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


def _operation(item: ApiOperation, shape_of: Mapping[int, Any]) -> dict[str, Any]:
    schema = shape_of[id(item.answers)] if item.answers is not None else {"type": "string"}
    done = {"description": "done", "content": {item.media: {"schema": schema}}}
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    told: dict[str, Any] = {
        "operationId": item.name,
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

"""``/intelligence/v3``: configurations, operators, and what operators have said."""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voice_app.sandbox.twilio.account import SandboxAccount, numbered_rules
from voice_app.sandbox.twilio.bodies import Body, NotEmpty, accepted
from voice_app.sandbox.twilio.errors import invalid
from voice_app.sandbox.twilio.middleware import PAGE_NAMES, account_of, json_of, one_of, page, route
from voice_app.sandbox.twilio.records import Json, new_id

IntelligenceName = Annotated[str, Meta(min_length=1, max_length=128)]
ActionUrl = Annotated[str, Meta(pattern=r"^https?://")]


class RuleOperator(Body):
    id: Annotated[str, Meta(pattern=r"^intelligence_operator_")]
    version: int | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class TriggerParameters(Body):
    count: Annotated[int, Meta(ge=1, le=20)] | UnsetType = UNSET


class RuleTrigger(Body):
    on: Literal["COMMUNICATION", "CONVERSATION_END", "CONVERSATION_INACTIVE"]
    parameters: TriggerParameters | UnsetType = UNSET


class RuleAction(Body):
    type: Literal["WEBHOOK"]
    method: Literal["POST"]
    url: ActionUrl


class ContextMemory(Body):
    enabled: bool


class ContextKnowledge(Body):
    bases: list[Any]


class RuleContext(Body):
    memory: ContextMemory | UnsetType = UNSET
    knowledge: ContextKnowledge | UnsetType = UNSET


class NewRule(Body):
    operators: Annotated[list[RuleOperator], Meta(min_length=1, max_length=5)]
    triggers: Annotated[list[RuleTrigger], Meta(max_length=1)] = msgspec.field(default_factory=list)
    actions: Annotated[list[RuleAction], Meta(max_length=2)] = msgspec.field(default_factory=list)
    context: RuleContext | UnsetType = UNSET


class ChangedRule(NewRule, kw_only=True):
    """With the id of a rule that is there it changes that one, without it is a new one."""

    id: str | UnsetType = UNSET


class CreateIntelligence(Body):
    display_name: IntelligenceName
    rules: Annotated[list[NewRule], Meta(max_length=5)]
    description: str | UnsetType = UNSET


class ReplaceIntelligence(Body):
    display_name: IntelligenceName
    rules: Annotated[list[ChangedRule], Meta(max_length=5)]
    description: str | UnsetType = UNSET


class CreateOperator(Body):
    display_name: IntelligenceName
    output_format: Literal["TEXT", "JSON", "CLASSIFICATION"]
    prompt: NotEmpty
    description: str | UnsetType = UNSET
    output_schema: dict[str, Any] | UnsetType = UNSET
    training_examples: list[dict[str, Any]] | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


async def _configurations(request: Request) -> Json:
    return page(request, "configurations", account_of(request).intelligence.values())


async def _create_configuration(request: Request) -> Response:
    """Unlike a conversation configuration it is there at once."""
    account, raw = account_of(request), await json_of(request)
    accepted(CreateIntelligence, raw)
    _known_operators(account, raw)
    return JSONResponse(account.add_intelligence(**raw), 201)


async def _configuration(request: Request) -> Json:
    return one_of(request, account_of(request).intelligence)


async def _replace_configuration(request: Request) -> Json:
    account, raw = account_of(request), await json_of(request)
    before = one_of(request, account.intelligence)
    accepted(ReplaceIntelligence, raw)
    _known_operators(account, raw)
    known = {rule["id"] for rule in before["rules"]}
    unknown = [rule["id"] for rule in raw["rules"] if rule.get("id", "") not in known | {""}]
    if unknown:
        raise invalid(f"There is no rule {', '.join(unknown)}")
    kept = {name: before[name] for name in ("id", "accountId", "dateCreated")}
    dates = {"dateUpdated": account.now(), "version": before["version"] + 1}
    after: Json = copy.deepcopy(raw) | {"rules": numbered_rules(raw["rules"])} | kept | dates
    account.intelligence[before["id"]] = after
    return after


async def _delete_configuration(request: Request) -> Response:
    found = one_of(request, account_of(request).intelligence)
    del account_of(request).intelligence[found["id"]]
    return Response(status_code=204)


async def _operators(request: Request) -> Json:
    return page(request, "operators", account_of(request).operators.values())


async def _create_operator(request: Request) -> Response:
    account, raw = account_of(request), await json_of(request)
    if accepted(CreateOperator, raw).output_format == "JSON" and "outputSchema" not in raw:
        raise invalid("outputSchema is required where outputFormat is JSON")
    operator = {"id": new_id("intelligence_operator_"), "version": 1, "author": "SELF"} | copy.deepcopy(raw)
    account.operators[operator["id"]] = operator
    return JSONResponse(operator, 201)


async def _operator(request: Request) -> Json:
    return one_of(request, account_of(request).operators)


async def _results(request: Request) -> Json:
    query = request.query_params
    found = [
        item
        for item in account_of(request).results.values()
        if query.get("conversationId") in (None, item["conversationId"])
        and query.get("intelligenceConfigurationId") in (None, item["intelligenceConfiguration"]["id"])
        and query.get("operatorId") in (None, item["operator"]["id"])
    ]
    return page(request, "items", found)


async def _result(request: Request) -> Json:
    return one_of(request, account_of(request).results)


async def _delete_result(request: Request) -> Response:
    found = one_of(request, account_of(request).results)
    del account_of(request).results[found["id"]]
    return Response(status_code=204)


def _known_operators(account: SandboxAccount, raw: Json) -> None:
    wanted = {operator["id"] for rule in raw["rules"] for operator in rule["operators"]}
    unknown = sorted(wanted - set(account.operators))
    if unknown:
        raise invalid(f"There is no operator {', '.join(unknown)}")


_CONFIGURATIONS = "/v3/ControlPlane/Configurations"
_OPERATORS = "/v3/ControlPlane/Operators"
_RESULTS = "/v3/OperatorResults"

ROUTES = [
    route("GET", _CONFIGURATIONS, _configurations, *PAGE_NAMES),
    route("POST", _CONFIGURATIONS, _create_configuration),
    route("GET", f"{_CONFIGURATIONS}/{{id}}", _configuration),
    route("PUT", f"{_CONFIGURATIONS}/{{id}}", _replace_configuration),
    route("DELETE", f"{_CONFIGURATIONS}/{{id}}", _delete_configuration),
    route("GET", _OPERATORS, _operators, *PAGE_NAMES),
    route("POST", _OPERATORS, _create_operator),
    route("GET", f"{_OPERATORS}/{{id}}", _operator),
    route(
        "GET", _RESULTS, _results, *PAGE_NAMES, "conversationId", "intelligenceConfigurationId", "operatorId"
    ),
    route("GET", f"{_RESULTS}/{{id}}", _result),
    route("DELETE", f"{_RESULTS}/{{id}}", _delete_result),
]

"""``/v2/Conversations``: conversations, participants, communications, actions."""

from __future__ import annotations

import copy
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.bodies import (
    MAX_METADATA,
    CreateAction,
    CreateCommunication,
    CreateConversation,
    PatchConversation,
    ReplaceConversation,
    SaveParticipant,
    accepted,
)
from voice_app.sandbox.twilio.conversation_store import (
    add_participant,
    channel_ids,
    create_conversation,
    new_participant,
    say,
    set_status,
    shown,
    store_of,
    tell,
)
from voice_app.sandbox.twilio.errors import invalid, not_found
from voice_app.sandbox.twilio.middleware import (
    PAGE_NAMES,
    SAMPLED_PAGE_NAMES,
    account_of,
    json_of,
    one_of,
    page,
    route,
    started_once,
)
from voice_app.sandbox.twilio.records import Json, StoredConversation, new_id

_STATUSES = ("ACTIVE", "INACTIVE", "CLOSED")
_PARTIAL_CONVERSATION = ("id", "accountId", "configurationId", "status")
_PARTIAL_COMMUNICATION = (
    "id",
    "conversationId",
    "accountId",
    "author",
    "recipients",
    "channelId",
    "resourceId",
)


async def _list(request: Request) -> Json:
    account = account_of(request)
    statuses = request.query_params.getlist("status")
    wrong = [status for status in statuses if status not in _STATUSES]
    if wrong:
        raise invalid(f"status {', '.join(wrong)} is none of {', '.join(_STATUSES)}", status=wrong)
    channel_id = request.query_params.get("channelId")
    found = [
        shown(conversation)
        for conversation in account.conversations.values()
        if (not statuses or conversation.status in statuses)
        and (channel_id is None or channel_id in channel_ids(conversation))
    ]
    if account.behaviour.partial_lists:
        found = [{name: item.get(name) for name in _PARTIAL_CONVERSATION} for item in found]
    return page(request, "conversations", found)


async def _create(request: Request) -> Response:
    account, raw = account_of(request), await json_of(request)
    accepted(CreateConversation, raw)
    configuration_id = raw.get("configurationId")
    if configuration_id is None and "configuration" not in raw:
        raise invalid("configurationId is required, unless a configuration is given inline")
    if configuration_id is not None and configuration_id not in account.configurations:
        raise not_found(str(configuration_id))
    fields = {name: raw[name] for name in ("name", "metadata") if name in raw}
    inline = raw.get("configuration")
    participants = raw.get("participants", [])
    conversation = create_conversation(account, configuration_id, participants, inline=inline, **fields)
    return JSONResponse(shown(conversation), 201)


async def _fetch(request: Request) -> Json:
    return shown(_conversation(request))


async def _replace(request: Request) -> Json:
    conversation, raw = _conversation(request), await json_of(request)
    accepted(ReplaceConversation, raw)
    account = account_of(request)
    _change_status(account, conversation, raw["status"])
    for name in ("name", "metadata"):
        if name in raw:
            conversation.resource[name] = raw[name]
        else:
            conversation.resource.pop(name, None)
    conversation.resource["updatedAt"] = account.now()
    return shown(conversation)


async def _patch(request: Request) -> Json:
    conversation, raw = _conversation(request), await json_of(request)
    accepted(PatchConversation, raw)
    account, resource = account_of(request), conversation.resource
    metadata = _merged(resource.get("metadata", {}), raw.get("metadata", {}))
    if len(metadata) > MAX_METADATA:
        raise invalid(f"metadata can have {MAX_METADATA} entries")
    if "status" in raw:
        _change_status(account, conversation, raw["status"])
    if metadata or "metadata" in raw:
        resource["metadata"] = metadata
    if "name" in raw:
        resource.update(_merged({}, {"name": raw["name"]}))
        if raw["name"] is None:
            resource.pop("name", None)
    resource["configuration"] |= copy.deepcopy(raw.get("configuration", {}))
    resource["updatedAt"] = account.now()
    return shown(conversation)


async def _delete(request: Request) -> Response:
    account, conversation = account_of(request), _conversation(request)
    related = {"conversationId": conversation.id}
    return started_once(
        request,
        lambda: account.start_operation(related, lambda: account.conversations.pop(conversation.id, None)),
    )


async def _participants(request: Request) -> Json:
    return page(request, "participants", _conversation(request).participants.values())


async def _add_participant(request: Request) -> Response:
    conversation, raw = _conversation(request), await json_of(request)
    accepted(SaveParticipant, raw)
    return JSONResponse(add_participant(account_of(request), conversation, raw), 201)


async def _participant(request: Request) -> Json:
    return one_of(request, _conversation(request).participants, "part")


async def _replace_participant(request: Request) -> Json:
    account, conversation, raw = account_of(request), _conversation(request), await json_of(request)
    accepted(SaveParticipant, raw)
    before = one_of(request, conversation.participants, "part")
    kept = {"id": before["id"], "createdAt": before["createdAt"]}
    after = new_participant(account, conversation.id, store_of(conversation), raw) | kept
    conversation.participants[before["id"]] = after
    tell(account, conversation, "PARTICIPANT_UPDATED", after)
    return after


async def _communications(request: Request) -> Json:
    channel_id = request.query_params.get("channelId")
    found = [
        item
        for item in _conversation(request).communications.values()
        if channel_id in (None, item.get("channelId"))
    ]
    if account_of(request).behaviour.partial_lists:
        found = [{name: item[name] for name in _PARTIAL_COMMUNICATION if name in item} for item in found]
    return page(request, "communications", found)


async def _add_communication(request: Request) -> Response:
    conversation, raw = _conversation(request), await json_of(request)
    accepted(CreateCommunication, raw)
    return JSONResponse(say(account_of(request), conversation, raw), 201)


async def _communication(request: Request) -> Json:
    return one_of(request, _conversation(request).communications, "part")


async def _add_action(request: Request) -> Response:
    account, conversation, raw = account_of(request), _conversation(request), await json_of(request)
    accepted(CreateAction, raw)
    now = account.now()
    action: Json = {
        "id": new_id("conv_action_"),
        "conversationId": conversation.id,
        "accountId": account.sid,
        "type": raw["type"],
        "payload": raw["payload"],
        "createdAt": now,
        "updatedAt": now,
    }
    conversation.actions[action["id"]] = action | {
        "status": "COMPLETED",
        "related": {"messageSid": "SM" + "0" * 32},
    }
    return JSONResponse(action | {"status": "PENDING"}, 202)


async def _action(request: Request) -> Json:
    return one_of(request, _conversation(request).actions, "part")


def _conversation(request: Request) -> StoredConversation:
    return one_of(request, account_of(request).conversations)


def _change_status(account: SandboxAccount, conversation: StoredConversation, status: str) -> None:
    if not conversation.open and status != "CLOSED":
        raise invalid(f"{conversation.id} is CLOSED, which is final")
    set_status(account, conversation, status)


def _merged(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (before | changes).items() if value is not None}


_ONE = "/v2/Conversations/{id}"

ROUTES = [
    route(
        "GET",
        "/v2/Conversations",
        _list,
        *PAGE_NAMES,
        "status",
        "channelId",
        sampled=("Status", *SAMPLED_PAGE_NAMES),
    ),
    route("POST", "/v2/Conversations", _create),
    route("GET", _ONE, _fetch),
    route("PUT", _ONE, _replace),
    route("PATCH", _ONE, _patch),
    route("DELETE", _ONE, _delete),
    route("GET", f"{_ONE}/Participants", _participants, *PAGE_NAMES),
    route("POST", f"{_ONE}/Participants", _add_participant),
    route("GET", f"{_ONE}/Participants/{{part}}", _participant),
    route("PUT", f"{_ONE}/Participants/{{part}}", _replace_participant),
    route("GET", f"{_ONE}/Communications", _communications, *PAGE_NAMES, "channelId"),
    route("POST", f"{_ONE}/Communications", _add_communication),
    route("GET", f"{_ONE}/Communications/{{part}}", _communication),
    route("POST", f"{_ONE}/Actions", _add_action),
    route("GET", f"{_ONE}/Actions/{{part}}", _action),
]

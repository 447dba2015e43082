"""``/memory/v1``: stores, profiles, observations, summaries, recall."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.bodies import (
    CreateObservations,
    CreateProfile,
    CreateSummaries,
    LookUp,
    PatchProfile,
    RecallMemories,
    accepted,
)
from voice_app.sandbox.twilio.errors import RefusedRequestError, invalid, not_found
from voice_app.sandbox.twilio.memory_store import (
    add_profile,
    identified,
    normalized,
    patch_traits,
    remember,
    summarize,
    with_identifier,
)
from voice_app.sandbox.twilio.middleware import PAGE_NAMES, account_of, json_of, one_of, page, route
from voice_app.sandbox.twilio.records import Json, StoredMemory, StoredProfile

_MAX_PAGE = 100
_LATER = {"message": "Accepted: it can be read once it is processed"}


class MergedError(RefusedRequestError):
    """The profile has become part of another one."""

    def __init__(self, request: Request, profile_id: str, canonical: str) -> None:
        url = str(request.url.replace(query="")).replace(profile_id, canonical)
        status = 301 if request.method == "GET" else 308
        headers = {"Location": url, "Canonical-Profile-Id": canonical}
        super().__init__(status, 0, "The profile was merged", headers=headers)

    def response(self, shape: object) -> JSONResponse:
        body = {"message": self.message, "uri": (self.headers or {})["Location"]}
        return JSONResponse(body, self.status, self.headers)


async def _stores(request: Request) -> Json:
    """Lists have the ids only."""
    ids = _ordered(request, account_of(request).stores, "ASC")
    return page(request, "stores", ids, most=_MAX_PAGE)


async def _store(request: Request) -> Response:
    resource = _known_store(request).resource
    return JSONResponse(resource, headers={"ETag": f'"{resource["version"]}"'})


async def _look_up(request: Request) -> Json:
    account, store, raw = account_of(request), _ready_store(request), await json_of(request)
    wanted = accepted(LookUp, raw)
    if wanted.id_type not in store.identifiers:
        raise invalid(f"idType {wanted.id_type} is none of {', '.join(store.identifiers)}")
    found = with_identifier(store, wanted.id_type, wanted.value)
    answer: Json = {
        "normalizedValue": normalized(wanted.id_type, wanted.value),
        "profiles": found[:100],
    }
    if not found:
        match account.behaviour.no_match:
            case "404":
                raise not_found(request.url.path)
            case "null":
                answer["profiles"] = None
            case "missing":
                del answer["profiles"]
            case "empty":
                pass
    return answer


async def _create_profile(request: Request) -> Response:
    """The id is there at once, and it is that of the person who has these identifiers already."""
    account, store, raw = account_of(request), _ready_store(request), await json_of(request)
    traits = accepted(CreateProfile, raw).traits
    known = identified(store, traits)
    if known is None:
        raise invalid("traits need at least one that is promoted to an identifier")
    if known:
        profile = store.profiles[known[0]]
        _queue(account, store, lambda: patch_traits(profile, traits))
    else:
        profile = add_profile(account, store, traits)
    return JSONResponse(_LATER | {"id": profile.id}, 202)


async def _profiles(request: Request) -> Json:
    return page(request, "profiles", _ordered(request, _ready_store(request).profiles, "ASC"))


async def _profile(request: Request) -> Json:
    profile = _stored_profile(request)
    groups = request.query_params.get("traitGroups")
    wanted = groups.split(",") if groups is not None else list(profile.traits)
    traits = {group: values for group, values in profile.traits.items() if group in wanted}
    return {"id": profile.id, "createdAt": profile.created_at, "traits": traits}


async def _patch_profile(request: Request) -> Response:
    profile, raw = _stored_profile(request), await json_of(request)
    traits = accepted(PatchProfile, raw).traits
    _queue(account_of(request), _known_store(request), lambda: patch_traits(profile, traits))
    return JSONResponse(_LATER, 202)


async def _forget_profile(request: Request) -> Response:
    """Identifiers and traits are sure to go with it. The double lets memories go too."""
    store, profile = _known_store(request), _stored_profile(request)
    _queue(account_of(request), store, lambda: store.profiles.pop(profile.id, None))
    return JSONResponse(_LATER, 202)


async def _recall(request: Request) -> Json:
    """With a query ranked by shared words; else the newest first, without scores."""
    began = time.perf_counter()
    account, profile, raw = account_of(request), _stored_profile(request), await json_of(request)
    wanted = accepted(RecallMemories, raw)
    query = wanted.query or ""
    if not query and isinstance(wanted.conversation_id, str):
        query = _latest_words(account, wanted.conversation_id)
    answer: Json = {
        "observations": _ranked(profile.observations, query, wanted)[: wanted.observations_limit],
        "summaries": _ranked(profile.summaries, query, wanted)[: wanted.summaries_limit],
        "communications": _communications(account, profile)[: wanted.communications_limit],
        "meta": {"queryTime": round((time.perf_counter() - began) * 1000, 3)},
    }
    return answer


async def _observations(request: Request) -> Json:
    query = request.query_params
    after, before = _moment(request, "createdAfter"), _moment(request, "createdBefore")
    found = [
        item
        for item in _ordered(request, _stored_profile(request).observations.values(), "DESC")
        if query.get("source") in (None, item["source"])
        and (
            query.get("conversationId") is None or query["conversationId"] in item.get("conversationIds", [])
        )
        and _between(item, after, before)
    ]
    return page(request, "observations", found)


async def _observe(request: Request) -> Response:
    account, profile, raw = account_of(request), _stored_profile(request), await json_of(request)
    accepted(CreateObservations, raw)
    for item in copy.deepcopy(raw["observations"]):
        _queue(account, _known_store(request), partial(remember, account, profile, item))
    return JSONResponse(_LATER, 202)


async def _observation(request: Request) -> Json:
    return one_of(request, _stored_profile(request).observations, "part")


async def _forget_observation(request: Request) -> Response:
    return _forget_part(request, _stored_profile(request).observations)


async def _forget_summary(request: Request) -> Response:
    return _forget_part(request, _stored_profile(request).summaries)


def _forget_part(request: Request, parts: dict[str, Json]) -> Response:
    one_of(request, parts, "part")
    wanted = request.path_params["part"]
    _queue(account_of(request), _known_store(request), lambda: parts.pop(wanted, None))
    return JSONResponse(_LATER, 202)


async def _summaries(request: Request) -> Json:
    wanted = request.query_params.get("conversationId")
    found = [
        item
        for item in _ordered(request, _stored_profile(request).summaries.values(), "DESC")
        if wanted in (None, item["conversationId"])
    ]
    return page(request, "summaries", found)


async def _summarize(request: Request) -> Response:
    account, profile, raw = account_of(request), _stored_profile(request), await json_of(request)
    accepted(CreateSummaries, raw)
    for item in copy.deepcopy(raw["summaries"]):
        _queue(account, _known_store(request), partial(summarize, account, profile, item))
    return JSONResponse(_LATER, 202)


def _known_store(request: Request) -> StoredMemory:
    return one_of(request, account_of(request).stores, "store")


def _ready_store(request: Request) -> StoredMemory:
    """Nothing is written down what a store answers before it is ACTIVE: a conflict is the strictest guess."""
    store = _known_store(request)
    if not store.active:
        raise RefusedRequestError(
            409, 20409, f"The store {store.id} is {store.resource['status']}, not ACTIVE"
        )
    return store


def _stored_profile(request: Request) -> StoredProfile:
    store, profile_id = _ready_store(request), request.path_params["profile"]
    if profile_id in store.merged:
        raise MergedError(request, profile_id, store.merged[profile_id])
    return one_of(request, store.profiles, "profile")


def _queue(account: SandboxAccount, store: StoredMemory, effect: Callable[[], object]) -> None:
    """Taken in now, to be read later. With no delay: by the next request."""
    store.queued.append((account.clock() + account.behaviour.memory_seconds, effect))


def _ordered(request: Request, items: Iterable[Any], usual: str) -> list[Any]:
    order = request.query_params.get("orderBy", usual)
    if order not in ("ASC", "DESC"):
        raise invalid(f"orderBy {order} is neither ASC nor DESC")
    oldest_first = list(items)
    return oldest_first if order == "ASC" else oldest_first[::-1]


def _ranked(items: Mapping[str, Json], query: str, wanted: RecallMemories) -> list[Json]:
    """By the share of the query's words that are in it; without a query, the newest first."""
    newest_first = [
        item
        for item in list(items.values())[::-1]
        if _between(item, wanted.begin_date or None, wanted.end_date or None)
    ]
    words = set(query.lower().split())
    if not words:
        return newest_first
    scored = [item | {"score": _share(words, item["content"])} for item in newest_first]
    fitting = [item for item in scored if item["score"] >= wanted.relevance_threshold]
    return sorted(fitting, key=lambda item: float(item["score"]), reverse=True)


def _share(words: set[str], content: str) -> float:
    return round(len(words & set(content.lower().split())) / len(words), 3)


def _between(item: Json, begin: datetime | None, end: datetime | None) -> bool:
    """The beginning is inclusive, the end is not."""
    at = datetime.fromisoformat(item["createdAt"])
    return (begin is None or at >= begin) and (end is None or at < end)


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} is not a time (ISO 8601)") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _latest_words(account: SandboxAccount, conversation_id: str) -> str:
    conversation = account.conversations.get(conversation_id)
    if conversation is None:
        raise not_found(conversation_id)
    return " ".join(item["content"]["text"] for item in list(conversation.communications.values())[-10:])


def _communications(account: SandboxAccount, profile: StoredProfile) -> list[Json]:
    """What was said in the conversations of a profile, the newest first."""
    of_person = [
        conversation
        for conversation in account.conversations.values()
        if any(item.get("profileId") == profile.id for item in conversation.participants.values())
    ]
    return [item for conversation in of_person for item in conversation.communications.values()][::-1]


_STORES = "/v1/ControlPlane/Stores"
_PROFILES = "/v1/Stores/{store}/Profiles"
_ONE = f"{_PROFILES}/{{profile}}"

ROUTES = [
    route("GET", _STORES, _stores, *PAGE_NAMES, "orderBy"),
    route("GET", f"{_STORES}/{{store}}", _store),
    route("POST", f"{_PROFILES}/Lookup", _look_up),
    route("GET", _PROFILES, _profiles, *PAGE_NAMES, "orderBy"),
    route("POST", _PROFILES, _create_profile),
    route("GET", _ONE, _profile, "traitGroups"),
    route("PATCH", _ONE, _patch_profile),
    route("DELETE", _ONE, _forget_profile),
    route("POST", f"{_ONE}/Recall", _recall),
    route(
        "GET",
        f"{_ONE}/Observations",
        _observations,
        *PAGE_NAMES,
        "orderBy",
        "source",
        "createdAfter",
        "createdBefore",
        "conversationId",
    ),
    route("POST", f"{_ONE}/Observations", _observe),
    route("GET", f"{_ONE}/Observations/{{part}}", _observation),
    route("DELETE", f"{_ONE}/Observations/{{part}}", _forget_observation),
    route("GET", f"{_ONE}/ConversationSummaries", _summaries, *PAGE_NAMES, "orderBy", "conversationId"),
    route("POST", f"{_ONE}/ConversationSummaries", _summarize),
    route("DELETE", f"{_ONE}/ConversationSummaries/{{part}}", _forget_summary),
]

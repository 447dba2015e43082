"""Memory stores as the account keeps them: who is known, and what is remembered."""

from __future__ import annotations

import copy
import re
from typing import Any

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.records import Json, StoredMemory, StoredProfile, new_id

_E164 = re.compile(r"\+[1-9]\d{6,14}")


def normalized(id_type: str, value: str) -> str:
    """The value as the store compares it."""
    return re.sub(r"[\s().-]", "", value) if id_type == "phone" else value.strip().lower()


def with_identifier(store: StoredMemory, id_type: str, value: str) -> list[str]:
    """The profiles that have it, in the order in which they were made."""
    group, name = store.identifiers[id_type]
    wanted = normalized(id_type, value)
    return [
        profile.id
        for profile in store.profiles.values()
        if normalized(id_type, str(profile.traits.get(group, {}).get(name, ""))) == wanted
    ]


def identified(store: StoredMemory, traits: dict[str, dict[str, Any]]) -> list[str] | None:
    """The profiles with an identifier among these traits; None if there is no identifier among them."""
    promoted = [
        (id_type, str(traits[group][name]))
        for id_type, (group, name) in store.identifiers.items()
        if traits.get(group, {}).get(name)
    ]
    if not promoted:
        return None
    return [found for id_type, value in promoted for found in with_identifier(store, id_type, value)]


def resolved(account: SandboxAccount, store_id: str | None, address: str) -> str | None:
    """The profile of a customer's number, made on the first contact.

    None, without an error, where the store is gone or not active, or the address is no phone number.
    """
    store = account.stores.get(store_id or "")
    if store is None or not store.active or _E164.fullmatch(address) is None:
        return None
    found = with_identifier(store, "phone", address)
    if found:
        return found[0]
    group, name = store.identifiers["phone"]
    return add_profile(account, store, {group: {name: address}}).id


def add_profile(
    account: SandboxAccount, store: StoredMemory, traits: dict[str, dict[str, Any]]
) -> StoredProfile:
    profile = StoredProfile(new_id("mem_profile_"), account.now(), copy.deepcopy(traits))
    store.profiles[profile.id] = profile
    return profile


def patch_traits(profile: StoredProfile, changes: dict[str, dict[str, Any]]) -> None:
    """What is left out stays; null removes."""
    for group, values in changes.items():
        merged = profile.traits.get(group, {}) | values
        profile.traits[group] = {name: value for name, value in merged.items() if value is not None}


def remember(account: SandboxAccount, profile: StoredProfile, given: Json) -> None:
    """Add an observation."""
    now = account.now()
    observation = {"id": new_id("mem_observation_"), "createdAt": now, "updatedAt": now} | given
    profile.observations[observation["id"]] = observation


def summarize(account: SandboxAccount, profile: StoredProfile, given: Json) -> None:
    """Add a summary of a conversation."""
    now = account.now()
    summary = {"id": new_id("mem_summary_"), "createdAt": now, "updatedAt": now} | given
    profile.summaries[summary["id"]] = summary

"""What happens to profiles at Twilio without anybody asking for it."""

from __future__ import annotations

from voice_app.sandbox.twilio.records import StoredMemory


def merge(store: StoredMemory, profile_id: str, into: str) -> None:
    """Two profiles turn out to be one person. The first id answers with a redirect from now on."""
    gone, kept = store.profiles.pop(profile_id), store.profiles[into]
    for group, values in gone.traits.items():
        kept.traits[group] = values | kept.traits.get(group, {})
    kept.observations |= gone.observations
    kept.summaries |= gone.summaries
    store.merged = {old: into if new == profile_id else new for old, new in store.merged.items()}
    store.merged[profile_id] = into

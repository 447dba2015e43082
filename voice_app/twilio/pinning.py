"""Which version of its configuration a conversation keeps: that of its creation, whatever changes later."""

from __future__ import annotations

from voice_app.twilio.models import Configuration, Conversation, moment


def pinned_version(conversation: Conversation) -> int | None:
    """The version that the conversation tells by itself. No documentation promises that it does."""
    version = (conversation.configuration or {}).get("version")
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def older_than(conversation: Conversation, configuration: Configuration, version: int) -> bool | None:
    """Whether a conversation keeps an older version of its configuration than this one.

    Where it does not tell its version, time does: what was created before the last change is older than the
    configuration is now. None where neither can tell.
    """
    pinned = pinned_version(conversation)
    if pinned is not None:
        return pinned < version
    created, updated = moment(conversation.created_at), moment(configuration.updated_at)
    if created is None or updated is None or configuration.version is None:
        return None
    if created >= updated:
        return configuration.version < version
    return True if configuration.version <= version else None

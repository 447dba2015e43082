"""What the settings want done after calls."""

from __future__ import annotations

from collections.abc import Callable

from voice_app.followups.callbacks import Callbacks
from voice_app.followups.case import Task
from voice_app.followups.closing import Closing
from voice_app.followups.delivery import Delivery
from voice_app.followups.facts import Facts
from voice_app.followups.recordings import Recordings
from voice_app.journal import Journal
from voice_app.settings import Settings, webhook_key
from voice_app.twilio import Calls, Configurations, Conversations, MemoryClient, TwilioApi


def tasks(
    settings: Settings, api: TwilioApi, journal: Journal, calls: Calls, has_room: Callable[[], bool]
) -> list[Task]:
    """``has_room``: whether this server would take a new call now."""
    account_sid, configuration_id = settings.account_sid or "", settings.conversation_configuration
    found: list[Task] = [Callbacks(calls, journal, settings.origin, has_room)]
    if settings.has_memory and configuration_id is not None:
        memory, trait = MemoryClient(api), settings.memory_phone_trait
        found.append(Facts(memory, Configurations(api), journal, configuration_id, trait))
    if settings.close_conversation == "call-end" and configuration_id is not None:
        found.append(Closing(Conversations(api), calls, journal, configuration_id))
    if settings.recordings is not None:
        found.append(Recordings(api, account_sid, settings.recordings, journal))
    if settings.report_url is not None and settings.report_secret is not None:
        key = webhook_key(settings.report_secret.get_secret_value())
        found.append(Delivery(journal, settings.report_url, key))
    return found

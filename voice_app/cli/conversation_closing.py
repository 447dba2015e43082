"""Closes conversations: those that are named, or those that keep an older version of a configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from voice_app.cli.account import TwilioAccount, exit_code
from voice_app.cli.confirmation import Confirmation
from voice_app.cli.conversation_tables import table
from voice_app.cli.options import ConversationStatus
from voice_app.cli.output import complain, print_json
from voice_app.twilio import ApiError, Configurations, Conversation, Conversations
from voice_app.twilio.configuration_edit import DraftError
from voice_app.twilio.conversations import older_than
from voice_app.twilio.models import OPEN

_AT_ONCE: Final = 8
_SHOWN: Final = 20


async def older_conversations(
    account: TwilioAccount,
    configuration_id: str,
    version: int | None,
    statuses: list[str],
    confirmation: Confirmation,
) -> list[Conversation]:
    """The open conversations that keep an older version. Says how many there are, and of how many."""
    configuration, found = await asyncio.gather(
        Configurations(account.api).fetch(configuration_id),
        Conversations(account.api).list(statuses=statuses),
    )
    current = configuration.version
    if current is None:
        raise DraftError(f"{configuration_id} tells no version: close its conversations by their ids")
    if version is not None and version > current:
        raise DraftError(f"{configuration_id} is at version {current}: there is no version {version} yet")
    wanted = version or current
    own = [item for item in found if item.configuration_id == configuration_id]
    verdicts = [older_than(item, configuration, wanted) for item in own]
    chosen = [item for item, older in zip(own, verdicts, strict=True) if older]
    confirmation.say(
        f"{len(chosen)} of {len(own)} open conversations of {configuration_id} keep a version older than "
        f"{wanted}."
    )
    unknown = verdicts.count(None)
    if unknown:
        confirmation.say(
            f"Of {unknown} it cannot be told: they are older than version {current}, and Twilio does not say "
            "by how much. They are left alone."
        )
    return chosen


async def open_conversations(
    conversations: Conversations, ids: Sequence[str], confirmation: Confirmation
) -> list[Conversation]:
    found = await asyncio.gather(*map(conversations.fetch, dict.fromkeys(ids)))
    for item in found:
        if item.status == ConversationStatus.CLOSED:
            confirmation.say(f"{item.id} is closed already.")
    return [item for item in found if item.status != ConversationStatus.CLOSED]


async def close_all(
    conversations: Conversations, chosen: Sequence[Conversation], confirmation: Confirmation
) -> int:
    closed: list[str] = []
    failures: dict[str, ApiError] = {}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Conversation) -> None:
        async with gate:
            try:
                await conversations.close(item.id)
            except ApiError as error:
                failures[item.id] = error
            else:
                closed.append(item.id)

    if chosen:
        counts = [f"{_count(chosen, status)} {status}" for status in OPEN if _count(chosen, status)]
        confirmation.show(table(chosen[:_SHOWN]))
        if len(chosen) > _SHOWN:
            confirmation.say(f"… and {len(chosen) - _SHOWN} more.")
        question = f"Close {' and '.join(counts) or len(chosen)}? It is final, and somebody may be talking."
        if confirmation.given(question):
            await asyncio.gather(*map(one, chosen))
            confirmation.say(f"Closed {len(closed)}.")
    for name, error in failures.items():
        complain(f"{name} was not closed: {error}")
    if confirmation.as_json:
        print_json(
            {
                "chosen": [item.id for item in chosen],
                "closed": sorted(closed),
                "failed": {name: error.answer for name, error in failures.items()},
            }
        )
    return max(map(exit_code, failures.values()), default=0)


def _count(conversations: Sequence[Conversation], status: str) -> int:
    return sum(item.status == status for item in conversations)

"""Conversations as people read them, and as they close many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from voice_app.cli.account import TwilioAccount, exit_code
from voice_app.cli.options import ConversationStatus
from voice_app.cli.output import Confirmation, complain, plain, print_json
from voice_app.twilio import ApiError, Conversation, Conversations, Participant
from voice_app.twilio.configuration_edit import DraftError
from voice_app.twilio.conversations import older_than
from voice_app.twilio.models import OPEN, moment
from voice_app.twilio.utterances import ConversationUtterance


def table(conversations: Iterable[Conversation]) -> Table:
    """One line for each."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("Conversation", no_wrap=True)
    for title in ("Created", "Status", "Who", "Configuration"):
        grid.add_column(title, overflow="fold")
    for item in conversations:
        grid.add_row(
            plain(item.id),
            _time(item.created_at),
            plain(item.status),
            plain(", ".join(dict.fromkeys(map(_reached_at, item.participants)))),
            plain(item.configuration_id or "its own"),
        )
    return grid


def heading(conversation: Conversation, people: Iterable[Participant]) -> Table:
    """What it is, and who takes part."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in (
        ("conversation", conversation.id),
        ("name", conversation.name or ""),
        ("status", conversation.status),
        ("configuration", conversation.configuration_id or "its own"),
        ("created", _time(conversation.created_at)),
    ):
        if value:
            grid.add_row(name, plain(value))
    for person in people:
        grid.add_row(plain(_kind(person)), plain(" ".join(filter(None, (person.name, _reached_at(person))))))
    return grid


def dialogue(conversation: Conversation, spoken: Sequence[ConversationUtterance]) -> Table:
    """Who said what, with the time since the beginning; the channel where there are several."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    several = len({item.channel for item in spoken}) > 1
    if several:
        grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for item in spoken:
        channel = [plain(item.channel)] if several else []
        grid.add_row(_since(conversation.created_at, item.at), _speaker(item), *channel, plain(item.text))
    return grid


def _speaker(item: ConversationUtterance) -> Text:
    person = item.speaker
    if person is None:
        return plain(item.address)
    return plain(person.name or _kind(person), "green" if person.ours else "cyan")


def _kind(person: Participant) -> str:
    """E.g. ``AI agent``."""
    return person.type.lower().replace("_", " ").replace("ai ", "AI ")


def _reached_at(person: Participant) -> str:
    return ", ".join(dict.fromkeys(address.address for address in person.addresses))


def _time(text: str) -> str:
    """A time of the API, where this runs."""
    at = moment(text)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


def _since(began: str, at: str) -> str:
    start, then = moment(began), moment(at)
    if start is None or then is None:
        return ""
    minutes, seconds = divmod(max(0.0, (then - start).total_seconds()), 60)
    return f"{minutes:.0f}:{seconds:04.1f}"


# --- closing --------------------------------------------------------------------------------------


_AT_ONCE: Final = 8
_SHOWN: Final = 20


async def older_conversations(
    account: TwilioAccount,
    named: str,
    version: int | None,
    statuses: list[str],
    confirmation: Confirmation,
) -> list[Conversation]:
    """The open conversations that keep an older version of the configuration with this id or name.

    Says how many there are, and of how many.
    """
    configuration, found = await asyncio.gather(
        account.configuration(named),
        Conversations(account.api).list(statuses=statuses),
    )
    configuration_id, current = configuration.id, configuration.version
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

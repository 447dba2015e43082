"""Conversations as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from voice_app.cli.output import plain
from voice_app.twilio import Conversation, Participant
from voice_app.twilio.models import moment
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

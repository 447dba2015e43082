"""``voice-app conversations``: what Conversation Orchestrator has written down."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from voice_app.cli import closing, dates, export
from voice_app.cli.account import TwilioAccount, Url, ask
from voice_app.cli.confirmation import AsJson
from voice_app.cli.conversation_tables import (
    ConversationId,
    OfConfiguration,
    Statuses,
    dialogue,
    heading,
    table,
)
from voice_app.cli.output import console, print_json
from voice_app.twilio import Conversation, Conversations
from voice_app.twilio.models import moment
from voice_app.twilio.utterances import ConversationUtterance, utterances

app = typer.Typer(help="Read, close and export conversations.", no_args_is_help=True)

app.command("close")(closing.close)
app.command("export")(export.export)


@app.command("list")
def list_conversations(
    status: Statuses = None,
    channel_id: Annotated[
        str | None, typer.Option(help="Only the conversation of this call or message: CA…, SM….")
    ] = None,
    config: OfConfiguration = None,
    since: Annotated[
        str | None, typer.Option(help="Created then or later: 2026-11-22, or with a time of the day.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Created then or earlier; a day counts to its end.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List conversations, newest first. Dates are those of this machine's time zone.

    Example: voice-app conversations list --status ACTIVE --since 2026-11-22
    """
    after, before = dates.moment(since, "--since"), dates.moment(until, "--until", end=True)

    async def question(account: TwilioAccount) -> list[Conversation]:
        found = await Conversations(account.api).list(
            statuses=status or (), channel_id=channel_id, created_after=after, created_before=before
        )
        wanted = [item for item in found if config in (None, item.configuration_id)]
        return sorted(wanted, key=_created, reverse=True)

    found = ask(url, question)
    if as_json:
        print_json({"conversations": [item.raw for item in found[:limit]], "total": len(found)})
        return
    if found:
        console().print(table(found[:limit]))
    more = f", {len(found) - limit} more with --limit {len(found)}" if len(found) > limit else ""
    typer.echo(f"{len(found)} conversation{'' if len(found) == 1 else 's'}{more}.")


@app.command("show")
def show(conversation_id: ConversationId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a conversation as a dialogue. The fragments of one spoken reply are one utterance.

    Example: voice-app conversations show conv_conversation_…
    """

    async def question(account: TwilioAccount) -> None:
        conversations = Conversations(account.api)
        conversation, people, said = await asyncio.gather(
            conversations.fetch(conversation_id),
            conversations.participants(conversation_id),
            conversations.communications(conversation_id),
        )
        spoken = utterances(said, people)
        if as_json:
            print_json(
                {
                    "conversation": conversation.raw,
                    "participants": [item.raw for item in people],
                    "utterances": [_utterance(item) for item in spoken],
                }
            )
            return
        screen = console(60)
        screen.print(heading(conversation, people))
        screen.print()
        screen.print(dialogue(conversation, spoken) if spoken else "Nothing was said.")

    ask(url, question)


def _created(item: Conversation) -> datetime:
    return moment(item.created_at) or datetime.min.replace(tzinfo=UTC)


def _utterance(item: ConversationUtterance) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(item)
    told["speaker"] = item.speaker.raw if item.speaker is not None else None
    return told

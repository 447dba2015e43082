"""``voice-app conversations``: what Conversation Orchestrator has written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from voice_app.cli.options import (
    AsJson,
    ConversationFormat,
    ConversationId,
    ConversationStatus,
    DryRun,
    OfConfiguration,
    Statuses,
    Url,
    Yes,
    moment,
    parse_conversation_id,
)

if TYPE_CHECKING:
    from voice_app.cli.account import TwilioAccount
    from voice_app.twilio import Conversation, Conversations, OperatorResult
    from voice_app.twilio.utterances import ConversationUtterance


def list_conversations(
    status: Statuses = None,
    channel_id: Annotated[
        str | None, typer.Option(help="Only the conversation of this call or message: CA…, SM….")
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(help="Only those with somebody on this channel: VOICE, SMS, RCS, WHATSAPP or CHAT."),
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
    from voice_app.cli.account import ask
    from voice_app.cli.conversation_views import table
    from voice_app.cli.output import console, print_json
    from voice_app.findings import counted
    from voice_app.twilio import Conversations
    from voice_app.twilio.limits import CHANNELS
    from voice_app.twilio.models import moment as time_of

    if channel is not None and (channel := channel.upper()) not in CHANNELS:
        raise typer.BadParameter(f"{channel!r} is none of {', '.join(CHANNELS)}.", param_hint="--channel")
    after, before = moment(since, "--since"), moment(until, "--until", end=True)

    def created(item: Conversation) -> datetime:
        return time_of(item.created_at) or datetime.min.replace(tzinfo=UTC)

    async def question(account: TwilioAccount) -> list[Conversation]:
        conversations = Conversations(account.api)
        found = await conversations.list(
            statuses=status or (), channel_id=channel_id, created_after=after, created_before=before
        )
        of = await account.configuration_id(config) if config is not None else None
        wanted = [item for item in found if of in (None, item.configuration_id)]
        if channel is not None:
            wanted = [item for item in wanted if channel in await conversations.channels(item)]
        return sorted(wanted, key=created, reverse=True)

    found = ask(url, question)
    if as_json:
        print_json({"conversations": [item.raw for item in found[:limit]], "total": len(found)})
        return
    if found:
        console().print(table(found[:limit]))
    more = f", {len(found) - limit} more with --limit {len(found)}" if len(found) > limit else ""
    typer.echo(f"{counted(len(found), 'conversation')}{more}.")


def show(conversation_id: ConversationId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a conversation as a dialogue. The fragments of one spoken reply are one utterance.

    Example: voice-app conversations show CA0123456789abcdef0123456789abcdef
    """
    from voice_app.cli.account import ask
    from voice_app.cli.conversation_views import dialogue, heading
    from voice_app.cli.output import console, print_json
    from voice_app.twilio import Conversations
    from voice_app.twilio.utterances import utterances

    async def question(account: TwilioAccount) -> None:
        conversations = Conversations(account.api)
        found = await _conversation_of(conversations, conversation_id)
        conversation, people, said = await asyncio.gather(
            conversations.fetch(found), conversations.participants(found), conversations.communications(found)
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


def close(
    conversation_ids: Annotated[
        list[str] | None,
        typer.Argument(parser=parse_conversation_id, metavar="ID", help="conv_conversation_…"),
    ] = None,
    config: OfConfiguration = None,
    older_than_version: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --config: those older than this version of it; without, than the current one.",
        ),
    ] = None,
    status: Statuses = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Close conversations: one by its id, or all that are open and keep an older configuration.

    A conversation keeps the configuration that it was created with, whatever changes later.

    Closing is final. It starts the extraction of memories, and the summaries.

    Example: voice-app conversations close --config conv_configuration_… --older-than-version 5
    """
    from voice_app.cli.account import ask
    from voice_app.cli.conversation_views import close_all, older_conversations, open_conversations
    from voice_app.cli.output import Confirmation
    from voice_app.twilio import Conversations
    from voice_app.twilio.models import OPEN

    if bool(conversation_ids) == bool(config):
        raise typer.BadParameter("Give the ids of conversations, or --config with that of a configuration.")
    if older_than_version is not None and config is None:
        raise typer.BadParameter("--older-than-version needs --config.")
    wanted = [str(item) for item in status or OPEN]
    if ConversationStatus.CLOSED in wanted:
        raise typer.BadParameter("--status CLOSED: those are closed already.")
    confirmation = Confirmation(yes, dry_run, as_json)

    async def question(account: TwilioAccount) -> int:
        conversations = Conversations(account.api)
        if config is not None:
            chosen = await older_conversations(account, config, older_than_version, wanted, confirmation)
        else:
            chosen = await open_conversations(conversations, conversation_ids or (), confirmation)
        return await close_all(conversations, chosen, confirmation)

    raise typer.Exit(ask(url, question))


def export(
    conversation_id: ConversationId,
    format_: Annotated[
        ConversationFormat, typer.Option("--format", help="json, or vcon (draft-ietf-vcon-vcon-core-04).")
    ] = (ConversationFormat.JSON),
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Write to this file; without, to standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Follow a link out of the file's folder.")] = False,
    url: Url = None,
) -> None:
    """Export a conversation with everything that was said and what operators made of it.

    Example: voice-app conversations export conv_conversation_… --format vcon --output call.vcon
    """
    from voice_app.cli.account import ask
    from voice_app.cli.output import print_json, written
    from voice_app.twilio import Conversations
    from voice_app.twilio.vcon import vcon

    async def question(account: TwilioAccount) -> dict[str, Any]:
        conversations = Conversations(account.api)
        found = await _conversation_of(conversations, conversation_id)
        conversation, people, said, results = await asyncio.gather(
            conversations.fetch(found),
            conversations.participants(found),
            conversations.communications(found),
            _results(account, found),
        )
        if format_ is ConversationFormat.VCON:
            return vcon(conversation, people, said, results, exported_at=datetime.now(UTC))
        return {
            "conversation": conversation.raw,
            "participants": [item.raw for item in people],
            "communications": [item.raw for item in said],
            "operatorResults": [item.raw for item in results],
        }

    document = ask(url, question)
    if output is None:
        print_json(document)
        return
    with written(output, force) as put:
        put(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    typer.echo(f"Written to {output}.", err=True)


async def _conversation_of(conversations: Conversations, name: str) -> str:
    """The id of a conversation that is named by its id, or by that of the call that it is about.

    Raises:
        typer.Exit: 2 for a call that no conversation is about.
    """
    from voice_app.cli.output import fail

    if not name.startswith("CA"):
        return name
    found = await conversations.list(channel_id=name)
    if not found:
        raise fail(f"No conversation is about the call {name}: see `voice-app conversations list`.", 2)
    return max(found, key=lambda item: item.created_at or "").id


async def _results(account: TwilioAccount, conversation_id: str) -> Sequence[OperatorResult]:
    """What operators made of it. An account without Intelligence has nothing, and that is no failure."""
    from voice_app.cli.output import note
    from voice_app.twilio import ApiError, Intelligence, Trouble

    try:
        return await Intelligence(account.api).results(conversation_id=conversation_id)
    except ApiError as error:
        if error.trouble not in (Trouble.NOT_FOUND, Trouble.LACKS_PERMISSION):
            raise
        note(f"Without the results of operators: {error.answer}.")
        return []


def _utterance(item: ConversationUtterance) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(item)
    told["speaker"] = item.speaker.raw if item.speaker is not None else None
    return told

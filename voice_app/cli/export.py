"""``voice-app conversations export``"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from voice_app.cli.account import TwilioAccount, Url, ask
from voice_app.cli.conversation_tables import ConversationId
from voice_app.cli.output import complain, print_json
from voice_app.twilio import ApiError, Conversations, Intelligence, OperatorResult, Trouble
from voice_app.twilio.vcon import vcon


class ConversationFormat(StrEnum):
    """What is exported: everything as Twilio has it, or the IETF's container for conversations."""

    JSON = "json"
    VCON = "vcon"


def export(
    conversation_id: ConversationId,
    format_: Annotated[
        ConversationFormat, typer.Option("--format", help="json, or vcon (draft-ietf-vcon-vcon-core-04).")
    ] = (ConversationFormat.JSON),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file; without, to standard output.")
    ] = None,
    url: Url = None,
) -> None:
    """Export a conversation with everything that was said and what operators made of it.

    Example: voice-app conversations export conv_conversation_… --format vcon --output call.vcon
    """

    async def question(account: TwilioAccount) -> dict[str, Any]:
        conversations = Conversations(account.api)
        conversation, people, said, results = await asyncio.gather(
            conversations.fetch(conversation_id),
            conversations.participants(conversation_id),
            conversations.communications(conversation_id),
            _results(account, conversation_id),
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
    try:
        output.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}.") from None
    typer.echo(f"Written to {output}.", err=True)


async def _results(account: TwilioAccount, conversation_id: str) -> Sequence[OperatorResult]:
    """What operators made of it. An account without Intelligence has nothing, and that is no failure."""
    try:
        return await Intelligence(account.api).results(conversation_id=conversation_id)
    except ApiError as error:
        if error.trouble not in (Trouble.NOT_FOUND, Trouble.LACKS_PERMISSION):
            raise
        complain(f"Without the results of operators: {error.answer}.")
        return []

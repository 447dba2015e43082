"""Options and arguments that several commands take. Nothing here imports more than Typer needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from voice_app.twilio.identifiers import IdKind

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Work on the sandbox of this running server, e.g. http://127.0.0.1:8000."),
]

# --- calls in the journal -----------------------------------------------------------------------

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="VOICE_APP_DATABASE_URL",
        help="Where the journal is kept; if not given, where the server keeps it.",
        show_default=False,
    ),
]
CallSid = Annotated[str, typer.Argument(help="The call's id, CA…, or how it begins.", metavar="CALL_SID")]
Number = Annotated[
    str | None,
    typer.Option(
        "--number", help="Only calls from or to this number, however it is written; or client:…, sip:…."
    ),
]
Region = Annotated[
    str | None, typer.Option(help="Country of a number that is written without its code, e.g. US.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Opened then or later: 2026-11-22, or with a time of the day."),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Opened then or earlier; a day counts to its end.")
]


class CallFormat(StrEnum):
    """How calls are exported."""

    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


# --- things at Twilio ---------------------------------------------------------------------------


class ConversationStatus(StrEnum):
    """Where a conversation is in its life."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    CLOSED = "CLOSED"


class ConversationFormat(StrEnum):
    """How a conversation is exported: as Twilio has it, or in the IETF's container for conversations."""

    JSON = "json"
    VCON = "vcon"


def identifier(kind: str) -> Callable[[str], str]:
    """For Typer: takes the id of a thing of this `IdKind`, by its name, and nothing else."""

    def parse(value: str) -> str:
        from voice_app.twilio.identifiers import IdKind, problem

        wanted: IdKind = IdKind[kind]
        trouble = problem(value, wanted)
        if trouble is not None:
            raise typer.BadParameter(f"{value!r} is not the id of a {wanted.noun}: {trouble}.")
        return value

    return parse


def parse_configuration(value: str) -> str:
    """For Typer: takes the id of a configuration or a name that it may have; no id of another kind."""
    from voice_app.twilio.identifiers import IdKind

    if not value.strip() or value.startswith(tuple(IdKind)):
        return identifier("CONFIGURATION")(value)
    return value


parse_conversation_id = identifier("CONVERSATION")
parse_intelligence_id = identifier("INTELLIGENCE_CONFIGURATION")


def parse_conversation_or_call(value: str) -> str:
    """For Typer: takes the id of a conversation, or that of a call, and nothing else."""
    return value if re.fullmatch("CA[0-9a-fA-F]{32}", value) else parse_conversation_id(value)


ConfigurationName = Annotated[
    str, typer.Argument(parser=parse_configuration, metavar="ID", help="conv_configuration_…, or its name.")
]
ConversationId = Annotated[
    str,
    typer.Argument(
        parser=parse_conversation_or_call, metavar="ID", help="conv_conversation_…, or the call's id, CA…."
    ),
]
OfConfiguration = Annotated[
    str | None,
    typer.Option(
        "--config",
        parser=parse_configuration,
        metavar="ID",
        help="Those of the configuration with this id or name.",
    ),
]
Statuses = Annotated[
    list[ConversationStatus] | None,
    typer.Option("--status", case_sensitive=False, help="Only those; may be repeated."),
]


def moment(text: str | None, option: str, *, end: bool = False) -> datetime | None:
    """A date or a time in this machine's zone; the ``end`` of a day is the beginning of the next.

    Raises:
        typer.BadParameter: the text is neither. The message names the ``option``.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if end:
            found += timedelta(days=1) if len(text) <= len("2026-11-22") else timedelta(microseconds=1)
        return found.astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option}: {text!r} should look like 2026-11-22 or 2026-11-22T14:30."
        ) from None

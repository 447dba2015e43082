"""The fields of a configuration, from a file and from flags."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from voice_app.twilio.configuration_edit import Timeouts

# `twilio.limits` has both, too. Its package takes long to import, which ``--help`` need not wait for.
CHANNELS: Final = ("VOICE", "SMS", "RCS", "WHATSAPP", "CHAT")
GROUPING_NAMES: Final = {
    "profile": "GROUP_BY_PROFILE",
    "addresses": "GROUP_BY_PARTICIPANT_ADDRESSES",
    "addresses-and-channel": "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE",
}
"""Twilio's grouping types by the names that the options take."""


def grouping(value: str) -> str:
    """For Typer: one of Twilio's grouping types, or its short name."""
    found = GROUPING_NAMES.get(value.lower(), value.upper())
    if found not in GROUPING_NAMES.values():
        raise typer.BadParameter(f"{value!r} is none of {', '.join(GROUPING_NAMES)}.")
    return found


def channel(value: str) -> str:
    """For Typer: one of the channels, in any case."""
    if value.upper() not in CHANNELS:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(CHANNELS)}.")
    return value.upper()


ChannelName = Annotated[str, typer.Argument(parser=channel, metavar="CHANNEL", help=", ".join(CHANNELS))]

File = Annotated[
    Path | None,
    typer.Argument(help="JSON or TOML file with fields as the API spells them; - is JSON on standard input."),
]
Name = Annotated[str | None, typer.Option("--name", help="displayName, up to 32 letters and digits.")]
Description = Annotated[str | None, typer.Option("--description", help="Up to 512 characters.")]
GroupingOption = Annotated[
    str | None,
    typer.Option(
        "--grouping",
        parser=grouping,
        metavar="TYPE",
        help=f"What belongs together: {', '.join(GROUPING_NAMES)}. It can never be changed.",
    ),
]
MemoryStore = Annotated[str | None, typer.Option("--memory-store", help="The memory store, mem_store_….")]
Extract = Annotated[
    bool | None, typer.Option("--extract/--no-extract", help="Whether memories are extracted at the end.")
]
Channels = Annotated[
    list[str] | None,
    typer.Option(
        "--channel", parser=channel, metavar="CHANNEL", help="Set this channel up; may be repeated."
    ),
]
Capture = Annotated[
    list[str] | None,
    typer.Option(
        "--capture",
        metavar="CHANNEL=NUMBER,…",
        help="Capture the traffic of these numbers by rules, messages in both directions. May be repeated.",
    ),
]
TimeoutsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--timeouts",
        metavar="CHANNEL=MINUTES/MINUTES",
        help="Until a quiet conversation is inactive and closed, e.g. SMS=10/60, or VOICE=none.",
    ),
]
Callback = Annotated[
    list[str] | None,
    typer.Option("--callback", metavar="URL", help="Where changes are announced; at most two."),
]
Bridge = Annotated[
    str | None, typer.Option("--bridge", metavar="IS…", help="The classic service that chats come through.")
]


def from_file(path: Path) -> dict[str, Any]:
    """Read the fields. Raises `typer.BadParameter` for a file that cannot be used."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
        fields = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8: {error.reason}.") from None
    except tomllib.TOMLDecodeError as error:
        raise typer.BadParameter(f"{path} is not TOML: {error}.") from None
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}. A TOML file is called ….toml.") from None
    except RecursionError:
        raise typer.BadParameter(f"{path} is nested too deeply.") from None
    if not isinstance(fields, dict):
        raise typer.BadParameter(f"{path} holds no object with the fields of a configuration.")
    return fields


def writable_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what Twilio keeps itself, so that the output of `config show --json` can be written back."""
    from voice_app.twilio.configuration_edit import READ_ONLY

    return {name: value for name, value in fields.items() if name not in READ_ONLY}


def from_flags(
    *,
    name: str | None,
    description: str | None,
    grouping: str | None,
    memory_store: str | None,
    extract: bool | None,
    callback: Sequence[str] | None,
    bridge: str | None,
) -> dict[str, Any]:
    """The fields that flags give as a whole."""
    given = {
        "displayName": name,
        "description": description,
        "conversationGroupingType": grouping,
        "memoryStoreId": memory_store,
        "memoryExtractionEnabled": extract,
        "statusCallbacks": [{"url": url, "method": "POST"} for url in callback] if callback else None,
        "conversationsV1Bridge": {"serviceId": bridge} if bridge else None,
    }
    return {field: value for field, value in given.items() if value is not None}


def captures(values: Iterable[str] | None) -> dict[str, list[str]]:
    """Numbers by channel, from ``SMS=+15550100001,+15550100002``."""
    found: dict[str, list[str]] = {}
    for value in values or ():
        name, numbers = _pair(value, "--capture", "SMS=+15550100001,+15550100002")
        if name == "CHAT":
            raise typer.BadParameter("CHAT has no numbers: chats come through a classic service, --bridge.")
        found.setdefault(name, []).extend(number.strip() for number in numbers.split(",") if number.strip())
    return found


def timeouts(values: Iterable[str] | None) -> dict[str, Timeouts]:
    """Minutes by channel, from ``SMS=10/60``; ``none`` is None."""
    found: dict[str, Timeouts] = {}
    for value in values or ():
        name, minutes = _pair(value, "--timeouts", "SMS=10/60 or VOICE=none")
        inactive, _, closed = minutes.partition("/")
        if minutes.lower() == "none":
            found[name] = None
        elif inactive.isdecimal() and closed.isdecimal():
            found[name] = (int(inactive), int(closed))
        else:
            raise typer.BadParameter(f"{value!r} should look like SMS=10/60 or VOICE=none.")
    return found


def _pair(value: str, option: str, looks_like: str) -> tuple[str, str]:
    name, equals, rest = value.partition("=")
    if not equals or not rest.strip():
        raise typer.BadParameter(f"{option} {value!r} should look like {looks_like}.")
    return channel(name.strip()), rest.strip()

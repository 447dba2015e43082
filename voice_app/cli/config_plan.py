"""``voice-app config plan``"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voice_app.cli import configuration_fields as given
from voice_app.cli.options import AsJson

if TYPE_CHECKING:
    from voice_app.settings import Settings
    from voice_app.twilio.plan import BadLine, ListedNumber, Share

ABOUT_VOICE = (
    "VOICE rules are for lines that people answer: every call on them is transcribed, and billed. A line "
    "whose TwiML runs ConversationRelay or <Transcription> has its speech-to-text already and needs none. "
    "Name no configuration with VOICE rules in TwiML (STT101)."
)


def plan(
    numbers: Annotated[
        Path,
        typer.Argument(
            metavar="NUMBERS.csv",
            help="One number a line, and its channels if they differ; - reads standard input.",
        ),
    ],
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            parser=given.channel,
            metavar="CHANNEL",
            help="What to capture where a line does not say it: VOICE if not given. May be repeated.",
        ),
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Country of numbers that are written without its code, e.g. US.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="How the configurations are called; a number is added.")
    ] = "lines",
    memory_store: given.MemoryStore = None,
    grouping: given.GroupingOption = None,
    existing: Annotated[
        int, typer.Option(min=0, help="How many configurations the account has already.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Spread a portfolio of numbers over configurations, and print the commands that make them.

    A configuration takes 100 capture rules per channel; a number needs one for VOICE, two for messages.

    Exit code: 0 fine, 1 if no account can have so many configurations, 2 if a line cannot be used.

    Example: voice-app config plan numbers.csv --channel SMS --name shops --memory-store mem_store_…
    """
    from voice_app.cli.output import complain, fail, print_json
    from voice_app.settings import load
    from voice_app.twilio.configuration_schema import problems
    from voice_app.twilio.limits import MAX_CONFIGURATIONS
    from voice_app.twilio.plan import partition, read

    entries, bad = read(_lines(numbers), channels=channel or ["VOICE"], region=region)
    bad += _double_billed(entries, load())
    if bad:
        lines = [f"{numbers}:{item.line}: {item.problem}" for item in sorted(bad, key=lambda item: item.line)]
        raise fail("\n  ".join(["These lines cannot be used:", *lines]), 2)
    shares = partition(entries)
    names = [f"{name}-{index}" for index in range(1, len(shares) + 1)]
    wrong = [sentence for made in names[-1:] for sentence in problems({"displayName": made})]
    if wrong:
        raise typer.BadParameter(f"--name: {wrong[0]}.")
    too_many = existing + len(shares) > MAX_CONFIGURATIONS
    made = [
        (called, share, _command(called, share, memory_store, grouping))
        for called, share in zip(names, shares, strict=True)
    ]
    if as_json:
        print_json({"configurations": [_told(*item) for item in made], "fits": not too_many})
    else:
        _print(entries, made)
    if too_many:
        already = f" and it has {existing} already" if existing else ""
        complain(
            f"An account can have {MAX_CONFIGURATIONS} configurations{already}: this needs {len(shares)}. "
            "Capture fewer numbers or channels, or use another account."
        )
    raise typer.Exit(1 if too_many else 0)


def _lines(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8-sig")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8: {error.reason}.") from None
    return text.splitlines(keepends=True)


def _double_billed(entries: list[ListedNumber], settings: Settings) -> list[BadLine]:
    """The numbers whose calls an AI agent of ours answers, and that rules would capture once more."""
    from voice_app.settings import number_settings
    from voice_app.twilio.plan import BadLine

    ours = {settings.phone_number, *number_settings(settings)}
    return [
        BadLine(
            entry.line,
            f"{entry.number} is answered by this server: a VOICE rule would have its calls transcribed, and "
            "billed, a second time (STT102). Capture other channels of it, or leave it out",
        )
        for entry in entries
        if "VOICE" in entry.channels and entry.number in ours
    ]


def _command(name: str, share: Share, memory_store: str | None, grouping: str | None) -> str:
    from voice_app.twilio.plan import CAPTURED

    words = [
        "voice-app",
        "config",
        "create",
        "--name",
        name,
        "--memory-store",
        memory_store or "MEMORY_STORE",
    ]
    if grouping is not None:
        words += ["--grouping", grouping]
    for channel in CAPTURED:
        numbers = share.numbers(channel)
        if numbers:
            words += ["--capture", f"{channel}={','.join(numbers)}"]
    return shlex.join(words)


def _told(name: str, share: Share, command: str) -> dict[str, Any]:
    return {
        "name": name,
        "numbers": [entry.number for entry in share.entries],
        "rules": share.rules,
        "command": command,
    }


def _print(entries: list[ListedNumber], made: list[tuple[str, Share, str]]) -> None:
    from rich.table import Table

    from voice_app.cli.output import console, plain

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Configuration", no_wrap=True)
    table.add_column("Numbers", justify="right")
    table.add_column("Capture rules", overflow="fold")
    for name, share, _ in made:
        rules = ", ".join(f"{count} for {channel}" for channel, count in share.rules.items())
        table.add_row(plain(name), str(len(share.entries)), rules)
    typer.echo(f"{len(entries)} numbers in {len(made)} configurations:\n")
    console().print(table)
    typer.echo()
    for _, _, command in made:
        typer.echo(command)
    if any("VOICE" in share.rules for _, share, _ in made):
        typer.echo(f"\n{ABOUT_VOICE}")

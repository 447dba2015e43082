"""``voice-app call`` and ``voice-app demo``: the sandbox's phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, cast

import typer

from voice_app.cli.options import AsJson

if TYPE_CHECKING:
    from voice_app.sandbox.phone import PersonKind

Reconnect: TypeAlias = Literal["same", "new", "none", "never"]

# The sandbox's phone has both, too; it takes half a second to import, which ``--help`` need not wait for.
PEOPLE: Final = ("answers", "busy", "no-answer", "declines", "voicemail")
PACE: Final = 2.8
LINES: Final[Mapping[str, Sequence[str]]] = {
    "answers": ("Hello, this is Robin. How can I help?", "I see. I will take care of it.", "Gladly. Goodbye!")
}
"""What somebody says whom ``--person`` has put on the other side."""


def _person_kind(kind: str) -> str:
    if kind not in PEOPLE:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(PEOPLE)}")
    return kind


def call(
    url: Annotated[
        str | None,
        typer.Option(help="The voice webhook to phone.  [http://127.0.0.1:VOICE_APP_PORT/voice]"),
    ] = None,
    say: Annotated[list[str] | None, typer.Option(help="Say this; may be repeated.")] = None,
    interrupt_after: Annotated[
        int | None,
        typer.Option(min=1, help="The last --say cuts into the reply before it, after so many words."),
    ] = None,
    keys: Annotated[str | None, typer.Option(help="Press these keys after the last --say.")] = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Break the connection before the last --say, as a crash would.")
    ] = False,
    reconnect: Annotated[
        Reconnect,
        typer.Option(
            help="How Twilio comes back to a session whose socket was lost, if the TwiML asks for that: with "
            "the same session's setup, a new one's, none; or never."
        ),
    ] = "same",
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="What has to be heard on the call; may be repeated."),
    ] = None,
    hang_up: Annotated[
        bool, typer.Option("--hang-up", help="Hang up without waiting for the last answer.")
    ] = False,
    person: Annotated[
        list[str] | None,
        typer.Option(
            parser=_person_kind,
            metavar="|".join(PEOPLE),
            help="Who is reached by a handoff; may be repeated: the first, the second, …  "
            "[in the sandbox, somebody who answers]",
        ),
    ] = None,
    from_: Annotated[str, typer.Option("--from", help="The caller's number.")] = "+15550199999",
    to: Annotated[str | None, typer.Option(help="The number to call.  [TWILIO_PHONE_NUMBER]")] = None,
    pace: Annotated[float, typer.Option(min=0.5, max=1000, help="Words per second of the voices.")] = PACE,
    as_json: AsJson = False,
) -> None:
    """Phone a server as Twilio would, from this terminal: typed, from a pipe, or scripted with the options.

    A script says its next line when the agent is done, not after its filler or "let me look that up".

    Exit code: 0 if all went well; 1 if the server misbehaved, the agent failed, the call ended before the
    script did, or something that was expected was not heard; 3 if the server was not reached.

    Example: voice-app call --say "When are you open?" --expect "nine in the morning"
    """
    from voice_app.cli.call_script import CallScript
    from voice_app.cli.call_terminal import CallOrder, phone_server
    from voice_app.cli.output import run
    from voice_app.sandbox.phone import Person, Reconnecting
    from voice_app.settings import load

    settings = load()
    script = CallScript(
        lines=say or [], interrupt_after=interrupt_after, keys=keys or "", drop=drop, hang_up=hang_up
    )
    if interrupt_after is not None and len(script.lines) < 2:
        raise typer.BadParameter("it needs two --say: one to be answered, and one that cuts in")
    order = CallOrder(
        url=url or f"http://127.0.0.1:{settings.port}/voice",
        script=script,
        people=[Person(cast("PersonKind", kind), LINES.get(kind, ())) for kind in person or ()],
        from_=from_,
        to=to,
        words_per_second=pace,
        reconnecting=None if reconnect == "never" else Reconnecting(setup=reconnect),
        expected=expect or [],
        as_json=as_json,
    )
    raise typer.Exit(run(phone_server(settings, order, Person("answers", LINES["answers"]))))


def demo() -> None:
    """Start the sandbox, phone it, talk, cut in, press a key, say goodbye; then show the guard refuse.

    Needs no account and no network. Exit code 0 only if every step happened.

    Example: voice-app demo
    """
    import tempfile
    from pathlib import Path

    from voice_app.cli.demo import MissingStepError, demo_settings, run_demo
    from voice_app.cli.output import fail, run
    from voice_app.sandbox.phone import CallOverError
    from voice_app.telemetry import configure_logging

    configure_logging("warning")
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(run_demo(demo_settings(Path(folder))))
    except (MissingStepError, CallOverError) as error:
        raise fail(f"The demo failed: {error}", 1) from None

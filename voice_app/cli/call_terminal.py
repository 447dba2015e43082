"""A call from the terminal: phones a server, and has a script or somebody who types speak."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import typer
from rich.text import Text

from voice_app.cli.account import sandbox_of
from voice_app.cli.call_script import CallScript, ScriptCaller, following
from voice_app.cli.call_transcript import CallOutcome, TranscriptPrinter
from voice_app.cli.output import complain, fail, print_json
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import CallOverError, Person, Phone, Reconnecting
from voice_app.settings import SANDBOX_DOMAIN, Settings
from voice_app.twiml.vocabulary import VOCABULARY

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """Whom to phone, and how."""

    url: str
    """The voice webhook."""
    script: CallScript
    people: Sequence[Person]
    """Who is reached by a handoff; empty: in the sandbox, somebody who answers."""
    from_: str
    to: str | None
    """The number that is called; None: that of the settings."""
    words_per_second: float
    reconnecting: Reconnecting | None
    expected: Sequence[str]
    as_json: bool


async def phone_server(settings: Settings, order: CallOrder, stand_in: Person) -> int:
    """Phone a server and play the script, or let somebody type. Gives the exit code.

    ``stand_in`` takes the calls of a sandbox that are handed over where nobody else does.
    """
    parts = urlsplit(order.url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise typer.BadParameter(f"{order.url} is no URL; it should look like http://127.0.0.1:8000/voice")
    base = f"{parts.scheme}://{parts.netloc}"
    told = await sandbox_of(base)
    if told is None:
        raise fail(f"Nothing answers at {base}. Start `voice-app serve` in another terminal first.", 3)
    people = order.people or ([stand_in] if told else [])
    account = settings if settings.account_sid is not None else settings.sandboxed()
    ours = told or parts.hostname in (*LOOPBACK, settings.public_domain)
    token = settings.api_token.get_secret_value() if settings.api_token and ours else ""
    outcome = CallOutcome(order.expected)
    printer = None
    if not order.as_json:
        outcome.watch = printer = TranscriptPrinter()
    domain = settings.public_domain or (SANDBOX_DOMAIN if parts.hostname in LOOPBACK else parts.netloc)
    phone = Phone(
        Network(base, f"https://{domain}", account.signing_tokens[0]),
        account_sid=account.account_sid or "",
        number=order.to or account.phone_number or "",
        verified=[account.phone_number] if account.phone_number else (),
        caller=order.from_,
        words_per_second=order.words_per_second,
        twilio_base_url=told.get("twilio_base_url"),
        reconnecting=order.reconnecting,
        vocabulary=VOCABULARY.allowing(
            {*settings.allow_attributes, *told.get("allow_attributes", ())},
            {*settings.allow_elements, *told.get("allow_elements", ())},
        ),
    )
    async with (
        following(base, token) as turns,
        phone,
        phone.call(
            parts._replace(scheme="https", netloc=domain).geturl(),
            status_url=f"https://{domain}/voice/status",
            watch=outcome,
            people=people,
        ) as call,
    ):
        turns.call_sid = call.sid
        outcome.failures = turns.failures
        try:
            if order.script:
                await order.script.play(ScriptCaller(call, turns))
            elif sys.stdin.isatty():
                await _converse(ScriptCaller(call, turns), printer)
            else:
                await _read_script(ScriptCaller(call, turns))
        except CallOverError as error:
            outcome.cut_short = str(error)
        except LineError as error:
            raise fail(str(error), 2) from None
    outcome.tell(call)
    if order.as_json:
        print_json(outcome.document(call))
    return outcome.exit_code(call)


# --- typed lines --------------------------------------------------------------------------------


class HangUpError(Exception):
    """The caller has had enough."""


class LineError(Exception):
    """A typed line means nothing. The text says why."""


class PhoneCommand(NamedTuple):
    """What a line that begins with a slash does."""

    help: str
    do: Callable[[ScriptCaller, str], Awaitable[None]]
    answered: bool = False
    """Whether the agent says something to it."""


async def _press(caller: ScriptCaller, keys: str) -> None:
    if not keys or set(keys) - set("0123456789*#"):
        raise LineError("/keys needs some of 0-9, * and #, e.g. /keys 12#")
    await caller.press(keys)


async def _drop(caller: ScriptCaller, _: str) -> None:
    await caller.lose_connection()


async def _hang_up(caller: ScriptCaller, _: str) -> None:
    raise HangUpError


async def _help(caller: ScriptCaller, _: str) -> None:
    typer.echo(HELP, err=True)


COMMANDS: Final[Mapping[str, PhoneCommand]] = {
    "/keys": PhoneCommand("/keys 12#   press these keys", _press, answered=True),
    "/drop": PhoneCommand("/drop       break the connection to the agent, as a crash would", _drop),
    "/hang-up": PhoneCommand("/hang-up    end the call (so does the end of the input)", _hang_up),
    "/help": PhoneCommand("/help       this list", _help),
}
HELP: Final = "\n".join(
    (
        "Type what you want to say, and press Enter. A line while the agent speaks cuts in.",
        *(f"  {command.help}" for command in COMMANDS.values()),
    )
)


async def _do(caller: ScriptCaller, line: str) -> bool:
    """Do what a typed line means. Returns whether it will be answered.

    Raises:
        HangUpError: the call shall end.
        LineError: it means nothing.
    """
    name, _, rest = line.partition(" ")
    if command := COMMANDS.get(name):
        await command.do(caller, rest.strip())
        return command.answered
    if line.startswith("/"):
        raise LineError(f"There is no {name}: /help tells what there is.")
    if line:
        await caller.say(line)
    return bool(line)


async def _converse(caller: ScriptCaller, printer: TranscriptPrinter | None) -> None:
    """Lines of a person at a terminal, each as soon as somebody listens, until the call or the input ends."""
    typer.echo(HELP, err=True)
    over = asyncio.create_task(caller.call.over.wait())
    async with AsyncExitStack() as stack:
        stack.callback(over.cancel)
        if printer is not None and printer.console.is_terminal:
            lines = await stack.enter_async_context(_prompted_lines(printer))
        else:
            lines = _typed_lines()
        while not over.done():
            line = asyncio.ensure_future(lines.get())
            await asyncio.wait({line, over}, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
            elif (text := line.result()) is None or not await _try(caller, text):
                return


async def _try(caller: ScriptCaller, line: str) -> bool:
    """Do what a typed line means, or say why not. Returns whether the call goes on."""
    try:
        await _do(caller, line)
    except HangUpError:
        return False
    except CallOverError as error:
        complain(f"That was not heard: {error}.")
    except LineError as error:
        complain(str(error))
    return True


async def _read_script(caller: ScriptCaller) -> None:
    """Lines of a pipe: each waits until the one before it was answered.

    Raises:
        CallOverError: the call ended before the lines did.
        LineError: a line means nothing; those after it are not read.
    """
    lines = _typed_lines()
    await caller.greeted()
    with suppress(HangUpError):
        while (line := await lines.get()) is not None:
            if await _do(caller, line):
                await caller.listen()


@asynccontextmanager
async def _prompted_lines(printer: TranscriptPrinter) -> AsyncIterator[asyncio.Queue[str | None]]:
    """Lines that are edited at the foot of the terminal; what is being said stands above them."""
    from prompt_toolkit import ANSI, PromptSession  # a quarter of a second, for who types alone
    from prompt_toolkit.patch_stdout import patch_stdout

    lines: asyncio.Queue[str | None] = asyncio.Queue()
    speech = ""

    def message() -> ANSI:
        return ANSI(f"{speech}\n> " if speech else "> ")

    def show(line: Text | None) -> None:
        nonlocal speech
        with printer.console.capture() as drawn:
            printer.console.print(line or "", end="")
        speech = drawn.get()
        session.app.invalidate()

    async def read() -> None:
        with suppress(EOFError, KeyboardInterrupt):
            while True:
                lines.put_nowait((await session.prompt_async()).strip())
        lines.put_nowait(None)

    session: PromptSession[str] = PromptSession(message, erase_when_done=True)
    with patch_stdout(raw=True):
        printer.show_speech = show
        reading = asyncio.create_task(read())
        try:
            yield lines
        finally:
            printer.show_speech = None
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def _typed_lines() -> asyncio.Queue[str | None]:
    """Lines of standard input. A thread reads them: a terminal cannot be waited for everywhere."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.strip())
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return lines

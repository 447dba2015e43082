"""A call from the terminal: what a script or a person who types has the phone do."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Final
from urllib.parse import urlsplit

import typer

from voice_app.cli.account import sandbox_of
from voice_app.cli.call_transcript import TranscriptPrinter
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import CallOverError, Person, Phone, PhoneCall, Reconnecting
from voice_app.settings import SANDBOX_DOMAIN, Settings

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
HELP: Final = "Type what you want to say; a line while the agent speaks cuts in. /keys 12#, /drop, /hang-up."


class TerminalScript:
    """What to do on the line, in order."""

    def __init__(
        self,
        lines: list[str],
        interrupt_after: int | None,
        keys: str,
        *,
        drop: bool,
        hang_up: bool,
        handoff: bool,
    ) -> None:
        self.lines = lines
        self._interrupt_after = interrupt_after
        self._keys = keys
        self._drop = drop
        self._hang_up = hang_up
        self._handoff = handoff

    def __bool__(self) -> bool:
        return bool(self.lines or self._keys or self._drop or self._hang_up)

    async def play(self, call: PhoneCall) -> None:
        await call.reply()
        for number, line in enumerate(self.lines, 1):
            last = number == len(self.lines)
            listener = await call.attended()
            if last and self._drop and not await call.drop():
                await call.reply()
            if last and self._interrupt_after is not None:
                await call.interrupt(line, after_words=self._interrupt_after)
            else:
                await call.say(line)
            if last and listener == "recorder" and not self._keys:
                await call.stay_silent()
            cut_in_next = self._interrupt_after is not None and number == len(self.lines) - 1
            if not cut_in_next and not (last and self._hang_up and not self._keys):
                await call.reply()
            if listener == "agent" and self._handoff and await call.handed_over():
                await self._meet(call)
        if self._keys:
            await call.press(self._keys)
            if not self._hang_up:
                await call.reply()

    async def _meet(self, call: PhoneCall) -> None:
        """Wait for whoever comes, and for what they say first; a recorder says nothing."""
        listener = await call.attended()
        call.catch_up()
        if listener != "recorder":
            await call.reply()


async def phone_server(
    settings: Settings,
    url: str,
    script: TerminalScript,
    people: list[Person],
    from_: str,
    to: str | None,
    pace: float,
    reconnecting: Reconnecting | None,
) -> int:
    """Phone the webhook at ``url`` and play the script, or let somebody type. Gives the exit code."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise typer.BadParameter(f"{url} is no URL; it should look like http://127.0.0.1:8000/voice")
    base = f"{parts.scheme}://{parts.netloc}"
    told = await sandbox_of(base)
    if told is None:
        typer.echo(f"Nothing answers at {base}. Start `voice-app serve` in another terminal first.", err=True)
        return 3
    domain = settings.public_domain or (SANDBOX_DOMAIN if parts.hostname in LOOPBACK else parts.netloc)
    account = settings if settings.account_sid is not None else settings.sandboxed()
    phone = Phone(
        Network(base, f"https://{domain}", account.signing_tokens[0]),
        account_sid=account.account_sid or "",
        number=to or account.phone_number or "",
        caller=from_,
        words_per_second=pace,
        twilio_base_url=told.get("twilio_base_url"),
        reconnecting=reconnecting,
    )
    webhook = parts._replace(scheme="https", netloc=domain).geturl()
    status = f"https://{domain}/voice/status"
    ringing = phone.call(webhook, status_url=status, watch=TranscriptPrinter(), people=people)
    async with phone, ringing as call:
        try:
            await (script.play(call) if script else _converse(call))
        except CallOverError:
            if script and not call.endings:
                typer.echo("The call ended before the script did.", err=True)
                return 1
    return 1 if call.problems else 0


async def _converse(call: PhoneCall) -> None:
    """Typed lines until the call is over or the input ends; each waits until somebody listens."""
    typer.echo(HELP)
    lines = _typed_lines()
    over = asyncio.create_task(call.over.wait())
    while not call.over.is_set():
        line = asyncio.ensure_future(lines.get())
        await asyncio.wait({line, over}, return_when=asyncio.FIRST_COMPLETED)
        if not line.done():
            line.cancel()
            return
        text = line.result()
        if text is None or text == "/hang-up":
            break
        try:
            await _do(call, text)
        except CallOverError as error:
            typer.echo(f"That was not heard: {error}.", err=True)
    over.cancel()


async def _do(call: PhoneCall, text: str) -> None:
    """What a typed line means."""
    if text == "/drop":
        await call.drop()
    elif text.startswith("/keys "):
        await call.press(text.removeprefix("/keys ").strip())
    elif text:
        await call.say(text)


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

"""Twilio's end of a ConversationRelay socket, by hand: all is kept as it came, and nothing is forgiven."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from voice_app.sandbox.phone.frames import interrupt_frame

Frame: TypeAlias = Mapping[str, Any]
CLOSING: Final = (1000, "Closing websocket session")
"""What Twilio says when the caller has hung up (``docs/protocol.md`` §3.1)."""
SECONDS_PER_WORD: Final = 0.35


class BreachError(Exception):
    """What has to hold does not. The text says what was seen instead."""


class CaseSkippedError(Exception):
    """The case could not be tried here. The text says why."""


@dataclass(slots=True, frozen=True, kw_only=True)
class CasePatience:
    """How long is waited, in seconds."""

    reply: float = 10.0
    """For the end of an answer."""
    quiet: float = 0.5
    """To see that nothing comes."""
    close: float = 5.0
    """For a socket to be closed, or to be opened."""
    idle: float = 2.0
    """In which nobody says anything."""


class SocketRefusedError(Exception):
    """The socket was not opened. The text says why."""


@dataclass(slots=True, frozen=True)
class BackendMessage:
    """One message of the backend."""

    data: str | bytes

    @property
    def frame(self) -> dict[str, Any]:
        """The JSON object in it; empty if there is none."""
        with suppress(ValueError, RecursionError):
            if isinstance(found := json.loads(self.data), dict):
                return found
        return {}

    @property
    def token(self) -> str:
        """The words in it."""
        token = self.frame.get("token") if self.frame.get("type") == "text" else None
        return token if isinstance(token, str) else ""

    @property
    def is_last(self) -> bool:
        """Whether it closes a stretch of speech."""
        return self.frame.get("type") == "text" and self.frame.get("last") is True


async def open_socket(
    url: str, headers: Mapping[str, str], patience: CasePatience, **options: Any
) -> WireCall:
    """Open a socket as Twilio does. Raises `SocketRefusedError`."""
    try:
        connection = await connect(
            url,
            additional_headers=headers,
            user_agent_header=None,
            ping_interval=None,
            open_timeout=patience.close,
            close_timeout=patience.close,
            max_size=None,
            max_queue=None,  # what is not read yet must not hold pongs back
            proxy=None,
            **{"compression": None} | options,
        )
    except (OSError, InvalidHandshake, EOFError) as error:
        raise SocketRefusedError(str(error) or type(error).__name__) from None
    return WireCall(connection, patience)


class WireCall:
    """One open socket. `hang_up` when it is over, or use it as a context."""

    def __init__(self, connection: ClientConnection, patience: CasePatience) -> None:
        self.connection = connection
        self.patience = patience
        self.messages: list[BackendMessage] = []
        """All that came, in order."""
        self.say = "Hello."
        """What `ask` says, unless it is told."""
        self.events: frozenset[str] = frozenset()
        """What the TwiML subscribed to (``docs/protocol.md`` §1.2 events)."""
        self._changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def __aenter__(self) -> WireCall:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    # --- what Twilio sends -----------------------------------------------------------------------

    async def send(self, *frames: Frame | str | bytes) -> None:
        """Send frames; text and bytes go as they are. Nothing happens once the socket is gone."""
        with suppress(ConnectionClosed):
            for frame in frames:
                raw = isinstance(frame, str | bytes)
                await self.connection.send(frame if raw else json.dumps(frame))

    async def send_raw(self, data: bytes | Iterable[bytes]) -> None:
        """Send one text message of these bytes, in as many fragments as there are pieces."""
        with suppress(ConnectionClosed):
            await self.connection.send(data, text=True)

    async def prompt(self, text: str = "", **changes: Any) -> None:
        """The caller has said something."""
        words = text or self.say
        await self.send(
            {"type": "prompt", "voicePrompt": words, "lang": "en-US", "last": True} | changes,
        )

    async def interrupt(self, **changes: Any) -> None:
        """The caller cuts in, after the first word of what came last."""
        heard = self.words().split()[:1]
        await self.send(interrupt_frame(" ".join(heard), len(heard) * SECONDS_PER_WORD) | changes)

    async def hang_up(self) -> None:
        """Close the socket as Twilio does when the caller hangs up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience.close * 2):
                await self.connection.close(*CLOSING)
        self.drop()
        await asyncio.wait([self._reader])

    def drop(self) -> None:
        """Lose the connection, without a word."""
        self.connection.transport.abort()

    # --- what came -------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Where the messages end that have come so far."""
        return len(self.messages)

    def words(self, since: int = 0) -> str:
        """What is to be spoken of all that came since then."""
        return "".join(message.token for message in self.messages[since:])

    def is_answered(self, since: int = 0) -> bool:
        """Whether there are words since then, and the last of them close the stretch of speech."""
        texts = [message for message in self.messages[since:] if message.frame.get("type") == "text"]
        return bool(self.words(since).strip()) and texts[-1].is_last

    @property
    def ending(self) -> dict[str, Any] | None:
        """The ``end`` of the session, if it came."""
        return next(
            (found for message in self.messages if (found := message.frame).get("type") == "end"), None
        )

    @property
    def is_closed(self) -> bool:
        return self._reader.done()

    @property
    def state(self) -> str:
        """How the socket is, for a sentence."""
        if not self.is_closed:
            return "the socket is open"
        reason = self.connection.close_reason
        return f"the socket was closed with {self.connection.close_code}{f' ({reason})' if reason else ''}"

    async def seen(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds, or can no longer come to do so. Returns whether it does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not holds() and not self.is_closed:
                    self._changed.clear()
                    await self._changed.wait()
        return holds()

    async def ask(self, text: str = "", **changes: Any) -> str:
        """Say something, and take in the answer. Raises `BreachError` if there is none."""
        since = self.position
        await self.prompt(text, **changes)
        return await self.answer(since)

    async def answer(self, since: int) -> str:
        """The answer to what was said then. Raises `BreachError` if there is none."""
        if not await self.seen(
            lambda: self.is_answered(since) or self.ending is not None, self.patience.reply
        ):
            got = "words without `last`" if self.words(since).strip() else "no words"
            raise BreachError(f"a prompt got {got} within {self.patience.reply:g} s; {self.state}")
        if not self.is_answered(since):
            raise BreachError("the backend sent `end` where an answer was due")
        await self.play(since)
        return self.words(since)

    async def play(self, since: int) -> None:
        """Tell that an answer was spoken, at once: some backends send no more than a voice can say."""
        if "speaker-events" in self.events:
            await self.send({"type": "info", "name": "agentSpeaking", "value": "on"})
        if "tokens-played" in self.events:
            await self.send({"type": "info", "name": "tokensPlayed", "value": self.words(since)})
        if "speaker-events" in self.events:
            await self.send({"type": "info", "name": "agentSpeaking", "value": "off"})

    async def says_nothing(self, since: int) -> None:
        """Nothing is said for a while. Raises `BreachError` if there is, or if the socket is lost."""
        await self.round_trip()
        if await self.seen(lambda: bool(self.words(since).strip()), self.patience.quiet):
            raise BreachError(f"it was answered: {shown(self.words(since))}")
        self.must_be_open()

    def must_be_open(self) -> None:
        """Raises `BreachError` where the backend has closed the socket or ended the session."""
        if self.ending is not None:
            raise BreachError("the backend sent `end`")
        if self.is_closed:
            raise BreachError(self.state)

    async def round_trip(self) -> None:
        """Return when everything is here that was written before the backend read our last frame.

        That is sure of servers that read frames one after another; of others it is a moment's wait.
        """
        with suppress(ConnectionClosed, TimeoutError):
            for _ in range(2):
                async with asyncio.timeout(self.patience.close):
                    await (await self.connection.ping())
        await asyncio.sleep(0)

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                self.messages.append(BackendMessage(await self.connection.recv()))
                self._changed.set()
        asyncio.get_running_loop().call_soon(self._changed.set)  # once this task counts as done


def shown(text: str) -> str:
    """Some words of the backend's, in quotes, and not too many of them."""
    return json.dumps(" ".join(text.split())[:80], ensure_ascii=False)

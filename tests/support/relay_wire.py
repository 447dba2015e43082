"""A connection whose socket is a queue: both ends of it in a test's own process and on its own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from support.driver import ACCOUNT, CALL
from voice_app import Agent, Call
from voice_app.journal import events
from voice_app.relay.connection import Connection
from voice_app.relay.session import Session
from voice_app.settings import NumberSettings

SETUP = {"type": "setup", "callSid": CALL, "accountSid": ACCOUNT, "sessionId": "VX1"}


class Wire:
    """The socket of a connection: what Twilio sends is put in, what is sent to Twilio is kept."""

    def __init__(
        self, agent: Agent, line: NumberSettings | None = None, agents: Mapping[str, Agent] | None = None
    ) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.events: list[events.Event] = []
        self.breaks_on = ""
        self.takes_no_more = False
        """The other end has stopped to read."""
        now = asyncio.get_running_loop().time()
        names = dict.fromkeys(agents or {}, True)
        session = Session(Call(CALL), line or NumberSettings(), account_sid=ACCOUNT, now=now, agents=names)
        self.session = session
        self.connection = Connection(self.incoming.get, self.send, session, agent, self.events.append, agents)
        self.receive(**SETUP)

    def receive(self, **frame: object) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": msgspec.json.encode(frame).decode()})

    def prompt(self, text: str) -> None:
        self.receive(type="prompt", voicePrompt=text, lang="en-US", last=True)

    async def send(self, message: Any) -> None:
        if self.breaks_on and self.breaks_on in message.get("text", ""):
            raise RuntimeError("the transport has a bug")
        if self.takes_no_more:
            await asyncio.Event().wait()
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.incoming.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(message["text"]) for message in self.sent if "text" in message]

    @property
    def kinds(self) -> set[str]:
        return {frame["type"] for frame in self.frames}

    @property
    def spoken(self) -> str:
        return "".join(frame["token"] for frame in self.frames if frame["type"] == "text")

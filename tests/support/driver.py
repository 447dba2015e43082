"""Drives a session in tests: frames in, commands and frames out, with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from voice_app import Call, Piece, Turn
from voice_app.calls import HistoryLine, ResumeState
from voice_app.journal import events
from voice_app.relay.commands import Close, ContinueTurn, Pull, Record, StartTurn, StopTurn, SwitchAgent
from voice_app.relay.playback import SECONDS_ON_THE_WAY
from voice_app.relay.session import NO_METER, Session
from voice_app.relay.turn_clock import Meter
from voice_app.settings import NumberSettings

ACCOUNT = "AC" + "1" * 32
CALL = "CA" + "2" * 32


class Driver:
    """Both ends of a session: Twilio with `receive`, the agent with `agent`."""

    def __init__(
        self,
        *,
        greeting: str = "",
        history: Sequence[HistoryLine] = (),
        past: ResumeState | None = None,
        line: NumberSettings | None = None,
        setup: bool = True,
        agents: Mapping[str, bool] | None = None,
        meter: Meter = NO_METER,
    ) -> None:
        self.now = 100.0
        self.call = Call(CALL)
        self.session = Session(
            self.call,
            line or NumberSettings(),
            account_sid=ACCOUNT,
            now=self.now,
            past=past or ResumeState(greeting=greeting, history=history),
            agents=agents,
            meter=meter,
        )
        self.turns: list[StartTurn] = []
        self.stops = 0
        self.agents: list[str] = []
        """Those that got the call within the session, in order."""
        self.continued = 0
        self.pull = Pull.ON
        self.closed: Close | None = None
        self.events: list[events.Event] = []
        self.wire: list[dict[str, Any]] = []
        if setup:
            self.setup()
        self.collect()

    def setup(self, **changes: object) -> None:
        frame = {
            "type": "setup",
            "callSid": CALL,
            "accountSid": ACCOUNT,
            "sessionId": "VX1",
            "from": "+15550199999",
        }
        self.receive(**{**frame, "to": "+15550100001", "customParameters": {}, **changes})

    def receive(self, **frame: object) -> None:
        """A frame from Twilio."""
        self.raw(msgspec.json.encode(frame))

    def raw(self, data: bytes | str) -> None:
        self.session.receive(data, self.now)
        self.collect()

    def prompt(self, text: str, *, last: bool = True) -> None:
        self.receive(type="prompt", voicePrompt=text, lang="en-US", last=last)

    def interrupt(self, heard: str = "") -> None:
        self.receive(type="interrupt", utteranceUntilInterrupt=heard, durationUntilInterruptMs=500)

    def info(self, name: str, value: str) -> None:
        self.receive(type="info", name=name, value=value)

    def falls_silent(self) -> None:
        """The voice has come to the end of what was sent before."""
        self.now += SECONDS_ON_THE_WAY
        self.info("agentSpeaking", "off")

    def agent(self, *pieces: Piece, done: bool = True) -> None:
        """The agent answers the latest turn."""
        number = self.turns[-1].number
        for piece in pieces:
            self.pull = self.session.agent_yielded(number, piece, self.now)
            if self.pull is Pull.STOP:
                done = False
                break
        if done:
            self.session.agent_finished(number, self.now)
        self.collect()

    def fail(self) -> None:
        """The agent fails in the latest turn."""
        self.session.agent_failed(self.turns[-1].number, "Boom", self.now)
        self.collect()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, waking the session when it asked for it."""
        end = self.now + seconds
        while (due := self.session.deadline) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.tick(self.now)
            self.collect()
        self.now = end

    def flush(self) -> list[dict[str, Any]]:
        """Write what is ready; returns the frames."""
        frames = []
        while (data := self.session.data_to_send()) is not None:
            frames.append(msgspec.json.decode(data))
        self.wire += frames
        return frames

    @property
    def asked(self) -> Turn:
        """The latest turn that the agent was asked to answer."""
        return self.turns[-1].turn

    @property
    def spoken(self) -> str:
        """All words on the wire."""
        return "".join(frame["token"] for frame in self.wire if frame["type"] == "text")

    def history(self) -> list[tuple[str, str]]:
        """The history as the agent would see it if it were asked now."""
        return [(message.role, message.content) for message in self.session._dialogue.history()]

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def collect(self) -> None:
        for command in self.session.commands():
            match command:
                case StartTurn():
                    self.turns.append(command)
                case StopTurn():
                    self.stops += 1
                case SwitchAgent():
                    self.agents.append(command.name)
                case ContinueTurn():
                    self.continued += 1
                case Close():
                    self.closed = command
                case Record():
                    self.events.append(command.event)

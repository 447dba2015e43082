"""The way of one call to a person and back: who is rung next, and what the caller's line does meanwhile.

Everything follows from the journal (`CallState`), so that a repeated callback, and one that another machine
gets, is answered alike.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from starlette.responses import Response

from voice_app.calls import CallState
from voice_app.handoff import State, Step, Target, choose
from voice_app.handoff.summary import brief
from voice_app.journal import Entry
from voice_app.journal.events import Acted, Conversed, HandedOff, Opened
from voice_app.twilio import ApiError, Conversations
from voice_app.twiml.templates import Context
from voice_app.webhooks.desk import PULLED, Desk
from voice_app.webhooks.signature import Form

BUSY = "busy"
"""The reason of a call that goes to people because the server is full."""
INVITED = "invited"
"""The journal's word for a call that we placed to somebody."""
_NO_AGENT = frozenset({"agent-failed", BUSY})
"""For these reasons the caller does not come back to the agent."""
MAX_ROUNDS = 2
"""So often a call is handed to people; then a message is all that is left."""

log = logging.getLogger(__name__)


class Way:
    """The way of one call to a person: what the journal says, and what is added to it now."""

    def __init__(self, desk: Desk, form: Form, call_sid: str, entries: Sequence[Entry]) -> None:
        self._desk = desk
        self._form = _about(call_sid, form, entries)
        self._call_sid = call_sid
        self.entries = entries
        self._state = CallState.of(entries)
        self.handoff = self._state.handoff

    @classmethod
    async def of(cls, desk: Desk, form: Form, call_sid: str = "") -> Way:
        sid = call_sid or form["CallSid"]
        return cls(desk, form, sid, await desk.entries(sid))

    def step(self, step: Step, *, reason: str = "", summary: str = "", target: str = "") -> None:
        """Take a step, if it fits; a repeated callback takes none."""
        if self.handoff.allows(step):
            event = HandedOff(step, reason, summary, target, self.handoff.attempt + (step is Step.RANG))
            self._desk.journal.write(self._call_sid, event)
            self.handoff = self.handoff.after(event)

    async def begin(self, reason: str, summary: str) -> Response:
        """Somebody asked for a person."""
        if not summary:
            summary = await brief(self._desk.agent, self._state.transcript.as_heard())
        self.step(Step.REQUESTED, reason=reason, summary=summary)
        conversation_id = self.context("").conversation_id
        if conversation_id is not None and self._desk.conversations is not None:
            note = {"handoff_reason": reason, "handoff_summary": summary}
            self._desk.beside(_annotate(self._desk.conversations, conversation_id, note))
        return self.document()

    def abandon(self) -> None:
        """The caller is gone: whoever is being rung for them need not pick up."""
        invited = [
            entry.event.detail
            for entry in self.entries
            if isinstance(entry.event, Acted) and entry.event.action == INVITED
        ]
        if self.handoff.state is State.RINGING and invited and self.handoff.target.startswith("conference:"):
            self._desk.beside(_hang_up(self._desk, invited[-1]))
        self.step(Step.FINISHED if self.handoff.state is State.TALKING else Step.HUNG_UP)

    def document(self) -> Response:
        """What the caller's line does now."""
        handoff = self.handoff
        if handoff.state is State.RINGING:
            targets = self._targets()
            at = min(handoff.attempt, len(targets)) - 1
            if at >= 0:
                return self._ring(targets[at])
        if handoff.state in (State.REQUESTED, State.MISSED):
            targets = self._targets()
            if handoff.rounds <= MAX_ROUNDS and handoff.attempt < len(targets):
                target = targets[handoff.attempt]
                self.step(Step.RANG, target=target.label)
                if target.kind == "conference":
                    self._desk.beside(self._invite(target))
                return self._ring(target)
            line = self._desk.line(self.context("").number)
            if line.handoff_then == "agent" and handoff.reason not in _NO_AGENT and handoff.rounds <= 1:
                self.step(Step.RETURNED)
            else:
                self.step(Step.VOICEMAIL)
        match self.handoff.state:
            case State.WITH_AGENT:
                return self._return()
            case State.RECORDING:
                context = self.context("voicemail", "/handoff/recorded")
                recording_url = self._url("/handoff/recording")
                return self._serve("voicemail.xml", replace(context, recording_url=recording_url))
            case _:
                return self._serve("goodbye.xml", self.context("finished"))

    def _targets(self) -> list[Target]:
        asked_at = next(
            (
                entry.at
                for entry in reversed(self.entries)
                if isinstance(entry.event, HandedOff) and entry.event.step == Step.REQUESTED
            ),
            datetime.now(UTC).timestamp(),
        )
        at = datetime.fromtimestamp(asked_at, UTC)
        return choose(self._desk.targets, self.context("").number, self.handoff.reason, at)

    def _ring(self, target: Target) -> Response:
        attempt = self.handoff.attempt
        base = self.context("handoff", f"/handoff/dialed/{attempt}")
        people = tuple(_person(address) for address in target.to)
        kind, address, task = "people", "", ""
        match target.kind:
            case "queue":
                kind, address = "queue", target.to[0].removeprefix("queue:")
            case "conference":
                kind, address = "conference", room(self._call_sid)
            case "workflow":
                kind, address = "workflow", target.to[0].removeprefix("workflow:")
                task = self._task(base)
            case "studio":
                flow = target.to[0].removeprefix("studio:")
                account = self._desk.settings.account_sid
                kind = "studio"
                address = (
                    f"https://webhooks.twilio.com/v1/Accounts/{account}/Flows/{flow}?Trigger=incomingCall"
                )
            case _:
                pass
        whisper = self._url(f"/handoff/whisper/{self._call_sid}/{attempt}") if target.screen else ""
        return self._serve(
            "handoff.xml",
            replace(
                base,
                target=kind,
                address=address,
                people=people if kind == "people" else (),
                task=task,
                priority=target.priority,
                ring_seconds=target.ring_seconds,
                whisper_url=whisper if kind == "people" else "",
                wait_url=self._url("/handoff/wait"),
                transcribe=not base.transcribing and self._desk.line(base.number).transcribe == "twiml",
                transcription_url=self._url("/transcription"),
            ),
        )

    async def _invite(self, target: Target) -> None:
        """Ring the person into the conference in which the caller waits."""
        path = f"{self._call_sid}/{self.handoff.attempt}"
        try:
            sid = await self._desk.calls.create(
                to=target.to[0].removeprefix("conference:"),
                from_=self.context("").number,
                url=self._url(f"/handoff/whisper/{path}"),
                status_url=self._url(f"/handoff/invited/{path}"),
                ring_seconds=target.ring_seconds,
            )
            self._desk.journal.write(self._call_sid, Acted(INVITED, sid))
        except ApiError as error:
            log.error("call %s: %s could not be rung: %s", self._call_sid, target.label, error)
            self.step(Step.FAILED)
            await go_on(self._desk, self._call_sid)

    def _return(self) -> Response:
        """The agent takes the caller again. What it says first tells both what happened."""
        context = self.context("returned", "/voice/relay-ended")
        line, past = self._desk.line(context.number), self._state
        return self._serve(
            "resume.xml",
            replace(
                context,
                resume_greeting=line.handoff_return_line,
                tts_language=past.tts_language,
                transcription_language=past.transcription_language,
            ),
        )

    def _task(self, context: Context) -> str:
        return json.dumps(
            {
                "call_sid": context.call_sid,
                "from": context.caller,
                "conversation_id": context.conversation_id,
                "profile_id": self._desk.recalls.profile_id(self._call_sid) if self._desk.recalls else None,
                "reason": self.handoff.reason,
                "summary": self.handoff.summary,
            }
        )

    def context(self, reason: str, action: str = "") -> Context:
        conversation = next(
            (
                entry.event.conversation_id
                for entry in reversed(self.entries)
                if isinstance(entry.event, Conversed)
            ),
            None,
        )
        context = self._desk.context(self._form, reason, conversation)
        return replace(
            context,
            call_sid=self._call_sid,
            action_url=self._url(action) if action else context.action_url,
            summary=self.handoff.summary,
            transcribing=self._desk.engine(self.entries) == "transcription",
        )

    def _serve(self, template: str, context: Context) -> Response:
        return self._desk.serve(template, context, self.entries)

    def _url(self, path: str) -> str:
        return self._desk.settings.origin + path


async def go_on(desk: Desk, call_sid: str) -> None:
    """Have Twilio ask what the caller's line does now, instead of waiting."""
    try:
        await desk.calls.redirect(call_sid, desk.settings.origin + PULLED)
    except ApiError as error:
        log.warning("call %s: it could not be sent on: %s", call_sid, error)


async def _hang_up(desk: Desk, call_sid: str) -> None:
    with suppress(ApiError):  # it may have ended by itself
        await desk.calls.complete(call_sid)


async def _annotate(conversations: Conversations, conversation_id: str, note: dict[str, str]) -> None:
    """Note on the conversation why it goes to a person, beside the call."""
    try:
        await conversations.annotate(conversation_id, note)
    except ApiError as error:
        log.warning("conversation %s: the handoff could not be noted: %s", conversation_id, error)


def _about(call_sid: str, form: Form, entries: Sequence[Entry]) -> Form:
    """Who calls whom: as the call was opened, since a callback may be asked on the person's leg."""
    for entry in entries:
        if isinstance(event := entry.event, Opened):
            pairs = [("From", event.from_), ("To", event.to), ("Direction", event.direction)]
            return Form([*form.items(), *pairs, ("CallSid", call_sid)])
    return form


def _person(address: str) -> tuple[str, str]:
    if address.startswith("client:"):
        return "client", address.removeprefix("client:")
    return ("sip", address) if address.startswith(("sip:", "sips:")) else ("number", address)


def room(call_sid: str) -> str:
    return f"handoff-{call_sid}"

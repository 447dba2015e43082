"""A phone: places a call to a server as Twilio would, follows its TwiML, and is the caller on the line.

async with Phone(network, account_sid=…) as phone:
    async with phone.call("https://voice.example.com/voice") as call:
        await call.reply()                      # the greeting
        reply = await call.ask("When are you open?")
        await call.hang_up()
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

from voice_app.sandbox.document import Document, DocumentError, Verb, read
from voice_app.sandbox.network import Network, WebhookError
from voice_app.sandbox.orchestrator import RemoteTranscriber, Side, Transcriber
from voice_app.sandbox.relay import Caller, Ending, Observer, RelaySession, Reply
from voice_app.sandbox.voice import WORDS_PER_SECOND

MAX_DOCUMENTS = 20
"""More TwiML documents than this in one call are a circle."""

Kind = Literal[
    "answered",
    "twiml",
    "session",
    "agent",
    "caller",
    "interrupt",
    "key",
    "dropped",
    "hung-up",
    "ended",
    "problem",
]


@dataclass(slots=True, frozen=True)
class Happening:
    """Something that happened on the call, for those who watch it."""

    kind: Kind
    text: str = ""
    reply: Reply | None = None
    at: float = field(default_factory=time.monotonic)


class CallOverError(Exception):
    """The call ended while something was expected from it."""


class Phone:
    """Places calls. ``words_per_second`` is the pace of the agent's voice (and of the caller's)."""

    def __init__(
        self,
        network: Network,
        *,
        account_sid: str,
        number: str = "+15550100001",
        caller: str = "+15550199999",
        words_per_second: float = WORDS_PER_SECOND,
        twilio_base_url: str | None = None,
    ) -> None:
        self.network = network
        self.account_sid = account_sid
        self.number = number
        self.caller = caller
        self.words_per_second = words_per_second
        self.transcriber: Transcriber | None = None
        """Who writes the conversation, as Twilio does; `None` where there is no double of its APIs."""
        self._twilio_base_url = twilio_base_url
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        if self._twilio_base_url is not None:
            self.transcriber = RemoteTranscriber(self.http, self._twilio_base_url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def call(
        self, url: str, *, status_url: str = "", watch: Callable[[Happening], None] = lambda happening: None
    ) -> AsyncIterator[PhoneCall]:
        """Place a call to a voice webhook. It is hung up when the block ends."""
        call = PhoneCall(self, url, status_url, watch)
        running = asyncio.create_task(call.run())
        try:
            yield call
            await call.hang_up()
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class PhoneCall:
    """One call. `run` is Twilio, the other methods are the caller."""

    def __init__(self, phone: Phone, url: str, status_url: str, watch: Callable[[Happening], None]) -> None:
        self.sid = "CA" + secrets.token_hex(16)
        self.problems: list[str] = []
        """Where the server, or its TwiML, is not as Twilio wants it."""
        self.documents: list[str] = []
        """Every TwiML document of the call."""
        self.endings: list[Ending] = []
        """How each session ended."""
        self.replies: list[Reply] = []
        """Everything that the caller heard."""
        self.session: RelaySession | None = None
        self.over = asyncio.Event()
        self.status = "ringing"
        self._phone = phone
        self._url = url
        self._status_url = status_url
        self._watch = watch
        self._heard: asyncio.Queue[Reply | None] = asyncio.Queue()
        self._session_is_open = asyncio.Event()
        self._hung_up = False
        self._sessions = 0
        self.conversation_id: str | None = None
        """The conversation that the call is written to, as the double of Twilio's APIs has it."""
        self._fragments: asyncio.Queue[tuple[Side, str]] = asyncio.Queue()

    # --- the caller ------------------------------------------------------------------------------

    async def reply(self) -> Reply:
        """The next thing that the agent says, once it is said. Raises `CallOverError`."""
        reply = await self._heard.get()
        if reply is None:
            self._heard.put_nowait(None)
            raise CallOverError("the call is over")
        return reply

    async def ask(self, text: str) -> Reply:
        """Say something and listen to the answer. Raises `CallOverError`."""
        await self.say(text)
        return await self.reply()

    async def say(self, text: str) -> None:
        """Say something; cuts in if the agent is speaking."""
        session = await self._on_the_line()
        self._happened("caller", text)
        await session.say(text)

    async def interrupt(self, text: str, *, after_words: int) -> Reply:
        """Wait until so many words of the reply were heard, cut in, and say something.

        Returns what was heard of the reply; the answer to what was said is the next `reply`.
        """
        session = await self._on_the_line()
        reached = session.voice.hold_after(after_words)
        await self._unless_over(reached.wait())
        await session.cut_in()
        heard = await self.reply()
        self._happened("caller", text)
        await session.say(text)
        return heard

    async def press(self, keys: str) -> None:
        """Press keys, one after another."""
        session = await self._on_the_line()
        for key in keys:
            self._happened("key", key)
            await session.press(key)

    async def drop(self) -> None:
        """Break the agent's socket, as a crash or a bad network would. The caller stays on the line."""
        session = await self._on_the_line()
        self._session_is_open.clear()
        self._happened("dropped")
        session.drop()

    async def hang_up(self) -> None:
        """Hang up, if the call is not over yet."""
        if self.over.is_set() or self._hung_up:
            return
        self._hung_up = True
        self._happened("hung-up")
        if self.session is not None:
            await self.session.hang_up()

    async def _on_the_line(self) -> RelaySession:
        await self._unless_over(self._session_is_open.wait())
        if self.session is None:
            raise CallOverError("the call is over")
        return self.session

    async def _unless_over(self, waiting: Any) -> None:
        task = asyncio.ensure_future(waiting)
        over = asyncio.create_task(self.over.wait())
        await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not task.done():
            task.cancel()
            raise CallOverError("the call is over")

    # --- Twilio ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ask the webhook and follow the TwiML until the call is over."""
        try:
            await self._follow()
        except (WebhookError, DocumentError) as error:
            self._problem(str(error))
        finally:
            self.status = "completed"
            self.over.set()
            self._heard.put_nowait(None)
        if self._phone.transcriber is not None:
            await self._phone.transcriber.call_ended(self.sid)
        await self._report_status()
        self._happened("ended")

    async def _follow(self) -> None:
        url, form = self._url, self._form("ringing")
        for _ in range(MAX_DOCUMENTS):
            document = await self._fetch(url, form)
            self._happened("twiml", self.documents[-1])
            following = await self._execute(document, url)
            if following is None:
                return
            url, form = following
        self._problem(f"the TwiML goes in a circle: {MAX_DOCUMENTS} documents in one call")

    async def _fetch(self, url: str, form: dict[str, str]) -> Document:
        body = await self._phone.network.post(self._phone.http, url, form)
        self.documents.append(body)
        document = read(body)
        for problem in document.problems:
            self._problem(problem)
        return document

    async def _execute(self, document: Document, url: str) -> tuple[str, dict[str, str]] | None:
        """Run the verbs; returns the next document to ask for, if there is one."""
        self.status = "in-progress"
        for verb in document.verbs:
            if self._hung_up:
                return None
            match verb.name:
                case "Say":
                    self._hear(Reply(verb.text))
                case "Connect" if (relay := verb.child("ConversationRelay")) is not None:
                    ending, session_id, seconds = await self._relay(relay)
                    self.endings.append(ending)
                    if action := verb.attributes.get("action"):
                        form = self._ended_form(ending, session_id, seconds)
                        return self._phone.network.absolute(action, url), form
                case "Redirect":
                    return self._phone.network.absolute(verb.text, url), self._form(self.status)
                case "Hangup" | "Reject":
                    return None
                case "Pause":
                    await asyncio.sleep(
                        float(verb.attributes.get("length", "1")) / self._phone.words_per_second
                    )
                case _:
                    self._problem(
                        f"<{verb.name}> is not simulated by this phone; it went on to the next verb"
                    )
        return None

    async def _relay(self, verb: Verb) -> tuple[Ending, str, float]:
        if verb.refused:
            self._problem(f"64101: <ConversationRelay> {verb.refused}")
            return Ending(status="failed", error_code=64101, error_message=verb.refused), "", 0.0
        try:
            socket = await self._phone.network.connect(verb.attributes["url"])
        except WebhookError as error:
            self._problem(str(error))
            return Ending(status="failed", error_code=error.code, error_message=str(error)), "", 0.0
        self._sessions += 1
        phone = self._phone
        caller = Caller(
            account_sid=phone.account_sid,
            call_sid=self.sid,
            from_=phone.caller,
            to=phone.number,
            first_session=self._sessions == 1,
        )
        observer = Observer(
            heard=self._hear,
            problem=self._problem,
            spoken=lambda side, text: self._fragments.put_nowait((side, text)),
        )
        session = self.session = RelaySession(socket, verb, caller, observer, phone.words_per_second)
        self._happened("session", session.session_id)
        writing = asyncio.create_task(self._write_conversation(verb))
        self._session_is_open.set()
        try:
            ending = await session.run()
        finally:
            self._session_is_open.clear()
            self.session = None
            await self._fragments.join()
            writing.cancel()
        return ending, session.session_id, time.monotonic() - session.started

    async def _write_conversation(self, verb: Verb) -> None:
        """What Orchestrator does when the TwiML names a configuration or a conversation."""
        transcriber = self._phone.transcriber
        if transcriber is not None:
            self.conversation_id = await transcriber.call_started(
                self.sid,
                caller=self._phone.caller,
                number=self._phone.number,
                configuration_id=verb.attributes.get("conversationConfiguration"),
                conversation_id=verb.attributes.get("conversationId"),
            )
        while True:
            side, text = await self._fragments.get()
            if transcriber is not None:
                await transcriber.spoken(self.sid, side, text)
            self._fragments.task_done()

    async def _report_status(self) -> None:
        if not self._status_url:
            return
        form = self._form("completed") | {"CallDuration": "1"}
        try:
            await self._phone.network.post(self._phone.http, self._status_url, form)
        except WebhookError as error:
            self._problem(str(error))

    # --- inside ----------------------------------------------------------------------------------

    def _form(self, status: str) -> dict[str, str]:
        phone = self._phone
        return {
            "AccountSid": phone.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.sid,
            "CallStatus": status,
            "Direction": "inbound",
            "From": phone.caller,
            "Caller": phone.caller,
            "To": phone.number,
            "Called": phone.number,
            "CallerName": "",
        }

    def _ended_form(self, ending: Ending, session_id: str, seconds: float) -> dict[str, str]:
        form = self._form("completed" if ending.status == "completed" else "in-progress")
        form |= {
            "SessionId": session_id,
            "SessionStatus": ending.status,
            "SessionDuration": str(round(seconds)),
        }
        if ending.handoff_data is not None:
            form["HandoffData"] = ending.handoff_data
        if ending.error_code is not None:
            form |= {"ErrorCode": str(ending.error_code), "ErrorMessage": ending.error_message}
        return form

    def _hear(self, reply: Reply) -> None:
        self.replies.append(reply)
        self._heard.put_nowait(reply)
        self._watch(Happening("interrupt" if reply.interrupted else "agent", reply.text, reply))

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        self._happened("problem", text)

    def _happened(self, kind: Kind, text: str = "") -> None:
        self._watch(Happening(kind, text))

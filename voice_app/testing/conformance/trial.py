"""The backend that is tried, and what a case needs to try it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from voice_app.sandbox.load.target import LoadTarget, new_call_sid
from voice_app.sandbox.network import HttpReply, Network, WebhookError
from voice_app.sandbox.phone.frames import setup_frame
from voice_app.sandbox.phone.twiml import RefusedTwimlError, TwimlVerb, read
from voice_app.testing.conformance.wire import (
    BreachError,
    CasePatience,
    CaseSkippedError,
    Frame,
    SocketRefusedError,
    WireCall,
    open_socket,
)

ACCOUNT_SID: Final = "AC" + "c0" * 16
"""Of an account that is nobody's."""
NUMBER: Final = "+15550100001"
SAY: Final = "Hello. Please tell me, in a few sentences, what you can do for me."


class BackendError(Exception):
    """The backend cannot be tried. The text says why, and what to do."""


@dataclass(slots=True, frozen=True)
class CallSession:
    """Where a session of a call is opened."""

    call_sid: str
    url: str
    """As the TwiML has it, ``wss://…``."""
    action: str = ""
    """The URL that Twilio asks when it is over; empty if there is none."""
    status: str = "RINGING"
    relay: TwimlVerb = field(default_factory=lambda: TwimlVerb("ConversationRelay"))


@dataclass(slots=True, frozen=True, kw_only=True)
class Trial:
    """A backend, and how it is spoken to."""

    target: LoadTarget
    """Its webhook is empty where only the socket is known."""
    http: aiohttp.ClientSession
    socket_url: str = ""
    """``wss://…``: where there is no webhook."""
    patience: CasePatience = field(default_factory=CasePatience)
    say: str = SAY
    """What is asked; its answer should take some words."""
    end_say: str = ""
    """What makes the backend end the session; empty where that is not known."""

    @property
    def network(self) -> Network:
        return self.target.network

    # --- sockets ---------------------------------------------------------------------------------

    async def session(self) -> CallSession:
        """The first session of a new call. Raises `BreachError` where its TwiML has none."""
        call_sid = new_call_sid()
        if not self.target.webhook:
            return CallSession(call_sid, self.socket_url)
        twiml = await self.voice(call_sid)
        if (found := self._session_in(call_sid, twiml, "RINGING")) is not None:
            return found
        raise BreachError("the TwiML has no <Connect><ConversationRelay>: " + " ".join(twiml.split())[:120])

    async def next_session(self, before: CallSession) -> CallSession:
        """The session that follows on the same call after its socket was lost.

        Raises:
            CaseSkippedError: the backend gives such a call up.
        """
        if not self.target.webhook:
            return CallSession(before.call_sid, before.url, status="IN_PROGRESS")
        if before.action:
            lost = {"SessionStatus": "failed", "ErrorCode": "64105", "ErrorMessage": "Websocket ended"}
            twiml = await self.ended(before, **lost)
            if (found := self._session_in(before.call_sid, twiml, "IN_PROGRESS")) is not None:
                return found
        raise CaseSkippedError("no session follows on one whose socket was lost")

    def _session_in(self, call_sid: str, twiml: str, status: str) -> CallSession | None:
        for connect in self.document(twiml):
            relay = connect.child("ConversationRelay") if connect.name == "Connect" else None
            if relay is not None:
                action = connect.get("action")
                absolute = self.network.absolute(action, self.target.webhook) if action else ""
                return CallSession(call_sid, relay.get("url"), absolute, status, relay)
        return None

    def document(self, twiml: str) -> list[TwimlVerb]:
        """The verbs of a TwiML document. Raises `BreachError` where Twilio would refuse it."""
        try:
            return read(twiml, self.target.vocabulary).verbs
        except RefusedTwimlError as error:
            raise BreachError(f"Twilio refuses the TwiML, {error}") from None

    async def open(self, session: CallSession, signature: str | None = "right", **options: Any) -> WireCall:
        """Open the socket of a session. ``signature`` None: without one.

        Raises:
            SocketRefusedError: it is not opened.
        """
        headers = self.network.forwarded(session.url)
        if signature is not None:
            signed = self.network.sign(session.url) if signature == "right" else signature
            headers["X-Twilio-Signature"] = signed
        call = await open_socket(self.network.reachable(session.url), headers, self.patience, **options)
        call.say = self.say
        call.events = frozenset(session.relay.get("events").split())
        return call

    def setup(self, session: CallSession, **changes: Any) -> Frame:
        """The first frame of a session."""
        frame = setup_frame(
            session.relay,
            session_id="VX" + secrets.token_hex(16),
            account_sid=self.target.account_sid,
            call_sid=session.call_sid,
            from_=self.target.caller,
            to=self.target.number,
            status=session.status,
        )
        return frame | changes

    @asynccontextmanager
    async def opened(self, session: CallSession, **options: Any) -> AsyncIterator[WireCall]:
        """The socket of a session, before its setup. Raises `BreachError`."""
        try:
            call = await self.open(session, **options)
        except SocketRefusedError as error:
            raise BreachError(f"the socket was not opened: {error}") from None
        async with call:
            yield call

    @asynccontextmanager
    async def call(self, session: CallSession | None = None, **changes: Any) -> AsyncIterator[WireCall]:
        """A call whose setup was sent. ``changes`` are fields of the setup. Raises `BreachError`."""
        session = session or await self.session()
        async with self.opened(session) as call:
            await call.send(self.setup(session, **changes))
            yield call

    # --- webhooks --------------------------------------------------------------------------------

    async def voice(self, call_sid: str, **fields: str) -> str:
        """The TwiML for a call that comes in. Raises `BreachError`."""
        return await self._twiml(self.target.webhook, self.target.form(call_sid) | fields)

    async def ended(self, session: CallSession, **fields: str) -> str:
        """The TwiML for what follows on a session that is over. Raises `BreachError`."""
        about = {"SessionId": "VX" + secrets.token_hex(16), "SessionDuration": "7"}
        status = "completed" if fields["SessionStatus"] == "completed" else "in-progress"
        return await self._twiml(session.action, self.target.form(session.call_sid, status) | about | fields)

    async def _twiml(self, url: str, form: dict[str, str]) -> str:
        try:
            return await self.network.post(self.http, url, form)
        except WebhookError as error:
            raise BreachError(f"Twilio logs {error}") from None

    async def post(self, url: str, form: dict[str, str], signature: str | None) -> HttpReply:
        """Ask a webhook, signed or not as is said. Raises `BreachError` where nobody answers."""
        headers = self.network.forwarded(url)
        if signature is not None:
            headers["X-Twilio-Signature"] = signature
        try:
            return await self.network.request(self.http, "POST", url, headers, form)
        except WebhookError as error:
            raise BreachError(f"Twilio logs {error}") from None


@dataclass(slots=True, frozen=True, kw_only=True)
class BackendAddress:
    """Where a backend is, as a person names it."""

    url: str
    """``wss://…`` or ``ws://…``, or with ``is_webhook`` the voice webhook, ``https://…`` or ``http://…``."""
    is_webhook: bool = False
    origin: str = ""
    """What it calls itself, ``https://voice.example.com``; empty where that is in the URL."""
    auth_token: str = field(default="", repr=False)
    checks_signatures: bool = True
    """Whether the backend is meant to refuse what is not signed with that token."""
    account_sid: str = ACCOUNT_SID
    number: str = NUMBER

    def target(self) -> LoadTarget:
        """Raises `BackendError` for what is no such URL."""
        parts = urlsplit(self.url)
        schemes = ("http", "https") if self.is_webhook else ("ws", "wss")
        if parts.scheme not in schemes or not parts.hostname:
            wanted = "https://…/voice" if self.is_webhook else "wss://…; a webhook goes to --url"
            raise BackendError(f"{self.url!r} should look like {wanted}")
        base = f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}"
        network = Network(base, self._origin(), self.auth_token)
        webhook = self._public("https") if self.is_webhook else ""
        return LoadTarget(network=network, webhook=webhook, account_sid=self.account_sid, number=self.number)

    def socket_url(self) -> str:
        """The socket, as TwiML would have it."""
        return "" if self.is_webhook else self._public("wss")

    def _origin(self) -> str:
        return self.origin.rstrip("/") or f"https://{urlsplit(self.url).netloc}"

    def _public(self, scheme: str) -> str:
        return urlsplit(self.url)._replace(scheme=scheme, netloc=urlsplit(self._origin()).netloc).geturl()

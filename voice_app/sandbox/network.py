"""Twilio's side of the network: signed webhooks and sockets, to a server behind a public origin.

The server knows itself by its public origin (``https://voice.example.com``); it may run somewhere else
(``http://127.0.0.1:8000``), as behind a tunnel. URLs of the origin are signed as written and opened at
the base. Behind an origin of several machines stands a balancer, as docs/operations.md recommends it: round
robin over those that are up, and the next one where a machine is gone or answers 503. Twilio itself tries
nothing twice.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from yarl import URL

WEBHOOK_SECONDS = 15.0
"""How long Twilio waits for a webhook, TCP included."""
UNAVAILABLE = 503
"""What a machine answers that takes nothing now; the balancer asks the next one."""


class WebhookError(Exception):
    """A webhook got no usable answer. ``code`` is Twilio's error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(slots=True, frozen=True)
class HttpReply:
    """What a server said to a request."""

    status: int
    content_type: str
    body: str


@dataclass(slots=True)
class Network:
    """Where the server is, and with which key its requests are signed."""

    base: str
    """Where to connect, e.g. ``http://127.0.0.1:8000``."""
    origin: str
    """What the server calls itself, e.g. ``https://sandbox.localhost``."""
    auth_token: str = field(repr=False)
    others: tuple[str, ...] = ()
    """Further machines behind the origin, each like `base`."""
    _gone: set[str] = field(default_factory=set)
    _turn: int = 0

    def lose(self, base: str) -> None:
        """This machine is not to be reached until `regain`. Sockets that are open stay so."""
        self._gone.add(base)

    def regain(self, base: str) -> None:
        """It is to be reached again."""
        self._gone.discard(base)

    async def post(
        self, session: aiohttp.ClientSession, url: str, form: Mapping[str, str], method: str = "POST"
    ) -> str:
        """Ask a webhook for TwiML; returns the body. Raises `WebhookError` where Twilio logs an error."""
        answer = await self._ask(session, url, form, method)
        if answer.body.strip() and answer.content_type not in ("text/xml", "application/xml"):
            raise WebhookError(
                12300, f"{url} answered with the content type {answer.content_type}, not with XML"
            )
        return answer.body

    async def tell(
        self, session: aiohttp.ClientSession, url: str, form: Mapping[str, str], method: str = "POST"
    ) -> None:
        """Deliver a status callback; what is answered does not matter. Raises `WebhookError`."""
        await self._ask(session, url, form, method)

    async def _ask(
        self, session: aiohttp.ClientSession, url: str, form: Mapping[str, str], method: str
    ) -> HttpReply:
        if method == "GET":  # the fields are part of the URL then, and signed with it
            url, form = f"{url}{'&' if '?' in url else '?'}{urlencode(form)}", {}
        headers = {"X-Twilio-Signature": self.sign(url, form), "User-Agent": "TwilioProxy/1.1"}
        headers |= self.forwarded(url)
        data = dict(form) if method == "POST" else None
        answer = await self.request(session, method, url, headers, data)
        if answer.status >= 300:
            raise WebhookError(11200, f"{url} answered {answer.status}: {_first_line(answer.body)}")
        return answer

    async def request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Mapping[str, str] | bytes | None = None,
        *,
        seconds: float = WEBHOOK_SECONDS,
    ) -> HttpReply:
        """The answer to one request, within ``seconds``, from the first machine that has one.

        Raises `WebhookError` (11205) if there is none.
        """
        answer, failure = None, ""
        try:
            async with asyncio.timeout(seconds):
                for place in self._places(url):
                    try:
                        answer = await _request(session, method, place, headers, data)
                    except aiohttp.ClientConnectionError as error:
                        failure = str(error)
                        continue
                    if answer.status != UNAVAILABLE:
                        break
        except TimeoutError:
            raise WebhookError(11205, f"{url} did not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise WebhookError(11205, f"nothing answers at {url}: {error}") from None
        if answer is None:
            raise WebhookError(11205, f"nothing answers at {url}: {failure}")
        return answer

    async def connect(self, url: str) -> ClientConnection:
        """Open the socket of a ``<ConversationRelay url>``. Raises `WebhookError` (64102)."""
        failure: Exception | None = None
        for place in self._places(url):
            try:
                return await self._open(place, {"X-Twilio-Signature": self.sign(url), **self.forwarded(url)})
            except (OSError, InvalidHandshake) as error:
                failure = error
                if not _is_unavailable(error):
                    break
        raise WebhookError(64102, f"the WebSocket could not be opened: {failure}") from None

    async def _open(self, place: str, headers: dict[str, str]) -> ClientConnection:
        return await connect(
            place,
            additional_headers=headers,
            user_agent_header=None,
            compression=None,
            ping_interval=None,
            open_timeout=WEBHOOK_SECONDS,
            proxy=None,
        )

    def sign(self, url: str, form: Mapping[str, str] | None = None) -> str:
        """``X-Twilio-Signature``: over HTTPS Twilio drops the port first; the fragment is never signed."""
        parts = urlsplit(url)
        host = parts.hostname or "" if parts.scheme == "https" else parts.netloc
        signed = parts._replace(netloc=host, fragment="").geturl()
        signed += "".join(name + value for name, value in sorted((form or {}).items()))
        digest = hmac.new(self.auth_token.encode(), signed.encode(), hashlib.sha1).digest()
        return base64.b64encode(digest).decode()

    def sign_json(self, url: str, body: bytes) -> tuple[str, str]:
        """The URL of a JSON webhook with its ``bodySHA256``, and the signature over it."""
        glue = "&" if "?" in url else "?"
        signed = f"{url}{glue}bodySHA256={hashlib.sha256(body).hexdigest()}"
        return signed, self.sign(signed)

    def forwarded(self, url: str) -> dict[str, str]:
        """What a tunnel or a balancer adds to a request for a URL of the origin: how it was asked for.

        Servers that are not pinned to their public origin check signatures with its help.
        """
        if not self._is_ours(url):
            return {}
        origin = urlsplit(self.origin)
        return {"X-Forwarded-Proto": origin.scheme, "X-Forwarded-Host": origin.netloc}

    def absolute(self, url: str, document_url: str) -> str:
        """A URL of a TwiML document, which may be relative to where the document came from."""
        return urljoin(document_url, url)

    def reachable(self, url: str) -> str:
        """Where to connect for a URL of the public origin; other URLs are opened as they are."""
        return self._at(self.base, url) if self._is_ours(url) else url

    def _places(self, url: str) -> Iterator[str]:
        """Where to connect, one after another, until somebody answers."""
        if not self._is_ours(url):
            yield url
            return
        machines = [base for base in (self.base, *self.others) if base not in self._gone]
        first = self._turn % max(1, len(machines))
        self._turn += 1
        for base in machines[first:] + machines[:first]:
            yield self._at(base, url)

    def _is_ours(self, url: str) -> bool:
        return urlsplit(url).netloc.lower() == urlsplit(self.origin).netloc.lower()

    def _at(self, machine: str, url: str) -> str:
        parts, base = urlsplit(url), urlsplit(machine)
        scheme = base.scheme.replace("http", "ws") if parts.scheme == "wss" else base.scheme
        return parts._replace(scheme=scheme, netloc=base.netloc, fragment="").geturl()


def _is_unavailable(error: Exception) -> bool:
    """Whether another machine may do what this one did not: it refused, vanished, or said 503."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code == UNAVAILABLE
    return isinstance(error, OSError | InvalidMessage) and not isinstance(error, TimeoutError)


async def _request(
    session: aiohttp.ClientSession,
    method: str,
    place: str,
    headers: Mapping[str, str],
    data: Mapping[str, str] | bytes | None,
) -> HttpReply:
    url = URL(place, encoded=True)
    async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
        return HttpReply(response.status, response.content_type, await response.text())


def _first_line(body: str) -> str:
    text = body.strip().partition("\n")[0][:120]
    return json.dumps(text) if text else "(empty)"

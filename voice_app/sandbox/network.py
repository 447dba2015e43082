"""Twilio's side of the network: signed webhooks and sockets, to a server behind a public origin.

The server knows itself by its public origin (``https://voice.example.com``); it may run somewhere else
(``http://127.0.0.1:8000``), as behind a tunnel. URLs of the origin are signed as written and opened at
the base.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake
from yarl import URL

WEBHOOK_SECONDS = 15.0
"""How long Twilio waits for a webhook, TCP included."""


class WebhookError(Exception):
    """A webhook got no usable answer. ``code`` is Twilio's error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(slots=True)
class Network:
    """Where the server is, and with which key its requests are signed."""

    base: str
    """Where to connect, e.g. ``http://127.0.0.1:8000``."""
    origin: str
    """What the server calls itself, e.g. ``https://sandbox.localhost``."""
    auth_token: str = field(repr=False)

    async def post(
        self, session: aiohttp.ClientSession, url: str, form: Mapping[str, str], method: str = "POST"
    ) -> str:
        """Ask a webhook for TwiML; returns the body. Raises `WebhookError` where Twilio logs an error."""
        body, kind = await self._request(session, url, form, method)
        if body.strip() and kind not in ("text/xml", "application/xml"):
            raise WebhookError(12300, f"{url} answered with the content type {kind}, not with XML")
        return body

    async def tell(
        self, session: aiohttp.ClientSession, url: str, form: Mapping[str, str], method: str = "POST"
    ) -> None:
        """Deliver a status callback; what is answered does not matter. Raises `WebhookError`."""
        await self._request(session, url, form, method)

    async def _request(
        self, session: aiohttp.ClientSession, url: str, form: Mapping[str, str], method: str
    ) -> tuple[str, str]:
        if method == "GET":  # the fields are part of the URL then, and signed with it
            url, form = f"{url}{'&' if '?' in url else '?'}{urlencode(form)}", {}
        headers = {"X-Twilio-Signature": self.sign(url, form), "User-Agent": "TwilioProxy/1.1"}
        try:
            async with session.request(
                method,
                URL(self.reachable(url), encoded=True),
                data=form if method == "POST" else None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=WEBHOOK_SECONDS),
                allow_redirects=False,
            ) as response:
                body = await response.text()
                status, kind = response.status, response.content_type
        except TimeoutError:
            raise WebhookError(11205, f"{url} did not answer within {WEBHOOK_SECONDS:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise WebhookError(11205, f"nothing answers at {url}: {error}") from None
        if status >= 300:
            raise WebhookError(11200, f"{url} answered {status}: {_first_line(body)}")
        return body, kind

    async def connect(self, url: str) -> ClientConnection:
        """Open the socket of a ``<ConversationRelay url>``. Raises `WebhookError` (64102)."""
        headers = {"X-Twilio-Signature": self.sign(url)}
        try:
            return await connect(
                self.reachable(url),
                additional_headers=headers,
                user_agent_header=None,
                compression=None,
                ping_interval=None,
                open_timeout=WEBHOOK_SECONDS,
                proxy=None,
            )
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise WebhookError(64102, f"the WebSocket could not be opened: {error}") from None

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

    def absolute(self, url: str, document_url: str) -> str:
        """A URL of a TwiML document, which may be relative to where the document came from."""
        return urljoin(document_url, url)

    def reachable(self, url: str) -> str:
        """Where to connect for a URL of the public origin; other URLs are opened as they are."""
        parts, origin, base = urlsplit(url), urlsplit(self.origin), urlsplit(self.base)
        if parts.netloc.lower() != origin.netloc.lower():
            return url
        scheme = base.scheme.replace("http", "ws") if parts.scheme == "wss" else base.scheme
        return parts._replace(scheme=scheme, netloc=base.netloc, fragment="").geturl()


def _first_line(body: str) -> str:
    text = body.strip().partition("\n")[0][:120]
    return json.dumps(text) if text else "(empty)"

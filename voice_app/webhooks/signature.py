"""Whether a request really comes from Twilio.

Every route that Twilio calls checks this first. The URL that was signed is rebuilt from the
*configured* origin and the raw path, never from ``Host`` or ``X-Forwarded-*``, which anyone can send.
Source: ``docs/protocol.md`` §4. The sum itself is taken here and not by the ``twilio`` package,
which needs several times as long for it as the rest of an answer; the tests hold the two together.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from twilio.request_validator import (
    HMAC_SHA1,
    HMAC_SHA256,
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    get_signature_algorithm,
)

from voice_app.relay.session_token import SigningKey

MAX_FIELDS: Final = 500
_DIGESTS: Final = {HMAC_SHA1: "sha1", HMAC_SHA256: "sha256"}
_HEADER: Final = SIGNATURE_HEADER.lower()
_SETTINGS_HEADER: Final = SIGNATURE_SETTINGS_HEADER.lower()


class RequestRefusedError(Exception):
    """The request is not Twilio's. The text is for our log and holds no secret."""


class Form(dict[str, str]):
    """The fields of a request; of a field that came several times, the last one counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(pairs)
        self.signed = "".join([name + value for name, value in sorted(set(pairs))])
        """The fields as they are signed: every value of each, in order, none twice."""
        self.query: Mapping[str, str] = {}
        """The parameters in the URL, which are signed with it."""


class Signatures:
    """Checks signatures against our public origin and the account's keys.

    ``tokens`` are the auth tokens in force, the primary one first: during a rotation there are two.
    ``shared_keys`` are the secrets of Twilio's webhook shared keys by their id.
    """

    def __init__(
        self, origin: str, socket_origin: str, tokens: Sequence[str], shared_keys: Mapping[str, str]
    ) -> None:
        self._origin = origin
        self._socket_origin = socket_origin
        self._tokens = [SigningKey(token.encode()) for token in tokens]
        self._shared = {
            (key, algorithm): SigningKey(secret.encode(), digest)
            for key, secret in shared_keys.items()
            for algorithm, digest in _DIGESTS.items()
        }

    def check_request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Form:
        """The fields of a request that Twilio signed: of its form, or of its query.

        ``target`` is the raw path and query as they stand in the request line. A JSON body has no
        fields; it is genuine if its hash is in the signed URL. Raises `RequestRefusedError`.
        """
        fields = Form(_pairs(target.partition("?")[2]))
        form = Form()
        if body:
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "application/x-www-form-urlencoded":
                form = Form(_pairs(body.decode("utf-8", "replace")))
            elif kind == "application/json":
                _check_hash(body, fields.get("bodySHA256", ""))
            else:
                raise RequestRefusedError(f"a body of the type {kind or 'unknown'} cannot be verified")
        self._check(headers, self._request_candidates(target, form.signed))
        found = form if method == "POST" and form else fields
        found.query = fields
        return found

    def _request_candidates(self, target: str, signed: str) -> Iterator[str]:
        """What may have been signed: Twilio sorts the query in some cases, before or after signing."""
        path, _, query = target.partition("?")
        for written in dict.fromkeys((target, f"{path}?{_sorted(query)}" if query else target)):
            for origin in _with_ports(self._origin, "https"):
                yield origin + written + signed

    def check_socket(self, target: str, headers: Mapping[str, str]) -> None:
        """Whether Twilio asked for this WebSocket. Raises `RequestRefusedError`.

        Twilio signs the ``url`` attribute as written. Some clients add a slash, and sources disagree
        about a query, so each of these forms is accepted: all of them need the key.
        """
        path, _, query = target.partition("?")
        self._check(headers, self._socket_candidates(path, query))

    def _socket_candidates(self, path: str, query: str) -> Iterator[str]:
        for origin in _with_ports(self._socket_origin, "wss"):
            for slash in ("", "/"):
                url = origin + path + slash
                yield url
                if query:
                    yield f"{url}?{query}"
                    yield f"{url}?{_sorted(query)}"
                    yield url + Form(_pairs(query)).signed

    def _check(self, headers: Mapping[str, str], candidates: Iterator[str]) -> None:
        given = headers.get(_HEADER, "")
        if not given:
            raise RequestRefusedError("there is no X-Twilio-Signature")
        keys = self._keys(headers.get(_SETTINGS_HEADER, ""))
        wanted = given.encode("utf-8", "replace")
        for candidate in candidates:
            for key in keys:
                computed = base64.b64encode(key.sign(candidate.encode()))
                if hmac.compare_digest(computed, wanted):
                    return
        raise RequestRefusedError(
            "X-Twilio-Signature does not match: either the request is not Twilio's, or "
            "TWILIO_VOICE_PUBLIC_DOMAIN or TWILIO_AUTH_TOKEN is not what Twilio uses"
        )

    def _keys(self, settings: str) -> list[SigningKey]:
        """The keys that may have signed. Without the settings header: the auth token, SHA-1."""
        if not settings:
            return self._tokens
        algorithm = get_signature_algorithm(settings).upper()
        if algorithm not in _DIGESTS:
            raise RequestRefusedError("the signature's algorithm is not known")
        key = dict(part.strip().partition("=")[::2] for part in settings.split(",")).get("key", "")
        if (key, algorithm) not in self._shared:
            raise RequestRefusedError(
                "it is signed with a shared key that is not in TWILIO_WEBHOOK_SHARED_KEYS"
            )
        return [self._shared[key, algorithm]]


def _pairs(encoded: str) -> list[tuple[str, str]]:
    """The fields of a form or a query, as `urllib.parse.parse_qsl` would read them, blank ones included."""
    if encoded.count("&") >= MAX_FIELDS:
        raise RequestRefusedError(f"it has more than {MAX_FIELDS} fields")
    parts = [part.partition("=") for part in encoded.split("&") if part]
    return [(_text(name), _text(value)) for name, _, value in parts]


def _sorted(query: str) -> str:
    """A query in the order of its parameters' names; of one that comes several times the order stays."""
    return "&".join(sorted(query.split("&"), key=lambda part: part.partition("=")[0]))


def _text(encoded: str) -> str:
    if "+" in encoded:
        encoded = encoded.replace("+", " ")
    if "%" not in encoded:
        return encoded
    if encoded.startswith("%2B") and encoded[3:].isalnum():  # a telephone number, as most that are encoded
        return "+" + encoded[3:]
    return unquote(encoded, errors="replace")


def _check_hash(body: bytes, given: str) -> None:
    if not given:
        raise RequestRefusedError("a JSON body needs bodySHA256 in the URL")
    if not hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), given.lower().encode()):
        raise RequestRefusedError("the body is not the one that was signed (bodySHA256)")


def _with_ports(origin: str, scheme: str) -> Iterator[str]:
    """The origin as written, without its port, and with the default one: Twilio is not consistent."""
    yield origin
    host = origin.removeprefix(f"{scheme}://")
    name, _, port = host.partition(":")
    yield f"{scheme}://{name}" if port else f"{scheme}://{name}:443"

"""Whether a request really comes from Twilio.

Every route that Twilio calls checks this first. The URL that was signed is rebuilt from the
*configured* origin and the raw path, never from ``Host`` or ``X-Forwarded-*``, which anyone can send.
Source: ``docs/protocol.md`` §4. The sum itself is taken here and not by the ``twilio`` package,
which needs several times as long for it as the rest of an answer; the tests hold the two together.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from twilio.request_validator import (
    HMAC_SHA1,
    HMAC_SHA256,
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    get_signature_algorithm,
)
from yarl._quoting import _Unquoter  # it is C, and as fast

from voice_app.relay.session_token import SigningKey

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
_DIGESTS: Final = {HMAC_SHA1: "sha1", HMAC_SHA256: "sha256"}
_HEADER: Final = SIGNATURE_HEADER.lower()
_SETTINGS_HEADER: Final = SIGNATURE_SETTINGS_HEADER.lower()
_LENGTHS: Final = (28, 44)
"""Characters of a signature in base64, SHA-1 and SHA-256."""
MAX_BROKEN: Final = 1000
"""Escapes of a form that are not all UTF-8."""
_unquoted: Final = _Unquoter(plus=True)
_REPLACEMENT: Final = re.compile("\ufffd|%EF%BF%BD", re.IGNORECASE)
_BETWEEN: Final = "\ue000"
"""Stands between the fields of a form in ASCII while they are decoded."""


class RequestRefusedError(Exception):
    """The request is not Twilio's. The text is for our log and holds no secret."""


class Bounds(NamedTuple):
    """The most that a request may have in it. Whoever sends more is refused before anything is made of it."""

    size: int = 64 * 1024
    """Bytes of the body. Twilio's forms have a few kilobytes."""
    fields: int = 200
    """In the form, and in the query."""
    escapes: int = 16_000
    """``%`` in the form, and in the query."""


QUESTION: Final = Bounds()
WITH_DATA: Final = Bounds(256 * 1024, escapes=256 * 1024)
"""A form that has handoff data in it, which agents make."""
NOTICE: Final = Bounds(256 * 1024)
"""JSON."""


class Form(dict[str, str]):
    """The fields of a request; of a field that came several times, the last one counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(pairs)
        self.signed = "".join(map("".join, sorted(pairs if len(self) == len(pairs) else set(pairs))))
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

    def check_head(self, target: str, headers: Mapping[str, str]) -> None:
        """What can be said before the body of a request is read. Raises `RequestRefusedError`.

        A body of JSON has its hash in the URL, and so the signature is checked here. That of a form is of
        the right shape.
        """
        self._signature(headers)
        kind = _kind(headers)
        if kind == JSON:
            self._check(headers, self._request_candidates(target, ""))
        elif kind != FORM and _has_body(headers):
            raise RequestRefusedError(f"a body of the type {kind or 'unknown'} cannot be verified")

    def check_request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        bounds: Bounds = QUESTION,
    ) -> Form:
        """The fields of a request that Twilio signed: of its form, or of its query.

        ``target`` is the raw path and query as they stand in the request line. A JSON body has no
        fields; it is genuine if its hash is in the signed URL. Raises `RequestRefusedError`.
        """
        fields = Form(_pairs(target.partition("?")[2], bounds))
        form: Form | None = None
        if body:
            kind = _kind(headers)
            if kind == FORM:
                form = Form(_pairs(body.decode("utf-8", "replace"), bounds))
            elif kind == JSON:
                _check_hash(body, fields.get("bodySHA256", ""))
            else:
                raise RequestRefusedError(f"a body of the type {kind or 'unknown'} cannot be verified")
        self._check(headers, self._request_candidates(target, form.signed if form else ""))
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
                    yield url + Form(_pairs(query, QUESTION)).signed

    def _check(self, headers: Mapping[str, str], candidates: Iterator[str]) -> None:
        wanted, keys = self._signature(headers)
        for candidate in candidates:
            for key in keys:
                computed = b2a_base64(key.sign(candidate.encode()), newline=False)
                if hmac.compare_digest(computed, wanted):
                    return
        raise RequestRefusedError(
            "X-Twilio-Signature does not match: either the request is not Twilio's, or "
            "TWILIO_VOICE_PUBLIC_DOMAIN or TWILIO_AUTH_TOKEN is not what Twilio uses"
        )

    def _signature(self, headers: Mapping[str, str]) -> tuple[bytes, list[SigningKey]]:
        """What was sent as the signature, and the keys that may have made it."""
        given = headers.get(_HEADER, "")
        if not given:
            raise RequestRefusedError("there is no X-Twilio-Signature")
        if len(given) not in _LENGTHS:
            raise RequestRefusedError("X-Twilio-Signature has not the length of a signature")
        return given.encode("utf-8", "replace"), self._keys(headers.get(_SETTINGS_HEADER, ""))

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


def _kind(headers: Mapping[str, str]) -> str:
    """The media type of a body, cut: it may be repeated in the log."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()[:100]


def _has_body(headers: Mapping[str, str]) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _pairs(encoded: str, bounds: Bounds) -> list[tuple[str, str]]:
    """The fields of a form or a query, as `urllib.parse.parse_qsl` would read them, blank ones included."""
    if not encoded:
        return []
    if encoded.count("&") >= bounds.fields:
        raise RequestRefusedError(f"it has more than {bounds.fields} fields")
    if encoded.count("%") > bounds.escapes:
        raise RequestRefusedError(f"it has more than {bounds.escapes} escapes")
    if (plain := _plain_pairs(encoded)) is not None:
        return plain
    pairs: list[tuple[str, str]] = []
    for part in filter(None, encoded.split("&")):
        name, _, value = part.partition("=")
        decoded_name, decoded_value = _text(name), _text(value)
        if decoded_name is None or decoded_value is None:
            return _broken_pairs(encoded)
        pairs.append((decoded_name, decoded_value))
    return pairs


def _plain_pairs(encoded: str) -> list[tuple[str, str]] | None:
    """The fields, all decoded at once, which takes a fifth of the time. None where each needs a look."""
    if not encoded.isascii() or "%3D" in encoded or "%3d" in encoded:
        return None
    decoded = _unquoted(encoded.replace("&", _BETWEEN))
    if "%" in decoded or "\ufffd" in decoded or decoded.count(_BETWEEN) != encoded.count("&"):
        return None
    parts = filter(None, decoded.split(_BETWEEN))
    return [(name, value) for name, _, value in map(str.partition, parts, repeat("="))]


def _broken_pairs(encoded: str) -> list[tuple[str, str]]:
    """Fields with escapes that are no UTF-8, decoded slowly."""
    if encoded.count("%") > MAX_BROKEN:
        raise RequestRefusedError("its escapes are no UTF-8")
    return parse_qsl(encoded, keep_blank_values=True, errors="replace")


def _sorted(query: str) -> str:
    """A query in the order of its parameters' names; of one that comes several times the order stays."""
    return "&".join(sorted(query.split("&"), key=lambda part: part.partition("=")[0]))


def _text(encoded: str) -> str | None:
    """What was encoded; None where it has half an escape, or one that is no UTF-8."""
    if "%" not in encoded and "+" not in encoded:
        return encoded
    text = _unquoted(encoded)
    if "%" in text and "%" in _unquoted(encoded.replace("%25", "x")):
        return None
    if "\ufffd" in text and text.count("\ufffd") != len(_REPLACEMENT.findall(encoded)):
        return None
    return text


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

"""Where models are: the endpoints of the agent `chat`, its settings, and a look whether one is there."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import KW_ONLY, MISSING, Field, InitVar, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
from pydantic import SecretStr
from yarl import URL

from voice_app.agents.failures import ModelError, refusal
from voice_app.settings import ModelSettings, ModelShape, load_model_settings
from voice_app.twilio import read_up_to

MAX_REDIRECTS: Final = 3
MAX_LIST: Final = 1 << 20
"""Bytes of a list of models."""
SECONDS_TO_PROBE: Final = 5.0
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
_COMPLETIONS: Final = "/chat/completions"
_AZURE: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
"""Hosts that want the key of a resource in a header of their own."""


@dataclass(slots=True, frozen=True)
class Endpoint:
    """A model, and where it is."""

    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key: str = field(default="", repr=False)
    _: KW_ONLY
    more_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    shape: frozenset[ModelShape] = frozenset()
    """What requests have to look like here, as far as the settings say."""
    price: tuple[float, ...] = ()
    """Of a million tokens that are sent, that come back, and that the endpoint had cached."""

    def url(self, path: str) -> URL:
        """The address of one of its resources. A query of the base URL stays."""
        base = URL(self.base_url)
        root = base.raw_path.rstrip("/").removesuffix(_COMPLETIONS)
        return base.with_path(f"{root}/{path}", encoded=True, keep_query=True)

    @property
    def host(self) -> str:
        """The host alone, in lower case."""
        return (URL(self.base_url).host or "").lower()

    @property
    def where(self) -> str:
        """The base URL as it may be logged: without a user, a password and a query."""
        return _without_secrets(self.base_url)

    @property
    def headers(self) -> dict[str, str]:
        """What goes along with every request."""
        headers = dict(self.more_headers)
        given = {name.lower() for name in headers}
        if self.api_key and not given & {"authorization", "api-key"} and URL(self.base_url).user is None:
            if self.host.endswith(_AZURE):
                headers["api-key"] = self.api_key
            else:
                headers["Authorization"] = f"Bearer {self.api_key}"
        return headers

    @property
    def is_openai(self) -> bool:
        """Whether OpenAI's own API is behind it, at OpenAI or at Azure."""
        return f".{self.host}".endswith((".openai.com", *_AZURE))


@lru_cache(maxsize=64)
def _without_secrets(base_url: str) -> str:
    try:
        return str(URL(base_url).with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        return base_url.partition("?")[0]


def proxy_to(url: URL) -> str | None:
    """The proxy on the way there, by ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``."""
    return None if proxy_bypass(url.host or "") else getproxies().get(url.scheme)


class _Route(NamedTuple):
    """What every request to an endpoint has in common."""

    url: URL
    headers: dict[str, str]
    proxy: str | None


@lru_cache(maxsize=64)
def _route(endpoint: Endpoint) -> _Route:
    """Looked up once: aiohttp would look for proxies and a .netrc in two threads for each request.

    Raises `ValueError` for an address that is none.
    """
    headers = {
        **endpoint.headers,
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        # Unpacking a stream of 30 words would cost more than it saves.
        "Accept-Encoding": "identity",
    }
    url = endpoint.url(_COMPLETIONS[1:])
    return _Route(url, headers, proxy_to(url))


async def post(http: aiohttp.ClientSession, endpoint: Endpoint, body: bytes) -> aiohttp.ClientResponse:
    """Ask for a completion; the response has to be closed by the caller.

    Raises:
        ModelError: the endpoint cannot be reached, or redirects to another host.
    """
    try:
        url, headers, proxy = _route(endpoint)
        for _ in range(MAX_REDIRECTS + 1):
            response = await http.post(
                url, data=body, headers=headers, proxy=proxy, timeout=_NO_TIMEOUT, allow_redirects=False
            )
            if not 300 <= response.status < 400:
                return response
            response.close()
            url = _redirected(endpoint, url, response)
            proxy = proxy_to(url)
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ModelError(
            "unavailable",
            _unreachable(endpoint, error),
        ) from None
    raise ModelError("rejected", f"{endpoint.where} redirects in a circle: check OPENAI_BASE_URL")


def _redirected(endpoint: Endpoint, url: URL, response: aiohttp.ClientResponse) -> URL:
    """Where a redirect leads, on the same host only: the request holds a key and a caller's words."""
    target = url.join(URL(response.headers.get("Location", "")))
    same = (target.scheme, target.port) == (url.scheme, url.port)
    upgrade = (url.scheme, target.scheme) == ("http", "https")
    if target.host != url.host or not (same or upgrade):
        raise ModelError(
            "rejected",
            f"{endpoint.where} redirects to {target.host or 'nowhere'} ({response.status}), and that is not "
            "followed: set OPENAI_BASE_URL to where the model is",
        )
    return target


def _unreachable(endpoint: Endpoint, error: Exception) -> str:
    cause = without_address(error)
    return f"{endpoint.where} cannot be reached: {cause}. Check OPENAI_BASE_URL and the network"


def without_address(error: Exception) -> str:
    """An error in words. A text with a URL's query or password in it is left out."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text and not {"?", "@"} & set(text) else type(error).__name__


@dataclass(slots=True, frozen=True, kw_only=True)
class ChatSettings:
    """What the agent `chat` needs to know.

    What is not given (empty, 0 or `None`) comes from the environment, or from ``environment``.
    """

    model: str = ""  # VOICE_APP_MODEL
    base_url: str = ""  # OPENAI_BASE_URL
    api_key: str = field(default="", repr=False)  # OPENAI_API_KEY, at OPENAI_BASE_URL only
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # VOICE_APP_MODEL_HEADERS, likewise
    shape: frozenset[ModelShape] = frozenset()  # VOICE_APP_MODEL_SHAPE
    price: tuple[float, ...] = ()  # VOICE_APP_MODEL_PRICE
    fallback_model: str = ""  # VOICE_APP_FALLBACK_MODEL
    fallback_base_url: str = ""  # VOICE_APP_FALLBACK_BASE_URL; empty: the same endpoint
    fallback_api_key: str = field(default="", repr=False)  # empty: the same key, at the same endpoint only
    fallback_shape: frozenset[ModelShape] = frozenset()  # VOICE_APP_FALLBACK_SHAPE
    fallback_price: tuple[float, ...] = ()  # VOICE_APP_FALLBACK_PRICE
    prompt: Path | None = None  # VOICE_APP_PROMPT
    temperature: float | None = None  # VOICE_APP_TEMPERATURE
    max_tokens: int | None = None  # VOICE_APP_MAX_TOKENS
    first_token_deadline: float = 0  # VOICE_APP_FIRST_TOKEN_SECONDS
    """Seconds until the first word of an answer. Thoughts are none."""
    between_tokens_deadline: float = 0  # VOICE_APP_BETWEEN_TOKENS_SECONDS
    """Seconds between two signs of life, thoughts among them."""
    after_tool_line: str = ""  # VOICE_APP_AFTER_TOOL_LINE
    """What is said when a tool has acted and the model has no words for it."""
    max_rounds: int = 5
    """How often the model may be asked within one turn."""
    filler_after: float = 0.7
    """Seconds that a tool may take before its filler is spoken."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, e.g. ``{"reasoning_effort": "none"}``."""
    environment: InitVar[ModelSettings | None] = None
    found: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)
    """What was not given."""

    def __post_init__(self, environment: ModelSettings | None) -> None:
        found = environment or load_model_settings()
        self._default("model", found.model or "")
        self._default("base_url", found.openai_base_url)
        if self.base_url == found.openai_base_url:  # a key is never sent to a host that it was not given for
            self._default("api_key", _text(found.openai_api_key))
            self._default("headers", {name: _text(value) for name, value in found.model_headers.items()})
            self._default("shape", frozenset(found.model_shape))
        self._default("price", found.model_price)
        self._default("fallback_price", found.fallback_price)
        self._default("fallback_model", found.fallback_model or "")
        self._default("fallback_base_url", found.fallback_base_url or "")
        if self.fallback_base_url == (found.fallback_base_url or ""):
            self._default("fallback_api_key", _text(found.fallback_api_key))
            self._default("fallback_shape", frozenset(found.fallback_shape))
        self._default("prompt", found.prompt)
        if self.temperature is None:
            self._default("temperature", found.temperature)
        self._default("max_tokens", found.max_tokens)
        self._default("first_token_deadline", found.first_token_seconds)
        self._default("between_tokens_deadline", found.between_tokens_seconds)
        self._default("after_tool_line", found.after_tool_line)

    def _default(self, name: str, value: object) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)
            object.__setattr__(self, "found", self.found | {name})

    def within(self, environment: ModelSettings) -> ChatSettings:
        """The same, with what was not given from other settings."""
        blank: dict[str, Any] = {item.name: _blank(item) for item in fields(self) if item.name in self.found}
        return replace(self, **blank, environment=environment)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where to ask, the first choice first."""
        more = tuple(self.headers.items())
        first = Endpoint(
            self.model, self.base_url, self.api_key, more_headers=more, shape=self.shape, price=self.price
        )
        if not self.fallback_model:
            return (first,)
        base_url = self.fallback_base_url or self.base_url
        key, more = self.fallback_api_key, ()
        if base_url == self.base_url:
            key, more = key or self.api_key, first.more_headers
        shape = self.fallback_shape
        price = self.fallback_price
        second = Endpoint(self.fallback_model, base_url, key, more_headers=more, shape=shape, price=price)
        return (first, second)


def _blank(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""


async def probe(endpoint: Endpoint, http: aiohttp.ClientSession) -> str:
    """Look whether a model is there (``GET {base}/models``). Returns what is wrong, or nothing.

    An endpoint that has no such list is no problem: not all of them do.
    """
    try:
        url = endpoint.url("models")
        async with (
            asyncio.timeout(SECONDS_TO_PROBE),
            http.get(url, headers=endpoint.headers, proxy=proxy_to(url), allow_redirects=False) as response,
        ):
            body = await read_up_to(MAX_LIST, response.content)
            status, headers = response.status, response.headers
    except TimeoutError:
        return f"{endpoint.where} did not answer in {SECONDS_TO_PROBE:g} seconds: check OPENAI_BASE_URL"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _unreachable(endpoint, error)
    if 300 <= status < 400:
        target = URL(headers.get("Location", "")).host or "another place"
        return f"{endpoint.where} redirects to {target}: set OPENAI_BASE_URL to where the model is"
    if status in (404, 405, 501):
        return ""
    if status != 200:
        refused = refusal(endpoint.where, endpoint.model, status, headers, body)
        return f"{refused}. {refused.detail}".strip()
    names = _models(body)
    if not names or endpoint.model in names:
        return ""
    near = difflib.get_close_matches(endpoint.model, names, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(names)[:5])}"
    return f"{endpoint.where} lists no model {endpoint.model}: {hint} Check VOICE_APP_MODEL"


async def probe_all(settings: ModelSettings) -> list[str]:
    """Look whether the models of the settings are there. Returns what is wrong, a line for each."""
    async with aiohttp.ClientSession() as http:
        endpoints = ChatSettings(environment=settings).endpoints
        return [problem for problem in [await probe(item, http) for item in endpoints] if problem]


def _models(body: bytes) -> list[str]:
    """The names in a list of models: OpenAI's shape, or a plain list."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    items = value.get("data", value.get("models")) if isinstance(value, dict) else value
    if not isinstance(items, list):
        return []
    names = [item.get("id") or item.get("name") if isinstance(item, dict) else item for item in items]
    return [name.removeprefix("models/") for name in names if isinstance(name, str)]

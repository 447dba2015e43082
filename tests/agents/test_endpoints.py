"""Where models are: addresses, headers, settings from the environment, and a look whether one is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.driver import CALL
from support.model import ScriptedModel
from voice_app.agents import endpoints
from voice_app.agents.chat import Chat
from voice_app.agents.client import _options
from voice_app.agents.completions import Completion
from voice_app.agents.endpoints import ChatSettings, Endpoint, probe, probe_all
from voice_app.agents.failures import ModelError
from voice_app.agents.protocol import Call, Turn
from voice_app.settings import SettingsError, load_model_settings


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://x.example/v1", "https://x.example/v1/chat/completions"),
        ("https://x.example/v1/", "https://x.example/v1/chat/completions"),
        ("https://x.example", "https://x.example/chat/completions"),
        ("https://x.example/v1/chat/completions", "https://x.example/v1/chat/completions"),
        (
            "https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        ("https://x.example/v1?a=b%2Bc&d", "https://x.example/v1/chat/completions?a=b%2Bc&d"),
        ("https://x.example/a%2Fb/v1", "https://x.example/a%2Fb/v1/chat/completions"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions"),
    ],
)
def test_the_address_keeps_what_the_base_has(base_url: str, url: str) -> None:
    assert str(Endpoint("m", base_url).url("chat/completions")) == url


@pytest.mark.parametrize(
    ("endpoint", "headers"),
    [
        (Endpoint("m", "https://x.example/v1", "k"), {"Authorization": "Bearer k"}),
        (Endpoint("m", "https://x.example/v1"), {}),
        (Endpoint("m", "https://r.openai.azure.com/openai/v1", "k"), {"api-key": "k"}),
        (Endpoint("m", "https://r.services.ai.azure.com/models", "k"), {"api-key": "k"}),
        (Endpoint("m", "https://x.example/v1", "k", more_headers=(("api-key", "z"),)), {"api-key": "z"}),
        (
            Endpoint("m", "https://x.example/v1", "k", more_headers=(("X-Title", "z"),)),
            {"X-Title": "z", "Authorization": "Bearer k"},
        ),
        (Endpoint("m", "https://user:pw@x.example/v1", "k"), {}),
    ],
)
def test_the_key_goes_into_the_header_that_the_host_reads(
    endpoint: Endpoint, headers: dict[str, str]
) -> None:
    assert endpoint.headers == headers


@pytest.mark.parametrize(
    ("base_url", "is_openai"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://r.openai.azure.com/openai/v1", True),
        ("https://notopenai.com/v1", False),
        ("https://openai.com.evil.example/v1", False),
        ("http://127.0.0.1:8080/v1", False),
    ],
)
def test_openai_alone_gets_the_new_name_of_the_limit(base_url: str, is_openai: bool) -> None:
    settings = ChatSettings(model="m", base_url=base_url, max_tokens=9)
    (endpoint,) = settings.endpoints
    assert endpoint.is_openai is is_openai
    assert _options(settings, endpoint) == {"max_completion_tokens" if is_openai else "max_tokens": 9}


def test_no_secret_of_an_address_is_shown() -> None:
    endpoint = Endpoint(
        "m", "https://user:pw@x.example/v1?key=secret", "k-secret", more_headers=(("a", "secret"),)
    )
    assert endpoint.where == "https://x.example/v1"
    assert "secret" not in repr(endpoint).replace(endpoint.base_url, "")


async def test_query_and_headers_are_sent(model: ScriptedModel) -> None:
    model.say("Yes.")
    endpoint = Endpoint("m", f"{model.base_url}?api-version=7", more_headers=(("api-key", "k"),))
    async with aiohttp.ClientSession() as http:
        answer = Completion(endpoint, first_token=5, between_tokens=5)
        assert [text async for text in answer.stream(http, {})] == ["Yes."]
    assert model.headers[0]["api-key"] == "k"
    assert model.queries == ["api-version=7"]


async def test_the_proxy_of_the_environment_is_asked(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", model.base_url.replace("://", "://user:pw@"))
    model.say("Yes.")
    endpoint = Endpoint("m", "http://far.example/v1", "k")
    async with aiohttp.ClientSession() as http:
        answer = Completion(endpoint, first_token=5, between_tokens=5)
        assert [text async for text in answer.stream(http, {})] == ["Yes."]
        assert await probe(endpoint, http) == ""
    (asked,) = model.headers
    assert (asked["Host"], asked["Authorization"]) == ("far.example", "Bearer k")
    assert asked["Proxy-Authorization"] == "Basic dXNlcjpwdw=="
    assert model.warmed == 1


async def test_no_proxy_is_asked_for_hosts_that_need_none(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    model.say("Yes.")
    async with aiohttp.ClientSession() as http:
        answer = Completion(Endpoint("m", model.base_url), first_token=5, between_tokens=5)
        assert [text async for text in answer.stream(http, {})] == ["Yes."]


async def test_the_key_counts_and_not_what_a_netrc_has_for_the_host(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    model.say("Yes.")
    agent = Chat(ChatSettings(model="m", base_url=model.base_url, api_key="k"))
    assert [piece async for piece in agent(Call(CALL), Turn("Hello?"))] == ["Yes."]
    await agent.close()
    assert model.headers[0]["Authorization"] == "Bearer k"


# --- settings -----------------------------------------------------------------------------------------


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": "https://x.example/v1",
        "VOICE_APP_MODEL": "large",
        "VOICE_APP_MODEL_HEADERS": '{"X-Team": "phones"}',
        "VOICE_APP_MODEL_SHAPE": "no-system, short-ids",
        "VOICE_APP_FALLBACK_MODEL": "small",
        "VOICE_APP_FALLBACK_BASE_URL": "https://y.example/v1",
        "VOICE_APP_FALLBACK_API_KEY": "other",
        "VOICE_APP_FIRST_TOKEN_SECONDS": "3",
        "VOICE_APP_TEMPERATURE": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_what_is_not_given_comes_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    settings = ChatSettings(model="tiny")
    assert settings.endpoints == (
        Endpoint(
            "tiny",
            "https://x.example/v1",
            "key",
            more_headers=(("X-Team", "phones"),),
            shape=frozenset({"no-system", "short-ids"}),
        ),
        Endpoint("small", "https://y.example/v1", "other"),
    )
    assert (settings.first_token_deadline, settings.between_tokens_deadline) == (3, 5)
    assert settings.temperature == 0
    assert ChatSettings().model == "large"


def test_a_key_is_not_sent_to_a_host_that_it_was_not_given_for(environment: pytest.MonkeyPatch) -> None:
    first, second = ChatSettings(
        base_url="https://z.example/v1", fallback_base_url="https://w.example/v1"
    ).endpoints
    assert (first.api_key, first.more_headers, second.api_key) == ("", (), "")


def test_a_dot_env_file_counts(environment: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("VOICE_APP_MAX_TOKENS=90\nVOICE_APP_MODEL=from-the-file\n")
    settings = ChatSettings()
    assert (settings.max_tokens, settings.model) == (90, "large")


def test_a_shape_that_there_is_not_is_a_problem(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VOICE_APP_MODEL_SHAPE", "no-sytem")
    with pytest.raises(SettingsError, match="VOICE_APP_MODEL_SHAPE"):
        ChatSettings()


# --- looking whether a model is there, and redirects --------------------------------------------------


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


def answering(status: int, body: str, **headers: str) -> Any:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers=headers)

    return handler


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, '{"data":[{"id":"tiny"},{"id":"large"}]}', ""),
        (200, '{"data":[{"id":"models/tiny"}]}', ""),
        (200, '["tiny"]', ""),
        (200, '{"models":[{"name":"tiny"}]}', ""),
        (200, '{"data":[{"id":"tiny-2"}]}', "lists no model tiny: did you mean tiny-2?"),
        (200, '{"data":[{"id":"zeppelin"}]}', "lists no model tiny: it has zeppelin"),
        (200, '{"data":[]}', ""),
        (200, "<html>", ""),
        (200, "[" * 100_000, ""),
        (200, '{"data":' * 100_000, ""),
        (404, "", ""),
        (401, '{"error":{"message":"bad key"}}', "OPENAI_API_KEY"),
        (401, '{"error":' * 100_000, "OPENAI_API_KEY"),
        (500, "", "answers 500"),
    ],
)
async def test_the_list_of_models_tells_what_is_wrong(status: int, body: str, told: str) -> None:
    async with serving(answering(status, body)) as base_url, aiohttp.ClientSession() as http:
        problem = await probe(Endpoint("tiny", base_url), http)
    assert told in problem if told else problem == ""


async def test_an_endpoint_that_is_not_there_is_told(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as http:
        problem = await probe(Endpoint("m", f"http://127.0.0.1:{unused_tcp_port}?key=secret"), http)
        assert "cannot be reached" in problem
        assert "secret" not in problem
        assert "cannot be reached" in await probe(Endpoint("m", "no address"), http)


async def test_an_endpoint_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "SECONDS_TO_PROBE", 0.05)

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.Response()

    async with serving(handler) as base_url, aiohttp.ClientSession() as http:
        assert "did not answer" in await probe(Endpoint("m", base_url), http)


async def test_every_endpoint_of_the_settings_is_looked_at(
    environment: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    async with serving(answering(200, '["large"]')) as base_url:
        environment.setenv("OPENAI_BASE_URL", base_url)
        environment.setenv("VOICE_APP_FALLBACK_BASE_URL", f"http://127.0.0.1:{unused_tcp_port}")
        (problem,) = await probe_all(load_model_settings())
    assert f"127.0.0.1:{unused_tcp_port} cannot be reached" in problem


async def test_a_redirect_to_another_host_is_not_followed(model: ScriptedModel) -> None:
    elsewhere = model.base_url.replace("127.0.0.1", "localhost")
    handler = answering(307, "", Location=f"{elsewhere}/chat/completions")
    async with serving(handler) as base_url, aiohttp.ClientSession() as http:
        answer = Completion(Endpoint("m", base_url, "secret"), first_token=5, between_tokens=5)
        with pytest.raises(ModelError, match="redirects to localhost") as raised:
            await anext(answer.stream(http, {}))
        assert raised.value.kind == "rejected"
        assert "redirects to localhost" in await probe(Endpoint("m", base_url), http)
    assert model.requests == []


async def test_a_redirect_on_the_same_host_is_followed_with_the_request(model: ScriptedModel) -> None:
    model.say("Yes.")
    async with aiohttp.ClientSession() as http:
        moved = Endpoint("m", model.base_url.replace("/v1", "/moved"), "k")
        answer = Completion(moved, first_token=5, between_tokens=5)
        assert [text async for text in answer.stream(http, {"x": 1})] == ["Yes."]
    assert model.requests == [{"x": 1}]
    assert model.headers[0]["Authorization"] == "Bearer k"


async def test_a_circle_of_redirects_ends() -> None:
    handler = answering(308, "", Location="/v1/chat/completions")
    async with serving(handler) as base_url, aiohttp.ClientSession() as http:
        answer = Completion(Endpoint("m", base_url), first_token=5, between_tokens=5)
        with pytest.raises(ModelError, match="in a circle"):
            await anext(answer.stream(http, {}))

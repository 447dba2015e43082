"""What the double tells by webhook: signed as Twilio signs, in any order, and more than once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator

from voice_app.sandbox.network import Network
from voice_app.sandbox.twilio import (
    SUMMARY,
    CallStart,
    LocalTranscriber,
    SandboxAccount,
    WebhookSender,
    double_app,
)
from voice_app.sandbox.twilio.app import serve

TOKEN = "token-of-the-test"
ORIGIN = "https://voice.example.com"
EVENTS = {"url": f"{ORIGIN}/orchestrator/events"}
CALL = "CA" + "1" * 32
CALLER, NUMBER = "+15550100002", "+15550100001"


class Mailbox:
    """A server that takes everything in."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.genuine: list[bool] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    @property
    def types(self) -> list[str]:
        return [body["eventType"] for body in self.bodies]

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        url = f"{ORIGIN}{request.url.path}?{request.url.query}"
        signature = request.headers["X-Twilio-Signature"]
        self.genuine.append(RequestValidator(TOKEN).validate(url, body.decode(), signature))
        self.bodies.append(await request.json())
        self.tokens.append(request.headers["I-Twilio-Idempotency-Token"])
        return Response()


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(token=TOKEN)


@pytest.fixture
async def mailbox(account: SandboxAccount) -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    async with serve(mailbox.app) as base:
        account.network = Network(base, ORIGIN, TOKEN)
        yield mailbox


async def a_call(account: SandboxAccount, **fields: Any) -> None:
    configuration_id = account.add_configuration(**{"statusCallbacks": [EVENTS], **fields})
    transcriber = LocalTranscriber(account)
    await transcriber.call_started(
        CallStart(CALL, caller=CALLER, number=NUMBER, configuration_id=configuration_id)
    )
    await transcriber.spoken(CALL, "caller", "I want a refund.")
    await transcriber.call_ended(CALL)


async def test_a_call_is_told_from_its_beginning_to_its_end(
    account: SandboxAccount, mailbox: Mailbox
) -> None:
    async with WebhookSender(account) as sender:
        await a_call(account)
        await sender.settled()
    assert mailbox.types == [
        "CONVERSATION_CREATED",
        "PARTICIPANT_ADDED",
        "PARTICIPANT_ADDED",
        "COMMUNICATION_CREATED",
        "CONVERSATION_UPDATED",
    ]
    created, customer, _, said, closed = (body["data"] for body in mailbox.bodies)
    assert created["id"] == customer["conversationId"] == said["conversationId"] == closed["id"]
    assert closed["status"] == "CLOSED"
    assert customer["profileId"].startswith("mem_profile_")
    assert customer["addresses"][0]["channelId"] == said["channelId"] == CALL


async def test_it_is_signed_so_that_the_official_validator_agrees(
    account: SandboxAccount, mailbox: Mailbox
) -> None:
    async with WebhookSender(account) as sender:
        await a_call(account)
        await sender.settled()
    assert mailbox.genuine == [True] * 5


async def test_it_may_come_backwards_and_twice_with_the_same_token(
    account: SandboxAccount, mailbox: Mailbox
) -> None:
    async with WebhookSender(account, repeats=1, backwards=True) as sender:
        await a_call(account)
        await sender.settled()
    assert mailbox.types[:2] == ["CONVERSATION_UPDATED"] * 2
    assert mailbox.types[-2:] == ["CONVERSATION_CREATED"] * 2
    assert mailbox.tokens[::2] == mailbox.tokens[1::2]
    assert len(set(mailbox.tokens)) == 5


async def test_operators_tell_what_they_found(account: SandboxAccount, mailbox: Mailbox) -> None:
    hook = {"type": "WEBHOOK", "method": "POST", "url": f"{ORIGIN}/intelligence/results"}
    rule = {
        "operators": [{"id": SUMMARY}],
        "triggers": [{"on": "CONVERSATION_END"}],
        "actions": [hook],
    }
    made = account.add_intelligence(displayName="calls", rules=[rule])
    async with WebhookSender(account) as sender:
        await a_call(account, statusCallbacks=[], intelligenceConfigurationIds=[made["id"]])
        await sender.settled()
    (body,) = mailbox.bodies
    assert body["intelligenceConfiguration"]["displayName"] == "calls"
    assert body["operatorResults"][0]["result"] == {"text": "The customer said: I want a refund."}
    assert body["conversationId"] in account.conversations


async def test_a_conversation_can_be_muted(account: SandboxAccount, mailbox: Mailbox) -> None:
    async with (
        serve(double_app(account)) as base_url,
        aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(account.sid, TOKEN)}
        ) as http,
        WebhookSender(account) as sender,
    ):
        configuration_id = account.add_configuration(statusCallbacks=[EVENTS])
        transcriber = LocalTranscriber(account)
        conversation_id = await transcriber.call_started(
            CallStart(CALL, caller=CALLER, number=NUMBER, configuration_id=configuration_id)
        )
        await sender.settled()
        before = len(mailbox.bodies)
        await http.patch(
            f"{base_url}/conversations/v2/Conversations/{conversation_id}",
            json={"configuration": {"statusCallbacks": []}},
        )
        await transcriber.spoken(CALL, "caller", "Hello?")
        await transcriber.call_ended(CALL)
        await sender.settled()
    assert len(mailbox.bodies) == before


async def test_a_server_says_over_http_where_it_is(account: SandboxAccount, mailbox: Mailbox) -> None:
    base = account.network.base if account.network is not None else ""
    account.network = None
    async with (
        serve(double_app(account)) as base_url,
        aiohttp.ClientSession() as http,
        WebhookSender(account) as sender,
    ):
        told = {"base": base, "origin": ORIGIN}
        async with http.put(f"{base_url}/_sandbox/network", json=told) as answer:
            assert answer.status == 200
        await a_call(account)
        await sender.settled()
    assert mailbox.genuine == [True] * 5


async def test_nobody_at_the_address_is_no_trouble(account: SandboxAccount) -> None:
    async with serve(Starlette()) as base:
        pass
    account.network = Network(base, ORIGIN, TOKEN)
    async with WebhookSender(account) as sender:
        await a_call(account)
        await sender.settled()
    assert [item.status for item in sender.deliveries] == [None] * 5


async def test_without_a_network_nothing_is_kept(account: SandboxAccount) -> None:
    async with WebhookSender(account) as sender:
        await a_call(account)
        await sender.settled()
    assert not sender.deliveries

"""The clients talk to the double over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from voice_app.sandbox.twilio import Behaviour, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.twilio import Credentials, Patience, TwilioApi

TOKEN = "token-of-the-test"


@pytest.fixture
def account() -> SandboxAccount:
    """Operations are done when they are polled, never by time."""
    behaviour = Behaviour(operation_seconds=float("inf"), retry_after=0)
    return SandboxAccount("AC" + "1" * 32, TOKEN, behaviour=behaviour)


@pytest.fixture
async def base_url(account: SandboxAccount) -> AsyncIterator[str]:
    async with serve(double_app(account)) as url:
        yield url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def api(session: aiohttp.ClientSession, base_url: str, account: SandboxAccount) -> TwilioApi:
    return TwilioApi(
        session,
        Credentials(account.sid, TOKEN),
        base_url=base_url,
        patience=Patience(attempts=3, first_wait=0.0, longest_wait=0.5),
    )


@pytest.fixture
def summarize(api: TwilioApi) -> Callable[[str, str, str, str], Awaitable[None]]:
    """Writes a summary of a conversation to a profile, as Twilio's extraction does."""

    async def write(store_id: str, profile_id: str, content: str, conversation_id: str) -> None:
        path = f"/v1/Stores/{store_id}/Profiles/{profile_id}/ConversationSummaries"
        at = "2026-01-01T12:00:00.000Z"
        summary = {"content": content, "conversationId": conversation_id, "occurredAt": at, "source": "test"}
        await api.request("POST", "memory", path, body={"summaries": [summary]})

    return write

"""The clients talk to the double over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

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

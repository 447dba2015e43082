"""The double of Twilio's APIs, served over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve


@pytest.fixture
async def base_url(account: SandboxAccount) -> AsyncIterator[str]:
    async with serve(double_app(account)) as url:
        yield url

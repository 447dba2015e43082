"""Several numbers on one server, each with tables of its own, in front of one account."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.sandbox import Sandbox, sandbox
from voice_app.sandbox.phone import Person, PhoneCall
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve

FIRST, SECOND, THIRD = "+15550100001", "+15550100002", "+15550100003"
CALLER = "+15550199999"


def number_file(folder: Path, tables: Mapping[str, Mapping[str, Any]]) -> Path:
    """A file for ``VOICE_APP_NUMBERS``: by number, what is its own. Strings and lists of them."""
    lines = (
        f'["{number}"]\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for number, table in tables.items()
    )
    path = folder / "numbers.toml"
    path.write_text("".join(lines), "utf-8")
    return path


@asynccontextmanager
async def serving(folder: Path, account: SandboxAccount, **settings: Any) -> AsyncIterator[Sandbox]:
    """A server in front of this account, with no configuration in its settings."""
    async with (
        serve(double_app(account)) as base_url,
        sandbox(folder, twilio_base_url=base_url, **settings) as server,
    ):
        yield server


@asynccontextmanager
async def calling(server: Sandbox, number: str, *people: Person) -> AsyncIterator[PhoneCall]:
    """A call to one of the numbers, once the caller was greeted. Nothing of it may be a problem."""
    server.phone.number = number
    async with server.call(*people) as call:
        await call.reply()
        yield call
    assert call.problems == []

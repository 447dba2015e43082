"""People and programs that use console and API of a server in this process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from argon2 import PasswordHasher

from support.journals import THEN, write
from support.sandbox import Sandbox, database, sandbox
from voice_app.journal.events import Event
from voice_app.settings import hash_of_key

PASSWORD: Final = "correct horse battery"
_QUICK: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_HASH: Final = _QUICK.hash(PASSWORD)
ROLES: Final = ("watch", "act", "admin")


def users_file(folder: Path, *, expires: date | None = None) -> Path:
    """A file with a user of each role, named as it is, and a key ``va_ROLE`` likewise."""
    until = expires or (datetime.now(UTC) + timedelta(days=2)).date()
    path = folder / "users.toml"
    path.write_text(
        "\n".join(
            f'[users.{role}]\npassword = "{_HASH}"\nrole = "{role}"\n'
            f'[keys.{role}]\nsha256 = "{hash_of_key(key_of(role))}"\nrole = "{role}"\nexpires = {until}\n'
            for role in ROLES
        )
    )
    return path


def key_of(role: str) -> str:
    return f"va_{role}"


@asynccontextmanager
async def browser(server: Sandbox, name: str = "", **headers: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody's browser, signed in if a ``name`` is given. It follows no redirects by itself."""
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of 127.0.0.1, too
    async with aiohttp.ClientSession(server.base_url, cookie_jar=jar, headers=headers) as http:
        if name:
            assert (await sign_in(http, name)).status == 303
        yield http


async def sign_in(
    http: aiohttp.ClientSession, name: str, password: str = PASSWORD, **more: Any
) -> aiohttp.ClientResponse:
    form = {"name": name, "password": password}
    async with http.post("/console/sign-in", data=form | more, allow_redirects=False) as answer:
        await answer.read()
    return answer


def csrf_in(page: str) -> str:
    """The CSRF token of a page."""
    found = re.search(r'name="csrf" (?:value|content)="([^"]+)"', page)
    assert found is not None, page
    return found[1]


# --- the API ----------------------------------------------------------------------------------------


def sid(number: int) -> str:
    return f"CA{number:032x}"


@asynccontextmanager
async def with_calls(
    tmp_path: Path, calls: dict[str, list[Event]], url: str = "", **changes: Any
) -> AsyncIterator[Sandbox]:
    url = url or database(tmp_path)
    await write(url, calls, at=THEN, step=10.0)
    async with sandbox(tmp_path, database_url=url, users=users_file(tmp_path), **changes) as server:
        yield server


async def get(server: Sandbox, path: str, role: str = "act") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key_of(role)}"}
    async with server.http.get(f"{server.base_url}/api/v1{path}", headers=headers) as response:
        return response.status, await response.json()

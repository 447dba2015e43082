"""``voice-app user``: the file of those who may."""

from __future__ import annotations

import json
from pathlib import Path

from argon2 import PasswordHasher

from support.commands import voice_app
from voice_app.settings import Role, read_users

FILE = {"VOICE_APP_USERS": "users.toml"}


async def test_somebody_is_added_changed_and_removed_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text("# Who runs the line.\n")
    added = await voice_app(
        tmp_path, "user", "add", "anna", "--role", "act", stdin="a long password\n", **FILE
    )
    assert (added.code, "anna" in added.out, "password" in added.out) == (0, True, False)
    user = read_users(path).users["anna"]
    assert user.role is Role.ACT
    assert PasswordHasher().verify(user.password, "a long password")
    assert path.stat().st_mode & 0o777 == 0o600
    await voice_app(tmp_path, "user", "add", "anna", stdin="another password\n", **FILE)
    assert PasswordHasher().verify(read_users(path).users["anna"].password, "another password")
    await voice_app(tmp_path, "user", "add", "ben@example.com", stdin="a long password\n", **FILE)
    assert (await voice_app(tmp_path, "user", "remove", "anna", **FILE)).code == 0
    assert list(read_users(path).users) == ["ben@example.com"]
    assert "# Who runs the line." in path.read_text()


async def test_a_key_is_printed_once_and_kept_as_its_hash(tmp_path: Path) -> None:
    made = await voice_app(tmp_path, "user", "key", "wall", "--days", "1", **FILE)
    key = made.out.strip()
    path = tmp_path / "users.toml"
    assert key.startswith("va_")
    assert key not in path.read_text()
    found = read_users(path).key(key)
    assert found is not None
    assert (found[0], found[1].role) == ("wall", Role.WATCH)
    listed = json.loads((await voice_app(tmp_path, "user", "list", "--json", **FILE)).out)
    assert listed["keys"] == [{"name": "wall", "role": "watch", "expires": found[1].expires.isoformat()}]
    assert "key wall  watch" in (await voice_app(tmp_path, "user", "list", **FILE)).out


async def test_a_list_of_nobody_says_how_to_add_somebody(tmp_path: Path) -> None:
    assert "voice-app user add" in (await voice_app(tmp_path, "user", "list", **FILE)).out

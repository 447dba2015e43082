"""Who may look at calls and act on them: the TOML file that ``VOICE_APP_USERS`` names.

    [users.anna]
    password = "$argon2id$…"
    role = "act"

    [keys.wallboard]
    sha256 = "…"
    role = "watch"
    expires = 2027-01-31

Neither a password nor a key is in it. A key has 256 random bits: nobody guesses one, so its plain SHA-256 is
enough, and costs nothing on each request. A password is guessed sooner, and its hash is made to be slow.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_app.settings.environment import PREFIX
from voice_app.settings.files import TomlError, read_toml
from voice_app.settings.problems import SettingsError, sentences
from voice_app.settings.values import matching

if TYPE_CHECKING:
    from argon2 import PasswordHasher

USER_NAME: Final = re.compile(r"[A-Za-z0-9][\w.@+-]{0,63}", re.ASCII)
_Name = Annotated[str, matching(USER_NAME, "anna or anna@example.com")]


class Role(StrEnum):
    """What somebody may do. Each may do what those before it may."""

    WATCH = "watch"
    """Look, with callers' numbers masked."""
    ACT = "act"
    """See them, and act on live calls."""
    ADMIN = "admin"
    """Erase callers, too."""

    def includes(self, other: Role) -> bool:
        """Whether this role may do what the other may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


class User(BaseModel):
    """Somebody who signs in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    password: Annotated[str, matching(r"\$argon2id\$\S+", "$argon2id$…; `voice-app user add` makes one")]
    """Its hash, by Argon2id (RFC 9106)."""
    role: Role


class ApiKey(BaseModel):
    """A program that asks the API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[
        str, matching(r"[0-9a-f]{64}", "64 hexadecimal digits; `voice-app user key` makes them")
    ]
    """Of the key, in UTF-8."""
    role: Role
    expires: date
    """Its last day, in UTC."""

    def valid(self, now: datetime) -> bool:
        return now.astimezone(UTC).date() <= self.expires


class Users(BaseModel):
    """Everybody who may."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: dict[_Name, User] = Field(default_factory=dict)
    keys: dict[_Name, ApiKey] = Field(default_factory=dict)

    def key(self, given: str) -> tuple[str, ApiKey] | None:
        """The key that was given, with its name, if it is one of these; it may have expired."""
        digest = hash_of_key(given)
        return next(((name, key) for name, key in self.keys.items() if key.sha256 == digest), None)


def hash_of_key(key: str) -> str:
    """What the file has of an API key."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def password_hasher() -> PasswordHasher:
    """Argon2id as RFC 9106 has it for little memory, on one core: the others have calls to serve."""
    from argon2 import PasswordHasher  # most servers never need it, and it takes long to import

    return PasswordHasher(parallelism=1)


def read_users(path: Path) -> Users:
    """The users and keys of a file. Raises `SettingsError` with a line for each thing that is wrong."""
    name = f"{PREFIX}USERS"
    try:
        return Users.model_validate(read_toml(path))
    except TomlError as error:
        raise SettingsError([f"{name}: {error}"]) from None
    except ValidationError as error:
        # Not even a wrong hash is shown: it may be a password that somebody has put there.
        told = sentences(error, known=Users.model_fields, secret=lambda field: True)
        raise SettingsError([f"{name}: {path}: {problem}" for problem in told]) from None

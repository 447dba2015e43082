"""``voice-app user``: who may look at calls and act on them."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voice_app.cli.options import AsJson

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from voice_app.settings import Role, Users

LEAST: Final = 12
"""Characters of a password."""

File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        envvar="VOICE_APP_USERS",
        help="The file of users; if not given, the one of the settings.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="E.g. anna, or anna@example.com.")]
RoleName = Annotated[
    str,
    typer.Option("--role", help="watch: look, numbers masked; act: on live calls, too; admin: erase, too."),
]


def add(name: Name, role: RoleName = "watch", file: File = None) -> None:
    """Add somebody who signs in, or change their password and role. Asks for the password.

    Where nobody can be asked, the password is the first line of standard input.

    Example: voice-app user add anna --role act
    """
    path, wanted = _path(file), _role(role)
    _check_name(name)
    known = _known(path)
    _write(path, "users", name, {"password": _hashed(_password()), "role": wanted.value})
    typer.echo(f"{name} may {wanted} now, and is {'changed' if name in known.users else 'added'} in {path}.")


def key(
    name: Name,
    role: RoleName = "watch",
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long it may be used.")] = 90,
    file: File = None,
) -> None:
    """Make an API key, and print it: it is shown this once. A key of the same name ends.

    Example: voice-app user key wallboard --role watch --days 30
    """
    from voice_app.settings import hash_of_key

    path, wanted, made = _path(file), _role(role), f"va_{secrets.token_urlsafe(32)}"
    _check_name(name)
    _known(path)
    expires = (datetime.now(UTC) + timedelta(days=days)).date()
    _write(path, "keys", name, {"sha256": hash_of_key(made), "role": wanted.value, "expires": expires})
    typer.echo(
        f"{path} has the key {name} ({wanted}, until {expires}). Keep it; it is not shown again:", err=True
    )
    typer.echo(made)


def list_users(file: File = None, as_json: AsJson = False) -> None:
    """List users and API keys.

    Example: voice-app user list
    """
    from voice_app.cli.output import print_json

    known = _known(_path(file))
    if as_json:
        users = [{"name": name, "role": user.role} for name, user in known.users.items()]
        keys = [
            {"name": name, "role": item.role, "expires": item.expires.isoformat()}
            for name, item in known.keys.items()
        ]
        print_json({"users": users, "keys": keys})
        return
    for name, user in known.users.items():
        typer.echo(f"{name}  {user.role}")
    for name, item in known.keys.items():
        over = "" if item.valid(datetime.now(UTC)) else ", expired"
        typer.echo(f"key {name}  {item.role}, until {item.expires}{over}")
    if not known.users and not known.keys:
        typer.echo("Nobody yet: `voice-app user add NAME` adds somebody.")


def remove(name: Name, file: File = None) -> None:
    """Remove a user, or an API key: whoever it is, is out within a second.

    Example: voice-app user remove anna
    """
    from voice_app.cli.output import fail

    path = _path(file)
    known = _known(path)
    tables = [table for table in ("users", "keys") if name in getattr(known, table)]
    if not tables:
        raise fail(f"{path} has no user or key {name}: see `voice-app user list`.", 2)
    for table in tables:
        _write(path, table, name, None)
    typer.echo(f"{name} is removed from {path}.")


def _path(file: Path | None) -> Path:
    from voice_app.cli.output import fail

    if file is None:
        from voice_app.settings import load

        file = load().users
    if file is None:
        raise fail("It is not known where users are kept: set VOICE_APP_USERS=users.toml, or add --file.", 2)
    return file


def _role(role: str) -> Role:
    from voice_app.settings import Role

    if role not in list(Role):
        raise typer.BadParameter(f"--role: {role!r} should be {', '.join(Role)}.")
    return Role(role)


def _check_name(name: str) -> None:
    from voice_app.settings import USER_NAME

    if USER_NAME.fullmatch(name) is None:
        raise typer.BadParameter(f"{name!r} should look like anna or anna@example.com.")


def _known(path: Path) -> Users:
    """Who is in the file; nobody if there is none. Raises `SettingsError`."""
    from voice_app.settings import Users, read_users

    return read_users(path) if path.exists() else Users()


def _password() -> str:
    from voice_app.cli.output import fail

    if sys.stdin.isatty():
        given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if len(given) < LEAST:
        raise fail(f"The password should have {LEAST} characters or more. Nothing was changed.", 2)
    return given


def _hashed(password: str) -> str:
    from voice_app.settings import password_hasher

    return password_hasher().hash(password)


def _write(path: Path, table: str, name: str, values: dict[str, Any] | None) -> None:
    """Change one entry of the file, and keep what else people have written in it; `None` removes it."""
    import tomlkit

    from voice_app.cli.output import fail

    document = tomlkit.parse(path.read_text("utf-8-sig")) if path.exists() else tomlkit.document()
    entries = document.setdefault(table, tomlkit.table(is_super_table=True))
    if values is None:
        del entries[name]
    else:
        entry = tomlkit.table()
        entry.update(values)
        entries[name] = entry
    try:
        _replace(path, document)
    except OSError as error:
        raise fail(f"{path} cannot be written: {error.strerror}.", 2) from None


def _replace(path: Path, document: TOMLDocument) -> None:
    """Only its owner can read it, and a server that reads it now sees the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(document.as_string())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

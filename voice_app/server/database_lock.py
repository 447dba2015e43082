"""SQLite is for one serving process: it is kept so by a lock on a file beside the database."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from voice_app.settings import Settings, SettingsError

ADVICE = "VOICE_APP_DATABASE_URL=postgresql://… takes any number of processes and machines"


def check_workers(settings: Settings) -> None:
    """Raises `SettingsError` for more workers than the database takes."""
    if settings.workers > 1 and _is_sqlite(settings.database_url):
        raise SettingsError(
            [
                f"VOICE_APP_WORKERS is {settings.workers}, but the journal is in SQLite, which is for one "
                f"process: more would not hear of each other's calls. Use one worker; {ADVICE}"
            ]
        )


@contextlib.contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Keep the database to this process while the block runs. Raises `SettingsError` if another has it.

    The lock goes with the process, however that ends. Commands that only read need none.
    """
    path = _database_file(settings.database_url)
    if path is None:
        yield
        return
    beside = path.with_name(f"{path.name}.serving")
    try:
        if path.is_dir():
            raise SettingsError([f"VOICE_APP_DATABASE_URL: {path} is a folder: name a file in it"])
        file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (OSError, ValueError) as error:
        raise _unwritable(beside, error) from None
    try:
        _lock(file, path, beside)
        yield
    finally:
        os.close(file)


def _lock(file: int, path: Path, beside: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(file, 32, 0).decode(errors="replace").strip()
        raise SettingsError(
            [
                f"VOICE_APP_DATABASE_URL: another voice-app serve (process {holder or '?'}) uses {path}: "
                f"stop it first, or give this one a database of its own. {ADVICE}"
            ]
        ) from None
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:  # the disk is full
        raise _unwritable(beside, error) from None


def _unwritable(beside: Path, error: Exception) -> SettingsError:
    why = error.strerror if isinstance(error, OSError) else "it cannot be the name of a file"
    return SettingsError(
        [f"VOICE_APP_DATABASE_URL: {beside} cannot be written ({why}): it locks the database"]
    )


def _is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def _database_file(url: str) -> Path | None:
    """The file of a SQLite database; None for one in memory, and for any other kind of URL."""
    if not _is_sqlite(url):
        return None
    try:
        name = make_url(url).database
    except ArgumentError:
        return None  # the journal says what is wrong with it
    return Path(name) if name and name != ":memory:" else None

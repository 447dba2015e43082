"""nginx with a configuration of ours, as a process of its own."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from voice_app.cli.child_processes import ChildError

START_SECONDS: Final = 10.0
STOP_SECONDS: Final = 10.0
PLACES: Final = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin"
"""Debian keeps it where only root looks."""

_LISTEN: Final = re.compile(r"(?m)^([ \t]*listen )\S+;")
_MACHINE: Final = re.compile(r"(?m)^([ \t]*server )\S+( .*;)\n")
_TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

_MAIN: Final = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/errors;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
{temporary}
    include {folder}/site.conf;
}}
"""


def find() -> str:
    """The program. Raises `ChildError` where there is none."""
    program = shutil.which("nginx", path=PLACES)
    if program is None:
        raise ChildError("nginx is not installed: `apt-get install nginx` on Debian or Ubuntu")
    return program


@asynccontextmanager
async def nginx(site: Path, folder: Path, listen: str, machines: Sequence[str]) -> AsyncIterator[str]:
    """Serve a site while the block runs, and give its base URL.

    ``site`` is what stands in ``http { … }``; its addresses are replaced: ``listen`` is ``host:port``,
    ``machines`` are the base URLs of the servers. Raises `ChildError`.
    """
    program = find()
    _must_be_free(listen)
    _configure(site, folder, listen, machines)
    process = await asyncio.create_subprocess_exec(
        program,
        *("-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for whoever started it
    )
    try:
        if not await _answers(process, listen):
            said = (folder / "errors").read_text("utf-8", "replace").strip()[-2000:]
            raise ChildError(f"nginx did not start with {site}. It said: {said or 'nothing'}")
        yield f"http://{listen}"
    finally:
        await _stop(process)


def _must_be_free(listen: str) -> None:
    """nginx would try for a while, and whoever has the port would be taken for it."""
    host, _, port = listen.rpartition(":")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        raise ChildError(
            f"nginx cannot listen on {listen} ({error.strerror}): choose another with --port"
        ) from None


def _configure(site: Path, folder: Path, listen: str, machines: Sequence[str]) -> None:
    try:
        text = site.read_text("utf-8")
    except OSError as error:
        raise ChildError(f"{site} cannot be read: {error.strerror}") from None
    (folder / "site.conf").write_text(addressed(text, listen, machines))
    (folder / "nginx.conf").write_text(
        _MAIN.format(
            folder=folder,
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            temporary="\n".join(f"    {name}_temp_path {folder}/{name};" for name in _TEMPORARY),
        )
    )


def addressed(site: str, listen: str, machines: Sequence[str]) -> str:
    """The site with other addresses. Raises `ChildError` if it has no places for them."""
    found = _MACHINE.search(site)
    if found is None or _LISTEN.search(site) is None:
        raise ChildError("the site needs a `listen` and, in its `upstream`, a `server` with parameters")
    ways = dict.fromkeys(_MACHINE.findall(site))  # each machine in each of them, e.g. as a backup, too
    ours = "".join(f"{start}{urlsplit(machine).netloc}{end}\n" for start, end in ways for machine in machines)
    first, rest = site[: found.start()], _MACHINE.sub("", site[found.start() :])
    return _LISTEN.sub(rf"\g<1>{listen};", first + ours + rest, count=1)


async def _answers(process: asyncio.subprocess.Process, listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    await writer.wait_closed()
                    return process.returncode is None
                await asyncio.sleep(0.02)
    return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

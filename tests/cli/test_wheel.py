"""The package as people install it: a wheel, in an environment and a folder in which nothing else is."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from support.blocks import ROOT

LISTENING = b"Listening on"
EXAMPLES = ("receptionist", "chat", "own-agent")


async def run(folder: Path, *words: str | Path, **environment: str) -> str:
    """Run a program to its end, with an empty environment; what it prints."""
    process = await asyncio.create_subprocess_exec(
        *map(str, words), cwd=folder, env=empty(folder) | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, f"{words}:\n{out.decode()}"
    return out.decode()


def empty(folder: Path) -> dict[str, str]:
    kept = ("PATH", "PIP_INDEX_URL", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE")
    return {"HOME": str(folder)} | {name: os.environ[name] for name in kept if name in os.environ}


async def the_examples_are_written_and_pass(folder: Path, programs: Path) -> None:
    """Each of the page, with the words of the page."""
    page = await run(folder, programs / "voice-app", "docs", "examples")
    names = set(re.findall(r"--example ([a-z-]+)", page))
    assert names == set(EXAMPLES)
    for name in names:
        await run(folder, programs / "voice-app", "init", "--example", name, name)
        tested = await run(folder / name, programs / "pytest")
        assert re.search(r"= \d+ passed in", tested), tested
        rehearsed = await run(folder / name, programs / "voice-app", "rehearse", ".")
        assert rehearsed.endswith(" runs: all passed\n")


@pytest.mark.slow
async def test_a_wheel_in_an_empty_environment_writes_an_agent_that_can_be_tested_served_and_phoned(
    tmp_path: Path,
) -> None:
    await run(tmp_path, sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    await run(tmp_path, sys.executable, "-m", "venv", "env")
    programs = tmp_path / "env/bin"
    pinned = "".join(path.read_text() for path in (ROOT / "scripts").glob("requirements*.txt"))
    (tmp_path / "pins.txt").write_text("\n".join(re.findall(r"(?m)^[\w.-]+==[\w.]+", pinned)))
    hashed = ("--no-deps", "--require-hashes", "-r", ROOT / "scripts/requirements.txt")
    await run(tmp_path, programs / "pip", "install", "-q", *hashed)
    await run(tmp_path, programs / "pip", "install", "-q", "-c", "pins.txt", f"{wheel}[testing]")
    await run(tmp_path, programs / "pip", "check")

    folder = tmp_path / "mine"
    folder.mkdir()
    where = await run(folder, programs / "python", "-c", "import voice_app; print(voice_app.__file__)")
    assert where.startswith(str(tmp_path / "env"))
    await run(folder, programs / "voice-app", "init")
    assert (folder / "twiml_templates/_relay.xml").exists()
    assert await run(folder, programs / "voice-app", "lint") == "Clean.\n"
    assert "2 passed" in await run(folder, programs / "python", "-m", "pytest", "-q")
    assert "STT101" in await run(folder, programs / "voice-app", "docs", "rules")

    await the_examples_are_written_and_pass(tmp_path, programs)

    server = await asyncio.create_subprocess_exec(
        programs / "voice-app", "serve", "--port", "0", cwd=folder, stdout=asyncio.subprocess.PIPE,
        env=empty(folder) | {"VOICE_APP_AGENT": "my_agent:agent"},
    )  # fmt: skip
    assert server.stdout is not None
    try:
        async with asyncio.timeout(120):
            while LISTENING not in (line := await server.stdout.readline()):
                assert line, "the server has not started"
        url = f"{line.split()[-1].decode()}/voice"
        phoned = await run(
            folder, programs / "voice-app", "call", "--url", url, "--pace", "100",
            "--say", "Where is order 81?", "--expect", "leaves today",
        )  # fmt: skip
        assert "Order 81 leaves today." in phoned
    finally:
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            await server.communicate()
    assert server.returncode == 0

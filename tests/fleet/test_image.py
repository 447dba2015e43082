"""The steps of scripts/deploy/Containerfile, one by one, in an empty environment and without an engine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
STEPS: Final = (ROOT / "scripts/deploy/Containerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
PLACE: Final = "/usr/local/lib/voice-app"
MAX_BYTES: Final = 150_000_000
"""What an install takes on a disk, before Python compiles anything."""
HANGS: Final = 120.0
KEPT: Final = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TWILIO_", "VOICE_APP_", "OPENAI_", "PYTHON"))
}

pytestmark = pytest.mark.slow


def arguments(name: str) -> list[str]:
    """The arguments of the instructions of one kind."""
    return [line.partition(" ")[2].strip() for line in STEPS if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that the first stage makes of the files that it copies, and of nothing else."""
    folder = tmp_path_factory.mktemp("image")
    source, place = folder / "src", folder / "voice-app"
    source.mkdir()
    for copied in arguments("COPY"):
        *names, to = copied.split()
        if not names[0].startswith("--from"):
            for name in names:
                target = source / to / (Path(name).name if (ROOT / name).is_file() else "")
                if (ROOT / name).is_file():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, target)
                else:
                    shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
    build = arguments("RUN")[0].replace("python -m venv", f"{sys.executable} -m venv")
    done = subprocess.run(
        ["/bin/sh", "-c", build.replace(PLACE, str(place))],
        cwd=source,
        env=KEPT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(source)
    return place


def test_an_install_is_small(image: Path) -> None:
    sizes = {
        path: path.stat().st_size
        for path in (image / "lib").rglob("*")
        if path.is_file() and not path.is_symlink() and not {"__pycache__", "pip"} & set(path.parts)
    }
    assert sum(sizes.values()) <= MAX_BYTES


async def test_the_image_serves_from_an_empty_folder(image: Path, tmp_path: Path) -> None:
    given = dict(pair.split("=", 1) for pair in arguments("ENV")[0].split())
    path = given["PATH"].replace(PLACE, str(image)).replace("$PATH", KEPT["PATH"])
    environment = KEPT | given | {"PATH": path, "VOICE_APP_PORT": "0", "VOICE_APP_HOST": "127.0.0.1"}
    command = json.loads(arguments("CMD")[-1])
    server = await asyncio.create_subprocess_exec(
        image / "bin" / command[0],
        *command[1:],
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    try:
        async with asyncio.timeout(HANGS):
            async for line in server.stdout:
                if b"Listening on" in line:
                    break
            asked = json.loads(re.findall(r"CMD (\[.*\])", arguments("HEALTHCHECK")[0])[0])
            url = line.split()[-1].decode()
            script = asked[2].replace("http://127.0.0.1:8000", url).replace("timeout=2", f"timeout={HANGS:g}")
            healthy = await asyncio.create_subprocess_exec(
                image / "bin/python", asked[1], script, cwd=tmp_path
            )
            assert await healthy.wait() == 0
    finally:
        server.send_signal(getattr(signal, arguments("STOPSIGNAL")[0]))
        async with asyncio.timeout(HANGS):
            assert await server.wait() == 0
    assert (tmp_path / "voice-app.db").exists()


async def test_the_image_writes_an_agent_that_it_can_lint(image: Path, tmp_path: Path) -> None:
    for words in (["init"], ["lint"]):
        ran = await asyncio.create_subprocess_exec(image / "bin/voice-app", *words, cwd=tmp_path, env=KEPT)
        assert await ran.wait() == 0
    assert (tmp_path / "my_agent.py").exists()


def test_the_source_distribution_has_what_tests_and_docs_need(image: Path, tmp_path: Path) -> None:
    python = str(image / "bin/python")
    for words in (
        ["pip", "install", "--quiet", "hatchling"],
        ["hatchling", "build", "-t", "sdist", "-d", tmp_path],
    ):
        done = subprocess.run(
            [python, "-m", *words], cwd=ROOT, env=KEPT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {
        name
        for name in tracked.stdout.splitlines()
        if name.startswith(("voice_app/", "tests/", "scripts/", "twiml_templates/"))
        or name in ("README.md", "pyproject.toml")
    }
    assert wanted <= found

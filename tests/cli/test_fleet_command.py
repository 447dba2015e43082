"""``voice-app fleet``, which ``scripts/fleet`` runs. What a fleet does is tested in tests/fleet/."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from support.commands import voice_app
from support.tools import required

TESTS = Path(__file__).parents[1]
SITE = Path(__file__).parents[2] / "scripts/deploy/nginx.conf"


async def test_sqlite_is_refused(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "fleet", "--nginx", str(SITE))
    assert result.code == 2
    assert "several servers need PostgreSQL; `scripts/fleet` starts one" in result.err


async def test_a_real_account_is_refused(tmp_path: Path) -> None:
    result = await voice_app(
        tmp_path,
        "fleet",
        "--nginx",
        str(SITE),
        VOICE_APP_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
        TWILIO_ACCOUNT_SID="AC" + "1" * 32,
        TWILIO_AUTH_TOKEN="x",
        TWILIO_VOICE_PUBLIC_DOMAIN="voice.example.com",
    )
    assert result.code == 2
    assert "this fleet runs in the sandbox" in result.err


@pytest.mark.slow
async def test_its_demo_loses_no_call(tmp_path: Path, postgres_url: str) -> None:
    required("nginx")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.fleet_demo", "--port", "0", "--calls", "6"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS), "VOICE_APP_DATABASE_URL": postgres_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(180):
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"calls lost           0\n" in out

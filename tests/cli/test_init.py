"""``voice-app init`` and what a new developer does with it: their agent, the phone, an expectation."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from support.commands import served, voice_app
from voice_app.twiml import shipped_folder


async def test_it_writes_what_is_yours_to_change(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "init", "mine")
    assert result.code == 0, result.err
    found = {str(path.relative_to(tmp_path / "mine")) for path in (tmp_path / "mine").rglob("*.*")}
    templates = {f"twiml_templates/{path.name}" for path in shipped_folder().glob("*.xml")}
    assert found == templates | {
        *("my_agent.py", "test_my_agent.py", "my_agent.yaml", "receptionist.toml", "prompt.md")
    }
    assert result.out.count("written") == len(found)


async def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text("Be brief.")
    result = await voice_app(tmp_path, "init")
    assert result.code == 0, result.err
    assert "kept     prompt.md" in result.out
    assert (tmp_path / "prompt.md").read_text() == "Be brief."
    assert (tmp_path / "my_agent.py").exists()


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = await voice_app(tmp_path, "init", "file/inside")
    assert result.code == 2
    assert "file/inside cannot be written: Not a directory." in result.err


async def test_the_files_can_be_used_as_they_are(tmp_path: Path) -> None:
    await voice_app(tmp_path, "init")
    assert (await voice_app(tmp_path, "lint")).out == "Clean.\n"
    files = {"VOICE_APP_RECEPTIONIST": "receptionist.toml", "VOICE_APP_PROMPT": "prompt.md"}
    checked = await voice_app(tmp_path, "serve", "--check-only", "--port", "0", **files)
    assert checked.code == 0, checked.out + checked.err
    rehearsed = await voice_app(tmp_path, "rehearse", "my_agent.yaml")
    assert rehearsed.code == 0, rehearsed.out + rehearsed.err
    pytest = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await pytest.communicate()
    assert pytest.returncode == 0, out.decode()


async def test_the_agent_with_its_slow_tool_is_phoned_and_does_what_is_expected(tmp_path: Path) -> None:
    await voice_app(tmp_path, "init")
    async with served(tmp_path, VOICE_APP_AGENT="my_agent:agent") as (base_url, _):
        port = base_url.rpartition(":")[2]
        result = await voice_app(
            tmp_path, "call", "--pace", "300", "--say", "Where is order 81?", "--say", "A refund, please.",
            "--expect", "Let me look that up. Order 81 leaves today.", "--expect", "How can I help?",
            VOICE_APP_PORT=port,
        )  # fmt: skip
    assert result.code == 0, result.out + result.err
    assert "Hello, this is Robin" in result.out

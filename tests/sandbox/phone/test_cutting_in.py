"""Both readings of a TwiML that does not say whether words are reported while the agent speaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sandbox import sandbox
from voice_app.sandbox.phone.relay import ReportedInput
from voice_app.twiml import shipped_folder

GREETING = "I can tell you a lot about our opening hours, our prices and the way to us."
ATTRIBUTE = 'reportInputDuringAgentSpeech="any" '


def without_the_attribute(folder: Path) -> Path:
    """The templates that ship, but for what _relay.xml says of words during the agent's speech."""
    own = folder / "mine"
    own.mkdir()
    shipped = (shipped_folder() / "_relay.xml").read_text("utf-8")
    assert ATTRIBUTE in shipped
    (own / "_relay.xml").write_text(shipped.replace(ATTRIBUTE, ""), "utf-8")
    return own


async def answered(folder: Path, reports: ReportedInput, templates: Path | None) -> bool:
    """Whether a caller who cuts into the greeting gets an answer."""
    async with sandbox(folder, greeting=GREETING, templates=templates, silence_seconds=0) as server:
        server.phone.reports = reports
        async with server.call() as call:
            heard = await call.interrupt("When are you open?", after_words=3)
            assert heard.interrupted
            await call.say("Hello?")
            first = (await call.reply()).text
    return "open" in first.lower()


@pytest.mark.parametrize("reports", ["none", "any"])
async def test_a_caller_who_cuts_in_is_answered_under_either_default(
    tmp_path: Path, reports: ReportedInput
) -> None:
    assert await answered(tmp_path, reports, None)


@pytest.mark.parametrize(("reports", "heard"), [("none", False), ("any", True)])
async def test_without_the_attribute_the_default_decides(
    tmp_path: Path, reports: ReportedInput, heard: bool
) -> None:
    assert await answered(tmp_path, reports, without_the_attribute(tmp_path)) is heard

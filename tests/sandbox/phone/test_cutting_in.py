"""Both readings of a TwiML that does not say whether words are reported while the agent speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from support.sandbox import Sandbox, happened, sandbox
from voice_app.journal import Journal
from voice_app.journal.events import Prompted
from voice_app.sandbox.phone import PhoneCall
from voice_app.sandbox.phone.relay import ReportedInput
from voice_app.twiml import shipped_folder

GREETING = "I can tell you a lot about our prices, our people and the way to us."
ATTRIBUTE = 'reportInputDuringAgentSpeech="any" '
BOTH: Final[tuple[ReportedInput, ...]] = ("none", "any")
HOURS = "nine"
CUTTING_IN, AFTERWARDS = "When are you open?", "What does a repair cost?"


def without_the_attribute(folder: Path) -> Path:
    """Templates that say nothing of words during the agent's speech, else as shipped."""
    own = folder / "mine"
    own.mkdir()
    shipped = (shipped_folder() / "_relay.xml").read_text("utf-8")
    assert ATTRIBUTE in shipped
    (own / "_relay.xml").write_text(shipped.replace(ATTRIBUTE, ""), "utf-8")
    return own


async def prompted(folder: Path, server: Sandbox, reports: ReportedInput, *texts: str) -> PhoneCall:
    """A call whose caller cuts into the greeting and asks again: ``texts`` are what reaches the agent."""
    server.phone.reports = reports
    async with server.call() as call:
        heard = await call.interrupt(CUTTING_IN, after_words=3)
        assert heard.interrupted
        if CUTTING_IN in texts:
            assert HOURS in (await call.reply()).text
        await call.say(AFTERWARDS)
        await happened(folder, call.sid, Prompted, len(texts))
    async with Journal(server.settings.database_url, create=False) as journal:
        entries = await journal.events(call.sid)
    assert [entry.event.text for entry in entries if isinstance(entry.event, Prompted)] == [*texts]
    return call


async def test_a_caller_who_cuts_in_is_answered_under_either_default(tmp_path: Path) -> None:
    async with sandbox(tmp_path, greeting=GREETING, silence_seconds=0) as server:
        for reports in BOTH:
            call = await prompted(tmp_path, server, reports, CUTTING_IN, AFTERWARDS)
            assert call.problems == []


async def test_without_the_attribute_the_default_decides_and_lost_words_are_told(tmp_path: Path) -> None:
    templates = without_the_attribute(tmp_path)
    async with sandbox(tmp_path, greeting=GREETING, templates=templates, silence_seconds=0) as server:
        call = await prompted(tmp_path, server, "any", CUTTING_IN, AFTERWARDS)
        assert call.problems == []
        call = await prompted(tmp_path, server, "none", AFTERWARDS)
        (told,) = call.problems
    assert 'reportInputDuringAgentSpeech="any"' in told

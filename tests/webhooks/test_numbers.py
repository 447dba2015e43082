"""Numbers that are answered in ways of their own: configuration, agent and people."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sandbox import Sandbox, happened, recorded, sandbox
from voice_app.app import documents_of, scope
from voice_app.calls import CallState
from voice_app.journal.events import Served
from voice_app.settings import Settings

OWN = "conv_configuration_01k7abcdefghjkmnpqrstvwxyz"
SECOND = "+15550100002"


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.toml"
    path.write_text(
        f'["+1 555 010 0002"]\nconfiguration = "{OWN}"\ngreeting = "Second."\nanswer = "agent"\n'
        '["+15550100003"]\nanswer = "people"\nhandoff_to = ["+15550100033"]\n'
    )
    return path


async def _ask(server: Sandbox, call: str, to: str) -> str:
    response = await server.post("/voice", CallSid=call, From="+15550100077", To=to, CallStatus="ringing")
    assert response.status == 200
    return await response.text()


@pytest.mark.parametrize("to", [SECOND, f"whatsapp:{SECOND}"])
async def test_the_configuration_of_a_call_is_the_one_that_its_document_named(
    to: str, numbers: Path, tmp_path: Path
) -> None:
    call = "CA" + "1" * 32
    async with sandbox(tmp_path, numbers=numbers) as server:
        document = await _ask(server, call, to)
        assert f'conversationConfiguration="{OWN}"' in document
        assert 'welcomeGreeting="Second."' in document
        await happened(tmp_path, call, Served)
    assert CallState.of(await recorded(tmp_path, call)).configuration_id == OWN


def test_the_guard_knows_the_people_of_each_number(numbers: Path) -> None:
    settings = Settings.model_construct(numbers=numbers, handoff_to=("+15550100044", "queue:support"))
    assert scope(settings, documents_of(settings)).handoff_to == ("+15550100044", "+15550100033")


async def test_a_number_rings_its_own_people(numbers: Path, tmp_path: Path) -> None:
    async with sandbox(tmp_path, numbers=numbers, handoff_to=("+15550100044",)) as server:
        assert "+15550100033" in await _ask(server, "CA" + "3" * 32, "+15550100003")

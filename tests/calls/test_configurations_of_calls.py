"""The configuration of a call is the one that its document names: everything later on the call uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.numbers import CALLER, FIRST, SECOND, THIRD, calling, number_file, serving
from support.sandbox import Sandbox, happened, recorded
from voice_app.calls import CallState
from voice_app.journal.events import Acted, Conversed, Failed
from voice_app.sandbox.phone import PhoneCall
from voice_app.sandbox.twilio import SandboxAccount
from voice_app.sandbox.twilio.conversation_store import create_conversation, settle
from voice_app.sandbox.twilio.memory_store import add_profile, remember
from voice_app.sandbox.twilio.records import StoredProfile
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN

DESK = "+15550100010"
KNOWING = "support.agents:knowing"
LIKES = '2026-01-02, noted in a conversation: "Likes {}."'
TEMPLATE = """<Response><Connect action="{{ action_url }}">
<ConversationRelay url="{{ relay_url }}" %s welcomeGreeting="Hello."/></Connect></Response>"""


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)


def template(folder: Path, attribute: str) -> Path:
    own = folder / "mine"
    own.mkdir()
    (own / "answer.xml").write_text(TEMPLATE % attribute)
    return own


def known(account: SandboxAccount, configuration_id: str, fact: str) -> StoredProfile:
    """The caller, as the memory store of a configuration knows them."""
    store = account.stores[account.configurations[configuration_id]["memoryStoreId"]]
    person = add_profile(account, store, {"Contact": {"phone": CALLER}})
    remember(account, person, {"content": fact, "source": "test", "occurredAt": "2026-01-02T10:00:00Z"})
    return person


def noted(account: SandboxAccount, person: StoredProfile) -> list[str]:
    settle(account)
    return [str(item["content"]) for item in person.observations.values()]


async def test_two_numbers_have_two_configurations_and_two_memories(
    tmp_path: Path, account: SandboxAccount
) -> None:
    first, second = account.add_configuration(), account.add_configuration()
    tea, coffee = known(account, first, "Likes tea."), known(account, second, "Likes coffee.")
    calls: dict[str, PhoneCall] = {}
    tables = {FIRST: {"configuration": first}, SECOND: {"configuration": second}}
    own = number_file(tmp_path, tables)
    async with serving(tmp_path, account, agent=KNOWING, numbers=own) as server:
        for number, person, likes in ((FIRST, tea, "tea"), (SECOND, coffee, "coffee")):
            async with calling(server, number) as calls[number]:
                answer = (await calls[number].ask(f"Note called {number}.")).text
                assert answer == f"Noted: True. I know: {LIKES.format(likes)} of {person.id}"
                await happened(tmp_path, calls[number].sid, Conversed)
        async with calling(server, THIRD) as calls[THIRD]:
            assert (await calls[THIRD].ask("Note this.")).text == "Noted: None. I know: nothing of None"
    assert noted(account, tea) == ["Likes tea.", f"called {FIRST}."]
    assert noted(account, coffee) == ["Likes coffee.", f"called {SECOND}."]
    states = {number: CallState.of(await recorded(tmp_path, call.sid)) for number, call in calls.items()}
    found = [state.events(Conversed) for state in states.values()]
    assert [{event.configuration_id for event in events} for events in found] == [{first}, {second}, set()]


async def test_a_number_is_watched_for_a_second_engine_in_its_own_configuration(
    tmp_path: Path, account: SandboxAccount
) -> None:
    second = account.add_configuration()
    account.add_configuration(channelSettings={"VOICE": {"captureRules": [{"from": "*", "to": SECOND}]}})
    tables = {FIRST: {"configuration": account.add_configuration()}, SECOND: {"configuration": second}}
    own = number_file(tmp_path, tables)
    async with serving(tmp_path, account, agent=KNOWING, numbers=own) as server:
        async with calling(server, SECOND) as call:
            await call.ask("My order is late.")
        await happened(tmp_path, call.sid, Failed)
    entries = await recorded(tmp_path, call.sid)
    assert "STT201" in {entry.event.what for entry in entries if isinstance(entry.event, Failed)}
    conversed = CallState.of(entries).last(Conversed)
    assert conversed is not None
    assert conversed.configuration_id == second


@pytest.mark.parametrize("settled", [False, True], ids=["before", "after"])
async def test_a_template_that_names_its_own_configuration_is_followed_at_the_handoff(
    tmp_path: Path, account: SandboxAccount, settled: bool
) -> None:
    """Before the conversation is known, and after."""
    own = account.add_configuration()
    folder = template(tmp_path, f'conversationConfiguration="{own}"')
    async with serving(tmp_path, account, agent=KNOWING, templates=folder, handoff_to=(DESK,)) as server:
        if settled:
            async with calling(server, FIRST) as call:
                await happened(tmp_path, call.sid, Conversed)
                conversation = CallState.of(await recorded(tmp_path, call.sid)).conversation_id
                document = await handed_over(server, call.sid)
                assert f'conversationId="{conversation}"' in document
        else:
            sid = "CA" + "5" * 32
            await server.post("/voice", CallSid=sid, From=CALLER, To=FIRST, CallStatus="ringing")
            document = await handed_over(server, sid)
            assert f'conversationConfiguration="{own}"' in document
    assert "<Transcription" in document
    assert len(re.findall("conversation(?:Id|Configuration)=", document)) == 1


async def handed_over(server: Sandbox, call_sid: str) -> str:
    response = await server.post(
        "/voice/relay-ended",
        CallSid=call_sid,
        From=CALLER,
        To=FIRST,
        CallStatus="in-progress",
        SessionStatus="ended",
        HandoffData='{"reason": "billing", "summary": "Wants a refund."}',
    )
    assert response.status == 200
    return await response.text()


async def test_a_configuration_that_only_a_template_names_has_a_memory(
    tmp_path: Path, account: SandboxAccount
) -> None:
    own = account.add_configuration()
    person = known(account, own, "Likes tea.")
    folder = template(tmp_path, f'conversationConfiguration="{own}"')
    async with serving(tmp_path, account, agent=KNOWING, templates=folder) as server:
        async with calling(server, FIRST) as call:
            answer = (await call.ask("Note has a dog.")).text
            assert answer == f"Noted: True. I know: {LIKES.format('tea')} of {person.id}"
        await happened(tmp_path, call.sid, Acted)
    assert noted(account, person) == ["Likes tea.", "has a dog."]


async def test_a_conversation_that_a_template_names_literally_brings_its_memory(
    tmp_path: Path, account: SandboxAccount
) -> None:
    own = account.add_configuration()
    person = known(account, own, "Likes tea.")
    conversation = create_conversation(account, own, [])
    folder = template(tmp_path, f'conversationId="{conversation.id}"')
    async with serving(tmp_path, account, agent=KNOWING, templates=folder) as server:
        async with calling(server, FIRST) as call:
            answer = (await call.ask("Note has a dog.")).text
            assert answer == f"Noted: True. I know: {LIKES.format('tea')} of {person.id}"
        await happened(tmp_path, call.sid, Acted)
    assert noted(account, person) == ["Likes tea.", "has a dog."]


async def test_a_template_outweighs_the_setting_also_for_the_memory(
    tmp_path: Path, account: SandboxAccount
) -> None:
    set_, own = account.add_configuration(), account.add_configuration()
    known(account, set_, "Likes coffee.")
    person = known(account, own, "Likes tea.")
    folder = template(tmp_path, f'conversationConfiguration="{own}"')
    async with serving(
        tmp_path, account, agent=KNOWING, templates=folder, conversation_configuration=set_
    ) as server:
        async with calling(server, FIRST) as call:
            answer = (await call.ask("Note has a dog.")).text
            assert answer == f"Noted: True. I know: {LIKES.format('tea')} of {person.id}"
        await happened(tmp_path, call.sid, Acted)
    assert noted(account, person) == ["Likes tea.", "has a dog."]

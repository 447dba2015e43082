"""Two numbers on one server: each has its own agent, prompt, people and configuration, call by call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.commands import voice_app
from support.model import ScriptedModel
from support.numbers import FIRST, SECOND, THIRD, calling, number_file, serving
from support.sandbox import Sandbox, happened, recorded
from voice_app.calls import CallState
from voice_app.journal.events import Conversed, Failed, FollowedUp
from voice_app.sandbox.phone import Person, PhoneCall
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, NumberSettings

BAKERY = """
name = "Corner Bakery"
unsure = "I know about {topics}."
goodbye = "Goodbye from the bakery!"
transfer = "I will get the baker."
silence = "Hello?"

[[topic]]
name = "bread"
key = "1"
ask = ["what bread do you have", "which bread do you sell"]
answer = "Rye on Mondays."
"""
PROMPT = "You answer for the dental clinic on Mill Lane."
BAKER, DENTIST = "+15550100010", "+15550100020"


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)


def bakery_and_clinic(folder: Path, **more: dict[str, Any]) -> Path:
    """A receptionist of its own for the first number, a model with a prompt for the second."""
    (folder / "bakery.toml").write_text(BAKERY)
    (folder / "clinic.txt").write_text(PROMPT)
    bakery = {"agent": "receptionist", "receptionist": str(folder / "bakery.toml"), "handoff_to": [BAKER]}
    clinic = {"agent": "chat", "prompt": str(folder / "clinic.txt"), "handoff_to": [DENTIST]}
    tables = {FIRST: bakery | {"greeting": "Bakery!"}, SECOND: clinic | {"greeting": "Clinic!"}}
    return number_file(folder, {number: table | more.get(number, {}) for number, table in tables.items()})


async def greeted(server: Sandbox, number: str, question: str) -> tuple[str, str]:
    """What a caller of this number hears first, and then as the answer."""
    server.phone.number = number
    async with server.call() as call:
        greeting = (await call.reply()).text
        answer = (await call.ask(question)).text
    assert call.problems == []
    return greeting, answer


async def test_each_number_has_its_own_agent_and_prompt(
    tmp_path: Path, account: SandboxAccount, model: ScriptedModel
) -> None:
    model.say("We pull teeth.")
    own = {"model": "test", "openai_base_url": model.base_url, "numbers": bakery_and_clinic(tmp_path)}
    async with serving(tmp_path, account, **own) as server:
        assert await greeted(server, FIRST, "What bread do you have?") == ("Bakery!", "Rye on Mondays.")
        assert await greeted(server, SECOND, "What do you do?") == ("Clinic!", "We pull teeth.")
        usual = await greeted(server, THIRD, "When are you open?")
    assert usual[0] == NumberSettings().greeting
    assert "nine in the morning" in usual[1]
    [asked] = model.requests
    assert PROMPT in asked["messages"][0]["content"]


async def test_each_number_rings_its_own_people(
    tmp_path: Path, account: SandboxAccount, model: ScriptedModel
) -> None:
    model.call(("call_1", "transfer_to_person", '{"reason":"pain","summary":"It hurts."}'), text="I see.")
    own = {"model": "test", "openai_base_url": model.base_url, "numbers": bakery_and_clinic(tmp_path)}
    async with serving(tmp_path, account, **own) as server:
        for number, whom, wish in (
            (FIRST, BAKER, "I want to talk to a person."),
            (SECOND, DENTIST, "My tooth hurts."),
        ):
            person = Person(says=["Here I am."])
            async with calling(server, number, person) as call:
                await call.ask(wish)
                await call.bridged()
                assert (await call.reply()).text == "Here I am."
            handoff = next(item for item in call.documents if "<Dial" in item)
            assert f">{whom}</Number>" in handoff
            assert {BAKER, DENTIST} - {whom} == {who for who in (BAKER, DENTIST) if who not in handoff}


async def test_the_conversation_of_a_call_is_closed_in_the_configuration_of_its_number(
    tmp_path: Path, account: SandboxAccount
) -> None:
    first, second = account.add_configuration(), account.add_configuration()
    tables = {FIRST: {"configuration": first}, SECOND: {"configuration": second}}
    calls: dict[str, PhoneCall] = {}
    async with serving(
        tmp_path,
        account,
        numbers=number_file(tmp_path, tables),
        close_conversation="call-end",
        followup_seconds=0.0,
    ) as server:
        for number in (FIRST, SECOND):
            async with calling(server, number) as calls[number]:
                await calls[number].ask("When are you open?")
        for call in calls.values():
            await happened(tmp_path, call.sid, FollowedUp)
    found = {number: account.conversations[call.conversation_id or ""] for number, call in calls.items()}
    assert {item.status for item in found.values()} == {"CLOSED"}
    named = {number: item.resource["configurationId"] for number, item in found.items()}
    assert named == {FIRST: first, SECOND: second}


async def test_two_engines_in_the_configuration_of_a_number_raise_its_alarm(
    tmp_path: Path, account: SandboxAccount
) -> None:
    """The other number's calls are as clean as before."""
    capturing = {"VOICE": {"captureRules": [{"from": "*", "to": SECOND, "metadata": {"callType": "PSTN"}}]}}
    first, second = account.add_configuration(), account.add_configuration(channelSettings=capturing)
    tables = {FIRST: {"configuration": first}, SECOND: {"configuration": second}}
    alarms: dict[str, list[str]] = {}
    async with serving(tmp_path, account, numbers=number_file(tmp_path, tables)) as server:
        for number in (FIRST, SECOND):
            async with calling(server, number) as call:
                await call.ask("Hi, what are your opening hours please?")
                await happened(tmp_path, call.sid, Conversed)
                await call.ask("Goodbye.")
                await call.over.wait()
            if number == SECOND:
                await happened(tmp_path, call.sid, Failed)
            state = CallState.of(await recorded(tmp_path, call.sid))
            alarms[number] = [failed.what for failed in state.events(Failed)]
    assert alarms == {FIRST: [], SECOND: ["STT202"]}


async def test_a_capture_rule_in_the_configuration_of_one_number_refuses_the_start(
    tmp_path: Path, account: SandboxAccount
) -> None:
    capturing = {"VOICE": {"captureRules": [{"from": "*", "to": SECOND, "metadata": {"callType": "PSTN"}}]}}
    first, second = account.add_configuration(), account.add_configuration(channelSettings=capturing)
    path = number_file(tmp_path, {FIRST: {"configuration": first}, SECOND: {"configuration": second}})
    async with serve(double_app(account)) as base_url:
        settings = {
            "VOICE_APP_TWILIO_BASE_URL": base_url,
            "VOICE_APP_NUMBERS": str(path),
            "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
            "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
        }
        refused = await voice_app(tmp_path, "serve", "--check-only", **settings)
        account.configurations[second]["channelSettings"]["VOICE"]["captureRules"] = []
        passed = await voice_app(tmp_path, "serve", "--check-only", **settings)
    assert refused.code == 1
    assert f"error STT101 {second}" in refused.err
    assert f"STT101 {first}" not in refused.err
    assert f"named by the number {SECOND}" in refused.err
    assert passed.code == 0, passed.err

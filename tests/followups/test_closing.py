from __future__ import annotations

import pytest

from support.followups import CALL, Office
from voice_app.followups.orchestrator import ClosingTask
from voice_app.journal.events import Closed, Conversed, Opened, Served
from voice_app.sandbox.twilio import Fault
from voice_app.sandbox.twilio.records import SandboxCall
from voice_app.twilio import Calls, Configurations, Conversations

OTHER = "CA" + "8" * 32
TEXTS = {"channel": "SMS", "address": "+15550199999"}


def closing(office: Office) -> ClosingTask:
    calls = Calls(office.api, office.account.sid)
    return ClosingTask(Conversations(office.api), Configurations(office.api), calls, office.journal)


def status(office: Office, conversation_id: str) -> str:
    return office.account.conversations[conversation_id].status


async def test_the_conversation_is_closed_once(office: Office) -> None:
    conversation_id = office.conversation()
    office.write(Opened(), Conversed(conversation_id), Closed("completed"))
    assert await office.attempt(closing(office)) is None
    assert status(office, conversation_id) == "CLOSED"
    await office.attempt(closing(office), number=1)
    assert office.requests("PATCH", conversation_id) == 1
    assert await office.outcome("close") == ("closed", conversation_id)


async def test_a_conversation_that_nobody_had_time_to_look_up_is_found(office: Office) -> None:
    conversation_id = office.conversation()
    office.write(Opened(), Closed("completed"))
    await office.attempt(closing(office))
    assert status(office, conversation_id) == "CLOSED"


async def test_one_that_a_capture_rule_of_another_configuration_made_is_not_ours_to_close(
    office: Office,
) -> None:
    conversation_id = office.conversation(configuration_id=office.account.add_configuration())
    office.write(Opened(), Closed("completed"))
    await office.attempt(closing(office))
    assert status(office, conversation_id) == "ACTIVE"
    assert await office.outcome("close") == ("no conversation", "")


@pytest.mark.parametrize("field", ["displayName", "uniqueName"])
async def test_a_configuration_that_is_named_by_its_name_is_ours(office: Office, field: str) -> None:
    office.account.configurations[office.configuration_id][field] = "support"
    conversation_id = office.conversation()
    office.journal.write(CALL, Opened())
    office.journal.write(CALL, Served("answer.xml", "answer", "", "relay", "support"))
    office.write(Closed("completed"))
    await office.attempt(closing(office))
    assert status(office, conversation_id) == "CLOSED"
    assert await office.outcome("close") == ("closed", conversation_id)


async def test_a_name_that_no_configuration_has_closes_nothing(office: Office) -> None:
    conversation_id = office.conversation()
    office.journal.write(CALL, Opened())
    office.journal.write(CALL, Served("answer.xml", "answer", "", "relay", "support"))
    office.write(Closed("completed"))
    await office.attempt(closing(office))
    assert status(office, conversation_id) == "ACTIVE"
    assert await office.outcome("close") == ("no conversation", "")


async def test_a_conversation_that_was_there_before_the_call_is_left_open(office: Office) -> None:
    conversation_id = office.conversation()
    office.journal.write(CALL, Opened())
    office.journal.write(CALL, Served("answer.xml", "answer", "", "relay", conversation=conversation_id))
    office.write(Conversed(conversation_id), Closed("completed"))
    await office.attempt(closing(office))
    assert status(office, conversation_id) == "ACTIVE"
    assert await office.outcome("close") == ("left open", conversation_id)


async def test_one_in_which_text_messages_go_on_is_left_open(office: Office) -> None:
    conversation_id = office.conversation(TEXTS)
    office.write(Opened(), Conversed(conversation_id), Closed("completed"))
    await office.attempt(closing(office))
    assert status(office, conversation_id) == "ACTIVE"
    assert await office.outcome("close") == ("left open", "SMS")


async def test_one_with_another_call_that_goes_on_is_left_open(office: Office) -> None:
    office.account.calls[OTHER] = SandboxCall(OTHER, "+15550199999", "+15550100001")
    conversation_id = office.conversation({"channel": "VOICE", "address": "+15550199998", "channelId": OTHER})
    office.write(Opened(), Conversed(conversation_id), Closed("completed"))
    await office.attempt(closing(office))
    assert await office.outcome("close") == ("left open", OTHER)


@pytest.mark.parametrize("known_to", ["us", "Twilio", "nobody"])
async def test_one_whose_other_calls_are_over_is_closed(office: Office, known_to: str) -> None:
    if known_to == "us":
        office.write(Opened(), Closed("completed"), call_sid=OTHER)
    if known_to == "Twilio":
        office.account.finished[OTHER] = SandboxCall(OTHER, "+15550199999", "+15550100001")
    conversation_id = office.conversation({"channel": "VOICE", "address": "+15550199998", "channelId": OTHER})
    office.write(Opened(), Conversed(conversation_id), Closed("completed"))
    await office.attempt(closing(office))
    assert status(office, conversation_id) == "CLOSED"


async def test_trouble_at_twilio_is_tried_again(office: Office) -> None:
    conversation_id = office.conversation()
    office.write(Opened(), Conversed(conversation_id), Closed("completed"))
    office.account.faults.add(Fault(path="/conversations/*", status=503))
    wait = await office.attempt(closing(office))
    assert wait is not None
    assert await office.attempt(closing(office), number=1) is None
    assert status(office, conversation_id) == "CLOSED"


async def test_a_key_without_the_permission_is_not_tried_again(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    conversation_id = office.conversation()
    office.write(Opened(), Conversed(conversation_id), Closed("completed"))
    office.account.faults.add(Fault(path="/conversations/*", status=403, times=None))
    assert await office.attempt(closing(office)) is None
    assert await office.outcome("close") == ("refused", "lacks-permission 403")
    assert f"call {CALL}: close: refused (lacks-permission 403)" in caplog.text


async def test_what_was_forgotten_is_followed_up_by_nobody(office: Office) -> None:
    assert await office.attempt(closing(office)) is None
    assert await office.journal.events(CALL) == []
    assert not office.account.requests

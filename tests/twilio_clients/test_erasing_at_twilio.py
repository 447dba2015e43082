"""Finding and erasing what Twilio keeps of one caller, over real HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.conversations import open_conversation
from support.memory import merge
from voice_app.sandbox.twilio import Fault, SandboxAccount, new_id
from voice_app.sandbox.twilio.memory_store import add_profile
from voice_app.sandbox.twilio.records import SandboxCall
from voice_app.twilio import ApiError, MemoryClient, Trouble, TwilioApi
from voice_app.twilio.erasure import Clues, Erasure, Traces

ANN, BOB, OURS = "+15550100001", "+15550100002", "+15550100009"
CALL = "CA" + "1" * 32


@pytest.fixture
def configuration_id(account: SandboxAccount) -> str:
    return account.add_configuration()


@pytest.fixture
def store_id(account: SandboxAccount, configuration_id: str) -> str:
    return str(account.configurations[configuration_id]["memoryStoreId"])


@pytest.fixture
def erasure(api: TwilioApi, account: SandboxAccount) -> Erasure:
    return Erasure(api, account.sid)


def clues(configuration_id: str | None = None, **known: Any) -> Clues:
    configurations = [] if configuration_id is None else [configuration_id]
    return Clues(**{"address": ANN, "phone": ANN, "configurations": configurations} | known)


async def conversation(
    api: TwilioApi, configuration_id: str, address: str = ANN, call_sid: str = CALL
) -> str:
    """An open conversation about a call."""
    them = {
        "type": "CUSTOMER",
        "addresses": [{"channel": "VOICE", "address": address, "channelId": call_sid}],
    }
    found = await open_conversation(api, configuration_id, participants=[them])
    return found.id


def person(account: SandboxAccount, store_id: str, phone: str = ANN) -> str:
    return add_profile(account, account.stores[store_id], {"Contact": {"phone": phone}}).id


class TestFinding:
    async def test_a_conversation_is_found_by_its_id_and_by_its_call(
        self, erasure: Erasure, api: TwilioApi, configuration_id: str
    ) -> None:
        known = await conversation(api, configuration_id)
        captured = await conversation(api, configuration_id, BOB, "CA" + "2" * 32)
        found = await erasure.find(clues(conversation_ids=[known], call_sids=["CA" + "2" * 32]))
        assert set(found.conversations) == {known, captured}

    async def test_what_is_no_id_is_not_asked_for(self, erasure: Erasure, account: SandboxAccount) -> None:
        found = await erasure.find(
            clues(conversation_ids=["../x"], profile_ids=["y"], recording_sids=["../z"])
        )
        assert not found.recordings
        assert not account.requests

    async def test_one_that_is_gone_is_not_found(self, erasure: Erasure) -> None:
        assert not (await erasure.find(clues(conversation_ids=[new_id("conv_conversation_")]))).conversations

    async def test_the_profile_is_found_by_the_number(
        self, erasure: Erasure, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        ann, _ = person(account, store_id), person(account, store_id, BOB)
        assert (await erasure.find(clues(configuration_id))).profiles == [(store_id, ann)]

    async def test_the_memory_of_every_configuration_in_use_is_searched(
        self, erasure: Erasure, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        other = account.add_configuration(displayName="other")
        other_store = str(account.configurations[other]["memoryStoreId"])
        pairs = {(store, person(account, store)) for store in (store_id, other_store)}
        found = await erasure.find(clues(configurations=[configuration_id, "other"]))
        assert set(found.profiles) == pairs

    async def test_a_client_is_known_by_the_profile_of_the_participant(
        self, erasure: Erasure, api: TwilioApi, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        conversation_id, profile_id = (
            await conversation(api, configuration_id, "ann"),
            person(account, store_id),
        )
        [participant] = account.conversations[conversation_id].participants.values()
        participant["profileId"] = profile_id
        found = await erasure.find(clues(address="client:ann", conversation_ids=[conversation_id]))
        assert found.profiles == [(store_id, profile_id)]

    async def test_nobody_else_in_a_conversation_is_meant(
        self, erasure: Erasure, api: TwilioApi, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        conversation_id = await conversation(api, configuration_id, BOB)
        [participant] = account.conversations[conversation_id].participants.values()
        participant["profileId"] = person(account, store_id, BOB)
        assert not (await erasure.find(clues(conversation_ids=[conversation_id]))).profiles

    async def test_a_profile_that_was_merged_is_found_under_the_id_that_counts(
        self, erasure: Erasure, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        old, new = person(account, store_id, BOB), person(account, store_id)
        merge(account.stores[store_id], old, new)
        assert (await erasure.find(clues(configuration_id, profile_ids=[old]))).profiles == [(store_id, new)]

    async def test_everybody_who_withholds_the_number_shares_one_and_nobody_is_looked_up_by_it(
        self, erasure: Erasure, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        person(account, store_id, "+266696687")
        assert not (await erasure.find(clues(configuration_id, address="+266696687"))).profiles

    async def test_what_operators_said_of_the_conversation_is_found(
        self, erasure: Erasure, api: TwilioApi, account: SandboxAccount, configuration_id: str
    ) -> None:
        conversation_id = await conversation(api, configuration_id)
        result_id = new_id("intelligence_operatorresult_")
        account.results[result_id] = {
            "id": result_id,
            "conversationId": conversation_id,
            "intelligenceConfiguration": {"id": new_id("intelligence_configuration_")},
            "operator": {"id": new_id("intelligence_operator_")},
        }
        assert (await erasure.find(clues(conversation_ids=[conversation_id]))).results == [result_id]

    async def test_what_cannot_be_read_is_an_error_and_not_nothing(
        self, erasure: Erasure, account: SandboxAccount, configuration_id: str
    ) -> None:
        account.faults.add(Fault(path="*/Lookup", status=403))
        with pytest.raises(ApiError) as raised:
            await erasure.find(clues(configuration_id))
        assert raised.value.trouble is Trouble.LACKS_PERMISSION


class TestErasing:
    async def test_everything_that_was_found_is_gone(
        self, erasure: Erasure, api: TwilioApi, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        account.finished[CALL] = SandboxCall(CALL, ANN, OURS)
        account.recordings["RE1"] = b"..."
        profile_id = person(account, store_id)
        await MemoryClient(api).observe(store_id, profile_id, ["Rides a red bike.", "Is left-handed."])
        wanted = clues(
            configuration_id,
            call_sids=[CALL],
            recording_sids=["RE1"],
            conversation_ids=[await conversation(api, configuration_id)],
        )
        found = await erasure.find(wanted)
        assert len(found.conversations) == len(found.profiles) == len(found.calls) == 1
        assert await erasure.erase(found) == {}
        assert not account.finished
        assert not account.recordings
        left = await erasure.find(wanted)
        assert [*left.conversations, *left.profiles, *left.results] == []

    async def test_memories_are_erased_one_by_one_before_the_profile(
        self,
        erasure: Erasure,
        api: TwilioApi,
        account: SandboxAccount,
        configuration_id: str,
        store_id: str,
        summarize: Callable[[str, str, str, str], Awaitable[None]],
    ) -> None:
        profile_id = person(account, store_id)
        memory = MemoryClient(api)
        await memory.observe(store_id, profile_id, ["Rides a red bike."])
        await summarize(store_id, profile_id, "A flat tyre.", new_id("conv_conversation_"))
        await memory.profile(store_id, profile_id)
        await erasure.erase(await erasure.find(clues(configuration_id)))
        deleted = [path for method, path, _ in account.requests if method == "DELETE"]
        assert [path.split("/")[-2] for path in deleted] == [
            "Observations",
            "ConversationSummaries",
            "Profiles",
        ]

    async def test_what_fails_is_told_and_does_not_stop_the_rest(
        self, erasure: Erasure, api: TwilioApi, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        conversation_id = await conversation(api, configuration_id)
        person(account, store_id)
        account.faults.add(Fault(path="*/Conversations/*", method="DELETE", status=403, times=1))
        found = await erasure.find(clues(configuration_id, conversation_ids=[conversation_id]))
        failures = await erasure.erase(found)
        assert {name: error.trouble for name, error in failures.items()} == {
            conversation_id: Trouble.LACKS_PERMISSION
        }
        assert not (await erasure.find(clues(configuration_id))).profiles

    async def test_to_erase_twice_is_harmless(
        self, erasure: Erasure, api: TwilioApi, account: SandboxAccount, configuration_id: str, store_id: str
    ) -> None:
        person(account, store_id)
        conversation_id = await conversation(api, configuration_id)
        found = await erasure.find(
            clues(configuration_id, conversation_ids=[conversation_id], call_sids=[CALL])
        )
        await erasure.erase(found)
        assert await erasure.erase(found) == {}

    async def test_the_record_of_a_call_on_the_line_stays(
        self, erasure: Erasure, account: SandboxAccount
    ) -> None:
        account.calls[CALL] = SandboxCall(CALL, ANN, OURS)
        failures = await erasure.erase(Traces(calls=[CALL]))
        assert failures[CALL].trouble is Trouble.CONFLICT

"""The double's Memory, driven by the official SDK and by hand, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest.memory.v1.conversation_summary import ConversationSummaryList
from twilio.rest.memory.v1.lookup import LookupList
from twilio.rest.memory.v1.observation import ObservationList
from twilio.rest.memory.v1.profile import ProfileList
from twilio.rest.memory.v1.recall import RecallList

from support.memory import merge
from support.official import Official
from voice_app.sandbox.twilio import CallStart, LocalTranscriber, SandboxAccount, new_id
from voice_app.sandbox.twilio.conversation_store import settle
from voice_app.sandbox.twilio.memory_store import add_profile

TOKEN = "token-of-the-test"
PHONE, NUMBER = "+15550100002", "+15550100001"
CALL = "CA" + "1" * 32
THEN = "2026-01-01T00:00:00Z"


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(token=TOKEN)


@pytest.fixture
def store_id(account: SandboxAccount) -> str:
    return account.add_store()


@pytest.fixture
def profile_id(account: SandboxAccount, store_id: str) -> str:
    return add_profile(account, account.stores[store_id], {"Contact": {"phone": PHONE}}).id


@pytest.fixture
def sdk(base_url: str, account: SandboxAccount) -> Official:
    return Official(base_url, account.sid, TOKEN)


class Rest:
    """Plain requests, so that nothing is hidden by a client."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, account: SandboxAccount) -> None:
        self._session = session
        self._base = f"{base_url}/memory/v1"
        self._headers = {"Authorization": aiohttp.encode_basic_auth(account.sid, TOKEN)}

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
        async with self._session.request(
            method, self._base + path, json=body, headers=self._headers, allow_redirects=False
        ) as response:
            return response.status, await response.json(), response.headers


@pytest.fixture
async def rest(base_url: str, account: SandboxAccount) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession() as session:
        yield Rest(session, base_url, account)


class TestTheOfficialSdk:
    async def test_stores_are_fetched_and_listed_by_their_ids(
        self, sdk: Official, account: SandboxAccount, store_id: str
    ) -> None:
        store = await sdk(lambda client: client.memory.v1.stores(store_id).fetch())
        assert (store.id, store.status, store.version) == (store_id, "ACTIVE", 1)
        more = [account.add_store() for _ in range(2)]
        assert await sdk(lambda client: client.memory.v1.stores.list(page_size=2)) == [store_id, *more]

    async def test_a_profile_is_made_looked_up_patched_and_read(self, sdk: Official, store_id: str) -> None:
        data = ProfileList.ProfileData({"traits": {"Contact": {"phone": PHONE, "firstName": "Ada"}}})
        made = await sdk(lambda client: client.memory.v1.profiles(store_id).create(profile_data=data))
        identifier = LookupList.Identifier({"idType": "phone", "value": "+1 (555) 010-0002"})
        found = await sdk(lambda client: client.memory.v1.lookup(store_id).create(identifier=identifier))
        assert (found.normalized_value, found.profiles) == (PHONE, [made.id])
        patch = ProfileList.ProfilePatch({"traits": {"Contact": {"city": "London"}}})
        context = await sdk(lambda client: client.memory.v1.profiles(store_id, made.id))
        await sdk(lambda client: context.patch(profile_patch=patch))
        read = await sdk(lambda client: context.fetch(trait_groups="Contact"))
        assert read.traits == {"Contact": {"phone": PHONE, "firstName": "Ada", "city": "London"}}

    async def test_observations_and_summaries_are_written_and_recalled(
        self, sdk: Official, store_id: str, profile_id: str
    ) -> None:
        wanted = ObservationList.CreateObservationsRequest(
            {"observations": [{"content": "Likes tea.", "source": "sdk", "occurredAt": THEN}]}
        )
        observations = await sdk(lambda client: client.memory.v1.observations(store_id, profile_id))
        accepted = await sdk(lambda client: observations.create(create_observations_request=wanted))
        assert accepted.message
        listed = await sdk(lambda client: observations.list())
        assert [item.content for item in listed] == ["Likes tea."]
        one = await sdk(
            lambda client: client.memory.v1.observations(store_id, profile_id, listed[0].id).fetch()
        )
        assert one.source == "sdk"
        summary = {"content": "Tea.", "conversationId": new_id("conv_conversation_"), "occurredAt": THEN}
        summaries = ConversationSummaryList.CreateSummariesRequest({"summaries": [summary]})
        await sdk(
            lambda client: client.memory.v1.conversation_summaries(store_id, profile_id).create(
                create_summaries_request=summaries
            )
        )
        request = RecallList.MemoryRetrievalRequest({})
        recalled = await sdk(
            lambda client: client.memory.v1.recall(store_id, profile_id).create(
                memory_retrieval_request=request
            )
        )
        assert [item["content"] for item in recalled.observations] == ["Likes tea."]
        assert [item["content"] for item in recalled.summaries] == ["Tea."]

    async def test_what_is_remembered_is_erased_and_so_is_the_profile(
        self, sdk: Official, account: SandboxAccount, store_id: str, profile_id: str
    ) -> None:
        person = account.stores[store_id].profiles[profile_id]
        person.observations["mem_observation_1"] = person.summaries["mem_summary_1"] = {"content": "Tea."}
        memory = await sdk(lambda client: client.memory.v1)
        await sdk(lambda _: memory.observations(store_id, profile_id, "mem_observation_1").delete())
        await sdk(lambda _: memory.conversation_summaries(store_id, profile_id, "mem_summary_1").delete())
        with pytest.raises(TwilioRestException) as raised:
            await sdk(lambda _: memory.observations(store_id, profile_id, "mem_observation_2").delete())
        assert raised.value.status == 404
        assert [*person.observations, *person.summaries] == []
        await sdk(lambda _: memory.profiles(store_id, profile_id).delete())
        with pytest.raises(TwilioRestException) as raised:
            await sdk(lambda _: memory.profiles(store_id, profile_id).fetch())
        assert raised.value.status == 404

    async def test_a_merged_profile_is_no_profile_to_the_sdk(
        self, sdk: Official, account: SandboxAccount, store_id: str, profile_id: str
    ) -> None:
        other = add_profile(account, account.stores[store_id], {}).id
        merge(account.stores[store_id], profile_id, other)
        fetched = await sdk(lambda client: client.memory.v1.profiles(store_id, profile_id).fetch())
        assert (fetched.id, fetched.message) == (None, "The profile was merged")
        request = ObservationList.CreateObservationsRequest(
            {"observations": [{"content": "x", "source": "sdk", "occurredAt": THEN}]}
        )
        with pytest.raises(TwilioRestException) as raised:
            await sdk(
                lambda client: client.memory.v1.observations(store_id, profile_id).create(
                    create_observations_request=request
                )
            )
        assert raised.value.status == 308


class TestStrictness:
    async def test_a_merge_is_told_with_301_to_a_get_and_308_to_a_post(
        self, rest: Rest, account: SandboxAccount, base_url: str, store_id: str, profile_id: str
    ) -> None:
        other = add_profile(account, account.stores[store_id], {}).id
        merge(account.stores[store_id], profile_id, other)
        home = f"/Stores/{store_id}/Profiles"
        status, body, headers = await rest("GET", f"{home}/{profile_id}?traitGroups=Contact")
        assert (status, headers["Canonical-Profile-Id"]) == (301, other)
        assert headers["Location"] == body["uri"] == f"{base_url}/memory/v1{home}/{other}"
        status, _, headers = await rest("POST", f"{home}/{profile_id}/Recall", {})
        assert (status, headers["Location"]) == (308, f"{base_url}/memory/v1{home}/{other}/Recall")
        status, _, _ = await rest("PATCH", f"{home}/{profile_id}", {"traits": {}})
        assert status == 308

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/Lookup", {"idType": "phone"}),
            ("/Lookup", {"value": PHONE}),
            ("/Lookup", {"idType": "shoe", "value": "43"}),
            ("/Lookup", {"idType": "phone", "value": "x" * 256}),
            ("", {"traits": {"Contact": {"firstName": "Ada"}}}),
            ("", {}),
            ("/{profile}/Recall", {"query": "x" * 1025}),
            ("/{profile}/Recall", {"observationsLimit": 101}),
            ("/{profile}/Recall", {"relevanceThreshold": 2}),
            ("/{profile}/Recall", {"limit": 3}),
            ("/{profile}/Observations", {"observations": []}),
            ("/{profile}/Observations", {"observations": [{"content": "x", "source": "t"}]}),
            (
                "/{profile}/Observations",
                {"observations": [{"content": "", "source": "t", "occurredAt": THEN}]},
            ),
            (
                "/{profile}/Observations",
                {"observations": [{"content": "x", "source": "a;b", "occurredAt": THEN}]},
            ),
            (
                "/{profile}/Observations",
                {"observations": [{"content": "x", "source": "t", "occurredAt": "yesterday"}]},
            ),
            (
                "/{profile}/Observations",
                {"observations": [{"content": "x", "source": "t", "occurredAt": THEN}] * 11},
            ),
            ("/{profile}/ConversationSummaries", {"summaries": [{"content": "x", "occurredAt": THEN}]}),
        ],
    )
    async def test_what_is_not_documented_is_refused(
        self, rest: Rest, store_id: str, profile_id: str, path: str, body: Any
    ) -> None:
        address = f"/Stores/{store_id}/Profiles{path.format(profile=profile_id)}"
        status, answer, _ = await rest("POST", address, body)
        assert (status, answer["code"]) == (400, 20001), answer

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/ControlPlane/Stores?pageSize=100", 200),
            ("/ControlPlane/Stores?pageSize=101", 400),
            ("/ControlPlane/Stores?PageSize=10", 400),
            ("/Stores/{store}/Profiles/{profile}/Observations?orderBy=newest", 400),
            ("/Stores/{store}/Profiles/{profile}/Observations?createdAfter=yesterday", 400),
            ("/Stores/{store}/Profiles/mem_profile_unknown", 404),
            ("/Stores/mem_store_unknown/Profiles/{profile}", 404),
            ("/Services/{store}", 404),
        ],
    )
    async def test_paths_and_queries_are_the_documented_ones(
        self, rest: Rest, store_id: str, profile_id: str, path: str, status: int
    ) -> None:
        assert (await rest("GET", path.format(store=store_id, profile=profile_id)))[0] == status

    async def test_a_store_that_is_not_ready_answers_nothing(
        self, rest: Rest, account: SandboxAccount
    ) -> None:
        store_id = account.add_store(status="PROVISIONING")
        status, _, headers = await rest("GET", f"/ControlPlane/Stores/{store_id}")
        assert (status, headers["ETag"]) == (200, '"1"')
        status, _, _ = await rest(
            "POST", f"/Stores/{store_id}/Profiles/Lookup", {"idType": "phone", "value": PHONE}
        )
        assert status == 409

    async def test_a_conversation_alone_makes_twilio_invent_a_query(
        self, rest: Rest, account: SandboxAccount, store_id: str, profile_id: str
    ) -> None:
        configuration_id = account.add_configuration(memoryStoreId=store_id)
        transcriber = LocalTranscriber(account)
        conversation_id = await transcriber.call_started(
            CallStart(CALL, caller=PHONE, number=NUMBER, configuration_id=configuration_id)
        )
        await transcriber.spoken(CALL, "caller", "green tea")
        home = f"/Stores/{store_id}/Profiles/{profile_id}"
        facts = [
            {"content": text, "source": "t", "occurredAt": THEN} for text in ("Has a dog", "Likes green tea")
        ]
        await rest("POST", f"{home}/Observations", {"observations": facts})
        _, ranked, _ = await rest(
            "POST", f"{home}/Recall", {"conversationId": conversation_id, "communicationsLimit": 5}
        )
        assert [(item["content"], item["score"]) for item in ranked["observations"]] == [
            ("Likes green tea", 1.0),
            ("Has a dog", 0.0),
        ]
        assert [item["content"]["text"] for item in ranked["communications"]] == ["green tea"]


class TestExtraction:
    async def talked(self, account: SandboxAccount, **fields: Any) -> str:
        """A caller said something, and nobody speaks any more. Gives the id of the store."""
        voice = {"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}}}
        configuration_id = account.add_configuration(channelSettings=voice, **fields)
        transcriber = LocalTranscriber(account)
        await transcriber.call_started(
            CallStart(CALL, caller=PHONE, number=NUMBER, configuration_id=configuration_id)
        )
        await transcriber.spoken(CALL, "agent", "How can I help?")
        await transcriber.spoken(CALL, "caller", "I like tea.")
        await transcriber.call_ended(CALL)
        store_id: str = account.configurations[configuration_id]["memoryStoreId"]
        return store_id

    async def test_it_happens_when_a_conversation_rests_and_never_while_it_is_active(self) -> None:
        now = 0.0
        account = SandboxAccount(clock=lambda: now)
        store = account.stores[await self.talked(account, memoryExtractionEnabled=True)]
        (person,) = store.profiles.values()
        now = 4 * 60
        settle(account)
        assert not person.observations
        now = 5 * 60
        settle(account)
        assert [item["content"] for item in person.observations.values()] == ["Said: I like tea."]
        assert not person.summaries
        now = 30 * 60
        settle(account)
        assert len(person.observations) == 1
        assert [item["content"] for item in person.summaries.values()] == ["The customer said: I like tea."]

    async def test_it_has_to_be_switched_on(self) -> None:
        now = 0.0
        account = SandboxAccount(clock=lambda: now)
        store = account.stores[await self.talked(account)]
        now = 3600
        settle(account)
        (person,) = store.profiles.values()
        assert not person.observations
        assert not person.summaries

    @pytest.mark.parametrize("status", ["FAILED", "PROVISIONING", None])
    async def test_a_store_that_is_not_alive_is_passed_over_in_silence(self, status: str | None) -> None:
        now = 0.0
        account = SandboxAccount(clock=lambda: now)
        store_id = new_id("mem_store_")
        if status is not None:
            account.add_store(store_id, status=status)
        await self.talked(account, memoryExtractionEnabled=True, memoryStoreId=store_id)
        now = 3600
        settle(account)
        (conversation,) = account.conversations.values()
        assert conversation.status == "CLOSED"
        assert all("profileId" not in item for item in conversation.participants.values())

    async def test_the_same_caller_is_the_same_person_and_a_client_is_nobody(self) -> None:
        account = SandboxAccount()
        configuration_id = account.add_configuration()
        transcriber = LocalTranscriber(account)
        for number, caller in enumerate([PHONE, PHONE, "client:ada"]):
            call = f"CA{number:032x}"
            await transcriber.call_started(
                CallStart(call, caller=caller, number=NUMBER, configuration_id=configuration_id)
            )
            await transcriber.call_ended(call)
        found = [
            item.get("profileId")
            for conversation in account.conversations.values()
            for item in conversation.participants.values()
            if item["type"] == "CUSTOMER"
        ]
        assert found[0] is not None
        assert found == [found[0], found[0], None]

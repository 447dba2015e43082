"""The client of Twilio's Memory, over real HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.memory import merge
from voice_app.sandbox.twilio import Fault, SandboxAccount, new_id
from voice_app.sandbox.twilio.memory_store import add_profile
from voice_app.twilio import ApiError, MemoryClient, Trouble, TwilioApi
from voice_app.twilio.memory import SOURCE, MemoryObservation, instant

PHONE = "+15550100002"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
Summarize = Callable[[str, str, str, str], Awaitable[None]]


@pytest.fixture
def memory(api: TwilioApi) -> MemoryClient:
    return MemoryClient(api)


@pytest.fixture
def store_id(account: SandboxAccount) -> str:
    return account.add_store()


def person(account: SandboxAccount, store_id: str, **contact: Any) -> str:
    """A profile in the store."""
    return add_profile(account, account.stores[store_id], {"Contact": {"phone": PHONE, **contact}}).id


async def observed(memory: MemoryClient, store_id: str, profile_id: str) -> Sequence[MemoryObservation]:
    """All that was ever written from here."""
    return await memory.observations(store_id, profile_id, source=SOURCE, created_after=LONG_AGO)


class TestStores:
    @pytest.mark.parametrize(
        ("status", "alive"), [("ACTIVE", True), ("QUEUED", False), ("PROVISIONING", False), ("FAILED", False)]
    )
    async def test_only_an_active_store_is_alive(
        self, memory: MemoryClient, account: SandboxAccount, status: str, alive: bool
    ) -> None:
        store = await memory.store(account.add_store(status=status))
        assert (store.status, store.active) == (status, alive)

    async def test_a_store_that_was_deleted_is_not_found(self, memory: MemoryClient) -> None:
        with pytest.raises(ApiError) as raised:
            await memory.store(new_id("mem_store_"))
        assert raised.value.trouble is Trouble.NOT_FOUND

    async def test_an_older_prefix_is_a_store_too(
        self, memory: MemoryClient, account: SandboxAccount
    ) -> None:
        store_id = account.add_store(new_id("mem_service_"))
        assert (await memory.store(store_id)).id == store_id

    async def test_what_is_no_id_is_never_asked_for(
        self, memory: MemoryClient, account: SandboxAccount
    ) -> None:
        with pytest.raises(ValueError, match="begins with mem_store_"):
            await memory.store("../Operations/x")
        assert not account.requests


class TestLookUp:
    async def test_a_number_is_known_however_it_is_written(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        profile_id = person(account, store_id)
        assert await memory.lookup(store_id, "+1 555 010-0002") == [profile_id]

    async def test_several_people_may_share_a_number(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        both = [person(account, store_id, firstName=name) for name in ("Ada", "Grace")]
        assert await memory.lookup(store_id, PHONE) == both

    @pytest.mark.parametrize("answer", ["empty", "null", "missing", "404"])
    async def test_nobody_is_an_empty_list_however_it_is_said(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str, answer: Any
    ) -> None:
        account.behaviour.no_match = answer
        assert await memory.lookup(store_id, PHONE) == []

    async def test_a_store_that_is_gone_is_an_error_and_not_nobody(self, memory: MemoryClient) -> None:
        with pytest.raises(ApiError) as raised:
            await memory.lookup(new_id("mem_store_"), PHONE)
        assert raised.value.trouble is Trouble.NOT_FOUND

    async def test_it_is_asked_again_after_a_429(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        profile_id = person(account, store_id)
        account.faults.add(Fault(path="*/Lookup", status=429, headers={"Retry-After": "0"}))
        assert await memory.lookup(store_id, PHONE) == [profile_id]


class TestProfiles:
    async def test_traits_come_by_group(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        profile_id = person(account, store_id, firstName="Ada")
        account.stores[store_id].profiles[profile_id].traits["Account"] = {"plan": "gold"}
        everything = await memory.profile(store_id, profile_id)
        assert set(everything.traits) == {"Contact", "Account"}
        some = await memory.profile(store_id, profile_id, trait_groups=["Account"])
        assert some.traits == {"Account": {"plan": "gold"}}

    async def test_the_same_person_is_the_same_profile(self, memory: MemoryClient, store_id: str) -> None:
        first = await memory.create_profile(store_id, {"Contact": {"phone": PHONE}})
        again = await memory.create_profile(store_id, {"Contact": {"phone": PHONE, "firstName": "Ada"}})
        assert first == again
        assert (await memory.profile(store_id, first)).traits["Contact"]["firstName"] == "Ada"

    async def test_nobody_is_made_without_an_identifier(self, memory: MemoryClient, store_id: str) -> None:
        with pytest.raises(ApiError) as raised:
            await memory.create_profile(store_id, {"Contact": {"firstName": "Ada"}})
        assert raised.value.trouble is Trouble.REFUSED

    async def test_a_profile_without_a_readable_id_is_an_error(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        account.faults.add(Fault(path="*/Profiles", body='{"id":"../x"}'))
        with pytest.raises(ApiError) as raised:
            await memory.create_profile(store_id, {"Contact": {"phone": PHONE}})
        assert raised.value.trouble is Trouble.UNREADABLE


class TestMemories:
    async def test_the_newest_come_first_and_without_scores(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str, summarize: Summarize
    ) -> None:
        profile_id = person(account, store_id)
        for content in ("Likes tea.", "Has a dog."):
            await memory.observe(store_id, profile_id, [content])
        conversation_id = new_id("conv_conversation_")
        await summarize(store_id, profile_id, "Bought tea.", conversation_id)
        recalled = await memory.recall(store_id, profile_id, observations=1)
        assert [item.content for item in recalled.observations] == ["Has a dog."]
        assert [item.content for item in recalled.summaries] == ["Bought tea."]
        assert recalled.summaries[0].conversation_id == conversation_id

    async def test_a_list_that_is_null_is_empty(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        profile_id = person(account, store_id)
        account.faults.add(Fault(path="*/Recall", body='{"observations":null,"meta":null}'))
        recalled = await memory.recall(store_id, profile_id)
        assert (list(recalled.observations), list(recalled.summaries)) == ([], [])

    async def test_observations_are_read_on_all_pages_and_filtered(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        profile_id, conversation_id = person(account, store_id), new_id("conv_conversation_")
        for batch in range(11):
            await memory.observe(store_id, profile_id, [f"Fact {batch} {number}" for number in range(10)])
        await memory.observe(store_id, profile_id, ["Last"], conversation_ids=[conversation_id])
        stored = account.stores[store_id].profiles[profile_id].observations
        next(iter(stored.values()))["source"] = "till"
        ours = await observed(memory, store_id, profile_id)
        assert (len(ours), ours[0].content, ours[0].conversation_ids) == (110, "Last", [conversation_id])
        theirs = await memory.observations(store_id, profile_id, source="till", created_after=LONG_AGO)
        assert [item.content for item in theirs] == ["Fact 0 0"]
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        assert await memory.observations(store_id, profile_id, source=SOURCE, created_after=tomorrow) == []

    async def test_what_is_written_can_be_read_some_time_later(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        now = 1_000.0
        account.clock = lambda: now
        account.behaviour.memory_seconds = 5
        profile_id = person(account, store_id)
        await memory.observe(store_id, profile_id, ["Likes tea."])
        assert await observed(memory, store_id, profile_id) == []
        now += 5
        assert len(await observed(memory, store_id, profile_id)) == 1

    async def test_an_observation_is_never_said_twice(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        profile_id = person(account, store_id)
        account.faults.add(Fault(path="*/Observations", status=503))
        with pytest.raises(ApiError):
            await memory.observe(store_id, profile_id, ["Likes tea."])
        assert len(account.requests) == 1

    @pytest.mark.parametrize("contents", [[], ["x"] * 11, [""], ["x" * 4097]])
    async def test_too_much_is_refused_before_it_is_sent(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str, contents: list[str]
    ) -> None:
        with pytest.raises(ValueError, match="observation"):
            await memory.observe(store_id, new_id("mem_profile_"), contents)
        assert not account.requests


class TestMergedProfiles:
    @pytest.fixture
    def old_and_new(self, account: SandboxAccount, store_id: str) -> tuple[str, str]:
        old, new = person(account, store_id, firstName="Ada"), person(account, store_id, lastName="Byron")
        merge(account.stores[store_id], old, new)
        return old, new

    async def test_reading_follows_and_tells_the_new_id(
        self, memory: MemoryClient, store_id: str, old_and_new: tuple[str, str]
    ) -> None:
        old, new = old_and_new
        profile = await memory.profile(store_id, old, trait_groups=["Contact"])
        assert profile.id == new
        assert profile.traits["Contact"] == {"phone": PHONE, "firstName": "Ada", "lastName": "Byron"}
        assert await observed(memory, store_id, old) == []

    async def test_writing_follows_and_tells_the_new_id(
        self, memory: MemoryClient, store_id: str, old_and_new: tuple[str, str]
    ) -> None:
        old, new = old_and_new
        assert await memory.observe(store_id, old, ["Likes tea."]) == new
        recalled = await memory.recall(store_id, old)
        assert (recalled.profile_id, [item.content for item in recalled.observations]) == (
            new,
            ["Likes tea."],
        )

    async def test_a_chain_of_merges_is_followed(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str, old_and_new: tuple[str, str]
    ) -> None:
        last = person(account, store_id)
        merge(account.stores[store_id], old_and_new[1], last)
        account.stores[store_id].merged[old_and_new[0]] = old_and_new[1]  # told hop by hop
        assert (await memory.profile(store_id, old_and_new[0])).id == last

    async def test_merges_in_a_circle_come_to_an_end(
        self, memory: MemoryClient, account: SandboxAccount, store_id: str
    ) -> None:
        one, two = new_id("mem_profile_"), new_id("mem_profile_")
        account.stores[store_id].merged |= {one: two, two: one}
        with pytest.raises(ApiError) as raised:
            await memory.profile(store_id, one)
        assert raised.value.trouble is Trouble.MOVED

    @pytest.mark.parametrize(
        "location",
        [
            "https://memory.twilio.com.evil.example/v1/Stores/{store}/Profiles/{profile}",
            "https://evil.example/v1/Stores/{store}/Profiles/{profile}",
            "{base}/memory/v1/Stores/{other}/Profiles/{profile}",
            "{base}/memory/v1/ControlPlane/Stores/{store}",
            "{base}/conversations/v1/Stores/{store}/Profiles/{profile}",
        ],
    )
    async def test_a_redirect_to_anywhere_else_is_not_followed(
        self, memory: MemoryClient, account: SandboxAccount, base_url: str, store_id: str, location: str
    ) -> None:
        profile_id, target = person(account, store_id), person(account, store_id)
        url = location.format(base=base_url, store=store_id, other=account.add_store(), profile=target)
        headers = {"Location": url, "Canonical-Profile-Id": target}
        account.faults.add(Fault(path=f"*/{profile_id}", status=301, headers=headers))
        with pytest.raises(ApiError) as raised:
            await memory.profile(store_id, profile_id)
        assert raised.value.trouble is Trouble.MOVED
        assert len(account.requests) == 1


def test_times_are_written_in_utc() -> None:
    berlin = datetime.fromisoformat("2026-01-01T01:00:00+01:00")
    assert instant(berlin) == "2026-01-01T00:00:00.000Z"
    with pytest.raises(ValueError, match="no time zone"):
        instant(datetime(2026, 1, 1))

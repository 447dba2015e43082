from __future__ import annotations

from support.followups import CALL, CALLER, OURS, Office
from voice_app.followups.orchestrator import FactsTask
from voice_app.journal.events import Acted, Closed, Noted, Opened, Recognised
from voice_app.sandbox.twilio import Fault
from voice_app.sandbox.twilio.conversation_store import settle
from voice_app.sandbox.twilio.memory_store import add_profile
from voice_app.sandbox.twilio.records import StoredProfile
from voice_app.twilio import Configurations, MemoryClient

NUTS, TEA = "Is allergic to nuts.", "Likes tea."


def facts(office: Office) -> FactsTask:
    return FactsTask(
        MemoryClient(office.api),
        Configurations(office.api),
        office.journal,
        "Contact.phone",
    )


def caller(office: Office) -> StoredProfile:
    store_id = office.account.configurations[office.configuration_id]["memoryStoreId"]
    return add_profile(office.account, office.account.stores[store_id], {"Contact": {"phone": CALLER}})


def contents(office: Office, person: StoredProfile) -> list[str]:
    settle(office.account)
    return [str(item["content"]) for item in person.observations.values()]


async def test_what_did_not_arrive_during_the_call_is_written_after_it(office: Office) -> None:
    person = caller(office)
    office.write(
        Opened(CALLER, OURS, "inbound"), Noted(TEA), Acted("remember", TEA), Noted(NUTS), Closed("x")
    )
    await office.attempt(facts(office))
    assert contents(office, person) == [NUTS]
    assert await office.outcome("facts") == ("written", "1")


async def test_what_arrived_although_nobody_could_say_so_is_not_written_twice(office: Office) -> None:
    person = caller(office)
    office.write(Opened(CALLER, OURS, "inbound"), Noted(NUTS), Closed("completed"))
    await office.attempt(facts(office))
    office.write(Opened(CALLER, OURS, "inbound"), Noted(NUTS), Closed("completed"), call_sid="CA" + "8" * 32)
    await office.attempt(facts(office), call_sid="CA" + "8" * 32)
    assert contents(office, person) == [NUTS]


async def test_a_stranger_gets_a_profile(office: Office) -> None:
    office.write(Opened(CALLER, OURS, "inbound"), Noted(NUTS), Closed("completed"))
    await office.attempt(facts(office))
    settle(office.account)
    (store,) = office.account.stores.values()
    (person,) = store.profiles.values()
    assert contents(office, person) == [NUTS]


async def test_who_was_recognised_is_not_looked_up_again(office: Office) -> None:
    person = caller(office)
    office.write(Opened(CALLER, OURS, "inbound"), Recognised(person.id), Noted(NUTS), Closed("completed"))
    await office.attempt(facts(office))
    assert contents(office, person) == [NUTS]
    assert office.requests("POST", "/Lookup") == 0


async def test_of_a_call_that_we_placed_the_one_who_was_called_is_meant(office: Office) -> None:
    person = caller(office)
    office.write(Opened(OURS, CALLER, "outbound-api"), Noted(NUTS), Closed("completed"))
    await office.attempt(facts(office))
    assert contents(office, person) == [NUTS]


async def test_nothing_is_known_of_a_withheld_number(office: Office) -> None:
    office.write(Opened("+266696687", OURS, "inbound"), Noted(NUTS), Closed("completed"))
    await office.attempt(facts(office))
    assert await office.outcome("facts") == ("nothing to write", "")
    assert not office.account.requests


async def test_a_memory_in_trouble_is_tried_again(office: Office) -> None:
    person = caller(office)
    office.write(Opened(CALLER, OURS, "inbound"), Noted(NUTS), Closed("completed"))
    office.account.faults.add(Fault(path="*/Observations", method="POST", status=500))
    assert await office.attempt(facts(office)) is not None
    assert await office.attempt(facts(office), number=1) is None
    assert contents(office, person) == [NUTS]
    assert [e.event for e in await office.journal.events(CALL) if isinstance(e.event, Acted)] == [
        Acted("remember", NUTS)
    ]

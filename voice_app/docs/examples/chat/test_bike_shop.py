"""What the agent does with what its model says. Run it with: pytest

The fixture `model` is the model: it says what a test tells it to, so nothing here needs a key.
"""

import bike_shop
import pytest


@pytest.fixture(autouse=True)
def paid_back(monkeypatch):
    monkeypatch.setattr(bike_shop, "PAID_BACK", [])
    return bike_shop.PAID_BACK


async def test_an_order_is_looked_up(caller, model):
    model.calls("order_status", number=81)
    model.says("Order eighty one leaves today.")
    await caller.says("Where is order 81?")
    await caller.hears("leaves today")
    run = await caller.tool_called("order_status", number=81)
    assert run.outcome == "leaves today"
    assert model.requests[-1]["messages"][-1]["content"] == "leaves today"


async def test_the_model_is_told_the_rules_and_what_is_known_of_the_caller(caller, model, twilio):
    twilio.remembers(caller.number, "Rides a red tandem.")
    model.says("Hello again!")
    await caller.says("It's me.")
    await caller.hears("Hello again!")
    prompt = model.requests[0]["messages"][0]["content"]
    assert "Before you pay something back" in prompt
    assert "Rides a red tandem." in prompt


async def test_a_barge_in_does_not_undo_a_refund_nor_repeat_it(caller, model, paid_back):
    model.calls("pay_back", number=81)
    model.says("Done. The money will be on your account in three days.")
    await caller.says("Yes, pay back order 81.")
    model.calls("pay_back", number=81)
    model.says("It was paid back.")
    await caller.interrupts("Pay it back!", after_words=3)
    await caller.hears("It was paid back.")
    assert paid_back == [81]
    assert [run.outcome for run in caller.tools][-1] == "it was paid back before"


async def test_a_person_gets_the_reason_and_the_summary(caller, model, person):
    model.answers(
        text="I will get you a colleague. ",
        tools=[("transfer_to_person", {"reason": "complaint", "summary": "The tandem came without pedals."})],
    )
    await caller.says("My tandem has no pedals! I want a person!")
    await caller.hears("I will get you a colleague.")
    await caller.is_transferred(reason="complaint", summary="without pedals")
    await caller.is_put_through()
    await person.hears("The tandem came without pedals.")


async def test_a_slow_model_is_bridged_and_one_that_fails_is_excused(caller, model):
    model.says("Here I am.", delay=4)
    await caller.says("Hello?")
    await caller.hears("One moment")
    await caller.hears("Here I am.")
    model.fails(400)
    await caller.says("Hello?")
    await caller.hears("Sorry")
    assert len(caller.agent_failures) == 1

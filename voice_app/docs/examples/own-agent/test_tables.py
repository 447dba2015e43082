"""Calls to the agent. Run it with: pytest"""

import pytest
import tables


@pytest.fixture(autouse=True)
def booked(monkeypatch):
    monkeypatch.setattr(tables, "BOOKED", {})
    return tables.BOOKED


async def test_one_thing_after_another(caller, booked):
    await caller.says("A table, please.")
    await caller.hears("For how many people?")
    await caller.presses("4")
    await caller.hears("a table for 4. At what time?")
    await caller.says("Seven.")
    await caller.hears("a table for 4 at 7. Shall I book it?")
    await caller.says("Yes, please.")
    await caller.hears("See you tonight!")
    await caller.is_hung_up_on()
    assert booked == {caller.number: "a table for 4 at 7"}


async def test_everything_at_once_and_a_change_of_mind(caller, booked):
    await caller.says("A table for two at eight.")
    await caller.hears("a table for 2 at 8.")
    await caller.says("No, we are five.")
    assert await caller.interrupts("I mean, at nine!", after_words=5) == "That is a table for"
    await caller.hears("a table for 5 at 9. Shall I book it?")
    assert booked == {}


async def test_what_was_told_is_known_after_the_line_broke(caller, booked):
    await caller.says("For three.")
    await caller.hears("At what time?")
    await caller.drops()
    await caller.hears("the line broke for a moment")
    await caller.says("Six.")
    await caller.hears("a table for 3 at 6")
    await caller.says("Yes.")
    await caller.is_hung_up_on()
    assert booked == {caller.number: "a table for 3 at 6"}


async def test_callers_do_not_get_each_others_tables(line, booked):
    ann, bob = line.caller("+15550190001"), line.caller("+15550190002")
    await ann.says("For two.")
    await bob.says("At nine.")
    await ann.says("At seven.")
    await bob.says("For six.")
    await ann.says("Yes.")
    await bob.says("Yes.")
    await ann.is_hung_up_on()
    await bob.is_hung_up_on()
    assert booked == {"+15550190001": "a table for 2 at 7", "+15550190002": "a table for 6 at 9"}


async def test_a_big_table_is_for_a_person(caller, person, booked):
    await caller.says("For twelve at seven.")
    await caller.is_transferred(reason="big table", summary="a table for 12 at 7")
    await caller.is_put_through()
    await person.hears("a table for 12 at 7")
    assert booked == {}

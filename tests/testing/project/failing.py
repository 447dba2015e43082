"""Tests that fail, each in its own way."""

import pytest


async def test_an_order(caller):
    await caller.says("Where is my order?")
    await caller.hears("leaves tomorrow")


async def late_interruption(caller):
    await caller.hears("what?")
    await caller.interrupts("Hm?", after_words=2)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("caller.says('Hm?')", "caller.hears('order')"),
        ("caller.says('Hm?')", "caller.does_not_hear('what')"),
        ("caller.says('Hm?')", "caller.is_transferred()"),
        ("caller.says('A person!')", "caller.is_transferred(reason='billing')"),
        ("caller.says('Hm?')", "caller.is_put_through()"),
        ("caller.says('Hm?')", "caller.is_hung_up_on()"),
        ("caller.hangs_up()", "caller.is_hung_up_on()"),
        ("caller.says('bye')", "caller.says('Hm?')"),
        ("caller.says('Hm?')", "late_interruption(caller)"),
        ("caller.says('Hm?')", "caller.tool_called('refund', order=81)"),
        ("caller.says('A person!')", "person.hears('order')"),
    ],
    ids=[
        "hears",
        "does_not_hear",
        "is_transferred",
        "reason",
        "is_put_through",
        "is_hung_up_on",
        "hangs_up",
        "over",
        "interrupts",
        "tool_called",
        "person",
    ],
)
async def test_it(caller, person, first, then):
    await eval(first)
    await eval(then)


@pytest.mark.voice_app(agent="chat")
async def test_no_answer(caller, model):
    await caller.says("Where is my order?")
    await caller.hears("leaves tomorrow")


@pytest.mark.voice_app(agent="an_agent:agnet")
async def test_no_agent(caller): ...


@pytest.mark.voice_app(greting="Hi!")
async def test_no_setting(caller): ...


@pytest.mark.voice_app(silence_seconds=-1)
async def test_a_bad_setting(caller): ...


async def test_a_server_that_misbehaves(caller):
    await caller.says("My order?")
    caller.call.problems.append("64107: a frame that Twilio does not take")

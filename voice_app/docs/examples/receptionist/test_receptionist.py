"""What callers press and ask. Run it with: pytest"""

import pytest


async def test_the_keys_are_told_and_each_has_an_answer(caller):
    await caller.hears("press 1")
    await caller.presses("1")
    await caller.hears("from eight in the morning")
    await caller.presses("2")
    await caller.hears("forty Brook Street")
    await caller.presses("7")
    await caller.hears("I am not sure about that.")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Are you open on Saturday?", "Monday to Friday"),
        ("Where can I park?", "behind the house"),
        ("What does a cleaning cost?", "ninety dollars"),
    ],
)
async def test_questions_are_answered_from_the_file(caller, question, answer):
    await caller.says(question)
    await caller.hears(answer)


async def test_who_cuts_in_is_answered(caller):
    await caller.says("When are you open?")
    assert await caller.interrupts("Where are you, I meant?", after_words=4) == "We are open from"
    await caller.hears("forty Brook Street")


async def test_zero_is_for_a_person_who_is_told_what_was_asked(caller, person):
    await caller.says("Do you take my insurance?")
    await caller.presses("0")
    await caller.is_transferred(reason="asked by key", summary="insurance")
    await caller.is_put_through()
    await person.hears("Do you take my insurance?")


async def test_if_nobody_answers_the_caller_leaves_a_message(caller, person):
    person.is_("no-answer")
    await caller.presses("0")
    await caller.hears("Please leave a message")


async def test_who_says_nothing_is_let_go(caller):
    await caller.is_silent(60)
    await caller.hears("Are you still there?", ever=True)
    await caller.is_hung_up_on()

from pathlib import Path

import pytest

from voice_app import Call, EndCall, Message, Piece, Transfer, Turn
from voice_app.agents.receptionist import FaqError, Receptionist

SHIPPED = Receptionist.from_file(None)
FILE = """
name = "Shop"
unsure = "I know about {topics}."
goodbye = "Bye."
transfer = "Moment."
silence = "Hello?"
[[topic]]
name = "our hours"
ask = ["when are you open"]
answer = "Always."
"""


async def answer(text: str, kind: str = "speech", call: Call | None = None) -> list[Piece]:
    turn = Turn(text, kind)  # type: ignore[arg-type]
    return [piece async for piece in SHIPPED(call or Call("CA1"), turn)]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What are your opening hours?", "nine in the morning"),
        ("Hi, when are you open tomorrow?", "nine in the morning"),
        ("are you open on Sundays", "nine in the morning"),
        ("Where is the shop?", "Mill Lane"),
        ("How do I find you?", "Mill Lane"),
        ("My bike is broken.", "eighty dollars"),
        ("How long does a repair take?", "two days"),
        ("Can I rent an electric bike?", "forty five"),
    ],
)
async def test_a_question_it_knows_is_answered(question: str, words: str) -> None:
    (text,) = await answer(question)
    assert isinstance(text, str)
    assert words in text


@pytest.mark.parametrize(
    "question", ["Tell me a joke.", "What is the capital of France?", "", "Is it raining?"]
)
async def test_a_question_it_does_not_know_is_not_guessed_at(question: str) -> None:
    (text,) = await answer(question)
    assert isinstance(text, str)
    assert text.startswith("I am not sure")
    assert "our opening hours" in text


async def test_a_weak_match_is_asked_back_and_a_yes_answers_it() -> None:
    call = Call("CA1")
    assert await answer("What about my bike?", call=call) == ["Do you want to know about bikes for rent?"]
    (text,) = await answer("Yes, please.", call=call)
    assert isinstance(text, str)
    assert "twenty dollars a day" in text


async def test_a_yes_without_a_question_answers_nothing() -> None:
    (text,) = await answer("Yes.")
    assert isinstance(text, str)
    assert text.startswith("I am not sure")


@pytest.mark.parametrize("text", ["Goodbye.", "Bye bye!", "No, thank you.", "That's all, thanks."])
async def test_a_goodbye_ends_the_call(text: str) -> None:
    said, action = await answer(text)
    assert said == "Thank you for calling Larkspur Bikes. Goodbye!"
    assert isinstance(action, EndCall)


@pytest.mark.parametrize("text", ["Can I speak to a person?", "Get me a human!", "Let me talk to someone."])
async def test_a_person_is_called_for(text: str) -> None:
    call = Call("CA1", history=[Message("user", "My bike is broken."), Message("assistant", "Oh.")])
    _, action = await answer(text, call=call)
    assert isinstance(action, Transfer)
    assert action.summary == f"My bike is broken. / {text}"


async def test_keys_choose_a_topic() -> None:
    (text,) = await answer("2", "keys")
    assert isinstance(text, str)
    assert "Mill Lane" in text


async def test_zero_calls_a_person() -> None:
    assert isinstance((await answer("0", "keys"))[-1], Transfer)


async def test_a_key_that_means_nothing_is_told_so() -> None:
    (text,) = await answer("9", "keys")
    assert isinstance(text, str)
    assert text.startswith("I am not sure")


async def test_silence_is_asked_about() -> None:
    assert await answer("", "silence") == ["Are you still there?"]


async def test_a_file_of_ones_own_is_used(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(FILE)
    receptionist = Receptionist.from_file(path)
    assert [piece async for piece in receptionist(Call("CA1"), Turn("When are you open?"))] == ["Always."]
    assert [piece async for piece in receptionist(Call("CA1"), Turn("Hm?"))] == ["I know about our hours."]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("[[topic]]", "[["), "not TOML"),
        (("[[topic]]", "[[topics]]"), "topics is no key here: did you mean topic"),
        (('answer = "Always."', 'anwser = "Always."'), "topic 1: anwser is no key here: did you mean answer"),
        (("goodbye", "godbye"), "godbye is no key here: did you mean goodbye"),
        (('answer = "Always."', ""), "topic 1: `answer` is missing"),
        (('ask = ["when are you open"]', 'ask = "when"'), "topic 1: `ask` should be a list"),
        (('name = "our hours"', 'name = "our hours"\nkey = "12"'), "`key` should be one key"),
        (('goodbye = "Bye."', 'goodbye = ""'), "`goodbye` is missing"),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(FILE.replace(*change))
    with pytest.raises(FaqError, match=told) as error:
        Receptionist.from_file(path)
    assert "shop.toml" in str(error.value)

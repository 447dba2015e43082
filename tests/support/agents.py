"""Agents for tests, to be named as ``support.agents:name``."""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from support.counting import counting
from voice_app import (
    AnswerKind,
    Become,
    Break,
    Call,
    Choice,
    Digits,
    Email,
    EndCall,
    Keys,
    NoAnswerError,
    PhoneNumber,
    Piece,
    Play,
    Say,
    SendDigits,
    SwitchLanguage,
    Transfer,
    Turn,
    YesNo,
    ask,
    ask_in_thread,
)


async def echo(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Says what was said, and how much it remembers."""
    yield f"You said: {turn.text} "
    yield f"Before that there were {len(call.history)} messages."


async def consenting(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """States something in the middle of its answer."""
    yield "One thing before that. "
    yield Say("This call is recorded for training.", interruptible=False)
    yield f"Now, {turn.text}"


async def endless(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Talks until it is stopped."""
    for number in range(100_000):
        yield f"{turn.text}-{number} "
        await asyncio.sleep(0)


async def misbehaving(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Does what the prompt says, and nothing of it is good."""
    match turn.text:
        case "exit":
            sys.exit("no configuration")
        case "interrupt":
            raise KeyboardInterrupt
        case "cancel":
            raise asyncio.CancelledError
        case "halves":
            yield "Great \ud83d"
            yield "\ude00 news \udfff"
            yield "for you.\x00"
        case _:
            yield "I am still here."


def slow_plain_generator(call: Call, turn: Turn) -> Iterator[Piece]:
    """Blocks as long as there is a file "block"."""
    yield "Let me think. "
    while Path("block").exists():
        time.sleep(0.01)
    yield f"You said {turn.text}."


async def broken(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Fails in the middle of a sentence."""
    yield "Well, "
    raise RuntimeError("secret words of the caller")


async def leaving(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Transfers or hangs up, as it is told."""
    yield "As you wish."
    yield Transfer("asked", turn.text) if "person" in turn.text else EndCall()


def not_a_generator(call: Call) -> None:
    """Takes one argument too few."""


async def a_coroutine(call: Call, turn: Turn) -> str:
    """Returns instead of yielding."""
    return "Hello."


def a_plain_generator(call: Call, turn: Turn) -> Iterator[Piece]:
    """Blocks, as far as anybody knows."""
    yield turn.text
    yield " again"


def a_plain_function(call: Call, turn: Turn) -> str:
    """Returns, and not even later."""
    return "Hello."


class APlainCallable:
    """An object of it could be called, but it is the class that is named."""

    def __init__(self, call: Call, turn: Turn) -> None:
        self.text = turn.text


def hands_on(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Lets another agent answer."""
    return echo(call, turn)


@functools.wraps(echo)
def wrapped(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Is a decorated agent."""
    return echo(call, turn)


class Answering:
    """An agent that is an object."""

    async def __call__(self, call: Call, turn: Turn) -> AsyncIterator[Piece]:
        yield turn.text

    async def answer(self, call: Call, turn: Turn) -> AsyncIterator[Piece]:
        """Answers as a method."""
        yield turn.text


an_object = Answering()
bound = functools.partial(an_object.answer)


async def markdown(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Writes as models do."""
    for piece in (
        "**Open",
        "ing** ho",
        "urs:\n",
        "- Mon",
        "day\n",
        "- [Tues",
        "day](https://x.example/y)",
        "\n",
    ):
        yield piece


async def pondering(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Answers after five seconds."""
    await asyncio.sleep(5)
    yield f"Finally: {turn.text}"


async def looking_up(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Says something before slow work, and the result after it."""
    yield "Let me look that up."
    yield Break()
    yield f"The answer to {turn.text} is forty two, and there is much more to tell about it."


async def keypad(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Tells which keys were pressed, and asks for a secret next."""
    yield f"{turn.kind}: {len(turn.text)} keys." if turn.sensitive else f"{turn.kind}: {turn.text}"
    call.keys = Keys(length=8, sensitive=True)


async def polyglot(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Changes the language, plays a sound, sends keys."""
    yield SwitchLanguage("es-ES", "es-MX")
    yield Play("https://x.example/ding.mp3")
    yield SendDigits("1w2")
    yield "Hola."


async def knowing(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Tells what it knows of the caller; what begins with "Note" is noted first."""
    if turn.text.startswith("Note "):
        noted = await call.remember(turn.text.removeprefix("Note ")) if call.remember is not None else None
        yield f"Noted: {noted}. "
    yield f"I know: {' / '.join(call.memory) or 'nothing'} of {call.profile_id}"


async def storyteller(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Says the first half, makes the file "begun", and goes on when there is a file "go"."""
    yield "Once upon a time there was a bicycle shop "
    Path("begun").touch()
    while True:
        await asyncio.sleep(0.01)
        if Path("go").exists():
            break
    yield "and it had wheels in every size."


async def blocking(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Does what an agent never should: holds up the loop, as long as there is a file "block"."""
    yield "I am thinking."
    while Path("block").exists():
        time.sleep(0.15)  # noqa: ASYNC251 - this is the mistake
        await asyncio.sleep(0)
    yield " I have thought."


async def forgetful(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Counts like `support.counting.counting`, but forgets what was said first."""
    del call.history[:3]
    async for piece in counting(call, turn):
        yield piece


async def impatient(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Counts, and hangs up at the second question."""
    if "2" in turn.text:
        yield EndCall()
    async for piece in counting(call, turn):
        yield piece


async def reluctant(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Answers nothing."""
    yield "I would rather not say."


async def sleeping(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Sleeps the way that holds up the whole server."""
    yield "Let me think. "
    time.sleep(0.8)  # noqa: ASYNC251 - this is the mistake
    yield "Done."


async def form(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Asks for what the prompt names, and tells what it got."""
    kinds: dict[str, AnswerKind[Any]] = {
        "email": Email(),
        "phone": PhoneNumber(),
        "pin": Digits(8, secret=True),
        "size": Choice(["small", "medium", "large"]),
    }
    if turn.text == "order":
        size = await ask(call, kinds["size"])
        email = await ask(call, Email())
        yield f"Size {size} for {email}."
        return
    if turn.text not in kinds:
        yield f"You said {turn.text}. Before that there were {len(call.history)} messages."
        return
    yield "Gladly. "
    try:
        answer = await ask(call, kinds[turn.text])
    except NoAnswerError as error:
        yield f"Never mind: {error.reason}."
    else:
        call.state["answer"] = answer
        yield "Thank you." if turn.text == "pin" else f"Thank you, {answer}."


def plain_form(call: Call, turn: Turn) -> Iterator[Piece]:
    """The same as a plain generator that asks from its thread."""
    if turn.text == "size":
        yield f"Thank you, {ask_in_thread(call, Choice(['small', 'medium', 'large']))}."
    elif turn.text == "wrong":
        ask(call, YesNo())  # type: ignore[unused-coroutine]
    else:
        yield f"You said {turn.text}."


async def clerk(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Has a slow tool for orders, people for those who want one, and a stock that is down."""
    if "order" in turn.text:
        yield "Let me look that up. "
        yield Break()
        await asyncio.sleep(0.6)
        yield "It leaves today."
    elif "person" in turn.text:
        yield "I will get you a colleague. "
        yield Transfer(reason="asked", summary="Wants a person.")
    elif "bye" in turn.text:
        yield "Goodbye, and thank you for calling!"
        yield EndCall()
    elif "break" in turn.text:
        raise RuntimeError("the stock is down")
    else:
        yield f"You said: {turn.text}"


async def slow_reader(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Takes a while before it answers at length."""
    await asyncio.sleep(0.6)
    yield "It was a dark and stormy night, and the rain fell in torrents."


async def front_desk(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Gives the call to the agent that the prompt names."""
    if turn.text.startswith("to "):
        yield "I will put you through. "
        yield Become(turn.text.removeprefix("to "))
        return
    yield f"Front desk, {turn.kind}."


async def billing(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Answers for the billing department."""
    if turn.text == "back":
        yield Become("front")
        return
    yield f"Billing, {turn.kind} {turn.text}, after {len(call.history)} messages."


async def conformant(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Says some sentences, word by word, and puts through who wants a person."""
    if turn.text == "a person please":
        yield "As you wish. "
        yield Transfer("asked", "wants a person")
        return
    for number in range(1, 16):
        await asyncio.sleep(0.002)
        yield f"word{number}{' ' if number % 5 else '. '}"

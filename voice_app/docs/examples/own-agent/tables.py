"""Books tables for tonight. What the caller has told stands in `call.state`, whatever comes in between."""

import re
from collections.abc import AsyncIterator

from voice_app import Call, EndCall, Keys, Piece, Transfer, Turn

MOST_PEOPLE = 8
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
NUMBER = "|".join([r"\d+", *WORDS])
TOLD = {"people": rf"\b(?:for|with|are) ({NUMBER})\b", "time": rf"\bat ({NUMBER})\b"}
BOOKED: dict[str, str] = {}
"""Tables by the caller's number. Put your database here."""


async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    call.keys = Keys(length=1)
    if turn.kind != "resumed":  # the line broke: nothing new was said
        take_in(call, turn.text.lower())
    if re.search(r"\b(bye|never mind)\b", turn.text.lower()):
        yield "Goodbye!"
        yield EndCall("no booking")
    elif call.state.get("people", 0) > MOST_PEOPLE:
        yield "For a big table I will get you a colleague. "
        yield Transfer("big table", f"The caller wants {wish(call)}.")
    elif call.state.get("agreed"):
        BOOKED[call.caller] = wish(call)
        yield f"I have booked {wish(call)}. See you tonight!"
        yield EndCall("booked")
    else:
        yield question(call)


def take_in(call: Call, said: str) -> None:
    """Note what was said: in any order, several things at once, or something else than before."""
    asked = call.state.get("asked", "people")
    if asked == "agreed":
        call.state["agreed"] = re.match(r"(yes|please|ok)\b", said) is not None
    elif number := re.fullmatch(rf"({NUMBER})\W*", said):  # a number alone, or a key, answers the question
        call.state[asked] = value(number[1])
    for name, pattern in TOLD.items():
        if found := re.search(pattern, said):
            call.state[name] = value(found[1])


def value(number: str) -> int:
    return WORDS.index(number) + 1 if number in WORDS else int(number)


def wish(call: Call) -> str:
    people, time = call.state.get("people"), call.state.get("time")
    return f"a table for {people}" + (f" at {time}" if time else "")


def question(call: Call) -> str:
    """What is to be known next."""
    missing = [name for name in TOLD if name not in call.state]
    call.state["asked"] = missing[0] if missing else "agreed"
    match call.state["asked"]:
        case "people":
            return "For how many people? You may press the number, too."
        case "time":
            return f"That is {wish(call)}. At what time?"
        case _:
            return f"That is {wish(call)}. Shall I book it?"

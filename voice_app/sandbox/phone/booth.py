"""A phone that is driven by messages, as a page sends them: one call, and all that happens on it.

What comes in is JSON, a `BoothAct`; the first is ``call``. What goes out has the field ``kind``: that of a
`PhoneEvent`, ``call`` with the CallSid, ``twiml`` with a document that runs, or ``refused`` with why.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from voice_app.sandbox.phone.call import PhoneCall
from voice_app.sandbox.phone.endpoint import CallOverError, PhoneEvent
from voice_app.sandbox.phone.people import Person, PersonKind
from voice_app.sandbox.phone.phone import Phone
from voice_app.sandbox.phone.voice import WORDS_PER_SECOND

Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

LINES: Final = ("Hello, this is Robin. How can I help?", "I see. I will take care of it.", "Gladly. Goodbye!")
"""What somebody says who answers, unless somebody speaks for them."""
MOST_PENDING: Final = 50
"""Acts that wait for somebody to listen; whoever sends more of them waits."""

_Short = Annotated[str, msgspec.Meta(max_length=200)]


class BoothAct(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """What the caller does, or the person on the other side."""

    do: Literal["call", "say", "press", "drop", "hang-up", "person-says", "person-hangs-up"]
    from_: _Short = ""
    """Who calls; empty: the phone's own number."""
    to: _Short = ""
    text: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    keys: Annotated[str, msgspec.Meta(max_length=50, pattern="^[0-9*#]*$")] = ""
    people: Annotated[list[PersonKind], msgspec.Meta(max_length=10)] = []
    """Who is there when it rings, one after another."""
    silent: bool = False
    """They say nothing but what is said for them."""
    pace: Annotated[float, msgspec.Meta(ge=0.5, le=1000)] = WORDS_PER_SECOND
    """Words per second of the voices."""


class PhoneBooth:
    """One call of a phone. ``origin`` is what the server calls itself."""

    def __init__(self, phone: Phone, origin: str) -> None:
        self._phone = phone
        self._origin = origin

    async def run(self, incoming: AsyncIterator[str], send: Send) -> None:
        """Place the call that is asked for. Returns when it is over, or nothing comes in any more."""
        acts = self._acts(incoming, send)
        order = await anext(acts, None)
        if order is None or order.do != "call":
            return
        self._phone.number = order.to or self._phone.number
        self._phone.words_per_second = order.pace
        people = [
            Person(kind, LINES if kind == "answers" and not order.silent else ()) for kind in order.people
        ]
        events: asyncio.Queue[PhoneEvent] = asyncio.Queue()
        voice = f"{self._origin}/voice"
        async with self._phone.call(
            voice, status_url=f"{voice}/status", watch=events.put_nowait, people=people, caller=order.from_
        ) as call:
            await send({"kind": "call", "text": call.sid})
            telling = asyncio.create_task(_tell(call, events, send))
            acting = asyncio.create_task(_act(call, acts, send))
            await asyncio.wait({telling, acting}, return_when=asyncio.FIRST_COMPLETED)
            for task in (telling, acting):
                task.cancel()
            await asyncio.gather(telling, acting, return_exceptions=True)

    async def _acts(self, incoming: AsyncIterator[str], send: Send) -> AsyncIterator[BoothAct]:
        async for text in incoming:
            try:
                yield msgspec.json.decode(text, type=BoothAct)
            except msgspec.DecodeError as error:
                await send({"kind": "refused", "text": str(error)})


async def _tell(call: PhoneCall, events: asyncio.Queue[PhoneEvent], send: Send) -> None:
    """Pass on what happens, until the call is over."""
    known = 0
    while True:
        event = await events.get()
        documents = [*call.documents, *(text for person in call.people for text in person.documents)]
        for document in documents[known:]:
            await send({"kind": "twiml", "text": document})
        known = len(documents)
        first_token_ms = None if event.reply is None else event.reply.first_token_ms
        await send({"kind": event.kind, "text": event.text, "first_token_ms": first_token_ms})
        if event.kind == "ended":
            return


async def _act(call: PhoneCall, acts: AsyncIterator[BoothAct], send: Send) -> None:
    """Do what is wanted, one after another; hanging up waits for nothing."""
    pending: asyncio.Queue[BoothAct] = asyncio.Queue(MOST_PENDING)

    async def work() -> None:
        while True:
            act = await pending.get()
            try:
                await _do(call, act)
            except CallOverError as error:
                await send({"kind": "refused", "text": str(error)})

    working = asyncio.create_task(work())
    try:
        async for act in acts:
            if act.do == "hang-up":
                await call.hang_up()
            else:
                await pending.put(act)
    finally:
        working.cancel()


async def _do(call: PhoneCall, act: BoothAct) -> None:
    """Raises `CallOverError`."""
    match act.do:
        case "say" if act.text.strip():
            await call.say(act.text.strip())
        case "press":
            await call.press(act.keys)
        case "drop":
            await call.drop()
        case "person-says" if act.text.strip():
            await call.person_says(act.text.strip())
        case "person-hangs-up":
            await call.person_hangs_up()
        case _:
            pass

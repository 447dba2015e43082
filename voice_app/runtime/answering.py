"""How a single call is answered: its author decides, within a second, before Twilio has its answer.

A function of the agent's module, one that a setting names, or an HTTP endpoint of somebody's. Whatever goes
wrong with it is written down, and the settings of the number hold.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import Annotated, Final, Literal, TypeAlias

import aiohttp
import msgspec

from voice_app.agents import Answer, Call, Reject, cleaned, is_cancelled
from voice_app.calls import Parties
from voice_app.followups.delivery import signed
from voice_app.handoff import TargetError, from_addresses
from voice_app.journal.events import AnswerDecided
from voice_app.twilio import read_up_to

ANSWER_SECONDS: Final = 1.0
"""How long a decision is waited for: somebody's phone rings, and Twilio gives up after 15 s."""
MAX_BODY: Final = 64 * 1024
"""Bytes of an HTTP answer."""
_TAG: Final = r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$"

AnswerHook: TypeAlias = Callable[[Call], Awaitable[object]]
"""Gives an `Answer`, a `Reject` or None; what else it gives is an error."""

log = logging.getLogger(__name__)


def variant_for(variants: Mapping[str, int], parties: Parties, call_sid: str) -> str:
    """Which of the variants has this call. A caller always gets the same one, on any number and any server.

    Who withholds the number gets one for each call. Another set of names deals anew.
    """
    who = parties.caller if parties.caller_address.kind != "withheld" else call_sid
    digest = blake2b(f"{' '.join(variants)}\0{who}".encode(errors="replace"), digest_size=8).digest()
    place = int.from_bytes(digest) % sum(variants.values())
    for name, weight in variants.items():
        place -= weight
        if place < 0:
            return name
    raise AssertionError("the weights add up to more than any place")


class AnswerError(Exception):
    """A decision cannot be used. The text says what is wrong with it, and holds no words of anybody."""


class HttpAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """What an HTTP endpoint decides, as JSON. An empty body, or 204, leaves everything to the settings."""

    greeting: str | None = None
    language: str = ""
    agent: str = ""
    parameters: dict[str, str] = {}
    conversation_id: str = ""
    people: list[str] = []
    reject: Literal["", "busy", "rejected"] = ""


class HttpAnswerHook:
    """Asks an endpoint how a call is answered: a POST that is signed as Standard Webhooks has it."""

    def __init__(self, url: str, key: bytes) -> None:
        self._url = url
        self._key = key
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, call: Call) -> Answer | Reject | None:
        question = {
            "type": "call.answer",
            "version": 1,
            "call_sid": call.sid,
            "from": call.from_,
            "to": call.to,
            "direction": call.direction,
            "webhook": dict(call.webhook),
        }
        body = msgspec.json.encode(question)
        headers = signed(f"answer_{call.sid}", int(time.time()), body, self._key)
        if self._http is None:
            self._http = aiohttp.ClientSession()
        async with self._http.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            if not 200 <= response.status < 300:
                raise AnswerError(f"the hook answered {response.status}")
            content = await read_up_to(MAX_BODY + 1, response.content)
        if len(content) > MAX_BODY:
            raise AnswerError(f"the hook's answer has more than {MAX_BODY} bytes")
        if not content.strip():
            return None
        try:
            told = msgspec.json.decode(content, type=HttpAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise AnswerError(f"the hook's JSON cannot be used: {error}") from None
        if told.reject:
            return Reject(told.reject)
        return Answer(
            greeting=told.greeting,
            language=told.language,
            agent=told.agent,
            parameters=told.parameters,
            conversation_id=told.conversation_id,
            people=told.people,
        )

    async def close(self) -> None:
        """Close its connections."""
        if self._http is not None:
            await self._http.close()


async def decide(hook: AnswerHook, call: Call) -> AnswerDecided | None:
    """Ask a hook about a call; None: the settings hold.

    Raises:
        AnswerError: it failed, took too long, or gave what cannot be used.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await hook(call)
    except AnswerError:
        raise
    except TimeoutError:
        raise AnswerError(f"it was not decided within {ANSWER_SECONDS:g} s") from None
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise AnswerError("what it waited for was cancelled") from error
    except BaseException as error:
        # Somebody's code: what it raises, `sys.exit` included, is its own failure.
        log.warning("call %s: answer(call) failed", call.sid, exc_info=error)
        raise AnswerError(type(error).__name__) from None
    return None if found is None else _decision(found)


def _decision(found: object) -> AnswerDecided:
    if isinstance(found, Reject):
        return _checked({"reject": found.reason})
    if not isinstance(found, Answer):
        raise AnswerError(f"it gives an Answer, a Reject or None, not {type(found).__name__}")
    fields = asdict(found)
    fields |= {"parameters": dict(found.parameters), "people": tuple(found.people)}
    return _checked(fields)


class _Checked(msgspec.Struct, forbid_unknown_fields=True):
    """The shapes that the fields of a decision have to have."""

    greeting: str | None = None
    language: Annotated[str, msgspec.Meta(pattern=_TAG)] = ""
    agent: str = ""
    parameters: dict[str, str] = {}
    conversation_id: Annotated[str, msgspec.Meta(pattern=r"^(conv_conversation_\w+)?$")] = ""
    people: tuple[str, ...] = ()
    reject: Literal["", "busy", "rejected"] = ""


def _checked(fields: dict[str, object]) -> AnswerDecided:
    try:
        checked = msgspec.convert(fields, _Checked)
        if checked.people:
            from_addresses(checked.people)
    except (msgspec.ValidationError, TargetError) as error:
        raise AnswerError(str(error)) from None
    return AnswerDecided(
        greeting=None if checked.greeting is None else cleaned(checked.greeting),
        language=checked.language,
        agent=checked.agent,
        parameters={cleaned(name): cleaned(value) for name, value in checked.parameters.items()},
        conversation_id=checked.conversation_id,
        people=checked.people,
        reject=checked.reject,
    )

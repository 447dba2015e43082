"""``<Dial>``: rings people, has them screened, and connects the one who accepts.

Source: ``docs/protocol.md`` §6.2. Of several that ring at once the first to pick up is taken
and the others are let go, whatever the screening says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from voice_app.sandbox.phone.bridge import DialledLeg, PersonBridge
from voice_app.sandbox.phone.conference import ConferenceNoun
from voice_app.sandbox.phone.context import CallContext
from voice_app.sandbox.phone.leg import E164, HungUpError, is_phone_number
from voice_app.sandbox.phone.twiml import Jump, TwimlVerb

TIMEOUT_SECONDS = 30.0
TIME_LIMIT_SECONDS = 14400.0
MAX_NOUNS = 10


@dataclass(slots=True)
class _Outcome:
    """What became of it."""

    status: str
    dialled: DialledLeg | None = None
    """Who was dialled; the last one, if nobody picked up."""
    bridged: bool = False
    error: tuple[str, str] | None = None
    """Twilio's code and message of a call that could not be placed."""

    def fields(self) -> dict[str, str]:
        fields = {"DialCallStatus": self.status}
        if self.error is not None:
            fields |= dict(zip(("ErrorCode", "ErrorMessage"), self.error, strict=True))
        if self.dialled is not None:
            fields |= {"DialCallSid": self.dialled.leg.sid, "DialBridged": str(self.bridged).lower()}
            if self.dialled.answered_at is not None:
                fields |= {"DialCallDuration": str(self.dialled.seconds)}
        return fields


class DialVerb:
    """One ``<Dial>`` of a caller, in the document at ``url``."""

    def __init__(self, context: CallContext, verb: TwimlVerb, url: str) -> None:
        self._context = context
        self._verb = verb
        self._url = url
        self._outcome = _Outcome("failed")

    async def run(self) -> Jump | None:
        """Dial, and give the request that says how it went; None without an action.

        Raises `RedirectedError` when the REST API has taken the caller away.
        """
        if not self._verb.is_true("answerOnBridge"):
            self._context.answer()
        conference = self._verb.child("Conference")
        with suppress(HungUpError):  # the action is asked nevertheless
            if conference is not None:
                self._outcome = _Outcome("answered")
                await ConferenceNoun(self._context, conference, self._url).run(self._time_limit)
            else:
                await self._reach()
        return self._request()

    @property
    def _time_limit(self) -> float:
        return self._verb.seconds("timeLimit", TIME_LIMIT_SECONDS)

    def _request(self) -> Jump | None:
        leg = self._context.leg
        return leg.action(self._verb, self._url, leg.form() | self._outcome.fields())

    async def _reach(self) -> None:
        targets = self._targets()
        sequential = self._verb.is_true("sequential")
        for batch in [[target] for target in targets] if sequential else [targets]:
            dialled = await self._ring(batch) if batch else None
            if dialled is not None:
                await self._connect(dialled)
                return

    async def _ring(self, batch: list[tuple[TwimlVerb, str]]) -> DialledLeg | None:
        """Who picks up first; the others stop ringing."""
        caller_id = self._verb.get("callerId") or self._context.leg.from_
        legs = [DialledLeg(self._context, noun, address, caller_id, self._url) for noun, address in batch]
        self._outcome = _Outcome("canceled", legs[-1])
        timeout = self._verb.seconds("timeout", TIMEOUT_SECONDS)
        found = await self._context.leg.until(_first_to_answer(legs, timeout))
        if found is None:
            busy = all(dialled.leg.status == "busy" for dialled in legs)
            self._outcome = _Outcome("busy" if busy else "no-answer", legs[-1])
        return found

    async def _connect(self, dialled: DialledLeg) -> None:
        outcome = self._outcome = _Outcome("completed", dialled)
        try:
            if await self._context.leg.until(dialled.screen()):
                outcome.bridged = True
                self._context.answer()
                bridge = PersonBridge(
                    self._context, dialled.person, hangup_on_star=self._verb.is_true("hangupOnStar")
                )
                await bridge.run(self._time_limit)
            else:
                self._context.emit("unreached", "the call was not accepted")
        finally:
            dialled.finish("completed")

    # --- whom to dial ----------------------------------------------------------------------------

    def _targets(self) -> list[tuple[TwimlVerb, str]]:
        """The nouns and their addresses; those that cannot be dialled are reported and left out."""
        nouns = list(self._verb.children)
        if not nouns and self._verb.text:
            nouns = [TwimlVerb("Number", text=self._verb.text)]
        if len(nouns) > MAX_NOUNS or (len(nouns) > 1 and any(noun.name == "Queue" for noun in nouns)):
            self._context.problem(
                f"<Dial> with {len(nouns)} nouns: up to {MAX_NOUNS} go together, and <Queue> stands alone"
            )
            return []
        found = [(noun, _address(noun)) for noun in nouns]
        return [(noun, address) for noun, address in found if self._can_be_dialled(noun, address)]

    def _can_be_dialled(self, noun: TwimlVerb, address: str) -> bool:
        problem = _wrong_address(noun, address) or self._wrong_caller_id(noun)
        if problem:
            self._context.problem(problem)
            code, _, message = problem.partition(": ")
            self._outcome = _Outcome("failed", error=(code, message))
        return not problem

    def _wrong_caller_id(self, noun: TwimlVerb) -> str:
        """Why Twilio would not dial from the caller ID, which is the caller's address if none is written."""
        leg, written = self._context.leg, self._verb.get("callerId")
        ours = {leg.to, *self._context.verified}
        caller_id = written or leg.from_
        if noun.name == "WhatsApp":
            if caller_id.startswith("whatsapp:") and caller_id.removeprefix("whatsapp:") in _numbers(ours):
                return ""
            return f"13214: <WhatsApp> is dialled from a sender of the account's, and not from {caller_id!r}"
        if noun.name != "Number":
            return ""
        if not written and not is_phone_number(caller_id):
            return (
                f"13214: the caller {caller_id!r} has no phone number, and <Dial> has no callerId: "
                "the call is not placed"
            )
        if is_phone_number(caller_id) and caller_id in {leg.from_, *ours}:
            return ""
        return (
            f"13214: <Dial callerId={caller_id!r}> is neither a number of this call ({leg.from_}, {leg.to}) "
            "nor one of the account's: the call is not placed"
        )


async def _first_to_answer(legs: list[DialledLeg], longest: float) -> DialledLeg | None:
    ringing = [asyncio.create_task(dialled.ring(longest)) for dialled in legs]
    try:
        for finished in asyncio.as_completed(ringing):
            if (dialled := await finished) is not None:
                dialled.answer()
                return dialled
        return None
    finally:
        for task in ringing:
            task.cancel()
        await asyncio.wait(ringing)
        for other in legs:
            if other.answered_at is None:
                other.finish("canceled")


def _numbers(addresses: Iterable[str]) -> set[str]:
    return {address.removeprefix("whatsapp:") for address in addresses}


def _address(noun: TwimlVerb) -> str:
    match noun.name:
        case "Number" | "Sim" | "WhatsApp":
            return noun.text.translate(str.maketrans("", "", " -().")) if noun.name == "Number" else noun.text
        case "Client":
            identity = noun.child("Identity")
            return f"client:{identity.text if identity is not None else noun.text}"
        case "Sip":
            uri = noun.child("Uri")
            return uri.text if uri is not None else noun.text
        case _:
            return f"{noun.name.lower()}:{noun.text}"


def _wrong_address(noun: TwimlVerb, address: str) -> str:
    if noun.name == "Number" and E164.fullmatch(address) is None:
        return f"13223: <Number> {address!r} is no phone number; it should look like +15550100001"
    if noun.name == "WhatsApp" and E164.fullmatch(address.removeprefix("whatsapp:")) is None:
        return f"13223: <WhatsApp> {address!r} is no number; it should look like +15550100001"
    if noun.name == "Sip" and not address.startswith(("sip:", "sips:")):
        return f"13212: <Sip> {address!r} is no SIP address; it should look like sip:desk@example.com"
    if noun.name == "Client" and address == "client:":
        return "13212: <Client> names nobody"
    return ""

"""The tools that every agent with a model has: what it can do with the call itself."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from voice_app.agents.protocol import EndCall, SendDigits, SwitchLanguage, Transfer
from voice_app.agents.tools import Tool, tool

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


@tool
async def transfer_to_person(reason: str, summary: str) -> Transfer:
    """Hand the caller to a person. Tell the caller first, in one sentence.

    Use it when the caller asks for a person, or when you cannot help.

    Args:
        reason: Why, in one or two words, e.g. billing.
        summary: What the person has to know: who calls, what they want, what was tried.
    """
    return Transfer(reason, summary)


@tool
async def end_call(reason: str = "finished") -> EndCall:
    """Hang up. Only after you have said goodbye, and when the caller has nothing more to ask.

    Args:
        reason: Why, in one or two words.
    """
    return EndCall(reason)


@tool
async def send_digits(digits: Annotated[str, Field(pattern=r"^[0-9#*w]{1,32}$")]) -> SendDigits:
    """Press keys on the phone, e.g. to go through the menu of a machine that answered.

    Args:
        digits: Of 0-9, # and *; w waits for half a second.
    """
    return SendDigits(digits)


@tool
async def switch_language(language: Language) -> SwitchLanguage:
    """Go on in another language. Use it when the caller speaks another one or asks for it.

    Args:
        language: BCP-47 tag, e.g. es-ES.
    """
    return SwitchLanguage(language, language)


ACTIONS: Final[tuple[Tool[..., Any], ...]] = (transfer_to_person, end_call, send_digits, switch_language)

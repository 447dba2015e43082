"""The tools that every agent with a model has: what it can do with the call itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Final

from pydantic import Field

from voice_app.agents.asking import NoAnswerError, ask
from voice_app.agents.kinds import AnswerKind
from voice_app.agents.protocol import Call, EndCall, SendDigits, SwitchLanguage, Transfer
from voice_app.agents.tools import Tool, tool

ASKING_SECONDS: Final = 300.0
"""How long a tool may take in which the caller is asked something."""
_NO_ANSWER: Final = {"declined": "would rather not tell", "not-understood": "was not understood"}

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


@tool(deadline=5)
async def remember(call: Call, fact: Annotated[str, Field(min_length=3, max_length=500)]) -> str:
    """Note a fact about the caller for later calls: a preference, a promise, something that was decided.

    Only what the caller said and would want you to know next time; no secrets, no card numbers, no guesses.

    Args:
        fact: One sentence in the third person, e.g. "Prefers to be called in the afternoon."
    """
    if call.remember is None:
        return "nothing can be noted about this caller; go on without it"
    noted = await call.remember(fact)
    return "noted" if noted else "it could not be noted; go on without it, and do not try again"


ACTIONS: Final[tuple[Tool[..., Any], ...]] = (transfer_to_person, end_call, send_digits, switch_language)


def ask_tool(
    kind: AnswerKind[Any], question: str = "", *, name: str = "", description: str = ""
) -> Tool[..., Any]:
    """A tool with which a model has the caller asked for something, and is told the valid answer.

    Raises `ValueError` for a secret, which would be told to the model: write a tool of your own that asks for
    it and uses it.
    """
    if kind.secret:
        raise ValueError("a secret is not for a model: ask for it in a tool of yours that uses it")

    async def asks(call: Call) -> str:
        try:
            value = await ask(call, kind, question)
        except NoAnswerError as error:
            return f"no answer: the caller {_NO_ANSWER[error.reason]}; go on without it"
        return value.isoformat() if isinstance(value, date) else str(value)

    asks.__doc__ = description or f"Ask the caller: {kind.name.replace('_', ' ')}. Checks and confirms it."
    make: Callable[..., Tool[..., Any]] = tool(name=name or f"ask_{kind.name}", deadline=ASKING_SECONDS)
    return make(asks)

"""The instructions of an agent with a model: a Jinja2 text with facts of the call in it.

Variables: ``caller``, ``number``, ``direction``, ``language`` (of the turn, BCP-47), ``parameters``,
``today`` (a `datetime.date`), and ``memory``: what is known of the caller, one line each. A misspelt
variable is an error at the start.
"""

from __future__ import annotations

import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError, TemplateSyntaxError

from voice_app.agents.protocol import Call, Turn
from voice_app.calls import CallerAddress


class PromptError(Exception):
    """The instructions cannot be used. The text says where and why."""


class PromptTemplate:
    """Instructions that are filled in for every turn."""

    def __init__(self, text: str, *, where: str = "the prompt") -> None:
        self.text = text
        """As it was written."""
        # It becomes no HTML: a caller called O'Neill is to stay one.
        environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701
        try:
            self._template = environment.from_string(text)
            self.render(Call("CA"), Turn(""))
        except TemplateSyntaxError as error:
            raise PromptError(f"{where}, line {error.lineno}: {error.message}") from None
        except TemplateError as error:
            raise PromptError(
                f"{where}: {error}. The variables are: {', '.join(_variables(Call('CA'), Turn('')))}"
            ) from None

    @classmethod
    def from_file(cls, path: Path | None = None) -> PromptTemplate:
        """Read the instructions; without a path, the ones that ship. Raises `PromptError`."""
        if path is None:
            text = resources.files("voice_app.agents").joinpath("prompt.md").read_text("utf-8")
            return cls(text, where="prompt.md")
        try:
            return cls(path.read_text("utf-8"), where=str(path))
        except OSError as error:
            raise PromptError(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise PromptError(f"{path} is not UTF-8: save it as such") from None

    def render(self, call: Call, turn: Turn) -> str:
        """The instructions for one turn."""
        return self._template.render(_variables(call, turn)).strip()


def _variables(call: Call, turn: Turn) -> dict[str, Any]:
    return {
        "caller": CallerAddress.read(call.caller).shown,
        "number": call.number,
        "direction": call.direction,
        "language": turn.language,
        "parameters": call.parameters,
        "memory": memory_lines(call),
        "today": datetime.datetime.now().astimezone().date(),
    }


def memory_lines(call: Call) -> list[str]:
    """What is known of the caller: each on one line, so that no note can pass for a heading of the prompt."""
    return [" ".join(text.split()) for text in call.memory if text.strip()]

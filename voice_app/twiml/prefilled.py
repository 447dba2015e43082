"""Documents filled in but for what is another on each call: its id, the caller, the session's address.

To fill in a template is the dearest part of an answer, and as a rule nothing else differs between two calls.
So it is done once for all of them, with a stand-in in the place of each such value: a call puts in its own.

This is right only where a template does nothing with these values but print them. A stand-in sees what is
done with it: whoever compares, cuts or counts one gets a document that is filled in for each call alone.
"""

from __future__ import annotations

import re
from secrets import token_hex
from typing import Any, Final, NoReturn

import msgspec
from cachetools import LRUCache
from jinja2 import Environment
from msgspec.structs import replace

from voice_app.twiml.templates import Context, variables

_PLAIN: Final = re.compile(r"[\w+.:/@ -]*", re.ASCII)
"""What is the same in a document, escaped or not."""
_KEPT: Final = 100
"""Documents."""

_encoder: Final = msgspec.json.Encoder()


class _LookedAtError(Exception):
    """A template does more with a value than to print it."""


class _StandIn:
    """Takes the place of a text, and prints as its mark."""

    __slots__ = ("looked_at", "mark")

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.looked_at = False

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return str  # it is a text, whoever asks
        if name == "__html__":
            return lambda: _own(self, "mark")
        return _look(self)


_own: Final = object.__getattribute__


def _look(stand_in: _StandIn, *_: object) -> NoReturn:
    object.__setattr__(stand_in, "looked_at", True)  # tests such as `sequence` swallow what is raised
    raise _LookedAtError


for _name in (
    "bool",
    "len",
    "iter",
    "getitem",
    "contains",
    "hash",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "add",
    "radd",
    "mul",
    "rmul",
    "mod",
    "rmod",
    "str",
    "repr",
    "format",
    "int",
    "float",
    "index",
    "call",
):
    setattr(_StandIn, f"__{_name}__", _look)


class Prefilled:
    """The documents of an environment's templates."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._known: LRUCache[tuple[object, ...], str | None] = LRUCache(_KEPT)
        """`None` where each call needs a document of its own."""
        # Nobody can guess these, and so a value has none of them in it.
        self._call_sid, self._caller, self._relay_url = (f"own{token_hex(16)}" for _ in range(3))

    def render(self, name: str, context: Context) -> str:
        """The document of a template. Raises `jinja2.TemplateError`."""
        call_sid, caller, relay_url = context.call_sid, context.caller, context.relay_url
        document = None
        if relay_url and _PLAIN.fullmatch(f"{call_sid} {caller} {relay_url}"):
            document = self._for_all_calls(name, context)
        if document is None:
            return self._rendered(name, variables(context))
        document = document.replace(self._relay_url, relay_url)
        return document.replace(self._caller, caller).replace(self._call_sid, call_sid)

    def _for_all_calls(self, name: str, context: Context) -> str | None:
        """The document with marks in it, for this call and all that differ from it in nothing else."""
        caller = context.caller
        parameters = {key: "" if text == caller else text for key, text in context.parameters.items()}
        callers = tuple([key for key, text in context.parameters.items() if text == caller])
        shared = replace(context, call_sid="", caller="", relay_url="", parameters=parameters)
        try:
            known = (name, callers, _encoder.encode(shared))
        except UnicodeEncodeError:  # half of a surrogate pair
            return None
        if known not in self._known:
            self._known[known] = self._with_marks(name, shared, callers)
        return self._known[known]

    def _with_marks(self, name: str, shared: Context, callers: tuple[str, ...]) -> str | None:
        call_sid, caller, relay_url = map(_StandIn, (self._call_sid, self._caller, self._relay_url))
        own = {"call_sid": call_sid, "caller": caller, "relay_url": relay_url}
        parameters = {**shared.parameters, **dict.fromkeys(callers, caller)}
        try:
            document = self._rendered(name, {**variables(shared), **own, "parameters": parameters})
        except Exception:  # on a call it is raised again, if it was not for the stand-ins
            return None
        return None if any(_own(item, "looked_at") for item in own.values()) else document

    def _rendered(self, name: str, values: dict[str, Any]) -> str:
        return self._environment.get_template(name).render(values)

"""Tools: functions that a model may call while it talks.

    @tool(deadline=5, filler="One moment, I am looking that up.", acts=False)
    async def order_status(call: Call, number: int) -> str:
        \"\"\"Look up where an order is.

        Args:
            number: The order's number, as the caller said it.
        \"\"\"

The signature is the schema: pydantic validates what the model sends, the docstring describes it. A
parameter annotated with `Call` gets the call and is not shown to the model. What the function returns
is told to the model as text or JSON; an action (`Transfer`, `EndCall`, `Play`, …) is carried out.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic.fields import FieldInfo

from voice_app.agents.protocol import Call
from voice_app.agents.schemas import schema_of
from voice_app.agents.tool_calls import ArgumentsError, read_arguments

P = ParamSpec("P")
R = TypeVar("R")

DEADLINE: Final = 10.0
"""Seconds after which a tool's result is told to the model as unknown, unless the tool says otherwise."""
_WRAPPERS: Final = ("arguments", "parameters", "args", "input")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True, frozen=True)
class Tool(Generic[P, R]):
    """A function that a model may call. Made by `tool`; still callable as the function it was."""

    function: Callable[P, Awaitable[R]]
    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments."""
    deadline: float
    """Seconds until the result counts as unknown. The function itself is left running."""
    filler: str
    """What the caller hears when the tool takes its time and nothing else was said."""
    acts: bool
    """Whether it changes the world. Such a tool is never cancelled; another one is, by a barge-in."""
    arguments: type[BaseModel]
    call_parameter: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self.function(*args, **kwargs)

    async def run(self, call: Call, arguments: str) -> R:
        """Validate ``arguments`` (JSON, as the model wrote it) and run the function.

        Raises `ArgumentsError` where they do not fit, and whatever the function raises.
        """
        model = self._validated(read_arguments(arguments))
        fields = self.arguments.model_fields
        values = {field.alias or name: getattr(model, name) for name, field in fields.items()}
        if self.call_parameter is not None:
            values[self.call_parameter] = call
        function: Callable[..., Awaitable[R]] = self.function
        return await function(**values)

    def _validated(self, given: dict[str, Any]) -> BaseModel:
        given = self._unwrapped(given)
        try:
            return self.arguments.model_validate_json(json.dumps(given))
        except ValidationError as error:
            first = error
        with suppress(ValidationError):
            return self.arguments.model_validate_json(json.dumps(_with_nulls(given, first)))
        mended = self._mended(given, first)
        if mended == given:
            raise ArgumentsError(_complaint(first)) from None
        try:
            return self.arguments.model_validate_json(json.dumps(mended))
        except ValidationError as error:
            raise ArgumentsError(_complaint(error)) from None

    def _unwrapped(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments, if the model put all of them into one object within."""
        for name in _WRAPPERS:
            inner = given.get(name)
            if len(given) == 1 and isinstance(inner, dict) and name not in self.parameters["properties"]:
                return inner
        return given

    def _mended(self, given: dict[str, Any], error: ValidationError) -> dict[str, Any]:
        """The arguments with what has one reading only: null for a default, JSON within a text."""
        optional = self.parameters["properties"].keys() - set(self.parameters.get("required", ()))
        mended = dict(given)
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            name = item["loc"][0] if item["loc"] else None
            if name not in mended:
                continue
            if mended[name] is None and name in optional:
                del mended[name]
            elif isinstance(mended[name], str) and mended[name].lstrip()[:1] in ("{", "["):
                with suppress(ValueError, RecursionError):
                    mended[name] = json.loads(mended[name])
        return mended


@overload
def tool(function: Callable[P, Awaitable[R]], /) -> Tool[P, R]: ...


@overload
def tool(
    *, name: str = ..., deadline: float = ..., filler: str = ..., acts: bool = ...
) -> Callable[[Callable[P, Awaitable[R]]], Tool[P, R]]: ...


def tool(
    function: Callable[..., Awaitable[Any]] | None = None,
    /,
    *,
    name: str = "",
    deadline: float = DEADLINE,
    filler: str = "",
    acts: bool = True,
) -> Any:
    """Make an async function a tool. Raises `TypeError` where the function cannot be one.

    ``deadline`` is in seconds. ``acts=False`` says that the function only reads, so that a barge-in
    may cancel it.
    """

    def decorate(function: Callable[..., Awaitable[Any]]) -> Tool[..., Any]:
        return _make(function, name or _plain_name(function), deadline, filler, acts)

    return decorate if function is None else decorate(function)


def _make(
    function: Callable[..., Awaitable[Any]], name: str, deadline: float, filler: str, acts: bool
) -> Tool[..., Any]:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"the tool {name} must be an async function: write `async def {name or '…'}`")
    if _NAME.fullmatch(name) is None:
        raise TypeError(f"{name!r} is no name for a tool: use up to 64 letters, digits, - and _")
    if not 0 < deadline < math.inf:
        raise TypeError(f"the deadline of the tool {name} is {deadline}: give it seconds above 0")
    import docstring_parser  # no server without tools needs it

    documentation = docstring_parser.parse(inspect.getdoc(_inner(function)) or "")
    if not documentation.description:
        raise TypeError(f"the tool {name} has no docstring: the model has to know what it is for")
    described = {item.arg_name: item.description or "" for item in documentation.params}
    call_parameter, arguments = _arguments(function, name, described)
    try:
        parameters = schema_of(arguments)
    except PydanticUserError as error:
        raise TypeError(f"the tool {name} has a parameter that no JSON stands for: {error.message}") from None
    return Tool(
        function=function,
        name=name,
        description=documentation.description,
        parameters=parameters,
        deadline=deadline,
        filler=filler,
        acts=acts,
        arguments=arguments,
        call_parameter=call_parameter,
    )


def _arguments(
    function: Callable[..., Any], name: str, described: Mapping[str, str]
) -> tuple[str | None, type[BaseModel]]:
    """The name of the parameter that takes the call, and a model of the others."""
    inner = _inner(function)
    try:
        hints = get_type_hints(
            inner if inspect.isroutine(inner) else type(inner).__call__, include_extras=True
        )
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise TypeError(f"the tool {name} has an annotation that cannot be found: {error}") from None
    bound = function.keywords if isinstance(function, partial) else {}
    call_parameter: str | None = None
    fields: dict[str, Any] = {}
    for index, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.name in bound:
            continue  # it was given already: the model has no say in it
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"the tool {name} takes {parameter}: a model can only give arguments by name")
        if parameter.name not in hints:
            raise TypeError(f"the parameter {parameter.name} of the tool {name} has no type: annotate it")
        hint = hints[parameter.name]
        if _is_call(hint):
            if call_parameter is not None:
                raise TypeError(f"the tool {name} takes the call twice: leave {parameter.name} out")
            call_parameter = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        # Under a neutral name: a parameter may be called `json` or `copy`, as methods of the model are.
        info = Field(default, alias=parameter.name)
        if text := described.get(parameter.name):
            info = FieldInfo.merge_field_infos(info, description=text)
        fields[f"argument_{index}"] = (hint, info)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    try:
        return call_parameter, create_model(name, __config__=config, **fields)
    except PydanticUserError as error:
        raise TypeError(f"the tool {name} has a parameter that no JSON stands for: {error.message}") from None


def _is_call(hint: Any) -> bool:
    """Whether a parameter takes the call: `Call`, also as ``Call | None`` or ``Annotated[Call, …]``."""
    if get_origin(hint) is Annotated:
        return _is_call(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [_is_call(item) for item in get_args(hint) if item is not NoneType] == [True]
    return hint is Call


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function within `functools.partial`."""
    while isinstance(function, partial):
        function = function.func
    return function


def _plain_name(function: Callable[..., Any]) -> str:
    inner = _inner(function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def _with_nulls(given: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The arguments with null for what was left out: the schema says of ``X | None`` that it may be."""
    filled = copy.deepcopy(given)
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        *path, name = item["loc"] or ("",)
        inner: Any = filled
        for step in path:
            with suppress(LookupError, TypeError):
                inner = inner[step]
        if item["type"] == "missing" and isinstance(inner, dict):
            inner[name] = None
    return filled


def _complaint(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}" for item in problems[:5]
    )

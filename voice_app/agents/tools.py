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

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, ParamSpec, TypeVar, get_type_hints, overload

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from voice_app.agents.protocol import Call

P = ParamSpec("P")
R = TypeVar("R")

DEADLINE: Final = 10.0
"""Seconds after which a tool's result is told to the model as unknown, unless the tool says otherwise."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ArgumentsError(Exception):
    """The model called a tool with arguments that do not fit. The text is meant for the model."""


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
        try:
            model = self.arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            raise ArgumentsError(_complaint(error)) from None
        fields = self.arguments.model_fields
        values = {field.alias or name: getattr(model, name) for name, field in fields.items()}
        if self.call_parameter is not None:
            values[self.call_parameter] = call
        function: Callable[..., Awaitable[R]] = self.function
        return await function(**values)


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
        return _make(function, name or function.__name__, deadline, filler, acts)

    return decorate if function is None else decorate(function)


def _make(
    function: Callable[..., Awaitable[Any]], name: str, deadline: float, filler: str, acts: bool
) -> Tool[..., Any]:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"the tool {name} must be an async function: write `async def {name}`")
    if _NAME.fullmatch(name) is None:
        raise TypeError(f"{name!r} is no name for a tool: use up to 64 letters, digits, - and _")
    if deadline <= 0:
        raise TypeError(f"the deadline of the tool {name} is {deadline}: give it seconds above 0")
    documentation = docstring_parser.parse(inspect.getdoc(function) or "")
    if not documentation.description:
        raise TypeError(f"the tool {name} has no docstring: the model has to know what it is for")
    described = {item.arg_name: item.description or "" for item in documentation.params}
    call_parameter, arguments = _arguments(function, name, described)
    return Tool(
        function=function,
        name=name,
        description=documentation.description,
        parameters=_schema(arguments),
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
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"the tool {name} has an annotation that cannot be found: {error}") from None
    call_parameter: str | None = None
    fields: dict[str, Any] = {}
    for index, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"the tool {name} takes {parameter}: a model can only give arguments by name")
        if parameter.name not in hints:
            raise TypeError(f"the parameter {parameter.name} of the tool {name} has no type: annotate it")
        hint = hints[parameter.name]
        if hint is Call:
            call_parameter = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        # Under a neutral name: a parameter may be called `json` or `copy`, as methods of the model are.
        info = Field(default, alias=parameter.name)
        if text := described.get(parameter.name):
            info = FieldInfo.merge_field_infos(info, description=text)
        fields[f"argument_{index}"] = (hint, info)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    return call_parameter, create_model(name, __config__=config, **fields)


class _Schema(GenerateJsonSchema):
    """Without titles: they repeat the names, and every token of a schema is paid for on every turn."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schema(arguments: type[BaseModel]) -> dict[str, Any]:
    schema = arguments.model_json_schema(schema_generator=_Schema)
    schema.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def _complaint(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}" for item in problems[:5]
    )

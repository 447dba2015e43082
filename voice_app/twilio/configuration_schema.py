"""What Twilio takes: the fields of a configuration, checked before anything is written.

https://www.twilio.com/docs/conversations/orchestrator
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from voice_app.twilio.limits import MAX_CALLBACKS, MAX_INTELLIGENCE, MAX_RULES, Channel, Grouping

_MAX_QUOTE: Final = 60

REQUIRED: Final = ("displayName", "description", "conversationGroupingType", "memoryStoreId")
"""What a new configuration must have."""


def problems(fields: Mapping[str, Any], *, new: bool = False) -> list[str]:
    """What Twilio would refuse, one sentence each. Fields that we don't know pass, misspelt ones don't.

    A ``new`` configuration must have all required fields; else only those that are there are looked at, and
    null stands for a field that is to be removed.
    """
    found = [
        f"{name} {'cannot be removed' if name in fields else 'is missing'}: every configuration needs it"
        for name in REQUIRED
        if fields.get(name) is None and (new or name in fields)
    ]
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        _Configuration.model_validate(given)
    except ValidationError as error:
        found += [_sentence(item) for item in error.errors(include_url=False)]
    return found


def _like(pattern: str, looks_like: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"it should be {looks_like}")
        return value

    return AfterValidator(check)


class _Part(BaseModel):
    """Keeps what it does not know, and says what a misspelt name was meant to be."""

    model_config = ConfigDict(extra="allow", strict=True, alias_generator=to_camel)

    @model_validator(mode="after")
    def _spelt_right(self) -> _Part:
        known = [field.alias or name for name, field in type(self).model_fields.items()]
        by_key = {name.lower(): name for name in known}
        for name in self.model_extra or ():
            near = difflib.get_close_matches(name.lower().replace("_", ""), by_key, 1, 0.8)
            if near:
                raise ValueError(f"{name} is not a field: did you mean {by_key[near[0]]}?")
        return self


class _Timeouts(_Part):
    inactive: Annotated[int, Field(ge=1)] | None = None
    closed: Annotated[int, Field(ge=1)] | None = None


class _CaptureRule(_Part):
    from_: Annotated[str, Field(alias="from", min_length=1)]
    to: Annotated[str, Field(min_length=1)]
    metadata: dict[str, str] | None = None


class _ChannelSetting(_Part):
    status_timeouts: _Timeouts | None = None
    capture_rules: Annotated[list[_CaptureRule], Field(max_length=MAX_RULES)] | None = None


class _Callback(_Part):
    url: Annotated[str, _like(r"https://[^\s/?#]+\S*", "an https:// URL with a public host")]
    method: Literal["POST", "GET"] = "POST"


class _Bridge(_Part):
    service_id: Annotated[str, _like(r"IS[0-9a-f]{32}", "IS and 32 hexadecimal digits")]


class _Configuration(_Part):
    display_name: Annotated[
        str, _like(r"[a-zA-Z0-9_ -]{1,32}", "1 to 32 letters, digits, spaces, - and _")
    ] = "-"
    description: Annotated[str, Field(max_length=512)] = ""
    conversation_grouping_type: Grouping = "GROUP_BY_PROFILE"
    memory_store_id: Annotated[
        str, _like(r"mem_(store|service)_[0-7][0-9a-z]{25}", "the id of a memory store, mem_store_…")
    ] = "mem_store_" + "0" * 26
    channel_settings: dict[Channel, _ChannelSetting | None] = Field(default_factory=dict)
    status_callbacks: Annotated[list[_Callback], Field(max_length=MAX_CALLBACKS)] = Field(
        default_factory=list
    )
    intelligence_configuration_ids: Annotated[
        list[
            Annotated[
                str,
                _like(r"intelligence_configuration_\w+", "the id of an Intelligence configuration"),
            ]
        ],
        Field(max_length=MAX_INTELLIGENCE),
    ] = Field(default_factory=list)
    memory_extraction_enabled: bool = False
    conversations_v1_bridge: Annotated[_Bridge | None, Field(alias="conversationsV1Bridge")] = None


def _sentence(error: Any) -> str:
    """One of pydantic's errors, with its place as the API spells it."""
    place = ".".join(str(part) for part in error["loc"] if part != "[key]")
    message = str(error["msg"]).removeprefix("Value error, ").replace(" after validation", "")
    given = error["input"]
    shown = f" (given: {repr(given)[:_MAX_QUOTE]})" if isinstance(given, str | int | float) else ""
    return f"{place}: {message}{shown}" if place else message

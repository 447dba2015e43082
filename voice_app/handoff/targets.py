"""To whom callers are handed: phones, a SIP address, a Voice client, WhatsApp, a queue, a workflow, a flow.

``conference:+1555…`` rings a phone, too, but into a conference in which the caller waits with music: a warm
transfer, in which the person hears the summary before they come in.

Short form, in ``VOICE_APP_HANDOFF_TO``: ``+15550100010, client:anna, queue:support``. Long form, in the TOML
file that ``VOICE_APP_HANDOFF`` names, with who is asked for what, and when:

    [[target]]
    to = ["+15550100010", "+15550100011"]   # rung at once; the first who picks up is asked
    reasons = ["billing"]                    # leave it out for any reason
    numbers = ["+15550100001"]               # leave it out for any of our numbers
    hours = "Mo-Fr 09:00-18:00; PH off"      # as in OpenStreetMap's opening_hours
    zone = "Europe/Berlin"
    ring_seconds = 25
    screen = true                            # the person hears what it is about and presses 1
    priority = 5                             # of the task in a workflow
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from voice_app.settings import E164, TomlError, read_toml, sentences, unknown_keys

if TYPE_CHECKING:
    from opening_hours import OpeningHours

Kind = Literal["number", "sip", "client", "whatsapp", "conference", "queue", "workflow", "studio"]
ALONE: Final[frozenset[Kind]] = frozenset({"whatsapp", "conference", "queue", "workflow", "studio"})
"""Kinds that are not rung beside others: WhatsApp is dialled from another number than phones are."""

MOST_AT_ONCE = 10
"""So many numbers ``<Dial>`` rings in parallel."""
_SHAPES: dict[Kind, re.Pattern[str]] = {
    "number": E164,
    "sip": re.compile(r"sips?:[^\s<>\"]+@[^\s<>\"]+"),
    "client": re.compile(r"client:[^\s<>\"]{1,121}"),
    "whatsapp": re.compile(f"whatsapp:{E164.pattern}"),
    "conference": re.compile(f"conference:{E164.pattern}"),
    "queue": re.compile(r"queue:[^<>\"]{1,64}"),
    "workflow": re.compile(r"workflow:WW[0-9a-f]{32}"),
    "studio": re.compile(r"studio:FW[0-9a-f]{32}"),
}
_EXAMPLES = (
    "+15550100010, sip:desk@example.com, client:anna, whatsapp:+15550100010, conference:+15550100010, "
    "queue:support, workflow:WW…, studio:FW…"
)


class TargetError(Exception):
    """A target cannot be used. The text says which, why, and what would be right."""


class Target(BaseModel):
    """One step of a handoff: whom to ring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: tuple[str, ...] = Field(min_length=1, max_length=MOST_AT_ONCE)
    reasons: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    hours: str = ""
    zone: str = "UTC"
    ring_seconds: int = Field(25, ge=5, le=600)
    screen: bool = True
    priority: int = Field(0, ge=0, le=2_147_483_647)
    """Of a workflow's task: the higher, the sooner."""

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Target:
        kinds = {kind_of(address) for address in self.to}
        if len(self.to) > 1 and (alone := kinds & ALONE):
            raise ValueError(
                f"a target of the kind {min(alone)} stands alone: only phones, SIP addresses and clients "
                "can be rung at once"
            )
        if self.hours:
            _hours(self.hours, self.zone)
        return self

    @property
    def kind(self) -> Kind:
        return kind_of(self.to[0])

    @property
    def label(self) -> str:
        """How it is called in the journal."""
        return ", ".join(self.to)

    def for_everything(self) -> Target:
        """The same at any hour, for any reason and number."""
        return self.model_copy(update={"reasons": frozenset(), "numbers": frozenset(), "hours": ""})

    def serves(self, number: str, reason: str) -> bool:
        """Whether it is asked for calls to this number of ours, for this reason."""
        return (not self.numbers or number in self.numbers) and (not self.reasons or reason in self.reasons)

    def is_open(self, at: datetime) -> bool:
        """Whether somebody is there at this time (aware)."""
        zone = ZoneInfo(self.zone)
        return not self.hours or bool(_hours(self.hours, self.zone).is_open(at.astimezone(zone)))


def kind_of(address: str) -> Kind:
    """What kind of address it is. Raises `ValueError`."""
    for kind, shape in _SHAPES.items():
        if shape.fullmatch(address):
            return kind
    raise ValueError(f"{address!r} is no target; it should look like one of {_EXAMPLES}")


def from_addresses(addresses: Iterable[str]) -> list[Target]:
    """Targets that are tried one after another. Raises `TargetError`."""
    return [_target({"to": address.strip()}, "VOICE_APP_HANDOFF_TO") for address in addresses]


def from_file(path: Path) -> list[Target]:
    """The targets of a TOML file, in its order. Raises `TargetError`."""
    where = f"VOICE_APP_HANDOFF: {path}"
    try:
        data = read_toml(path)
    except TomlError as error:
        raise TargetError(f"VOICE_APP_HANDOFF: {error}") from None
    for problem in unknown_keys(data, ["target"]):
        raise TargetError(f"{where}: {problem}")
    tables = data.get("target", [])
    if not isinstance(tables, list) or not tables:
        raise TargetError(f"{where} should hold [[target]] tables and nothing else")
    return [_target(table, f"{where}, target {n}") for n, table in enumerate(tables, 1)]


def choose(targets: Sequence[Target], number: str, reason: str, at: datetime) -> list[Target]:
    """Who is to be rung, in order: who serves this number for this reason, and is there now."""
    return [target for target in targets if target.serves(number, reason) and target.is_open(at)]


def _target(table: Any, where: str) -> Target:
    try:
        return Target.model_validate(table)
    except ValidationError as error:
        raise TargetError(f"{where}: {sentences(error, known=Target.model_fields)[0]}") from None


def _hours(text: str, zone: str) -> OpeningHours:
    from opening_hours import OpeningHours, ParserError  # type: ignore[attr-defined]  # 4 MB: few need it

    try:
        return OpeningHours(text, timezone=ZoneInfo(zone))
    except ParserError as error:
        raise ValueError(f"the hours {text!r} cannot be read: {error}") from None
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{zone!r} is no time zone; it should look like Europe/Berlin") from None

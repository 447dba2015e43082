"""Who calls whom: the caller and our number follow from the direction, here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self


class _Addressed(Protocol):
    """What names the two ends of a call: `Opened`, `CallRecord`."""

    @property
    def from_(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def direction(self) -> str: ...


@dataclass(slots=True, frozen=True)
class Parties:
    """The two ends of a call, as Twilio names them.

    A call is ours to have placed where Twilio's ``Direction`` begins with ``outbound`` (``outbound-api``,
    ``outbound-dial``); every other call came in.
    """

    from_: str = ""
    """E.164, ``client:…`` or ``sip:…``."""
    to: str = ""
    direction: str = ""

    @classmethod
    def of(cls, told: _Addressed) -> Self:
        """The parties that an event or a record names."""
        return cls(told.from_, told.to, told.direction)

    @property
    def outbound(self) -> bool:
        """Whether we placed the call."""
        return self.direction.startswith("outbound")

    @property
    def number(self) -> str:
        """Our own number."""
        return self.from_ if self.outbound else self.to

    @property
    def caller(self) -> str:
        """The other person's address, whoever placed the call. Never proof of identity."""
        return self.to if self.outbound else self.from_

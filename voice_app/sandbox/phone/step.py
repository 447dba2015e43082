"""What follows a verb of TwiML."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Jump:
    """The next document: where it is, and what it is asked with."""

    url: str
    form: dict[str, str]
    method: str = "POST"
    twiml: str | None = None
    """The document itself, where it need not be asked for."""


@dataclass(slots=True, frozen=True)
class Stop:
    """The end of a program, and which verb brought it about; empty when there were no more verbs."""

    verb: str = ""


Step = Jump | Stop | None
"""Another document, the end, or the next verb."""

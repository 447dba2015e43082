"""What a check is about: what our TwiML names, which calls are ours, and what is allowed on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voice_app.twilio.identifiers import Kind

_COMMENTS: Final = re.compile(r"\{#.*?#\}|<!--.*?-->", re.DOTALL)
_NAMED: Final = re.compile(rf"(?:{Kind.CONFIGURATION.value}|{Kind.CONVERSATION.value})[0-9A-Za-z_-]+")


@dataclass(frozen=True, slots=True)
class Allowance:
    """A finding that somebody has looked at and wants to live with."""

    rule: str
    subject: str
    """What the finding is about: the id of a configuration, the name of a template …"""

    @classmethod
    def read(cls, text: str) -> Allowance:
        """Read ``STT102:conv_configuration_…``."""
        rule, _, subject = text.partition(":")
        return cls(rule.strip(), subject.strip())

    def __str__(self) -> str:
        return f"{self.rule}:{self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything that a check has to be told. What is not told is not checked."""

    configuration_id: str | None = None
    """The configuration that our TwiML names; None if it names none."""
    in_templates: tuple[str, ...] = ()
    """Further configurations and conversations, whose ids stand in the templates themselves."""
    account_sid: str = ""
    origin: str = ""
    """Ours, e.g. ``https://voice.example.com``."""
    voice_path: str = "/voice"
    """Where we answer a call."""
    numbers: tuple[str, ...] = ()
    """The numbers that the settings call ours, beside those of the account that lead to us."""
    handoff_to: tuple[str, ...] = ()
    """Where callers are handed to: E.164, ``client:…`` or ``sip:…``."""
    for_people: Callable[[str], bool] = lambda number: False
    """Whether no engine of ours ever listens on a number, so that a capture rule may."""
    callback_paths: frozenset[str] = frozenset()
    """Where we take in what Orchestrator sends."""
    allowances: tuple[Allowance, ...] = ()
    uses_memory: bool = True
    """Whether calls are to be remembered."""
    strict: bool = True
    """Whether a doubt refuses."""


def named_in(folder: Path) -> tuple[str, ...]:
    """The ids of configurations and conversations that stand in templates, comments aside.

    Files that cannot be read are the linter's to report.
    """
    return tuple(sorted({found for text in _texts(folder) for found in _NAMED.findall(text)}))


def _texts(folder: Path) -> Iterable[str]:
    for path in sorted(folder.rglob("*.xml")):
        try:
            yield _COMMENTS.sub("", path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            continue

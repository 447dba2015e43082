"""Makes a scenario of a call in the journal, so that a complaint becomes a test.

What the caller and the agent said stands in it, with numbers, addresses and names replaced as far as they can
be told from other words: read it before you share it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from voice_app.journal import Entry
from voice_app.journal.events import (
    Acted,
    AgentAssigned,
    Closed,
    Disconnected,
    HandedOff,
    Heard,
    ModelUsed,
    Opened,
    Pressed,
    Prompted,
    Replied,
    ToolCalled,
)

QUIET_SECONDS: Final = 5.0
"""A pause that is longer was a silence of the caller's."""
ABNORMAL: Final = 1006
HEAD: Final = """\
# A call of the journal. Numbers, addresses and names were replaced as far as they can be told: read it before
# you share it, and leave of `hears` what has to stay as it is.
"""
_KEPT: Final = frozenset({"name", "agent", "presses", "after_words", "is_silent"})
_ADDRESS: Final = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_NUMBER: Final = re.compile(r"\+?\d(?:[\d\s().-]*\d){2,}")
_NAME: Final = re.compile(r"(?i:\b(?:my name is|this is|i am|i'm|name's)\s+)((?:[A-Z][\w'-]+\s?){1,3})")


class Pseudonyms:
    """Replaces numbers, addresses and names, each by the same thing wherever it stands."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name for name in names if len(name) > 2}
        self._numbers: dict[str, str] = {}

    def learn(self, text: str) -> None:
        """Somebody has said this: they may have said their name."""
        self._names |= {name for found in _NAME.findall(text) for name in found.split()}

    def replaced(self, text: str) -> str:
        """The text with none of them in it."""
        text = _ADDRESS.sub("caller@example.com", text)
        text = _NUMBER.sub(lambda found: self._number(found[0]), text)
        for name in self._names:
            text = re.sub(rf"\b{re.escape(name)}\b", "Robin", text)
        return text

    def _number(self, written: str) -> str:
        """Another number, written in the same way."""
        digits = re.sub(r"\D", "", written)
        if digits not in self._numbers:
            made = f"{len(self._numbers) + 1}".rjust(len(digits), "0")
            self._numbers[digits] = f"5{made[1:]}"
        new = iter(self._numbers[digits])
        return "".join(next(new) if character.isdigit() else character for character in written)


@dataclass(slots=True)
class _Scenario:
    """What was read of a call so far."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    replies: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    """The step that expects each reply."""
    texts: dict[tuple[str, int], str] = field(default_factory=dict)
    model: list[dict[str, Any]] = field(default_factory=list)
    """The answers of the model."""
    rounds: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Those of them that call tools."""
    cut: Heard | None = None
    asked: bool = False
    """The caller has done something since the agent was last done."""
    quiet_since: float | None = None
    over: str = ""
    """How the agent ended its part."""


def scenario_of(call_sid: str, entries: Iterable[Entry]) -> str:
    """The scenario, as YAML."""
    entries = list(entries)
    events = [entry.event for entry in entries]
    opened = next((event for event in events if isinstance(event, Opened)), Opened())
    names = Pseudonyms(opened.webhook.get("CallerName", "").split())
    for event in events:
        if isinstance(event, Prompted):
            names.learn(event.text)
    read = _Scenario()
    for entry in entries:
        _take(read, entry)
    _end(read, events)
    agent = next((event.agent for event in events if isinstance(event, AgentAssigned)), "")
    given: dict[str, Any] = {}
    if any(isinstance(event, HandedOff) and event.step == "accepted" for event in events):
        given["people"] = ["answers"]
    elif any(isinstance(event, HandedOff) for event in events):
        given["people"] = ["no-answer"]
    if any(isinstance(event, ModelUsed) for event in events):
        given["model"] = read.model
    made = {"name": f"Call {call_sid[:10]}", "agent": agent, "given": given, "steps": read.steps}
    kept = {key: value for key, value in made.items() if value}
    text = yaml.safe_dump(_walk(kept, names), sort_keys=False, allow_unicode=True, width=100)
    return HEAD + str(text)


def _take(read: _Scenario, entry: Entry) -> None:
    match entry.event:
        case Replied() as event:
            _reply(read, event, entry.at)
        case Heard(text=text) as event if text.strip():
            read.cut = event
            read.replies.pop((event.session_id, event.reply), {}).clear()
        case Prompted(text=text) if text:
            if read.cut is not None:
                words = max(1, len(read.cut.text.split()))
                read.steps.append({"interrupts": {"says": text, "after_words": words}})
            else:
                read.steps.append({"says": text})
            _did_something(read)
        case Pressed(digits=digits) if digits:
            read.steps.append({"presses": digits})
            _did_something(read)
        case ToolCalled() as event:
            _tool(read, event)
        case Acted(action="transfer") as event:
            read.over = "transfer"
            read.steps.append({"is_transferred": {"reason": event.detail}})
        case Acted(action="end-call"):
            read.over = "end-call"
        case HandedOff(step="accepted"):
            read.steps.append({"is_put_through": True})
        case Disconnected(code=code) if code == ABNORMAL and not read.over:
            read.steps.append({"drops": True})
            _did_something(read)
        case _:
            pass
    read.steps = [step for step in read.steps if step]


def _did_something(read: _Scenario) -> None:
    read.cut, read.asked, read.quiet_since = None, True, None


def _reply(read: _Scenario, event: Replied, at: float) -> None:
    place = event.session_id, event.reply
    text = read.texts[place] = event.after(read.texts.get(place, ""))
    if not event.done or not text.strip():
        return
    if read.quiet_since is not None and not read.asked and at - read.quiet_since > QUIET_SECONDS:
        read.steps.append({"is_silent": round(at - read.quiet_since)})
    elif read.asked and (event.more or event.ends_turn):
        read.model.append({"says": text.strip()})
    sentence = re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]
    step = {"hears": sentence}
    read.steps.append(step)
    read.replies[place] = step
    if event.ends_turn or not read.asked:
        read.asked, read.quiet_since = False, at


def _tool(read: _Scenario, event: ToolCalled) -> None:
    arguments: dict[str, Any] = {}
    with suppress(ValueError):
        arguments = json.loads(event.arguments or "{}")
    read.steps.append({"tool_called": {"name": event.name, "arguments": arguments}})
    if event.round not in read.rounds:
        said = read.model.pop() if read.model and read.asked and "calls" not in read.model[-1] else {}
        read.rounds[event.round] = {**said, "calls": {}}
        read.model.append(read.rounds[event.round])
    read.rounds[event.round]["calls"][event.name] = arguments


def _end(read: _Scenario, events: list[Any]) -> None:
    if read.over == "end-call":
        read.steps.append({"is_hung_up_on": True})
    elif not read.over and any(isinstance(event, Closed) for event in events):
        read.steps.append({"hangs_up": True})


def _walk(value: Any, names: Pseudonyms) -> Any:
    """The same with pseudonyms; what is no text of people's stays."""
    match value:
        case str():
            return names.replaced(value)
        case dict():
            return {key: item if key in _KEPT else _walk(item, names) for key, item in value.items()}
        case list():
            return [_walk(item, names) for item in value]
        case int() if not isinstance(value, bool) and value > 99:
            return int(names.replaced(str(value)))
        case _:
            return value

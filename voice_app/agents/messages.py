"""What a model is sent of a call: the history as heard, and what its tools returned.

The history (`Call.history`) holds words only. The tool calls of a call are kept beside it, in
``call.state[ROUNDS]``, and come back at their place: after the prompt that they answered. A round
whose prompt never became part of the history (it was joined with the next one) stands before the new
prompt, so that a result is never lost to a barge-in. The runs are written to the journal, too: after a
crash `restore` reads them from there, so that nothing is done twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from voice_app.agents.protocol import Call, Message, Turn
from voice_app.agents.toolbox import CANCELLED, ToolRun
from voice_app.calls import ToolUse

ROUNDS: Final = "chat.rounds"
"""Key in `Call.state`: a list of `Round`, the oldest first."""
SECRETS: Final = "chat.secrets"
"""Key in `Call.state`: the digits of the caller's secrets that tools were called with."""
MAX_ROUNDS: Final = 20
"""So many rounds are remembered."""

Entry: TypeAlias = dict[str, Any]
"""A message of a chat completion request."""

LOST: Final = (
    "unknown: the line broke before there was a result. It may still have been done: do not call it again, "
    "and tell the caller that it could not be confirmed"
)
HIDDEN: Final = "done; the result is not repeated here, because of a secret of the caller's"

_EVENTS: Final = {
    "keys": "(The caller pressed the keys {}.)",
    "silence": "(The caller has been silent for a while.)",
    "resumed": "(The connection was lost for a moment and is back.)",
}
_BEGIN: Final = "(The call begins.)"


@dataclass(slots=True, eq=False)
class Round:
    """The tools that a model called at once."""

    prompt: str
    """What the caller had said."""
    at: int
    """How many messages the history had then."""
    runs: list[ToolRun]
    number: int = 0
    """Grows by one with each round of the call."""


def rounds(call: Call) -> list[Round]:
    """The rounds of a call so far."""
    found: list[Round] = call.state.setdefault(ROUNDS, [])
    return found


def remember(call: Call, turn: Turn, runs: list[ToolRun]) -> None:
    """Keep a round, before its tools are run."""
    kept = rounds(call)
    number = kept[-1].number + 1 if kept else 1
    secrets: frozenset[str] = call.state.get(SECRETS, frozenset())
    if turn.sensitive:
        secrets = call.state[SECRETS] = secrets | ({re.sub(r"\D", "", turn.text)} - {""})
    for run in runs:
        run.round, run.sensitive, run.secrets = number, turn.sensitive, secrets
    kept.append(Round(turn.text, len(call.history), runs, number))
    del kept[:-MAX_ROUNDS]


def restore(call: Call, tools: Iterable[ToolUse]) -> None:
    """Give a call its rounds back, as the journal has them. What never returned counts as unknown."""
    found: dict[int, Round] = {}
    for use in tools:
        event = use.called
        outcome = LOST if event.acts else CANCELLED
        if use.returned is not None:
            outcome = use.returned.outcome or HIDDEN
        item = found.setdefault(event.round, Round(use.prompt, max(0, use.lines - 1), [], event.round))
        item.runs.append(ToolRun(event.id, event.name, event.arguments, outcome, round=event.round))
    if found:
        call.state[ROUNDS] = list(found.values())[-MAX_ROUNDS:]


def entries(system: str, call: Call, turn: Turn) -> list[Entry]:
    """The messages of a request: instructions, history with its tools, and what to answer now."""
    history = call.history
    placed: dict[int, list[Round]] = {}
    for item in rounds(call):
        placed.setdefault(_place(item, history), []).append(item)
    messages: list[Entry] = [{"role": "system", "content": system}] if system else []
    if history and history[0].role == "assistant":
        # The templates of many open models want the user to begin.
        messages.append({"role": "user", "content": _BEGIN})
    for index, message in enumerate(history):
        for item in placed.get(index, ()):
            messages.extend(exchange("", item.runs))
        _add(messages, message.role, message.content)
    for item in placed.get(len(history), ()):
        messages.extend(exchange("", item.runs))
    _add(messages, "user", asked(turn))
    return messages


def exchange(text: str, runs: list[ToolRun]) -> Iterator[Entry]:
    """What the model said and called, and what came of it."""
    calls = [_called(run) for run in runs]
    yield {"role": "assistant", "content": text or None, "tool_calls": calls}
    for run in runs:
        outcome = run.outcome or "unknown: it is still running"
        yield {"role": "tool", "tool_call_id": run.id, "content": outcome}


def _place(item: Round, history: list[Message]) -> int:
    """Before which message of the history a round belongs: after its prompt, where that is to be found."""
    prompts = [
        index
        for index, message in enumerate(history)
        if message.role == "user" and message.content == item.prompt
    ]
    if not prompts:
        return min(item.at, len(history))
    return min(prompts, key=lambda index: abs(index - item.at)) + 1


def asked(turn: Turn) -> str:
    """The turn as the model reads it: what the caller said, or in brackets what happened."""
    event = _EVENTS.get(turn.kind)
    return turn.text if event is None else event.format(turn.text)


def _add(messages: list[Entry], role: str, content: str) -> None:
    """Add what was said. Two in a row of one side become one: many models insist on taking turns."""
    last: Mapping[str, Any] = messages[-1] if messages else {}
    if last.get("role") == role and "tool_calls" not in last:
        messages[-1] = {"role": role, "content": f"{last['content']}\n{content}"}
    else:
        messages.append({"role": role, "content": content})


def _called(run: ToolRun) -> Entry:
    return {
        "id": run.id,
        "type": "function",
        "function": {"name": run.name, "arguments": _json(run.arguments)},
    }


def _json(arguments: str) -> str:
    """Arguments that are no JSON object would be refused by some servers, with the whole request."""
    try:
        return arguments if isinstance(msgspec.json.decode(arguments), dict) else "{}"
    except msgspec.DecodeError:
        return "{}"

"""What a model is sent of a call: the history as heard, and what its tools returned.

The history (`Call.history`) holds words only. The tool calls of a call are kept beside it, in
``call.state[ROUNDS]``, and come back at their place: after the prompt that they answered. A round
whose prompt never became part of the history (it was joined with the next one) stands before the new
prompt, so that a result is never lost to a barge-in. The runs are written to the journal, too: after a
crash `restore` reads them from there, so that nothing is done twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from voice_app.agents.protocol import Call, Message, Turn
from voice_app.agents.shapes import ChatEntry, short_id
from voice_app.agents.tool_calls import ArgumentsError, new_id, read_arguments
from voice_app.agents.toolbox import CANCELLED, ToolRun
from voice_app.calls import ToolUse

ROUNDS: Final = "chat.rounds"
"""Key in `Call.state`: a list of `Round`, the oldest first."""
SECRETS: Final = "chat.secrets"
"""Key in `Call.state`: the digits of the caller's secrets that tools were called with."""
MAX_ROUNDS: Final = 20
"""So many rounds are remembered."""

OMITTED: Final = "chat.omitted"
"""Key in `Call.state`: how many messages of the history are no longer sent, for want of room."""
SUMMARY: Final = "chat.summary"
"""Key in `Call.state`: what was said in them, if somebody had the time to write that down."""
LOST: Final = (
    "unknown: the line broke before there was a result. It may still have been done: do not call it again, "
    "and tell the caller that it could not be confirmed"
)
HIDDEN: Final = "done; the result is not repeated here, because of a secret of the caller's"

SUMMED_UP: Final = "chat.summed_up"
"""Key in `Call.state`: how many messages of the history that is."""

_EVENTS: Final = {
    "keys": "(The caller pressed the keys {}.)",
    "silence": "(The caller has been silent for a while.)",
    "resumed": "(The connection was lost for a moment and is back.)",
    "note": "(A note from a colleague, which the caller has not heard: {})",
}
_BEGIN: Final = "(The call begins.)"
_UNSAID: Final = "…"
"""Stands for the answer that the caller's next words took the place of: many models want turns taken."""
_EARLIER: Final = "Earlier in this call, in short:"


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
    said: str = ""
    """What the model said before it called them."""
    origin: object = None
    """The endpoint that the calls came from."""
    extras: dict[str, Any] = field(default_factory=dict, repr=False)
    """What came with them, and goes back with them to that endpoint alone."""


def rounds(call: Call) -> list[Round]:
    """The rounds of a call so far."""
    found: list[Round] = call.state.setdefault(ROUNDS, [])
    return found


def remember(
    call: Call,
    turn: Turn,
    runs: list[ToolRun],
    said: str = "",
    origin: object = None,
    extras: dict[str, Any] | None = None,
) -> Round:
    """Keep a round, before its tools are run."""
    kept = rounds(call)
    number = kept[-1].number + 1 if kept else 1
    secrets: frozenset[str] = call.state.get(SECRETS, frozenset())
    if turn.sensitive:
        secrets = call.state[SECRETS] = secrets | ({re.sub(r"\D", "", turn.text)} - {""})
    used = {id_ for item in kept for run in item.runs for id_ in run.ids}
    for run in runs:
        run.round, run.sensitive, run.secrets = number, turn.sensitive, secrets
        if run.id in used:  # some servers count their calls anew in each answer
            run.id = new_id()
    item = Round(turn.text, len(call.history), runs, number, said, origin, extras or {})
    kept.append(item)
    del kept[:-MAX_ROUNDS]
    return item


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


def entries(
    system: str,
    call: Call,
    turn: Turn,
    answering: Sequence[Round] = (),
    *,
    origin: object = None,
    begun: int | None = None,
) -> list[ChatEntry]:
    """The messages of a request: instructions, history with its tools, what to answer now.

    ``answering`` are the rounds of this turn. They alternate as every model's template takes them: a user
    begins, and after a user or a tool the assistant comes. ``begun``: how many messages the history had when
    the turn began; what tools of this turn asked the caller since is told by their results.
    """
    history = call.history[:begun]
    omitted = min(call.state.get(OMITTED, 0), len(history))
    placed: dict[int, list[Round]] = {}
    for item in rounds(call):
        if item not in answering:
            placed.setdefault(_place(item, history), []).append(item)
    messages: list[ChatEntry] = []
    if summary := call.state.get(SUMMARY, ""):
        system = f"{system}\n\n{_EARLIER} {summary}".strip()
    for index, message in enumerate(history[omitted:], omitted):
        for item in placed.get(index, ()) if index > omitted or not omitted else ():
            _add_round(messages, item, origin)
        _add(messages, message.role, message.content)
    for item in placed.get(len(history), ()):
        _add_round(messages, item, origin)
    _add(messages, "user", asked(turn))
    for item in answering:
        messages.extend(exchange(item, origin))
    return [{"role": "system", "content": system}, *messages] if system else messages


def shorten(call: Call) -> int:
    """Leave the older half of the exchanges out of what is sent. Returns how many messages that are."""
    history = call.history
    omitted: int = min(call.state.get(OMITTED, 0), len(history))
    prompts = [index for index in range(omitted + 1, len(history)) if history[index].role == "user"]
    begin: int = prompts[len(prompts) // 2] if prompts else len(history)
    call.state[OMITTED] = begin
    return begin - omitted


def to_sum_up(call: Call) -> list[Message]:
    """What is left out and stands in no summary yet."""
    return call.history[call.state.get(SUMMED_UP, 0) : call.state.get(OMITTED, 0)]


def exchange(item: Round, origin: object = None) -> Iterator[ChatEntry]:
    """What the model said and called, and what came of it."""
    is_back = item.origin == origin
    extras = item.extras if is_back else {}
    calls = [_called(run, id_, is_back=is_back) for run in item.runs for id_ in run.ids]
    yield {**extras, "role": "assistant", "content": item.said, "tool_calls": calls}
    for run in item.runs:
        outcome = run.outcome if run.outcome is not None else "unknown: it is still running"
        for id_ in run.ids:
            yield {
                "role": "tool",
                "tool_call_id": id_ if is_back else short_id(id_),
                "content": outcome,
            }


def _add_round(messages: list[ChatEntry], item: Round, origin: object) -> None:
    last = messages[-1] if messages else {}
    if not messages or (last["role"] == "assistant" and "tool_calls" not in last):
        _add(messages, "user", asked(Turn(item.prompt)) or _BEGIN)
    messages.extend(exchange(item, origin))


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


def _add(messages: list[ChatEntry], role: str, content: str) -> None:
    """Add what was said, in turns: two in a row of one side become one, and a missing side is filled in."""
    last: Mapping[str, Any] = messages[-1] if messages else {}
    if not messages and role == "assistant":
        messages.append({"role": "user", "content": _BEGIN})
    elif role == "user" and last.get("role") == "tool":
        messages.append({"role": "assistant", "content": _UNSAID})
    if last.get("role") == role and "tool_calls" not in last:
        messages[-1] = {"role": role, "content": f"{last['content']}\n{content}"}
    else:
        messages.append({"role": role, "content": content})


def _called(run: ToolRun, id_: str, *, is_back: bool) -> ChatEntry:
    function: ChatEntry = {"name": run.name, "arguments": _json(run.arguments)}
    if not is_back:
        return {"id": short_id(id_), "type": "function", "function": function}
    function = {**run.function_extras, **function}
    return {**run.extras, "id": id_, "type": "function", "function": function}


def _json(arguments: str) -> str:
    """Arguments that are no JSON object would be refused by some servers, with the whole request."""
    try:
        read = read_arguments(arguments)
    except ArgumentsError:
        return "{}"
    return arguments if arguments.startswith("{") and _is_object(arguments) else json.dumps(read)


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False

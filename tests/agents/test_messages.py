from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voice_app.agents import messages
from voice_app.agents.protocol import Call, Message, Turn
from voice_app.agents.shapes import ChatEntry
from voice_app.agents.toolbox import ToolRun

MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant"]), st.sampled_from(["Yes.", "No.", "A", "B"])),
    max_size=8,
)


def run(id_: str, outcome: str | None = "done", arguments: str = "{}") -> ToolRun:
    return ToolRun(id_, "look", arguments, outcome)


def shape(entries: list[ChatEntry]) -> list[str]:
    """The entries in short: text, or the ids of tool calls and results."""
    short = []
    for entry in entries:
        if "tool_calls" in entry:
            short.append("call " + " ".join(call["id"] for call in entry["tool_calls"]))
        else:
            short.append(f"result {entry['tool_call_id']}" if entry["role"] == "tool" else entry["content"])
    return short


@given(MESSAGES, st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["A", "B", "C"])), max_size=3))
def test_a_request_is_always_in_order(history: list[Message], kept: list[tuple[int, str]]) -> None:
    call = Call("CA1", history=history)
    for number, (at, prompt) in enumerate(kept):
        messages.rounds(call).append(messages.Round(prompt, at, [run(f"{number}a"), run(f"{number}b")]))
    entries = messages.entries("Be kind.", call, Turn("What now?"))
    roles = [entry["role"] for entry in entries]
    assert roles[0] == "system"
    assert roles[-1] == "user"
    assert entries[-1]["content"].endswith("What now?")
    assert roles[1] == "user"
    for before, after in pairwise(entries[1:]):
        match before["role"], "tool_calls" in before:
            case "user", _:
                assert after["role"] == "assistant"
            case "assistant", True:
                assert after["role"] == "tool"
            case "tool", _:
                assert after["role"] in ("tool", "assistant")
            case _:
                assert after["role"] == "user"
    results = [entry["tool_call_id"] for entry in entries if entry["role"] == "tool"]
    assert sorted(results) == sorted(f"{number}{side}" for number in range(len(kept)) for side in "ab")
    text = "\n".join(entry["content"] or "" for entry in entries)
    assert all(message.content in text for message in history)


def test_a_round_stands_after_the_prompt_that_it_answered() -> None:
    call = Call("CA1", history=[Message("user", "one")])
    messages.remember(call, Turn("two"), [run("a")])
    call.history += [Message("user", "two"), Message("assistant", "It is two."), Message("user", "three")]
    call.history += [Message("assistant", "Three.")]
    assert shape(messages.entries("", call, Turn("four"))) == [
        "one\ntwo", "call a", "result a", "It is two.", "three", "Three.", "four",
    ]  # fmt: skip


def test_a_round_is_found_where_the_history_has_moved() -> None:
    call = Call("CA1", history=[Message("user", "one"), Message("assistant", "never heard")])
    messages.remember(call, Turn("two"), [run("a")])
    call.history[:] = [Message("user", "one"), Message("user", "two")]
    assert shape(messages.entries("", call, Turn("three"))) == [
        "one\ntwo",
        "call a",
        "result a",
        "…",
        "three",
    ]


def test_the_nearest_of_equal_prompts_is_the_one() -> None:
    call = Call("CA1", history=[Message("user", "yes"), Message("assistant", "ok")])
    messages.remember(call, Turn("yes"), [run("a")])
    call.history += [Message("user", "yes"), Message("assistant", "fine")]
    entries = messages.entries("", call, Turn("bye"))
    assert shape(entries) == ["yes", "ok", "yes", "call a", "result a", "fine", "bye"]


def test_only_so_many_rounds_are_kept() -> None:
    call = Call("CA1")
    for number in range(messages.MAX_ROUNDS + 5):
        messages.remember(call, Turn("again"), [run(str(number))])
    kept = [item.runs[0].id for item in call.state[messages.ROUNDS]]
    assert kept == [str(number) for number in range(5, messages.MAX_ROUNDS + 5)]


def test_arguments_that_are_no_json_are_not_sent_back() -> None:
    for broken in ("", "{", "[]", "nonsense"):
        called, _ = messages.exchange(messages.Round("", 0, [run("a", arguments=broken)]))
        assert called["tool_calls"][0]["function"]["arguments"] == "{}"
    called, _ = messages.exchange(messages.Round("", 0, [run("a", arguments='{"x": 1}')]))
    assert called["tool_calls"][0]["function"]["arguments"] == '{"x": 1}'


def test_what_happens_without_words_is_told_in_brackets() -> None:
    kinds = [Turn("12", "keys"), Turn("", "silence"), Turn("", "resumed")]
    assert [messages.entries("", Call("CA1"), turn)[-1]["content"] for turn in kinds] == [
        "(The caller pressed the keys 12.)",
        "(The caller has been silent for a while.)",
        "(The connection was lost for a moment and is back.)",
    ]

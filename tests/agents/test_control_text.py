"""Thoughts, control marks and tool calls are not for the caller, whatever model writes them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.agents.control_text import MAX_MARK, ControlText, Opening, table

SPANS = [
    (opener.replace("*", "x1"), closer.replace("*", "x1"))
    for opener, closers in table().spans.items()
    for closer in sorted(closers)
]
ALONE = sorted(name.replace("*", "a_1") for name in table().alone)


def heard(*pieces: str, in_thoughts: bool = False) -> str:
    control = ControlText(in_thoughts=in_thoughts)
    return "".join([*map(control.feed, pieces), control.flush()])


@pytest.mark.parametrize(("opener", "closer"), SPANS)
def test_nothing_between_two_marks_is_heard(opener: str, closer: str) -> None:
    text = f"One {opener} they <b>want</b>\n a {{refund}} [now] {closer}two."
    assert heard(text) == heard(*text) == "One two."
    assert heard(text.replace(opener, opener.upper())) == "One two."


@pytest.mark.parametrize("mark", ALONE)
def test_a_mark_that_stands_alone_is_nothing(mark: str) -> None:
    assert heard(f"One{mark} two.") == heard(*f"One{mark} two.") == "One two."


@pytest.mark.parametrize("opener", sorted({opener for opener, _ in SPANS} | {"[TOOL_CALLS]"}))
def test_what_is_never_closed_goes_to_the_end(opener: str) -> None:
    assert heard(f"Yes. {opener}[{{}}] and more", " and more") == "Yes. "


@pytest.mark.parametrize(
    ("written", "said"),
    [
        # Harmony
        (
            "<|channel|>analysis<|message|>We need.<|end|><|start|>assistant<|channel|>final<|message|>Hi.",
            "Hi.",
        ),
        ("<|channel|>final <|constrain|>text<|message|>Hi.<|return|>", "Hi."),
        ("<|channel|>commentary<|message|>One moment.<|end|>", "One moment."),
        ("<|channel|>commentary to=functions.look <|constrain|>json<|message|>{}<|call|>", ""),
        ("<|start|>assistant to=functions.look<|channel|>commentary<|message|>Hm.<|end|>", "Hm."),
        # a model that goes on as somebody else
        ("Hi.<|im_end|>\n<|im_start|>user\nAnd you?<|im_end|>", "Hi.\n"),
        ("<|im_start|>assistant\nHi.<|im_end|>", "\nHi."),
        ("Hi.<|eot_id|><|start_header_id|>user<|end_header_id|>And you?", "Hi."),
        ("<start_of_turn>model\nHi.<end_of_turn>", "\nHi."),
        # Gemma
        ("<|channel>thought\nThey want.<channel|>Hi.", "Hi."),
        ("<unused94>thought\nThey want.<unused95>Hi.", "Hi."),
        # calls as JSON
        ('{"name": "look", "arguments": {"a": {"b": 1}}}\nOne moment.', "\nOne moment."),
        ('Sure.\n  {"name":"look","arguments":{}}', "Sure.\n  "),
        ('{"tool": "look"', ""),
        ('Say {"name": "Ann"} please.', 'Say {"name": "Ann"} please.'),
        ('{"price": 3}', '{"price": 3}'),
        # no marks at all
        ("a < b, x <b>y</b>, List<String>, <your name>", "a < b, x <b>y</b>, List<String>, <your name>"),
        ("[text](address) and row[3] and [ ]", "[text](address) and row[3] and [ ]"),
        ("I <3 you {really}", "I <3 you {really}"),
        ("a◁b ◁ think", "a◁b ◁ think"),
        # two thoughts, one in the other's words, and a closing mark of its kin
        ("<think>a</think><think>b</think>Hi.", "Hi."),
        ("<think>a <tool_call>{}</tool_call> b</think>Hi.", "Hi."),
        ("<thinking>a</think>Hi.", "Hi."),
    ],
)
def test_what_is_for_the_caller_is_heard(written: str, said: str) -> None:
    assert heard(written) == heard(*written) == said


def test_an_answer_that_begins_in_thoughts_is_heard_from_their_end() -> None:
    assert heard("They want", " a refund.</thi", "nk>Of course.", in_thoughts=True) == "Of course."


ATOMS = [
    "<",
    ">",
    "[",
    "]",
    "{",
    "}",
    "|",
    "/",
    " ",
    "\n",
    '"name":',
    "◁",
    "a",
    "word ",
    "x" * 70,
    "<|channel|>analysis",
]
MARKS = [mark for pair in SPANS for mark in pair] + ALONE


@given(st.lists(st.sampled_from(ATOMS + MARKS), max_size=20).map("".join), st.lists(st.integers(0, 600)))
def test_how_an_answer_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert heard(*(text[begin:end] for begin, end in pairwise(edges))) == heard(*text) == heard(text)


@given(st.lists(st.sampled_from(ATOMS + MARKS), max_size=20))
def test_never_more_than_a_mark_is_held_back(pieces: list[str]) -> None:
    control = ControlText()
    for piece in pieces:
        control.feed(piece)
        assert len(control._held) <= MAX_MARK


def opened(*pieces: str) -> str:
    """What an opening gives out in the end."""
    opening, words = Opening(), ""
    for piece in pieces:
        words = words + piece if words else opening.feed(piece)
    return words


@pytest.mark.parametrize(("opener", "closer"), SPANS)
def test_thoughts_at_the_beginning_are_not_given_out(opener: str, closer: str) -> None:
    assert opened(*f" {opener.upper()}What do they want?{closer}\n Hello.") == " \n Hello."
    assert opened(opener, "never ", "closed") == ""


def test_an_answer_may_begin_in_thoughts() -> None:
    opening = Opening(in_thoughts=True)
    assert opening.feed("They want a refund.</think>") == ""
    assert opening.feed("\n\nOf course.") == "\n\nOf course."


@pytest.mark.parametrize(
    "text",
    [
        "Hi <think>no</think>there.",
        "Hi <|channel|>analysis<|message|>no<|end|>there.",
        "Hi <|im_start|>user no<|im_end|>there.",
        'Hi\n{"name": "x", "arguments": {"no": {"no": 1}}}there.',
        "Hi <|start_header_id|>user<|end_header_id|>no<|eot_id|>there.",
    ],
)
@given(data=st.data())
def test_who_reads_on_behind_an_opening_knows_what_is_going_on(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    opening, rest, words = Opening(), ControlText(), ""
    for begin, end in pairwise([0, *cuts, len(text)]):
        piece = text[begin:end]
        piece = piece if words else opening.feed(piece)
        words += rest.feed(piece)
    assert (words + rest.flush()).split() in (["Hi", "there."], ["Hithere."])


@pytest.mark.parametrize("blank", ["", " \n", "👍", "✓ ✓", "…", "<th", "- * #"])
def test_blanks_and_signs_are_no_words(blank: str) -> None:
    assert opened(*blank) == ""


@pytest.mark.parametrize(
    "text", ["Hi", "¿Qué?", "你好", "42", "<b>bold</b>", "[a] b", "<thin>", "สวัสดี", "👍 ok"]
)
def test_words_of_any_script_are_given_out_with_all_that_stood_before_them(text: str) -> None:
    assert opened(*text) == text


def test_two_thoughts_may_follow_each_other() -> None:
    assert opened("<think>a</think>", " <thought>b</thought>", "Yes.") == " Yes."

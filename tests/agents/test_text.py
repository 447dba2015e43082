"""Text that models and agents send in pieces, some of them halves of a character."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.agents.text import TextRepair, cleaned, cleaned_json

WHOLE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="\ufeff\ufffd"))


def repaired(*pieces: str) -> str:
    repair = TextRepair()
    return "".join(map(repair.feed, pieces))


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        pytest.param(["Great \ud83d"], "Great ", id="a half that stays half"),
        pytest.param(["Great \ud83d", "\ude00!"], "Great 😀!", id="an emoji in two pieces"),
        pytest.param(["\ud83d", "", "\ude00"], "😀", id="an empty piece between the halves"),
        pytest.param(["\ud83d\udcaf"], "💯", id="two halves in one piece"),
        pytest.param(["\ud83d", "\udcaf"], "💯", id="a half that looks like an escaped byte"),
        pytest.param(["\ude00\ud83d", "x"], "x", id="halves in the wrong order"),
        pytest.param(["\ud83d", "\ud83d\ude00"], "😀", id="a half before a whole"),
        pytest.param(["\udce4\udcbd", "\udca0好"], "你好", id="bytes of a character in two pieces"),
        pytest.param(["\udcf0", "\udc9f", "\udc98", "\udc80"], "😀", id="one byte a piece"),
        pytest.param(["\udce4\udcbd\udca0\udce5"], "你", id="a first byte at the end"),
        pytest.param(["a\udcff b"], "a b", id="a byte of no character"),
        pytest.param(["a\x00b\x07c\x7f\x9f"], "abc", id="control characters"),
        pytest.param(["a\x0bb\x0cc\x85d"], "a b c d", id="separators that become spaces"),
        pytest.param(["a\r", "\nb\rc\r\nd"], "a\nb\nc\nd", id="line ends"),
        pytest.param(["\x1b[31mred\x1b[0m"], "red", id="colours of a terminal"),
        pytest.param(["\x1b[3", "1mred"], "red", id="a colour in two pieces"),
        pytest.param(["\ufeffHi \ufffd there\ufffe"], "Hi  there", id="marks that nobody speaks"),
        pytest.param(["tab\tand\nline"], "tab\tand\nline", id="what ends words stays"),
    ],
)
def test_text_is_repaired(pieces: list[str], text: str) -> None:
    assert repaired(*pieces) == text


@given(WHOLE, st.data())
def test_a_text_in_utf_16_units_comes_out_whole_however_it_is_cut(text: str, data: st.DataObject) -> None:
    raw = text.encode("utf-16-le")
    units = [raw[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(raw), 2)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units)), max_size=5)))
    bounds = [0, *cuts, len(units)]
    pieces = ["".join(units[a:b]) for a, b in pairwise(bounds)]
    assert repaired(*pieces) == text


@given(WHOLE, st.data())
def test_a_text_in_bytes_comes_out_whole_however_it_is_cut(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    bounds = [0, *cuts, len(raw)]
    pieces = [raw[a:b].decode("utf-8", "surrogateescape") for a, b in pairwise(bounds)]
    assert repaired(*pieces) == text


@given(st.lists(st.text(st.characters(exclude_categories=()))))
def test_what_comes_out_can_always_be_encoded(pieces: list[str]) -> None:
    repaired(*pieces).encode()
    cleaned("".join(pieces)).encode()


def test_what_follows_something_else_is_not_joined() -> None:
    repair = TextRepair()
    assert repair.feed("a\ud83d") == "a"
    repair.drop()
    assert repair.feed("\ude00b") == "b"


def test_a_json_value_is_repaired_everywhere() -> None:
    value = {"a\ud83d": ["x\x00", {"b": ("\ud83d\ude00", 1, None)}]}
    assert cleaned_json(value) == {"a": ["x", {"b": ["😀", 1, None]}]}

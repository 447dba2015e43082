from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voice_app.relay import markup
from voice_app.relay.speech_text import HOLD, Speakable


def spoken(*chunks: str) -> str:
    speakable = Speakable()
    return "".join([*map(speakable.feed, chunks), speakable.flush()])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("This is **important**, *really*.", "This is important, really."),
        ("__Strong__ and _soft_ and ***both***.", "Strong and soft and both."),
        ("un**believ**able", "unbelievable"),
        ("a ~~wrong~~ right word", "a wrong right word"),
        ("Run `make_all *now*` please", "Run make_all *now* please"),
        ("`` a`b ``", " a`b "),
        ("# Opening hours\nWe open at nine.\n", "Opening hours.\nWe open at nine.\n"),
        ("## Prices? ##\n", "Prices?\n"),
        ("- tea\n- milk!\n* bread\n+ salt\n• oil\n", "tea.\nmilk!\nbread.\nsalt.\noil.\n"),
        ("- [x] paid\n- [ ] sent\n", "paid.\nsent.\n"),
        ("- outer\n  - **inner**: word\n", "outer.\n  inner: word.\n"),
        ("1. First\n2. Second\n", "1. First\n2. Second\n"),
        ("> Quoted\n> > twice", "Quoted\ntwice"),
        ("above\n\n---\n\nbelow", "above\n\n\n\nbelow"),
        ("Title\n=====\ntext", "Title\n\ntext"),
        ("| Plan | Price |\n|:-----|------:|\n| Basic | -5 |\n", "Plan, Price.\n\nBasic, -5.\n"),
        ("```python\nx = a_b * 2\n```\nThat is all.", "x = a_b * 2\nThat is all."),
        ("~~~\none\n~~~", "one\n"),
        ("See [our page](https://example.com/a_b (x)).", "See our page(example.com (x))."),
        ('See [our page](https://example.com/a_b "Title"), ok?', "See our page, ok?"),
        ("[![logo](l.png)](https://example.com)", "logo"),
        ("Look: ![a cat](cat.png)!", "Look: a cat!"),
        ("as written[^1] in [2] and row[3]", "as written in 2 and row 3"),
        ("Go to https://www.example.com/pay?id=1.", "Go to example.com/pay."),
        ("(http://example.com/a/b/c/d)", "(example.com)"),
        ("www.example.org, or <https://a.example>", "example.org, or a.example"),
        ("[https://example.com](https://example.com)", "example.com"),
        ("Great! 🎉 Thanks 👨‍👩‍👧 a lot ❤️", "Great! Thanks a lot "),
        ("Press 1️⃣ now", "Press 1 now"),
        ("one<br>two <b>three</b> <span class='x y'>four</span>", "one two three four"),
        ("Press <enter>, <your name>", "Press enter, your name"),
        ("<think>The caller is <b>angry</b>.</think>I see.", "I see."),
        ("Fish &amp; chips&nbsp;&gt; soup &unknown;", "Fish & chips > soup &unknown;"),
        (r"5 \* 3 and \_x\_ in C:\dir", r"5 * 3 and _x_ in C:\dir"),
        ("Settings → Privacy", "Settings , Privacy"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
    ],
)
def test_marks_go_and_words_stay(written: str, said: str) -> None:
    assert spoken(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 = 6",
        "2*3*4",
        "snake_case and x__y",
        "C# and F#",
        "#1 in town",
        "5 < 6 and 7 > 6, a<b then c",
        "it costs $5, or 3.5*",
        "AT&T, R&D and Q&A",
        "e-mail@x.y",
        "john_doe@example.com",
        "example.com/a_b",
        "-5 degrees, +1 555 010 0001",
        "~5 minutes",
        ">5 people, >=6",
        "Hello! How are you? Fine; thanks: a (b) – c…",
        "Grüße, こんにちは。 שלום",
        "می‌خواهم",
        "tab\there\r\nand two  spaces\n\n",
        "h w ww htt wwwhttp",
        "I <3 you",
        "2 ** 3",
    ],
)
def test_what_only_looks_like_a_mark_stays(text: str) -> None:
    assert spoken(text) == text


PLAIN = st.text(
    st.characters(
        codec="utf-8",
        categories=["L", "M", "N", "Zs", "P", "Sc"],
        exclude_characters="*_`[]|~<&\\#>+-=!" + markup.BULLETS,
    )
).filter(lambda text: not re.search(rf"[{markup.EMOJI}{markup.ARROWS}]", text))


@given(st.lists(PLAIN))
def test_plain_text_passes_at_once_and_byte_for_byte(chunks: list[str]) -> None:
    speakable = Speakable()
    so_far = ""
    for chunk in chunks:
        so_far += chunk
        said = speakable.feed(chunk)
        if re.search(r"(?<![^\W_])(h|ht|htt|https?|w{1,3}|https?:/{0,2})\Z|://|www\.", so_far, re.IGNORECASE):
            return  # a web address may begin here
        assert said == chunk
    assert speakable.flush() == ""


ATOMS = [
    *"*_`#>[]()!|~<&\\\n -+=:.,aBh1w/\t'\"@",
    *(
        "**",
        "***",
        "```",
        "~~",
        "~~~",
        "http",
        "https://",
        "www.",
        "x.y",
        "</think>",
        "<think>",
        "<br>",
        "<b>",
    ),
    *(
        "&amp;",
        "😀",
        "👨‍👩‍👧",
        "\u200d",
        "\ufe0f",
        "|---|",
        "| a |",
        "- ",
        "1. ",
        "# ",
        "[ ] ",
        "[^1]",
        "](",
        "](x)",
    ),
    *("![", "→", "•", "\r\n", "word", " word", '<a href="', '">', "é", "日本", "x" * 90, "*" * 90, "- " * 40),
]


@given(st.lists(st.sampled_from(ATOMS), max_size=30).map("".join), st.lists(st.integers(0, 2000)))
@example("word 🎉" + "👨‍👩‍👧" * 80, [])
@example("[a](" + "x" * (HOLD + 9) + ")", [])
@example("https://example.com/" + "x" * (HOLD + 9) + " y", [])
def test_how_the_text_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    whole = spoken(text)
    assert spoken(*text) == whole
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert spoken(*(text[begin:end] for begin, end in pairwise(edges))) == whole


@given(st.lists(st.sampled_from(ATOMS), max_size=40))
def test_never_more_than_the_bound_is_held_back(chunks: list[str]) -> None:
    speakable = Speakable()
    for chunk in chunks:
        speakable.feed(chunk)
        assert len(speakable._held) <= HOLD


@st.composite
def marked_up(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A Markdown text, and its words in order."""
    words = st.lists(st.from_regex(r"[a-gi-v]{1,8}[0-9]?", fullmatch=True), min_size=1, max_size=4)
    written, said = "", list[str]()
    for _ in range(draw(st.integers(1, 8))):
        piece = draw(words)
        text = " ".join(piece)
        form = draw(
            st.sampled_from(
                [
                    "{}\n", "**{}** ", "*{}*\n", "_{}_ ", "\n# {}\n", "\n- {}\n", "\n1. {}\n", "\n> {}\n",
                    "`{}` ", "\n```\n{}\n```\n", "[{}](https://example.com/x) ", "![{}](y.png) ", "🎉 {} 🎉 ",
                    "\n| {} |\n|---|\n", "~~{}~~ ", "<b>{}</b> ", "({}) ", "“{}” ",
                ]
            )
        )  # fmt: skip
        written += form.format(text)
        said += piece
    return written, said


@given(marked_up())
def test_no_word_is_lost_and_no_mark_is_left(case: tuple[str, list[str]]) -> None:
    written, words = case
    said = spoken(*written)
    assert re.findall(r"[a-z]+[0-9]?", said) == words
    assert not re.search(r"[*_`#>\[\]|~<]|https", said)


def test_a_mark_waits_for_one_character_only() -> None:
    speakable = Speakable()
    assert speakable.feed("It is *") == "It is "
    assert speakable.feed("v") == "v"
    assert speakable.feed("ery* good") == "ery good"
    assert speakable.flush() == ""


def test_an_unclosed_link_is_let_go_at_the_first_sign() -> None:
    speakable = Speakable()
    assert speakable.feed("see [this](for") == "see this"
    assert speakable.feed(" example") == "(for example"
    assert speakable.feed(" more)") == " more)"


def test_a_flush_ends_a_reply_and_the_next_begins_afresh() -> None:
    speakable = Speakable()
    assert speakable.feed("**open `code") == "open code"
    assert speakable.flush() == ""
    assert speakable.feed("- item*") == "item"
    assert speakable.flush() == "*"


def test_the_common_case_returns_the_same_object() -> None:
    speakable = Speakable()
    for chunk in ("Hello", " there,", " how are you"):
        assert speakable.feed(chunk) is chunk

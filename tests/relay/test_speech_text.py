from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voice_app.relay import markup
from voice_app.relay.signs import sign_words
from voice_app.relay.speech_text import Speakable
from voice_app.relay.text_reader import HOLD


def spoken(*chunks: str, language: str = "") -> str:
    speakable = Speakable(language)
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
        ("un**believ**able, 这是**重要**的。", "unbelievable, 这是重要的。"),
        ("**12 euros**, **$5** and **Note:** x", "12 euros, $5 and Note: x"),
        ("*“Quoted”*, *(so)* and *`code`*", "“Quoted”, (so) and code"),
        ("**over\ntwo lines**", "over\ntwo lines"),
        ("Press *️⃣ or #️⃣, then 1️⃣.", "Press * or #, then 1."),
    ],
)
def test_marks_go_and_words_stay(written: str, said: str) -> None:
    assert spoken(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('<speak>Hello<break time="1s"/>you</speak>', "Hello you"),
        ("<spell>AB12</spell>", "AB12"),
        ('<say-as interpret-as="digits">12</say-as>', "12"),
        ("<answer>Yes.</answer>", "Yes."),
        ("<foo>bar</foo>, <foo x='1'>bar</foo>", "bar, bar"),
        ("<a1>one <b2>two</b2></a1>", "one two"),
        ("<foo>bar", "<foo>bar"),
        ("bar</foo>", "bar</foo>"),
        ("<foo>" + "x " * 200 + "</foo>", "<foo>" + "x " * 200 + "</foo>"),
        ("a List<String>x</String>", "a List<String>x</String>"),
    ],
)
def test_a_pair_of_tags_goes_or_stays(written: str, said: str) -> None:
    assert spoken(written) == spoken(*written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Paris is the capital[1].", "Paris is the capital."),
        ("Paris is the capital[1][2], they say.", "Paris is the capital, they say."),
        ("as found [1, 2] and [3-5] in it", "as found and in it"),
        ("as found [1](https://example.com/x) in it", "as found in it"),
        ("noted[^1] and [^note]", "noted and "),
        ("so it is [citation needed], and [doc2] too", "so it is , and too"),
        ("as said【4†source】, and【4:0†terms.pdf】 more【1】", "as said, and more"),
        ("as said【source】, and 【Terms of use, p. 3】", "as said, and "),
        ("番号は【1】です【4:0†利用規約】。", "番号はです。"),
        ("【重要】お知らせ", "重要お知らせ"),
        ("【お知らせ】営業時間", "お知らせ営業時間"),
        ("【공지】 오늘", "공지 오늘"),
        ('[1]: https://example.com/x "Title"\n[a b]: <www.example.com>\nEnd', "\n\nEnd"),
        ("[Note]: remember", "Note: remember"),
        ("[^1]: A note.", " A note."),
        ("row[3], x[0], items[2], my_list[4] and a[1]", "row 3, x 0, items 2, my_list 4 and a 1"),
        ("see [2]", "see 2"),
    ],
)
def test_citations_go_and_indices_stay(written: str, said: str) -> None:
    assert spoken(written) == spoken(*written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("&hellip;&hearts;&frac12;&CounterClockwiseContourIntegral;", "…½∳"),
        ("&#8364;5, &#x20AC;6, a&nbsp;b&emsp;c&#160;d", "€5, €6, a b c d"),
        ("&lt;b&gt; is no tag, &ast;&ast; is no mark", "<b> is no tag, ** is no mark"),
        ("a&#0;b&#xD83D;c&#x200B;d&shy;e&#x1F600;f", "abcdef"),
        ("left &rarr; right", "left , right"),
        ("AT&T, R&D;, &notanentity; &;", "AT&T, R&D;, &notanentity; &;"),
    ],
)
def test_entities_are_characters(written: str, said: str) -> None:
    assert spoken(written) == spoken(*written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("请访问https://example.com/支付。", "请访问example.com支付。"),
        ("見てhttps://example.com/payで", "見てexample.com/payで"),
        ("https://example.com/pay에서", "example.com/pay에서"),
        ("（https://example.com/pay?a=1）", "（example.com/pay）"),
        ("“https://example.com”，www.example.org、ok", "“example.com”，example.org、ok"),
    ],
)
def test_an_address_ends_where_another_script_begins(written: str, said: str) -> None:
    assert spoken(written) == spoken(*written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Wifi ✓, pool ✗", "Wifi yes, pool no"),
        ("Wifi✓ pool✗", "Wifi yes, pool no"),
        ("✅ Your order is placed", "yes, Your order is placed"),
        ("☑️ **Done**", "yes, Done"),
        ("- ✅ paid\n- ❌ sent\n", "yes, paid.\nno, sent.\n"),
        ("| Wifi | ✓ |\n|---|---|\n| Pool | ✗ |\n", "Wifi, yes.\n\nPool, no.\n"),
        ("Read ✓✓", "Read yes"),
        ("★★★★☆ (120)", "4 out of 5 stars (120)"),
        ("Rated ⭐⭐⭐⭐⭐ by all", "Rated 5 stars by all"),
        ("4.8★ or 4.8 ⭐", "4.8 stars or 4.8 stars"),
        ("Hotel★★★", "Hotel 3 stars"),
        ("★ Our best", "Our best"),
        ("★" * 40 + "x", "x"),
        ("🎉✓🎉", "yes"),
    ],
)
def test_check_marks_and_ratings_are_words(written: str, said: str) -> None:
    assert spoken(written) == spoken(*written) == said


@pytest.mark.parametrize("language", sorted(sign_words()["yes"]))
def test_signs_are_read_in_the_language_of_the_voice(language: str) -> None:
    words = {sign: by_language[language] for sign, by_language in sign_words().items()}
    rating = words["rating"].format(n=4, of=5)
    assert rating != words["rating"]
    assert spoken("✓ . ✗ . ★★★★☆", language=f"{language}-XX") == f"{words['yes']} . {words['no']} . {rating}"


def test_a_language_without_words_for_signs_has_those_of_english() -> None:
    assert spoken("✓", language="tlh") == spoken("✓") == "yes"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("```tool_code\nlook()\n```\nOk.", "Ok."),
        ("Hm. <|channel|>analysis<|message|>**no**<|end|>**Ok**.", "Hm. Ok."),
        ("**a <think>no</think>b**", "a b"),
        ("All good.</think>", "All good."),
        ("Ok.<|im_end|>", "Ok."),
        ('Sure.\n{"name": "look", "arguments": {"a": "*"}}', "Sure.\n"),
    ],
)
def test_control_text_is_not_spoken(written: str, said: str) -> None:
    assert spoken(written) == spoken(*written) == said


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
        "2**10 is 1024",
        "4*5*6",
        "Dial *67 to hide your number.",
        "*67*1234# and *21*5551234#",
        "Press *.",
        "Press *, or *!",
        "Press *",
        "*123#",
        "*#06#",
        'the "*" key, the “*” key and (*)',
        "This is *unclosed and goes on",
        "**never closed",
        "**a\n\nb**",
        "a * never* _closed",
        "a ` alone and ~~open",
        "<> and <3 and { }",
        "a 5* hotel",
    ],
)
def test_what_only_looks_like_a_mark_stays(text: str) -> None:
    assert spoken(text) == text


PLAIN = st.text(
    st.characters(
        codec="utf-8",
        categories=["L", "M", "N", "Zs", "P", "Sc"],
        exclude_characters="*_`[]|~<&\\#>+-=!{◁【" + markup.BULLETS,
    )
).filter(lambda text: not re.search(rf"[{markup.EMOJI}{markup.ARROWS}]", text))


@given(st.lists(PLAIN))
@example(["İW"])
def test_plain_text_passes_at_once_and_byte_for_byte(chunks: list[str]) -> None:
    speakable = Speakable()
    so_far = ""
    for chunk in chunks:
        so_far += chunk
        said = speakable.feed(chunk)
        # Not all of it regardless of case: to the lookbehind, İ would be an i.
        if re.search(r"(?<![A-Za-z0-9])(?i:h|ht|htt|https?|w{1,3}|https?:/{0,2})\Z|://|(?i:www)\.", so_far):
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


def test_a_mark_waits_until_it_is_closed() -> None:
    speakable = Speakable()
    assert speakable.feed("It is *") == "It is "
    assert speakable.feed("very") == ""
    assert speakable.feed("* good") == "very good"
    assert speakable.flush() == ""


def test_a_mark_that_is_not_closed_waits_for_the_paragraph_or_the_bound_only() -> None:
    speakable = Speakable()
    assert speakable.feed("It is *very good.") == "It is "
    assert speakable.feed("\n\nNext") == "*very good.\n\nNext"
    assert speakable.feed(" *one " + "x" * HOLD) == " *one " + "x" * HOLD
    assert speakable.feed("* y") == "* y"


def test_an_unclosed_link_is_let_go_at_the_first_sign() -> None:
    speakable = Speakable()
    assert speakable.feed("see [this](for") == "see this"
    assert speakable.feed(" example") == "(for example"
    assert speakable.feed(" more)") == " more)"


def test_a_flush_ends_a_reply_and_the_next_begins_afresh() -> None:
    speakable = Speakable()
    assert speakable.feed("**open `code") == ""
    assert speakable.flush() == "**open `code"
    assert speakable.feed("- item*") == "item"
    assert speakable.flush() == "*"
    assert speakable.feed("b** <think>") == "b** "
    assert speakable.flush() == ""
    assert speakable.feed("said") == "said"


def test_the_common_case_returns_the_same_object() -> None:
    speakable = Speakable()
    for chunk in ("Hello", " there,", " how are you"):
        assert speakable.feed(chunk) is chunk


# --- hostile text ----------------------------------------------------------------------------------

MARKS = [
    *"*_`#>[]()!|~<&\\\n -+=:.,h1w/\t'\"{}◁【】✓★☆🎉→•",
    *("* ", "*a ", "a* ", "**a ", "_a ", "`a ", "``a` ", "~~a ", "<a", "<a>", "</a>", "<a b=c", "<a><b>"),
    *(
        "<think>",
        "<|",
        "<|a|>",
        "<|channel|>",
        "[THINK",
        "[1]",
        "[1] ",
        "[a](",
        "](",
        "](<",
        "![",
        "[^",
        "[doc",
    ),
    *("【a", "&a", "&amp;", "&#x", "# ", "- ", "> ", "| ", "|-", "http", "https://", "www.", "\n\n", "\n*"),
    *("\n[a]: ", "\n[a]: /", "\n```", "```\n", "\n|", "\n- ", '{"name":', "{ ", "1★", "✓a", "日*", "[ ] "),
]
SIZE = 1 << 16


class Counting(Speakable):
    """Counts the constructs that it reads."""

    steps = 0

    def _step(self, at: int) -> int:
        self.steps += 1
        return super()._step(at)


def filled(pieces: list[str], start: str = "") -> str:
    unit = "".join(pieces)
    return (start + unit * (SIZE // len(unit) + 1))[:SIZE]


def read(text: str) -> float:
    """Read a text at once, each construct in it once. Returns the CPU seconds that it took."""
    counting, begin = Counting(), time.process_time()
    counting.feed(text)
    counting.flush()
    assert counting.steps <= len(text) + 2
    return time.process_time() - begin


def is_linear(text: str) -> bool:
    """Whether eight times as much takes about eight times as long; it is sixty-four if it is quadratic.

    A machine that has other things to do is slow now and then: such a figure is taken again.
    """
    return any(read(text) < 24 * max(read(text[: SIZE // 8]), 0.001) for _ in range(5))


@pytest.mark.parametrize("mark", MARKS)
def test_64_kb_of_any_one_mark_are_read_once(mark: str) -> None:
    assert is_linear(filled([mark]))


STARTS = ["", "# ", "- ", "| ", "> ", "```\n", "`", "**", "<foo>", "https://example.com/"]


@given(st.lists(st.sampled_from(MARKS), min_size=1, max_size=6), st.sampled_from(STARTS))
@settings(max_examples=12)
def test_64_kb_of_mixed_marks_are_read_once(pieces: list[str], start: str) -> None:
    assert is_linear(filled(pieces, start))


@given(st.lists(st.sampled_from(MARKS), min_size=1, max_size=4), st.sampled_from(STARTS))
@settings(max_examples=20)
def test_character_by_character_each_is_looked_at_a_bounded_number_of_times(
    pieces: list[str], start: str
) -> None:
    text = filled(pieces, start)[: 8 * HOLD]
    counting = Counting()
    for character in text:
        counting.feed(character)
        assert len(counting._held) <= HOLD
    counting.flush()
    assert counting.steps <= 3 * len(text) + 2

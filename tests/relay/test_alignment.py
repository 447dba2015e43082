import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voice_app.relay.alignment import cut, heard_prefix

WORD = st.text(st.characters(categories=["L"], max_codepoint=0x250), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("sent", "utterance", "kept"),
    [
        ("Hello, world! How are you?", "Hello, world!", "Hello, world!"),
        ("Hello, world! How are you?", "hello world how", "Hello, world! How"),
        ("Hello, world! How are you?", "  HELLO   WORLD  ", "Hello, world!"),
        ("Hello, world! How are you?", "", ""),
        ("Hello, world! How are you?", "...", ""),
        ("Hello, world! How are you?", "Hello, wor", "Hello,"),
        ("Hello, world! How are you?", "Hello, world! How are you?", "Hello, world! How are you?"),
        ("It's Anna’s bike.", "it's anna’s", "It's Anna’s"),
        ("Grüße aus Köln, bis bald.", "grüße aus köln", "Grüße aus Köln,"),
        (
            "That is $20 for a whole day, and no more.",
            "that is twenty dollars for a whole day",
            "That is $20 for a whole day,",
        ),
        (
            "Call Dr. Smith at nine in the morning.",
            "call doctor smith at nine in",
            "Call Dr. Smith at nine in",
        ),
        ("One two three.", "one two three and nothing of that", None),
        ("One two three.", "four five six", None),
    ],
)
def test_what_was_heard_is_found_in_what_was_sent(sent: str, utterance: str, kept: str | None) -> None:
    count = heard_prefix(sent, utterance)
    assert (None if count is None else sent[:count]) == kept


def test_an_utterance_may_begin_with_a_later_stretch() -> None:
    assert cut(["The first answer.", "The second one."], "the second") == [17, 10]


def test_an_utterance_may_cover_several_stretches() -> None:
    assert cut(["The first answer.", "The second one."], "the first answer the second") == [17, 10]


def test_stretches_that_were_never_played_are_dropped() -> None:
    assert cut(["The first answer.", "The second one.", "A third."], "the first") == [9, 0, 0]


@pytest.mark.parametrize("utterance", ["", "  ", "something else"])
def test_nothing_is_guessed(utterance: str) -> None:
    assert cut(["The first answer.", "The second one."], utterance) is None


@given(st.lists(WORD, min_size=1, max_size=30), st.data())
def test_a_heard_beginning_is_found_whatever_its_case_and_spacing(
    words: list[str], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(words)))
    glue = data.draw(st.sampled_from([" ", ", ", "\n", " — ", "! "]))
    heard = "  ".join(word.upper() if len(word.upper()) == len(word) else word for word in words[:count])
    assume(heard.casefold().split() == [word.casefold() for word in words[:count]])
    sent = glue.join(words)
    found = heard_prefix(sent, heard)
    assert found is not None
    assert sent[:found].replace(glue.strip() or " ", " ").split() == words[:count]


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_result_is_a_place_in_what_was_sent(sent: str, utterance: str) -> None:
    found = heard_prefix(sent, utterance)
    if found is not None:
        assert 0 <= found <= len(sent)


@given(st.lists(st.text(max_size=40), max_size=5), st.text(max_size=80))
def test_every_stretch_gets_a_count_within_its_length(sent: list[str], utterance: str) -> None:
    counts = cut(sent, utterance)
    if counts is not None:
        assert len(counts) == len(sent)
        assert all(0 <= count <= len(text) for count, text in zip(counts, sent, strict=True))

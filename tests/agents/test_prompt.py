from __future__ import annotations

from pathlib import Path

import pytest

from voice_app.agents.prompt import PromptError, PromptTemplate
from voice_app.agents.protocol import Call, Turn


def test_the_prompt_that_ships_names_the_facts_of_the_call() -> None:
    call = Call("CA1", from_="+15550100002", memory=["Likes tea.\n# Not a heading", ""])
    text = PromptTemplate.from_file().render(call, Turn("Hi", language="en-GB"))
    assert "The caller's number is +15550100002. The caller speaks en-GB." in text
    assert "- Likes tea. # Not a heading" in text
    assert "{" not in text


def test_what_is_not_known_is_left_out() -> None:
    text = PromptTemplate.from_file().render(Call("CA1"), Turn("Hi"))
    assert "caller's number is +" not in text
    assert "earlier conversations" not in text


def test_the_prompt_that_ships_is_short() -> None:
    assert len(PromptTemplate.from_file().render(Call("CA1"), Turn("Hi")).split()) < 350


def test_a_prompt_of_ones_own_may_use_parameters_and_is_no_html(tmp_path: Path) -> None:
    path = tmp_path / "prompt.md"
    path.write_text("You serve {{ parameters.shop | default('us') }} on {{ number }}.", "utf-8")
    call = Call("CA1", to="+15550100001", parameters={"shop": "O'Neill & Sons"})
    assert (
        PromptTemplate.from_file(path).render(call, Turn("Hi")) == "You serve O'Neill & Sons on +15550100001."
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{{ calller }}", "'calller' is undefined. The variables are: caller, number,"),
        (b"one\n{% if %}", "line 2: "),
        (b"\xff\xfe", "not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_told_at_the_start(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "prompt.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PromptError, match=problem) as raised:
        PromptTemplate.from_file(path)
    assert str(path) in str(raised.value)

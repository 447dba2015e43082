"""The fenced blocks of README and of the pages, for tests that run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "voice_app/docs").glob("*.md")))
FILES: Final = "examples.md"
"""The page with the files of the examples: the blocks there are run as the folders that they are."""
_FENCE: Final = re.compile(r" *```(\w*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences."""

    page: str
    line: int
    """The line of the page on which its first line stands."""
    language: str
    text: str
    section: str
    """The nearest heading above it."""
    before: str
    """The page up to it."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a ``console`` block, one for each prompt; a backslash goes on with it."""
        joined = self.text.replace("\\\n", "")
        return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def blocks(language: str = "") -> list[Block]:
    """All blocks, or those in a language, page by page."""
    found = [block for path in PAGES for block in _blocks(path)]
    return [
        block
        for block in found
        if block.language == language or not language
        if block.page != FILES or block.language == "console"
    ]


def _blocks(path: Path) -> Iterator[Block]:
    lines = path.read_text("utf-8").splitlines()
    section, begin, language = "", 0, ""
    for number, line in enumerate(lines, 1):
        if (fence := _FENCE.match(line)) is None:
            if not begin and line.startswith("#"):
                section = line.lstrip("# ")
        elif not begin:
            begin, language = number + 1, fence[1]
        else:
            text, before = lines[begin - 1 : number - 1], lines[: begin - 2]
            yield Block(
                path.name, begin, language, dedent("\n".join(text)) + "\n", section, "\n".join(before)
            )
            begin = 0
    assert not begin, f"{path.name}:{begin}: this block is not closed"

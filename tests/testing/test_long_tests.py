from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_what_begins_first_are_tests_that_there_are() -> None:
    names = (TESTS / "long_tests.txt").read_text("utf-8").split()
    assert len(set(names)) == len(names)
    for path, _, name in (line.partition("::") for line in names):
        function = name.rpartition("::")[2]
        assert f"def {function}(" in (TESTS.parent / path).read_text("utf-8"), f"{path} has no {function}"

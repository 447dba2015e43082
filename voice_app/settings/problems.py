"""What is wrong with settings, in sentences."""

from __future__ import annotations


class SettingsError(Exception):
    """The settings cannot be used. ``problems`` has one line each: what is wrong and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

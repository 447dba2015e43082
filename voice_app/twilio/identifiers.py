"""The ids of Conversation Orchestrator: a prefix that tells the kind, then letters and digits.

The prefix is held strictly and the rest leniently: Twilio documents 26 characters of ``[0-9a-z]``, and shows
other suffixes in its own samples.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class IdKind(StrEnum):
    """What an id stands for; the value is its prefix."""

    CONFIGURATION = "conv_configuration_"
    CONVERSATION = "conv_conversation_"
    PARTICIPANT = "conv_participant_"
    COMMUNICATION = "conv_communication_"
    ACTION = "conv_action_"
    OPERATION = "proc_job_"
    MEMORY_STORE = "mem_store_"
    PROFILE = "mem_profile_"
    OBSERVATION = "mem_observation_"
    SUMMARY = "mem_summary_"
    INTELLIGENCE_CONFIGURATION = "intelligence_configuration_"
    OPERATOR = "intelligence_operator_"
    OPERATOR_RESULT = "intelligence_operatorresult_"

    @property
    def noun(self) -> str:
        """In a sentence, e.g. ``memory store``."""
        return self.name.lower().replace("_", " ")


_OLDER: Final = {IdKind.MEMORY_STORE: "mem_service_"}
"""Prefixes that older accounts still have."""


def problem(value: str, kind: IdKind) -> str | None:
    """Why a value cannot be the id of a thing of this kind; None if it can."""
    if re.fullmatch(rf"(?:{kind.value}|{_OLDER.get(kind, kind.value)})[0-9A-Za-z_-]+", value):
        return None
    for other in IdKind:
        if other is not kind and value.startswith(other.value):
            return f"it is the id of a {other.noun}; the id of a {kind.noun} begins with {kind.value}"
    if value.startswith(kind.value):
        return f"after {kind.value} come letters and digits only"
    return f"the id of a {kind.noun} begins with {kind.value}"


def checked(value: str, kind: IdKind) -> str:
    """The value, fit to stand in a path. Raises `ValueError` if it is not an id of this kind."""
    trouble = problem(value, kind)
    if trouble is not None:
        raise ValueError(f"{value!r} is not the id of a {kind.noun}: {trouble}")
    return value

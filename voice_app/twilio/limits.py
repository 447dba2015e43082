"""How many of each thing Twilio takes, and the names of channels and groupings.

https://www.twilio.com/docs/conversations/orchestrator; the numbers of configurations and of capture rules are
those of general availability.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

MAX_CONFIGURATIONS: Final = 10
"""Per account."""
MAX_RULES: Final = 100
"""Capture rules per channel of one configuration."""
MAX_INTELLIGENCE: Final = 5
"""Intelligence configurations per configuration."""
MAX_CALLBACKS: Final = 2
"""Status callbacks per configuration, as far as they can be written; more may be read."""

Channel = Literal["VOICE", "SMS", "RCS", "WHATSAPP", "CHAT"]
Grouping = Literal[
    "GROUP_BY_PROFILE", "GROUP_BY_PARTICIPANT_ADDRESSES", "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"
]
CHANNELS: Final[tuple[str, ...]] = get_args(Channel)
GROUPINGS: Final[tuple[str, ...]] = get_args(Grouping)

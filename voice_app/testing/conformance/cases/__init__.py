"""The cases. Each module registers its own as it is imported."""

# ruff: noqa: I001 - in the order in which cases are told
from voice_app.testing.conformance.cases import (
    opening,
    prompts,
    replies,
    interrupts,
    events,
    malformed,
    ending,
    webhooks,
    signatures,
)

__all__ = [
    "ending",
    "events",
    "interrupts",
    "malformed",
    "opening",
    "prompts",
    "replies",
    "signatures",
    "webhooks",
]

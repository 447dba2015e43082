"""The rules over a snapshot of the account. Each module registers its own as it is imported.

Source: ``docs/orchestrator.md`` §8.
"""

from voice_app.guard.rules import (
    billing,
    callbacks,
    captures,
    configuration,
    lifecycle,
    links,
    numbers,
)

__all__ = ["billing", "callbacks", "captures", "configuration", "lifecycle", "links", "numbers"]

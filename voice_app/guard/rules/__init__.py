"""The rules over a snapshot of the account. Each module registers its own as it is imported.

Source: ``docs/orchestrator.md`` §8.
"""

from voice_app.guard.rules import addresses, alerts, billing, captures, configuration, lifecycle, links

__all__ = ["addresses", "alerts", "billing", "captures", "configuration", "lifecycle", "links"]

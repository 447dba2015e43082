from __future__ import annotations

from support.followups import account, office, receiver

__all__ = ["account", "office", "receiver"]

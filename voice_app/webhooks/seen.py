"""What was delivered already. Twilio delivers at least once, and sometimes twice."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

CAPACITY: Final = 10_000


class Seen:
    """The latest keys. Kept in memory: another process, or this one after a restart, does not know them."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._capacity = capacity

    def first(self, key: str) -> bool:
        """Whether this key is new. From now on it is not."""
        if key in self._keys:
            self._keys.move_to_end(key)
            return False
        self._keys[key] = None
        if len(self._keys) > self._capacity:
            self._keys.popitem(last=False)
        return True

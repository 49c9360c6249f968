"""Sets all listeners aside for a while, so that one run does not disturb another (spec market-data.md 12.4)."""

from __future__ import annotations

from collections.abc import Callable

from bkapi.events.emitters import emitters


class SystemUtils:
    """Sets listeners aside; the singleton is ``System``."""

    def create_snapshot(self) -> Callable[[], None]:
        """Take the listeners of every isolated channel away; the returned function brings them back.

        It drops listeners that were added meanwhile; those that unsubscribed meanwhile stay away.
        """
        return emitters.isolate()


System = SystemUtils()

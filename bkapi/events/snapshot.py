"""How one run is kept apart from another: listeners put aside for a while (spec market-data.md 12.4)."""

from __future__ import annotations

from collections.abc import Callable

from bkapi.events.emitters import emitters


class SystemUtils:
    """The singleton is ``System``."""

    def create_snapshot(self) -> Callable[[], None]:
        """Take the listeners of every isolated channel away; the returned function brings them back.

        Listeners added meanwhile are dropped then, and ones unsubscribed meanwhile stay away.
        """
        return emitters.isolate()


System = SystemUtils()

"""What works in a thread of its own: a backtest, a walker; how far it is, and why it failed."""

from __future__ import annotations

import threading
from typing import Literal

from bkapi.base.turns import wait_for_end
from bkapi.events.emitters import emitters

Status = Literal["ready", "pending", "fulfilled", "rejected"]


class Background:
    """Work in a thread, which can be waited for.

    ``status`` is ``pending``, then ``fulfilled`` or ``rejected``; ``error`` says why it was rejected.
    """

    status: Status = "pending"
    error: Exception | None = None

    def _start(self, name: str) -> None:
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        raise NotImplementedError

    def _tell_done(self) -> None:
        raise NotImplementedError

    def _work(self) -> None:
        try:
            self._play()
            self.status = "fulfilled"
            self._tell_done()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to: exit_emitter tells
            self.status = "rejected"
            self.error = error
            emitters.exit_emitter.emit(error)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; True when it has come within ``timeout`` seconds.

        Raises :class:`WaitCycleError` in a listener or callback that the work itself waits for.
        """
        return wait_for_end(self._thread, timeout)

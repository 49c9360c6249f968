"""May this event reach a listener now? ``listen_*`` asks the run in progress (spec engine.md 13.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from bkapi.base.context import RunKey
from bkapi.events.emitters import Requirement, install_gates
from bkapi.runs.ledger import in_progress
from bkcore.machine.codes import Deferred

#: The key of the run of an event.
_key_of: Callable[[Any], RunKey] = attrgetter(
    "symbol", "strategy_name", "exchange_name", "frame_name", "backtest"
)


def _has_position(event: Any) -> bool:
    run = in_progress(_key_of(event))
    return run is not None and run.has_position


def _has_scheduled(event: Any) -> bool:
    run = in_progress(_key_of(event))
    return run is not None and run.has_scheduled


def _delivers_commit(event: Any) -> bool:
    """Whether a commit is delivered: with an open position, or one that its user has closed (spec engine.md 13.4)."""
    if event.action in ("cancel-scheduled", "close-pending"):
        return True
    run = in_progress(_key_of(event))
    if run is None:
        return False
    closes = run.run.now.deferred == Deferred.CLOSE
    return run.has_position or (closes and run.rows.identity(run.trade) == event.signal_id)


_GATES: Mapping[Requirement, Callable[[Any], bool]] = {
    "position": _has_position,
    "scheduled": _has_scheduled,
    "no position": lambda event: not _has_position(event),
    "commit": _delivers_commit,
}


def install() -> None:
    """Let the channels of :data:`bkapi.events.emitters` ask these gates before they deliver an event."""
    install_gates(_GATES)

"""May this event reach a listener now? ``listen_*`` asks the run in progress (spec engine.md 13.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bkapi.events.emitters import Requirement, install_gates
from bkapi.runs.ledger import in_progress
from bkapi.runs.strategy import StrategyRun
from bkcore.machine.codes import Deferred


def _run_of(event: Any) -> StrategyRun | None:
    """The run in progress that an event is about; every ping asks for it, so its key is made on the spot."""
    return in_progress(
        (event.symbol, event.strategy_name, event.exchange_name, event.frame_name, event.backtest)
    )


def _has_position(event: Any) -> bool:
    run = _run_of(event)
    return run is not None and run.has_position


def _has_no_position(event: Any) -> bool:
    run = _run_of(event)
    return run is None or not run.has_position


def _has_scheduled(event: Any) -> bool:
    run = _run_of(event)
    return run is not None and run.has_scheduled


def _delivers_commit(event: Any) -> bool:
    """Whether a commit is delivered: with an open position, or one that its user has closed (spec engine.md 13.4)."""
    if event.action in ("cancel-scheduled", "close-pending"):
        return True
    run = _run_of(event)
    if run is None:
        return False
    closes = run.run.now.deferred == Deferred.CLOSE
    return run.has_position or (closes and run.rows.identity(run.trade) == event.signal_id)


_GATES: Mapping[Requirement, Callable[[Any], bool]] = {
    "position": _has_position,
    "scheduled": _has_scheduled,
    "no position": _has_no_position,
    "commit": _delivers_commit,
}


def install() -> None:
    """Let the channels of :data:`bkapi.events.emitters` ask these gates before they deliver an event."""
    install_gates(_GATES)

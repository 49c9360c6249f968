"""Plays a recorded scenario of the fill models with the engine, as a strategy of its rows would."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from bkapi.schemas.policy import Policy
from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS
from bkcore.machine.codes import CancelReason, CloseReason, OrderKind, Side, Status, Wake
from bkcore.machine.market import Market
from bkcore.machine.run import Driver, Frame, Run
from bkcore.machine.settings import EngineSettings
from bkcore.machine.signals import bind_signals
from tests.golden.fills_case import Record

_NAMES = {
    "CC_FILL_MODEL": "fill",
    "CC_PERCENT_FEE": "fee_percent",
    "CC_PERCENT_MAKER_FEE": "maker_fee_percent",
    "CC_PERCENT_SLIPPAGE": "slippage_percent",
    "CC_POSITION_ENTRY_COST": "entry_cost",
    "CC_SCHEDULE_AWAIT_MINUTES": "await_minutes",
    "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": "min_take_profit_percent",
    "CC_MIN_STOPLOSS_DISTANCE_PERCENT": "min_stop_loss_percent",
    "CC_MAX_STOPLOSS_DISTANCE_PERCENT": "max_stop_loss_percent",
    "CC_MAX_SIGNAL_LIFETIME_MINUTES": "max_lifetime_minutes",
}
_GUARDS_OFF: dict[str, Any] = {
    "min_take_profit_percent": 0.0,
    "min_stop_loss_percent": 0.0,
    "max_stop_loss_percent": np.inf,
    "max_lifetime_minutes": np.inf,
}


def market_of(scenario: Record, step_ms: int) -> Market:
    """The candles of a scenario."""
    rows = scenario["candles"]
    columns = [np.array([row[k] for row in rows], np.float64) for k in range(1, 6)]
    timestamps = np.array([row[0] for row in rows], np.int64)
    return Market("TEST", timestamps, *columns, step_ms=step_ms)


def play(scenario: Record, *, driver: Driver = "skip") -> Record:
    """Trades, orders and counts of rows."""
    run = run_of(scenario, driver=driver)
    while run.advance() is not Wake.DONE:
        pass
    return record_of(run)


def run_of(
    scenario: Record, *, driver: Driver = "skip", logs: bool = True, signals: Any = None, **options: Any
) -> Run:
    """A run of the scenario that has not begun; ``options`` are those of :class:`Run`.

    signals   ``SIGNAL`` records that take the place of its rows
    """
    frame = scenario["frame"]
    step = INTERVAL_MINUTES[frame["interval"]] * MINUTE_MS
    known = {_NAMES[name]: value for name, value in scenario["settings"].items() if name in _NAMES}
    settings = EngineSettings(**{**_GUARDS_OFF, **known, "step_ms": step})
    if signals is None:
        rows = pl.DataFrame(scenario["rows"], infer_schema_length=None, strict=False)
        signals = bind_signals(rows, "TEST", at_real_prices=True).records
    policy = {
        name: tuple(map(tuple, value)) if isinstance(value, list) else value
        for name, value in scenario["policy"].items()
        if value is not None
    }
    return Run(
        market_of(scenario, step),
        settings,
        Frame.between(frame["start_ms"], frame["end_ms"], step, base_ms=step),
        signals,
        driver=driver,
        logs=logs,
        policy=Policy(**policy).record() if policy else None,
        **options,
    )


def record_of(run: Run) -> Record:
    """What the run has come to, in the form of the recorded set."""
    rows = run.trades
    closed = rows[rows["status"] == Status.CLOSED]
    ordered = rows[rows["order_kind"] != OrderKind.MARKET]
    return {"trades": [trade_of(row) for row in closed], "orders": orders_of(ordered), "rows": run.row_counts}


def trade_of(row: Any) -> Record:
    """A trade as it is recorded."""
    return {
        "side": Side(row["side"]).name.lower(),
        "opened_at": int(row["pending_at"]),
        "ended_at": int(row["ended_at"]),
        "reason": CloseReason(row["reason"]).name.lower(),
        "entries": int(row["entry_count"]),
        "partials": int(row["partial_count"]),
        "price_open": float(row["effective_open"]),
        "close_price": float(row["end_price"]),
        "pnl_percent": float(row["pnl_percent"]),
        "peak_price": float(row["peak_price"]),
        "peak_percent": float(row["peak_pnl_percent"]),
        "fall_price": float(row["fall_price"]),
        "fall_percent": float(row["fall_pnl_percent"]),
    }


def orders_of(rows: Any) -> list[Record]:
    """The orders, by their ends."""
    orders = [
        {
            "side": Side(row["side"]).name.lower(),
            "kind": OrderKind(row["order_kind"]).name.lower(),
            "price": float(row["price_open"]),
            "placed_at": int(row["scheduled_at"]),
            "ended_at": int(row["ended_at"] if row["status"] == Status.CANCELLED else row["pending_at"]),
            "outcome": CancelReason(row["reason"]).name.lower()
            if row["status"] == Status.CANCELLED
            else "filled",
        }
        for row in rows
        if row["status"] != Status.RESTING
    ]
    return sorted(orders, key=lambda order: order["ended_at"])

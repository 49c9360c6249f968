"""What a finished run leaves behind as frames: trades and events, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from bkcore.jit import kernel
from bkcore.machine.codes import CancelReason, CloseReason, Commit, EventKind, Side, Status
from bkcore.machine.commands import take_back
from bkcore.machine.pnl import pnl_percent
from bkcore.machine.records import ENTRY, EVENT, PARTIAL, POSITION, REVISION, array_of
from bkcore.machine.settings import SETTINGS

if TYPE_CHECKING:
    import polars as pl

    from bkcore.machine.run import Run

_f8_out = types.Array(types.float64, 1, "C")


@kernel(
    types.void(
        array_of(EVENT),
        array_of(REVISION),
        array_of(POSITION),
        array_of(ENTRY),
        array_of(PARTIAL),
        array_of(SETTINGS),
        array_of(POSITION),
        _f8_out,
    )
)
def _fill_event_pnl(
    events: Any,
    revisions: Any,
    trades: Any,
    entries: Any,
    partials: Any,
    setting: Any,
    scratch: Any,
    out: Any,
) -> None:
    """Result in percent at the price of each event, with the position as it was then."""
    position = scratch[0]
    for k in range(events.size):
        event = events[k]
        if event.kind == EventKind.REJECTED or event.kind == EventKind.SCHEDULED:
            out[k] = 0.0
            continue
        revision = revisions[event.revision]
        trade = trades[revision.trade]
        if event.kind == EventKind.CANCELLED:
            out[k] = 0.0
            continue
        position.side = trade.side
        position.price_open = trade.price_open
        position.entry_first = trade.entry_first
        position.partial_first = trade.partial_first
        position.taker_fee = trade.taker_fee
        take_back(position, revision)
        out[k] = pnl_percent(position, partials, setting[0], event.price)


_NAMES: dict[type, list[str]] = {
    kind: [member.name.lower().replace("_", "-" if kind is Commit else "_") for member in sorted(kind)]
    for kind in (CloseReason, CancelReason, Commit, EventKind, Side, Status)
}


def _names(kind: type, codes: NDArray[Any]) -> pl.Series:
    """Codes of ``kind`` as an Enum column of its lower-case names."""
    import polars as pl

    names = _NAMES[kind]
    return pl.Series(names, dtype=pl.Enum(names)).gather(codes.astype(np.uint32))


def _levels(values: NDArray[np.float64]) -> pl.Series:
    """Levels; null where there is none."""
    import polars as pl

    return pl.Series(values).fill_nan(None)


def _times(values: NDArray[np.int64]) -> pl.Series:
    import polars as pl

    return pl.Series(values).cast(pl.Datetime("ms", "UTC"))


def events_frame(run: Run) -> pl.DataFrame:
    """The event log (spec engine.md 13.1), a row per event in order.

    Columns: ``time``, ``kind``, ``trade`` (row of the trades frame, null for a rejected signal), ``level``
    (10 .. 100), ``action`` and ``value`` of a commit (cost, percent or shift), ``price``, ``pnl_percent`` and the
    position as it was: ``effective_open``, ``take_profit``, ``stop_loss``, ``entries``, ``partials``,
    ``closed_percent``.
    """
    import polars as pl

    events = run.events
    kinds = events["kind"]
    rejected = kinds == EventKind.REJECTED
    revision = run.revisions[np.where(rejected, 0, events["revision"])]
    pnl = np.empty(events.size)
    _fill_event_pnl(
        events, run.revisions, run.trades, run.entries, run.partials, run.settings, np.zeros(1, POSITION), pnl
    )
    levelled = (kinds == EventKind.PARTIAL_PROFIT) | (kinds == EventKind.PARTIAL_LOSS)
    committed = kinds == EventKind.COMMIT
    value = np.full(events.size, np.nan)
    value[committed] = run.commits["value"][: np.count_nonzero(committed)]
    frame = pl.DataFrame(
        {
            "time": _times(events["time"]),
            "kind": _names(EventKind, kinds),
            "trade": revision["trade"].astype(np.int64),
            "level": np.where(levelled, events["code"], 0).astype(np.int64),
            "action": _names(Commit, np.where(committed, events["code"] - 1, 0)),
            "value": value,
            "price": events["price"],
            "pnl_percent": pnl,
            "effective_open": revision["effective_open"],
            "take_profit": _levels(revision["take_profit"]),
            "stop_loss": _levels(revision["stop_loss"]),
            "entries": revision["entry_count"].astype(np.int64),
            "partials": revision["partial_count"].astype(np.int64),
            "closed_percent": revision["closed_percent"],
        }
    )
    described = [name for name in frame.columns[2:] if name not in ("price", "level", "action", "value")]
    return frame.with_columns(
        pl.when(pl.Series(rejected)).then(None).otherwise(pl.col(described)).name.keep(),
        pl.when(pl.col("level") > 0).then(pl.col("level")).alias("level"),
        pl.when(pl.Series(committed)).then(pl.col("action")).alias("action"),
        pl.when(pl.col("value").is_not_nan()).then(pl.col("value")).alias("value"),
    )


def trades_frame(run: Run) -> pl.DataFrame:
    """Every position and every resting order of a run, in order of creation (spec engine.md 1.2, 1.6).

    Prices in quote currency, ``*_percent`` in percent after fees and slippage, ``*_cost`` in quote currency,
    ``duration_minutes`` from opening to end. A row that never opened has null results.
    """
    import polars as pl

    trades = run.trades
    opened = pl.Series(trades["pending_at"] > 0)
    ended = pl.Series(trades["ended_at"] > 0)
    closed = pl.Series(trades["status"] == Status.CLOSED)
    cancelled = trades["status"] == Status.CANCELLED
    close_reason = _names(CloseReason, np.where(closed.to_numpy(), trades["reason"], 0))
    cancel_reason = _names(CancelReason, np.where(cancelled, trades["reason"], 0))
    frame = pl.DataFrame(
        {
            "position": _names(Side, trades["side"] + 1),
            "status": _names(Status, trades["status"]),
            "reason": pl.Series(
                np.where(cancelled, cancel_reason.cast(pl.String), close_reason.cast(pl.String)),
                dtype=pl.String,
            ),
            "scheduled_at": _times(trades["scheduled_at"]),
            "pending_at": _times(trades["pending_at"]),
            "ended_at": _times(trades["ended_at"]),
            "duration_minutes": (trades["ended_at"] - trades["pending_at"]) / 60_000.0,
            "price_open": trades["price_open"],
            "effective_open": trades["effective_open"],
            "take_profit": _levels(trades["take_profit"]),
            "stop_loss": _levels(trades["stop_loss"]),
            "close_price": trades["end_price"],
            "pnl_percent": trades["pnl_percent"],
            "pnl_cost": trades["pnl_cost"],
            "invested": trades["invested"],
            "peak_percent": trades["peak_pnl_percent"],
            "fall_percent": trades["fall_pnl_percent"],
            "entries": trades["entry_count"],
            "partials": trades["partial_count"],
            "closed_percent": trades["closed_percent"],
        }
    )
    results = ["pnl_percent", "pnl_cost"]
    return frame.with_columns(
        pl.when(closed).then(pl.col([*results, "duration_minutes"])).name.keep(),
        pl.when(ended).then(pl.col(["ended_at", "close_price"])).name.keep(),
        pl.when(opened).then(pl.col(["pending_at", "peak_percent", "fall_percent"])).name.keep(),
        pl.when(pl.col("reason") != "none").then(pl.col("reason")).alias("reason"),
    )

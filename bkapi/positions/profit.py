"""What is a position history worth outside of a run? (spec engine.md 9)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from bkapi.base import config
from bkapi.base.dotted_paths import get as _field
from bkapi.errors import BkError, SignalError
from bkapi.events.results import SIDES, PnlRecord
from bkcore.machine.records import ENTRY, PARTIAL, POSITION

_KINDS = {"profit": 1, "loss": -1}


class ProfitError(BkError, ValueError):
    """Raised by ``to_profit_loss_dto(signal, 100)`` when partial closes exceed what was invested."""


class TotalClosed(TypedDict):
    """The closed share of a position, percent, and what is left of its cost, USD."""

    total_closed_percent: float
    remaining_cost_basis: float


def to_profit_loss_dto(signal: Any, price_close: float) -> PnlRecord:
    """The result of closing everything at ``price_close``, with fees and slippage of the configuration.

    signal   a mapping or a public row: ``position``, ``price_open``, ``cost``, ``entries`` and ``partials``

    Raises :class:`ProfitError` for partial closes of more than was invested and :class:`SignalError` for no signal.
    """
    from bkcore.machine.history import history_percent

    trades, entries, partials = _settled(signal)
    position = trades[0]
    invested = float(position["invested"])
    closed = 0.0
    for percent, basis in zip(partials["percent"].tolist(), partials["basis"].tolist(), strict=True):
        closed = closed + (percent / 100) * basis
    if closed > invested + max(0.001, invested * 1e-8):
        raise ProfitError(
            f"Partial closes dollar value ({closed:.4f}) exceeds total invested ({invested:g}).",
            hint="each partial is a percent of the cost basis that was left before it.",
        )
    settings = config.engine_settings().record()
    percent = float(history_percent(settings, trades, entries, partials, float(price_close)))
    return PnlRecord(
        pnl_percentage=percent,
        price_open=float(position["effective_open"]),
        price_close=float(price_close),
        pnl_cost=(percent / 100) * invested,
        pnl_entries=invested,
    )


def get_effective_price_open(signal: Any) -> float:
    """Effective entry of a history: the price paid per coin, after partial closes (spec engine.md 9.2)."""
    return float(_settled(signal)[0][0]["effective_open"])


def get_total_closed(signal: Any) -> TotalClosed:
    """How much of a history is closed, and what is left of its cost (spec engine.md 9.3)."""
    position = _settled(signal)[0][0]
    return {
        "total_closed_percent": float(position["closed_percent"]),
        "remaining_cost_basis": float(position["remaining"]),
    }


def _settled(signal: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    from bkcore.machine.history import settle_history

    side = SIDES.get(_field(signal, "position"))
    if side is None:
        raise SignalError(
            f"position must be 'long' or 'short', got {_field(signal, 'position')!r}.",
            hint="give a signal with position, price_open, cost, entries and partials.",
        )
    given_entries: Sequence[Any] = _field(signal, "entries") or ()
    given_partials: Sequence[Any] = _field(signal, "partials") or ()
    entries, partials = np.zeros(len(given_entries), ENTRY), np.zeros(len(given_partials), PARTIAL)
    for row, entry in zip(entries, given_entries, strict=True):
        row["price"], row["cost"] = _field(entry, "price"), _field(entry, "cost")
    for row, partial in zip(partials, given_partials, strict=True):
        row["percent"] = _field(partial, "percent")
        row["price"] = _field(partial, "current_price")
        row["basis"] = _field(partial, "cost_basis_at_close")
        row["entry_count"] = min(int(_field(partial, "entry_count_at_close")), len(entries))
        row["kind"] = _KINDS.get(_field(partial, "type"), 0)
    trades = np.zeros(1, POSITION)
    position = trades[0]
    original = _field(signal, "original_price_open")
    position["price_open"] = _field(signal, "price_open") if original is None else original
    cost = _field(signal, "cost")
    position["cost"] = config.value("CC_POSITION_ENTRY_COST") if cost is None else cost
    position["side"] = side
    position["entry_count"], position["partial_count"] = len(entries), len(partials)
    settle_history(config.engine_settings().record(), trades, entries, partials)
    return trades, entries, partials

"""What the kernels of a sweep are handed of a market, and the records that they play a trade in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import int64

from bkcore.jit import f8, i8, rule, type_of
from bkcore.machine import time_of_expiry
from bkcore.market import Market
from bkcore.records import COMMIT, ENTRY, PARTIAL, POSITION, REVISION, STATE, array_of
from bkcore.settings import EngineSettings


class MarketColumns(NamedTuple):
    """Candles without holes, and what levels are held against.

    timestamps : i8[n]            candle OPEN times, UTC ms
    opened, high, low : f8[n]     quote currency
    series : f8[n]                price of each candle (:class:`bkcore.market.PriceSeries`)
    floors, ceilings : f8[n]      what a level below and above the price is held against
    lows, highs : f8[about n / 15]   their block index (:func:`bkcore.price_index.build_index`)
    """

    timestamps: Any
    opened: Any
    high: Any
    low: Any
    series: Any
    floors: Any
    ceilings: Any
    lows: Any
    highs: Any


class Scratch(NamedTuple):
    """Records that a thread plays one trade after another in.

    states : STATE[1]   of which ``frame_end`` is set, ms UTC
    trades : POSITION[1], entries : ENTRY[k], partials : PARTIAL[k]   with room for the entries and partials of a trade
    revisions : REVISION[0], commits : COMMIT[1]   nothing is remembered of commands
    """

    states: Any
    trades: Any
    entries: Any
    partials: Any
    revisions: Any
    commits: Any


MARKET_COLUMNS = type_of(MarketColumns, i8, *[f8] * 8)
SCRATCH = type_of(Scratch, *map(array_of, (STATE, POSITION, ENTRY, PARTIAL, REVISION, COMMIT)))


def columns_of(market: Market, settings: EngineSettings) -> MarketColumns:
    """The columns of a market, with the prices that a run with these settings decides by."""
    return MarketColumns(market.timestamps, market.open, market.high, market.low, *market.prices(settings))


def scratch_of(frame_end: int, *, entries: int = 1, partials: int = 1) -> Scratch:
    """Records for trades with at most so many entries and partial closes, in a frame that ends at ``frame_end``."""
    state = np.zeros(1, STATE)
    state["frame_end"] = frame_end
    return Scratch(
        *(state, np.zeros(1, POSITION), np.zeros(entries, ENTRY), np.zeros(partials, PARTIAL)),
        *(np.zeros(0, REVISION), np.zeros(1, COMMIT)),
    )


@rule
def row_of_end(state: Any, settings: Any, position: Any, row: Any) -> Any:
    """The candle at which the clock ends a position that opened at ``row``, by the frame or by its lifetime.

    Without holes rows are time, so this is what :func:`bkcore.market.row_at` would find. A quotient of floats is exact
    enough: times are far below 2 ** 53.
    """
    until = min(state.frame_end + 1, time_of_expiry(position))
    return row + int64(np.ceil((until - position.pending_at) / settings.step_ms))

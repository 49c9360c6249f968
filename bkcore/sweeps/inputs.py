"""What the kernels of a sweep are handed: a market, settings, signals and slots, and tables to play a trade in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint64

from bkcore.jit import f8, i8, rule, type_of
from bkcore.machine.market import Candles, Market, PriceSeries
from bkcore.machine.records import (
    COMMIT,
    ENTRY,
    EVENT,
    PARTIAL,
    POSITION,
    REVISION,
    SIGNAL,
    STATE,
    RunTables,
    array_of,
)
from bkcore.machine.rules import last_moment
from bkcore.machine.run import Records
from bkcore.machine.settings import SETTINGS, EngineSettings
from bkcore.sweeps.slots import SLOT_COLUMNS, SlotColumns, Slots


class Inputs(NamedTuple):
    """What all combinations and threads share.

    candles : Candles, prices : PriceSeries   of a market without holes
    settings : SETTINGS[1]
    signals : SIGNAL[m]      candidates by time
    slots : SlotColumns      where a trade can begin
    """

    candles: Any
    prices: Any
    settings: Any
    signals: Any
    slots: SlotColumns


CANDLES = type_of(Candles, i8, f8, f8, f8, f8, f8)
PRICES = type_of(PriceSeries, f8, f8, f8, f8, f8)
INPUTS = type_of(Inputs, CANDLES, PRICES, array_of(SETTINGS), array_of(SIGNAL), SLOT_COLUMNS)
STATES = array_of(STATE)
RUN_TABLES = type_of(RunTables, *map(array_of, (POSITION, ENTRY, PARTIAL, REVISION, COMMIT, EVENT)))


def inputs_of(market: Market, settings: EngineSettings, signals: Records, slots: Slots) -> Inputs:
    """Inputs of a run with these settings."""
    candles = Candles(*(market.timestamps, market.open, market.high, market.low, market.close, market.volume))
    return Inputs(candles, market.prices(settings), settings.record(), signals, slots.columns)


def states_of(frame_end: int) -> Records:
    """A state (``STATE[1]``) in a frame that ends at ``frame_end``, ms UTC."""
    states = np.zeros(1, STATE)
    states["frame_end"] = frame_end
    return states


def tables_of_trade(entries: int = 1, partials: int = 1) -> RunTables:
    """Tables to play one trade after another in, each with so many entries and partial closes at most."""
    return RunTables(
        *(np.zeros(1, POSITION), np.zeros(entries, ENTRY), np.zeros(partials, PARTIAL)),
        *(np.zeros(0, REVISION), np.zeros(1, COMMIT), np.zeros(0, EVENT)),
    )


@rule
def row_of_end(state: Any, settings: Any, position: Any, row: Any) -> Any:
    """The candle at which the clock ends a position that opened at ``row``, by the frame or by its lifetime.

    Without holes rows are time, so this is what :func:`bkcore.machine.market.row_at` would find.
    """
    step = settings.step_ms
    span = last_moment(position, state.frame_end) - position.pending_at  # a millisecond less than it lives
    return row + int64(uint64(span) // uint64(step)) + 1

"""By which kernels a run is moved on and given commands; they find its tables by address (:mod:`bkcore.tables`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int64, types

from bkcore.commands import execute, take_back
from bkcore.drivers import advance
from bkcore.jit import i8, kernel
from bkcore.machine import open_position, price_extremes, terms_of
from bkcore.pnl import pnl_percent
from bkcore.policy import POLICY
from bkcore.records import COMMIT, ENTRY, EVENT, FROM_SLOT, PARTIAL, POSITION, REVISION, SIGNAL, STATE
from bkcore.settings import SETTINGS
from bkcore.tables import Table, record_at, rows_at, table_at

_tuple_of: Any = types.UniTuple
_prices = _tuple_of(float64, 5)


@kernel(int64(i8))
def advance_at(addresses: Any) -> Any:
    """:func:`advance` for a caller outside the kernels, who has the ``addresses`` of all tables."""
    return advance(
        table_at(addresses, Table.TIMESTAMPS, np.int64),
        table_at(addresses, Table.OPEN, np.float64),
        table_at(addresses, Table.HIGH, np.float64),
        table_at(addresses, Table.LOW, np.float64),
        table_at(addresses, Table.CLOSE, np.float64),
        table_at(addresses, Table.VOLUME, np.float64),
        table_at(addresses, Table.SERIES, np.float64),
        table_at(addresses, Table.FLOORS, np.float64),
        table_at(addresses, Table.CEILINGS, np.float64),
        table_at(addresses, Table.LOWS, np.float64),
        table_at(addresses, Table.HIGHS, np.float64),
        table_at(addresses, Table.SETTINGS, SETTINGS),
        table_at(addresses, Table.POLICY, POLICY),
        table_at(addresses, Table.PARAMETERS, np.float64),
        table_at(addresses, Table.MEMORY, np.float64),
        rows_at(addresses, Table.ORDERS, np.float64, 2),
        table_at(addresses, Table.SIGNALS, SIGNAL),
        table_at(addresses, Table.SLOT, SIGNAL),
        table_at(addresses, Table.SCRATCH, POSITION),
        table_at(addresses, Table.STATE, STATE),
        table_at(addresses, Table.TRADES, POSITION),
        table_at(addresses, Table.ENTRIES, ENTRY),
        table_at(addresses, Table.PARTIALS, PARTIAL),
        table_at(addresses, Table.REVISIONS, REVISION),
        table_at(addresses, Table.COMMITS, COMMIT),
        table_at(addresses, Table.EVENTS, EVENT),
    )


@kernel(int64(i8, int64, float64, float64, int64))
def execute_command(addresses: Any, command: Any, price: Any, value: Any, time: Any) -> Any:
    """:func:`execute` for a caller outside the kernels, who has the ``addresses`` of all tables."""
    state = table_at(addresses, Table.STATE, STATE)[0]
    settings = table_at(addresses, Table.SETTINGS, SETTINGS)[0]
    tables = (
        table_at(addresses, Table.TRADES, POSITION),
        table_at(addresses, Table.ENTRIES, ENTRY),
        table_at(addresses, Table.PARTIALS, PARTIAL),
        table_at(addresses, Table.REVISIONS, REVISION),
        table_at(addresses, Table.COMMITS, COMMIT),
    )
    return int64(execute(state, settings, tables, command, price, value, time))


@kernel(_prices(i8))
def candidate_terms(addresses: Any) -> Any:
    """What the candidate at hand asks for: price of entry, take-profit, stop-loss, lifetime (minutes) and cost."""
    state = table_at(addresses, Table.STATE, STATE)[0]
    slot = table_at(addresses, Table.SLOT, SIGNAL)
    signals = table_at(addresses, Table.SIGNALS, SIGNAL)
    signal = slot[0] if state.candidate == FROM_SLOT else signals[state.candidate]
    settings = table_at(addresses, Table.SETTINGS, SETTINGS)[0]
    price_open, _, take_profit, stop_loss, lifetime, cost = terms_of(state, settings, signal)
    return price_open, take_profit, stop_loss, lifetime, cost


@kernel(float64(i8, int64, float64))
def pnl_at(addresses: Any, position: Any, price: Any) -> Any:
    """Result in percent of closing at ``price`` the ``POSITION`` that lies at the address ``position``."""
    return pnl_percent(
        record_at(position, POSITION),
        table_at(addresses, Table.ENTRIES, ENTRY),
        table_at(addresses, Table.PARTIALS, PARTIAL),
        table_at(addresses, Table.SETTINGS, SETTINGS)[0],
        price,
    )


@kernel(types.void(i8, int64))
def take_back_to_opening(addresses: Any, position: Any) -> None:
    """Give the copy of a trade at the address ``position`` the look that it had when it opened."""
    row = record_at(position, POSITION)
    entries = table_at(addresses, Table.ENTRIES, ENTRY)
    partials = table_at(addresses, Table.PARTIALS, PARTIAL)
    take_back(row, table_at(addresses, Table.REVISIONS, REVISION)[row.revision])
    row.trails_take = 0
    row.trails_stop = 0
    open_position(row, entries, row.pending_at)
    price_extremes(row, entries, partials, table_at(addresses, Table.SETTINGS, SETTINGS)[0])

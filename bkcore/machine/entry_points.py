"""The kernels that Python calls to move a run on and to command it; they find its tables by their addresses.

``addresses`` is everywhere the list of :func:`bkcore.machine.tables.addresses_of`, i8[2 * tables]; prices are quote
currency, times ms UTC.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int64, types

from bkcore.jit import i8, kernel, rule
from bkcore.machine.advance import advance
from bkcore.machine.codes import Fill, Given, OrderKind
from bkcore.machine.commands import execute, take_back
from bkcore.machine.fills.advance import advance_fills
from bkcore.machine.fills.changes import entry_violations, level_of, levels_given, order_of, own_lifetime
from bkcore.machine.market import Candles, PriceSeries
from bkcore.machine.phases import candidate_of
from bkcore.machine.pnl import pnl_percent
from bkcore.machine.policy import POLICY
from bkcore.machine.records import (
    COMMIT,
    DECISION,
    ENTRY,
    EVENT,
    PARTIAL,
    POSITION,
    REVISION,
    SIGNAL,
    STATE,
    Plan,
    RunTables,
    Scratch,
)
from bkcore.machine.rules import open_position, price_extremes, terms_of
from bkcore.machine.settings import SETTINGS
from bkcore.machine.tables import Table, record_at, rows_at, table_at

_tuple_of: Any = types.UniTuple
_prices = _tuple_of(float64, 5)


@rule
def tables_at(addresses: Any) -> Any:
    """The tables of a run that fill up (:class:`RunTables`)."""
    return RunTables(
        table_at(addresses, Table.TRADES, POSITION),
        table_at(addresses, Table.ENTRIES, ENTRY),
        table_at(addresses, Table.PARTIALS, PARTIAL),
        table_at(addresses, Table.REVISIONS, REVISION),
        table_at(addresses, Table.COMMITS, COMMIT),
        table_at(addresses, Table.EVENTS, EVENT),
    )


@kernel(int64(i8))
def advance_at(addresses: Any) -> Any:
    """Move a run on (:func:`bkcore.machine.advance.advance`); returns a ``Wake`` code."""
    candles = Candles(
        table_at(addresses, Table.TIMESTAMPS, np.int64),
        table_at(addresses, Table.OPEN, np.float64),
        table_at(addresses, Table.HIGH, np.float64),
        table_at(addresses, Table.LOW, np.float64),
        table_at(addresses, Table.CLOSE, np.float64),
        table_at(addresses, Table.VOLUME, np.float64),
    )
    prices = PriceSeries(
        table_at(addresses, Table.SERIES, np.float64),
        table_at(addresses, Table.FLOORS, np.float64),
        table_at(addresses, Table.CEILINGS, np.float64),
        table_at(addresses, Table.LOWS, np.float64),
        table_at(addresses, Table.HIGHS, np.float64),
    )
    scratch = Scratch(
        table_at(addresses, Table.SLOT, SIGNAL),
        table_at(addresses, Table.SCRATCH, POSITION),
        table_at(addresses, Table.MEMORY, np.float64),
        rows_at(addresses, Table.ORDERS, np.float64, 2),
    )
    plan = Plan(
        table_at(addresses, Table.SETTINGS, SETTINGS)[0],
        table_at(addresses, Table.POLICY, POLICY)[0],
        table_at(addresses, Table.SIGNALS, SIGNAL),
        table_at(addresses, Table.DECISIONS, DECISION),
        table_at(addresses, Table.PARAMETERS, np.float64),
    )
    state = table_at(addresses, Table.STATE, STATE)[0]
    if plan.settings.fill != Fill.VWAP:
        return advance_fills(candles, prices, plan, tables_at(addresses), scratch, state)
    return advance(candles, prices, plan, tables_at(addresses), scratch, state)


@kernel(int64(i8, int64, float64, float64, int64))
def execute_command(addresses: Any, command: Any, price: Any, value: Any, time: Any) -> Any:
    """Grant (1) or refuse (0) a ``Command``: :func:`bkcore.machine.commands.execute`; tables need room for a row."""
    state = table_at(addresses, Table.STATE, STATE)[0]
    settings = table_at(addresses, Table.SETTINGS, SETTINGS)[0]
    return int64(execute(state, settings, tables_at(addresses), command, price, value, time))


@kernel(int64(i8, int64, float64, float64, int64))
def would_grant(addresses: Any, command: Any, price: Any, value: Any, time: Any) -> Any:
    """Whether a ``Command`` would be granted (1) at ``price`` after those that wait for the next open; 0 if not.

    Nothing is changed. It needs room for a row per command in each table, and uses the scratch position.
    """
    state = table_at(addresses, Table.STATE, STATE)[0]
    settings = table_at(addresses, Table.SETTINGS, SETTINGS)[0]
    orders = rows_at(addresses, Table.ORDERS, np.float64, 2)
    tables, kept = tables_at(addresses), table_at(addresses, Table.SCRATCH, POSITION)
    kept[0] = tables.trades[state.current]
    counts = (state.entry_count, state.partial_count, state.revision_count, state.commit_count, state.logs)
    deferred, pending = state.deferred, state.pending
    state.logs = 0
    for k in range(state.command_count):
        execute(state, settings, tables, int64(orders[k, 0]), price, orders[k, 1], time)
    granted = execute(state, settings, tables, command, price, value, time)
    tables.trades[state.current] = kept[0]
    state.entry_count, state.partial_count, state.revision_count, state.commit_count, state.logs = counts
    state.deferred, state.pending = deferred, pending
    return int64(granted)


@kernel(int64(i8))
def slot_violations(addresses: Any) -> Any:
    """What is wrong at real prices with the signal in the slot, at the price of the tick: bits of ``Violation``."""
    state = table_at(addresses, Table.STATE, STATE)[0]
    settings = table_at(addresses, Table.SETTINGS, SETTINGS)[0]
    policy = table_at(addresses, Table.POLICY, POLICY)[0]
    signal = table_at(addresses, Table.SLOT, SIGNAL)[0]
    kind, entry = order_of(signal)
    if kind == OrderKind.MARKET:
        entry = state.tick_price
    return int64(entry_violations(state, settings, policy, signal, signal.side, entry))


@kernel(_prices(i8))
def candidate_terms(addresses: Any) -> Any:
    """What the candidate at hand asks for: price of entry, take-profit, stop-loss, lifetime (minutes) and cost."""
    state = table_at(addresses, Table.STATE, STATE)[0]
    settings = table_at(addresses, Table.SETTINGS, SETTINGS)[0]
    signals, slot = table_at(addresses, Table.SIGNALS, SIGNAL), table_at(addresses, Table.SLOT, SIGNAL)
    signal = candidate_of(state, signals, slot)
    if settings.fill != Fill.VWAP:
        kind, entry = order_of(signal)
        entry = state.tick_price if kind == OrderKind.MARKET else entry
        policy, side = table_at(addresses, Table.POLICY, POLICY)[0], state.wish_side
        take_price, take_share, stop_price, stop_share = levels_given(state, signal)
        take = level_of(take_price, take_share, side, entry)
        stop = level_of(stop_price, stop_share, -side, entry)
        cost = signal.cost if signal.given & int64(Given.COST) else settings.entry_cost
        return entry, take, stop, own_lifetime(state, signal, policy), cost
    price_open, _, take_profit, stop_loss, lifetime, cost = terms_of(state, settings, signal)
    return price_open, take_profit, stop_loss, lifetime, cost


@kernel(float64(i8, int64, float64))
def pnl_at(addresses: Any, position: Any, price: Any) -> Any:
    """Result in percent of closing at ``price`` the ``POSITION`` that lies at the address ``position``."""
    tables = tables_at(addresses)
    settings = table_at(addresses, Table.SETTINGS, SETTINGS)[0]
    return pnl_percent(record_at(position, POSITION), tables.partials, settings, price)


@kernel(types.void(i8, int64))
def take_back_to_opening(addresses: Any, position: Any) -> None:
    """Give the copy of a trade at the address ``position`` the look that it had when it opened."""
    row = record_at(position, POSITION)
    tables = tables_at(addresses)
    take_back(row, tables.revisions[row.revision])
    row.trails_take = 0
    row.trails_stop = 0
    open_position(row, tables.entries, row.pending_at)
    price_extremes(row, tables.entries, tables.partials, table_at(addresses, Table.SETTINGS, SETTINGS)[0])

"""How a run asks a strategy's jitted functions, and what it does with their answers (:mod:`bkcore.machine.hooks`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64

from bkcore.jit import routine, rule
from bkcore.machine.codes import Command, Given, Side
from bkcore.machine.commands import execute
from bkcore.machine.hooks import MEMORY_SIZE, MOST_ORDERS, RAISED, call_kernel, call_manage
from bkcore.machine.market import known_price
from bkcore.machine.records import FROM_SLOT

_FIRST_COMMAND = int(min(Command))
_LAST_COMMAND = int(max(Command))


@rule
def keep_memory(memory: Any) -> None:
    """Copy what a hook remembers: a call that raises is made again from there to find its error."""
    for k in range(MEMORY_SIZE):
        memory[MEMORY_SIZE + k] = memory[k]


@rule
def is_command(code: Any) -> Any:
    """Whether the number that a hook wrote is that of a ``Command``."""
    return code == np.floor(code) and _FIRST_COMMAND <= code <= _LAST_COMMAND


@routine
def obey_hook(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """Let the ``manage`` hook see the candle and carry out its orders; returns whether it raised or wrote none.

    It sees a copy of the position and the candles before this one, as a listener of its ping does.
    """
    series, orders = prices.values, scratch.orders[:MOST_ORDERS]
    row = state.row
    time = candles.timestamps[row]
    scratch.position[0] = tables.trades[state.current]
    keep_memory(scratch.memory)
    known = known_price(candles, prices, plan.settings, row)
    count = call_manage(
        state.manage_address,
        (
            time,
            *(series[row], known),
            *(candles.open[:row], candles.high[:row], candles.low[:row], candles.close[:row]),
            *(candles.volume[:row], scratch.position[0], plan.parameters),
            *(scratch.memory[:MEMORY_SIZE], orders),
        ),
    )
    if not 0 <= count <= MOST_ORDERS:  # raised, or asks for more than there is room for
        return True
    for k in range(count):
        if not is_command(orders[k, 0]):
            return True
    for k in range(count):
        command = int64(orders[k, 0])
        trails = command == Command.TRAILING_STOP or command == Command.TRAILING_TAKE
        price = series[row] if trails else known
        execute(state, plan.settings, tables, command, price, orders[k, 1], time)
    return False


@routine
def note_orders(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """Let the ``manage`` hook see the candle that has closed and keep its orders for the next open (spec fills.md 3).

    Returns whether it raised or wrote none.
    """
    end = state.row + 1
    close = prices.values[state.row]
    orders = scratch.orders[state.command_count : state.command_count + MOST_ORDERS]
    scratch.position[0] = tables.trades[state.current]
    keep_memory(scratch.memory)
    count = call_manage(
        state.manage_address,
        (
            state.tick_time + plan.settings.step_ms,
            *(close, close),
            *(candles.open[:end], candles.high[:end], candles.low[:end], candles.close[:end]),
            *(candles.volume[:end], scratch.position[0], plan.parameters),
            *(scratch.memory[:MEMORY_SIZE], orders),
        ),
    )
    if not 0 <= count <= MOST_ORDERS:
        return True
    for k in range(count):
        if not is_command(orders[k, 0]):
            return True
    state.command_count += count
    return False


@routine
def ask_kernel(state: Any, candles: Any, plan: Any, scratch: Any) -> Any:
    """Ask the jitted strategy for a signal at this tick; returns whether it raised."""
    known = state.row
    signal = scratch.slot[0]
    signal.time = state.tick_time
    signal.id = -1
    signal.side = 0
    signal.price_open = np.nan
    signal.take_profit = np.nan
    signal.stop_loss = np.nan
    signal.lifetime = np.nan
    signal.cost = np.nan
    signal.price_trigger = np.nan
    signal.size = np.nan
    signal.set_take_profit = np.nan
    signal.set_stop_loss = np.nan
    signal.trail_distance = np.nan
    signal.fee_percent = np.nan
    signal.exits = 0
    keep_memory(scratch.memory)
    answer = call_kernel(
        state.kernel_address,
        (
            state.tick_time,
            state.tick_price,
            *(candles.open[:known], candles.high[:known], candles.low[:known], candles.close[:known]),
            *(candles.volume[:known], plan.parameters, scratch.memory[:MEMORY_SIZE], signal),
        ),
    )
    if answer == RAISED:
        return True
    if answer != 0:
        signal.time = state.tick_time
        signal.id = -1
        if signal.side != Side.LONG and signal.side != Side.SHORT:
            signal.side = int64(Side.UNKNOWN)  # refused, as in a signal frame
        given = int64(0)
        if not np.isnan(signal.price_open):
            given |= int64(Given.PRICE_OPEN)
        if not np.isnan(signal.lifetime):
            given |= int64(Given.LIFETIME)
        if not np.isnan(signal.cost):
            given |= int64(Given.COST)
        signal.given = given
        state.candidate = FROM_SLOT
    return False

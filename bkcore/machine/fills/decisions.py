"""Which row of a signal frame speaks at which candle, and what it asks for there (spec fills.md 1 and 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, types
from numpy.typing import NDArray

from bkcore.jit import i8, kernel, rule
from bkcore.machine.codes import Exits, Given, OnOpposite
from bkcore.machine.market import row_at
from bkcore.machine.records import DECISION, SIGNAL, array_of

_NOWHERE = -1


@rule
def exits_side(exits: Any, side: Any) -> Any:
    """Whether the sides of ``exits`` include ``side``."""
    return exits & (int64(Exits.LONG) if side > 0 else int64(Exits.SHORT)) != 0


@rule
def wish_of(signal: Any, held: Any, on_opposite: Any) -> Any:
    """What a signal asks for, when ``held`` is the side that a target column asked for last (spec fills.md 4).

    Returns ``(side, exits, opposite, held)``: a target that changes nothing asks for nothing. Of a signal for another
    symbol only the entry is left, to be refused.
    """
    side, exits = int64(signal.side), int64(signal.exits)
    is_target = signal.given & int64(Given.TARGET) != 0
    if signal.given & int64(Given.FOREIGN_SYMBOL):
        if is_target and side == held:
            side = int64(0)
        return side, int64(0), int64(OnOpposite.IGNORE), int64(held)
    if not is_target:
        return side, exits, int64(on_opposite), int64(held)
    if side == held:
        return int64(0), int64(0), int64(OnOpposite.IGNORE), int64(held)
    return side, int64(0) if side else int64(Exits.BOTH), int64(OnOpposite.REVERSE), side


@rule
def moves_levels(signal: Any) -> Any:
    """Whether a signal has a level for the position that is open."""
    if signal.given & int64(Given.FOREIGN_SYMBOL):
        return False
    return not (np.isnan(signal.set_take_profit) and np.isnan(signal.set_stop_loss))


@rule
def deciding_row(timestamps: Any, step: Any, end_row: Any, last: Any, time: Any) -> Any:
    """The candle at whose open a row of moment ``time`` is decided, or -1 where it never is (spec fills.md 12).

    A close at the edge of a hole is decided at the candle after it; the last tick of the frame without any candle.
    """
    row = row_at(timestamps, step, time)
    if row < end_row and timestamps[row] == time:
        return row
    if row == 0 or timestamps[row - 1] + step != time:
        return _NOWHERE
    return row if row < end_row or time == last else _NOWHERE


@rule
def concerns(decision: Any, side: Any) -> Any:
    """Whether a position of ``side`` has to look at a decision."""
    leaves = exits_side(decision.exits, side)
    turns = decision.side == -side and decision.opposite != OnOpposite.IGNORE
    return leaves or turns or decision.sets != 0


_two: Any = types.UniTuple
_counts = _two(int64, 2)


@kernel(_counts(i8, array_of(SIGNAL), int64, int64, int64, int64, int64, array_of(DECISION)))
def _decide(
    timestamps: Any,
    signals: Any,
    step: Any,
    first: Any,
    last: Any,
    first_row: Any,
    on_opposite: Any,
    out: Any,
) -> Any:
    end_row = row_at(timestamps, step, last + 1)
    count: Any = int64(0)
    wanted = int64(0)
    held = int64(0)
    before = int64(0)  # what was held before the row at hand
    for k in range(signals.size):
        signal = signals[k]
        if signal.time < first or signal.time > last:
            continue
        is_target = signal.given & int64(Given.TARGET) != 0
        row = deciding_row(timestamps, step, end_row, last, signal.time)
        if row < first_row:
            wanted += int64(signal.side != 0 and not is_target)
            continue
        if count and out[count - 1].row == row:  # the later of two rows that fall on one candle counts
            count -= 1
            held = before
        before = held
        side, exits, opposite, held = wish_of(signal, held, on_opposite)
        wanted += int64(side != 0)
        sets = moves_levels(signal)
        if side == 0 and exits == 0 and not sets:
            continue
        decision = out[count]
        decision.row = row
        decision.signal = k
        decision.side = side
        decision.exits = exits
        decision.opposite = opposite
        decision.sets = sets
        count += 1
    next_long = next_short = next_entry = count
    for back in range(count):
        k = count - 1 - back
        decision = out[k]
        next_long = k if concerns(decision, 1) else next_long
        next_short = k if concerns(decision, -1) else next_short
        next_entry = k if decision.side != 0 else next_entry
        decision.next_long = next_long
        decision.next_short = next_short
        decision.next_entry = next_entry
    return count, wanted


def decide(
    timestamps: NDArray[np.int64],
    signals: NDArray[np.void],
    *,
    step_ms: int,
    first_ms: int,
    last_ms: int,
    first_row: int,
    on_opposite: int,
) -> tuple[NDArray[np.void], int]:
    """What the rows of a signal frame decide (``DECISION`` records), and how many ask for an entry.

    timestamps         open times of the candles, UTC ms
    signals            ``SIGNAL`` records by time
    first_ms, last_ms  the first and the last tick
    first_row          the first candle at which anything is decided
    on_opposite        a code of ``OnOpposite``
    """
    decisions = np.zeros(signals.size, DECISION)
    count, wanted = _decide(
        timestamps, signals, step_ms, first_ms, last_ms, first_row, on_opposite, decisions
    )
    return decisions[:count], wanted

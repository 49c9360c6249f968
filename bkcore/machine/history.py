"""What a position was worth whose history somebody hands in, outside of any run (spec engine.md 9)."""

from __future__ import annotations

from typing import Any

from numba import float64, int64, void

from bkcore.jit import kernel
from bkcore.machine.pnl import (
    add_partial,
    coins_of,
    pnl_percent,
    renew,
    renew_paid,
    renew_remaining,
    share_closed,
)
from bkcore.machine.records import ENTRY, PARTIAL, POSITION, array_of
from bkcore.machine.rules import reaches_breakeven
from bkcore.machine.settings import SETTINGS


@kernel(void(array_of(SETTINGS), array_of(POSITION), array_of(ENTRY), array_of(PARTIAL)))
def settle_history(setting: Any, trades: Any, entries: Any, partials: Any) -> None:
    """Write what follows from the history into ``trades[0]``; without entries its ``cost`` was paid at its price.

    Every fill pays the taker's rates of ``setting``, one record of ``SETTINGS``.

    Only ``price_open``, ``cost``, ``side`` and the counts of the position have to be given: one record of ``POSITION``,
    with its ``ENTRY`` and ``PARTIAL`` records in order.
    """
    position = trades[0]
    position.entry_fee = setting[0].fee_percent
    position.entry_slippage = setting[0].slippage
    position.taker_fee = setting[0].fee_percent
    for k in range(partials.size):
        partials[k].fee_percent = setting[0].fee_percent
        partials[k].slippage = setting[0].slippage
    count = position.partial_count
    position.partial_count = 0
    position.closed = 0.0
    bought = 0
    for k in range(count):
        partial = partials[k]
        costs, coins = coins_of(entries, bought, partial.entry_count)
        bought = partial.entry_count
        if k == 0:
            position.effective_open = position.price_open if coins == 0.0 else partial.basis / coins
            renew_paid(position)
        else:
            renew_remaining(position, partials[k - 1], costs, coins)
            renew_paid(position)
        add_partial(position, partial)
    renew(position, entries, partials)
    if position.entry_count == 0:
        position.invested = position.cost
        if position.partial_count == 0:
            position.effective_open = position.price_open
            position.remaining = position.cost
            renew_paid(position)
    position.closed_percent = share_closed(position)


@kernel(float64(array_of(SETTINGS), array_of(POSITION), array_of(ENTRY), array_of(PARTIAL), float64))
def history_percent(setting: Any, trades: Any, entries: Any, partials: Any, price: Any) -> Any:
    """Result in percent of closing at ``price`` what :func:`settle_history` has settled (spec engine.md 9.4).

    ``setting`` is one record of ``SETTINGS``; the tables are those that were settled.
    """
    return pnl_percent(trades[0], partials, setting[0], price)


@kernel(int64(array_of(SETTINGS), array_of(POSITION), float64))
def breakeven_due(setting: Any, trades: Any, price: Any) -> Any:
    """Whether ``price`` is at or beyond the breakeven threshold of a position (spec engine.md 8.6); 1 or 0.

    ``setting`` is one record of ``SETTINGS``; of ``trades[0]`` only ``side`` and ``effective_open`` are read.
    """
    return int64(reaches_breakeven(trades[0], setting[0], price))

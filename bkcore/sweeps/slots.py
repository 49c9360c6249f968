"""Where a trade of a signal frame can begin: the slots that every combination of a sweep walks over.

A flat run asks at the first tick of each interval bucket, and after a trade at the next tick, unless the trade began in
that tick's bucket (spec engine.md 5, step 2). So the next slot follows from a slot and the row of its exit.

This says of all ticks at once, in columns, what :mod:`bkcore.machine.throttle` says of one, which is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import uint64

from bkcore.intervals import first_tick_after, first_tick_from
from bkcore.jit import i4, i8, rule, type_of
from bkcore.machine.codes import Given
from bkcore.machine.market import Market
from bkcore.machine.run import Frame, Records
from bkcore.machine.settings import EngineSettings


class SlotColumns(NamedTuple):
    """Slots as kernels take them, ascending.

    times : i8[n]      the tick, UTC ms
    rows : i4[n]       the candle that opens at it: the first one monitored
    signals : i4[n]    the row that is offered
    freed : i4[n]      first candle of an exit that is followed by a tick of a later bucket
    after : i4[n]      where an earlier exit leads: the first tick of a later bucket that is a slot; n = none
    next_after : i4[rows of the market]   where an exit at that candle or a later one leads; n = none
    """

    times: Any
    rows: Any
    signals: Any
    freed: Any
    after: Any
    next_after: Any


SLOT_COLUMNS = type_of(SlotColumns, i8, i4, i4, i4, i4, i4)


@dataclass(frozen=True, eq=False)
class Slots:
    """Ticks at which a signal row is offered, and ``first``, the number of the one that the run begins with."""

    columns: SlotColumns
    first: int

    def __len__(self) -> int:
        return int(self.columns.times.size)


@rule
def slot_after(slots: Any, slot: Any, row: Any) -> Any:
    """The slot that follows a trade that began at ``slot`` and ended at candle ``row``."""
    here = uint64(slot)
    return slots.next_after[uint64(row)] if row >= slots.freed[here] else slots.after[here]


def reason_against_slots(market: Market, settings: EngineSettings, frame: Frame, signals: Records) -> str:
    """Why a run cannot be told by its slots alone; empty when it can."""
    ids = signals["id"][signals["id"] >= 0]
    if not signals.size:
        return "there are no signals"
    if market.has_holes:
        return "the candles have holes"
    if (signals["given"] & Given.PRICE_OPEN).any():
        return "signals give a price_open, so orders may rest"
    if np.unique(ids).size != ids.size:
        return "signal ids repeat"
    if market.timestamps[-1] <= frame.end_ms or market.timestamps[0] > frame.start_ms - settings.step_ms:
        return "no candle follows the frame"
    return ""


def slots_of(market: Market, frame: Frame, signals: Records, interval_ms: int) -> Slots:
    """The slots of a run for which :func:`reason_against_slots` finds no reason."""
    ticks = frame.start_ms + frame.step_ms * np.arange(frame.count, dtype=np.int64)
    buckets = ticks // interval_ms
    is_first = np.ones(ticks.size, np.bool_)
    is_first[1:] = buckets[1:] != buckets[:-1]
    offered = np.searchsorted(signals["time"], ticks, side="right") - 1
    has_signal = offered >= 0
    has_signal[has_signal] = (signals["time"][offered] >= buckets * interval_ms)[has_signal]
    has_signal[has_signal] = (signals["given"][offered] & Given.NOTHING == 0)[has_signal]
    chosen = np.flatnonzero(has_signal)
    slot_of_tick = np.full(ticks.size + 1, chosen.size, np.int32)
    slot_of_tick[chosen] = np.arange(chosen.size)
    grid = np.flatnonzero(has_signal & is_first)
    # From any tick: the first grid slot of a later bucket.
    later_ticks = first_tick_from((buckets + 1) * interval_ms, frame.start_ms, frame.step_ms)
    following = np.append(slot_of_tick[grid], np.int32(chosen.size))
    later = following[np.searchsorted(grid, later_ticks)]
    beginning = np.append(np.where(has_signal, slot_of_tick[:-1], later), np.int32(chosen.size))
    next_tick = first_tick_after(market.timestamps, frame.start_ms, frame.step_ms)
    last_of_bucket = frame.start_ms + (later_ticks[chosen] - 1) * frame.step_ms
    freed = -((market.timestamps[0] - last_of_bucket) // market.step_ms)
    columns = SlotColumns(
        times=ticks[chosen],
        rows=((ticks[chosen] - market.timestamps[0]) // market.step_ms).astype(np.int32),
        signals=offered[chosen].astype(np.int32),
        freed=freed.astype(np.int32),
        after=later[chosen].astype(np.int32),
        next_after=beginning[np.clip(next_tick, 0, ticks.size)].astype(np.int32),
    )
    return Slots(columns, int(beginning[0]))

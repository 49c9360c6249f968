"""Which trades does a signal frame make at real prices? The candles of a run, one after the other (spec fills.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.naive.fills.machine import Machine
from tests.naive.fills.outcome import Outcome
from tests.naive.fills.rows import Row
from tests.naive.market import Candle
from tests.naive.settings import interval_ms


def run(
    candles: Iterable[Sequence[float]],
    rows: Iterable[Row],
    settings: Mapping[str, Any],
    policy: Mapping[str, Any],
    *,
    start_ms: int,
    end_ms: int,
    interval: str,
    commands: Mapping[int, str] | None = None,
) -> Outcome:
    """Everything that happens between two times.

    candles    open time in ms UTC, open, high, low, close, volume; sorted, some may be missing. Where they are, what
               the last close before a hole decides is decided at the candle after it; ticks between decide nothing
    rows       the signal frame, sorted; columns as in fills.md 4. ValueError where two fall on one candle
    settings   CC_ values; a guard that is missing is off
    policy     fields of the policy, and of the strategy (``on_opposite``, ``exit_profit_only``, ...)
    commands   of the user, by the tick that executes them: "close" a position, "cancel" an order

    What ``get_signal`` answers at a tick is a row of that tick. ``size`` of a row changes no percent, so it has no
    part here; nor has an account.
    """
    step = interval_ms(interval)
    last = start_ms + (end_ms - start_ms) // step * step
    seen = [Candle(int(row[0]), *row[1:6]) for row in candles if row[0] <= last]
    by_tick = {row["timestamp"]: row for row in rows if start_ms <= row["timestamp"] <= last}
    machine = Machine(settings, policy, last, commands or {})
    before: Candle | None = None
    for candle in seen:
        if candle.timestamp >= start_ms:
            row = by_tick.pop(candle.timestamp, None)
            closed = candle.timestamp if before is None else before.timestamp + step
            if closed < candle.timestamp and closed in by_tick:
                if row is not None:
                    raise ValueError(f"rows at {closed} and {candle.timestamp} fall on one candle")
                row = by_tick.pop(closed)
            machine.candle(candle, before, row, step)
        before = candle
    if before is not None and before.timestamp < last:
        at_end = by_tick.pop(last, None) if before.timestamp + step == last else None
        machine.end_in_a_hole(before.close, at_end)
    machine.pass_over(by_tick.values())
    return machine.outcome

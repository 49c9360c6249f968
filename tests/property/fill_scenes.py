"""What a law of real prices is tried on: candles on a coarse grid, rows with every column, a policy, a configuration.

A scene has the form of a recorded scenario (``shared/golden/fills``), so the engine and the slow twin both play it.
Prices are whole multiples of a grid, and so are most levels: a candle that ends exactly at a level, two levels at one
price and an open exactly at a stop are frequent.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS
from tests.golden.fills_case import Record

MIDNIGHT = 1_700_006_400_000  # 2023-11-15 00:00 UTC
MIDDLE = 400  # where prices begin, in units of the grid
LOWEST = 40
MODELS = ("next_open", "last_close")
OPPOSITES = ("ignore", "close", "reverse")

_GAPS = (0, 0, 0, 0, 0, 1, -1, 2, -2, 0, 0, 0, 4, -4, 9, -9)
_BODIES = (0, 1, -1, 2, -2, 3, -3, 1, -1, 0, 4, -4, 6, -6, 12, -12)
_WICKS = (0, 0, 1, 0, 2, 1, 3, 6)
_HOLES = (0,) * 13 + (1, 2, 5)
_CALM = (0,) * 18 + (1, -1)

_seeds = st.integers(0, 2**32 - 1)
percents = st.sampled_from([1.0, 0.25, 0.5, 2.0, 3.0, 5.0])
moves = st.sampled_from([1.0, 0.0, 0.25, 0.5, 2.0, 4.0])
#: Rules of a policy; what needs another rule is added or dropped by :func:`usable`.
rules = st.fixed_dictionaries(
    {},
    optional={
        "close_at_profit_percent": st.sampled_from([1.0, 0.5, 2.0, -1.0]),
        "close_at_loss_percent": st.sampled_from([1.0, 0.5, 2.0]),
        "breakeven_from_percent": moves,
        "breakeven_offset_percent": st.sampled_from([0.25, 0.0, -0.5, 1.0]),
        "trailing_stop_from_percent": st.sampled_from([1.0, 0.0, -1.0, 0.5, 2.0]),
        "trailing_stop_distance_percent": percents,
        "trailing_take_from_percent": st.sampled_from([1.0, 0.0, 0.5, 2.0]),
        "trailing_take_distance_percent": percents,
        "partial_profit": st.sampled_from([[(50.0, 50.0)], [(25.0, 33.0), (50.0, 50.0), (75.0, 100.0)]]),
        "partial_loss": st.sampled_from([[(50.0, 50.0)], [(25.0, 20.0), (75.0, 100.0)]]),
        "partial_profit_percent": st.sampled_from([[(1.0, 50.0)], [(0.5, 25.0), (1.0, 25.0), (2.0, 100.0)]]),
        "partial_loss_percent": st.sampled_from([[(1.0, 50.0)], [(0.25, 10.0), (1.0, 60.0), (2.0, 100.0)]]),
        "dca_step_percent": st.sampled_from([1.0, 0.25, 0.5, 2.0]),
        "dca_most_entries": st.sampled_from([2, 3, 5, 31]),
        "dca_cost": st.sampled_from([50.0, 100.0, 250.0]),
        "dca_cost_factor": st.sampled_from([1.0, 2.0, 0.5, 1.5]),
        "trailing_by": st.sampled_from(["extreme", "close"]),
        "take_profit_steps": st.sampled_from(
            [
                [(0.0, 4.0), (3.0, 2.0), (6.0, 0.5), (9.0, -0.5)],
                [(2.0, 1.0)],
                [(0.0, 0.0)],
                [(0.5, 3.0), (2.5, 1.0), (4.75, 0.0)],
                [(1.0, 1.0), (2.0, 3.0)],
            ]
        ),
        "target_from_average_percent": percents,
        "exit_profit_only": st.booleans(),
        "on_opposite": st.sampled_from(OPPOSITES),
        "stop_may_loosen": st.booleans(),
        "cooldown_minutes": st.sampled_from([1.0, 0.0, 2.0, 3.5]),
        "max_hold_minutes": st.sampled_from([3.0, 1.0, 7.5, 30.0]),
    },
)
configurations = st.fixed_dictionaries(
    {
        "CC_FILL_MODEL": st.sampled_from(MODELS),
        "CC_PERCENT_FEE": st.sampled_from([0.0, 0.1, -0.02, 1.0]),
        "CC_PERCENT_SLIPPAGE": st.sampled_from([0.0, 0.1, 2.0]),
        "CC_POSITION_ENTRY_COST": st.sampled_from([100.0, 1e-3, 7e6]),
        "CC_SCHEDULE_AWAIT_MINUTES": st.sampled_from([3.0, 1.0, 0.0, 2.5, 20.0, math.inf]),
    },
    optional={
        "CC_PERCENT_MAKER_FEE": st.sampled_from([0.0, -0.05, 0.3]),
        "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": st.sampled_from([0.25, 1.0]),
        "CC_MIN_STOPLOSS_DISTANCE_PERCENT": st.sampled_from([0.25, 1.0]),
        "CC_MAX_STOPLOSS_DISTANCE_PERCENT": st.sampled_from([2.0, 5.0]),
        "CC_MAX_SIGNAL_LIFETIME_MINUTES": st.sampled_from([5.0, 60.0]),
    },
)
#: Columns that the rows of a scene may have beside those that say what to do.
COLUMNS = (
    "stop",
    "take",
    "limit",
    "trigger",
    "lifetime",
    "set_stop_loss",
    "set_take_profit",
    "trail_distance",
    "fee_percent",
    "cost",
    "size",
    "faults",
)
#: Those and the one that the twin does not know.
ALL_COLUMNS = (*COLUMNS, "symbol")
WAYS = ("position", "signs", "target", "booleans")


def usable(policy: Mapping[str, Any], *, step_minutes: int) -> dict[str, Any]:
    """Rules that a policy takes together, with minutes that suit candles of ``step_minutes``."""
    rules = dict(policy)
    for name in ("partial_profit", "partial_loss"):
        if name in rules:
            rules.pop(f"{name}_percent", None)
    needs = {
        "breakeven_offset_percent": "breakeven_from_percent",
        "trailing_take_from_percent": "trailing_take_distance_percent",
        **dict.fromkeys(("dca_most_entries", "dca_cost", "dca_cost_factor"), "dca_step_percent"),
    }
    for name, needed in needs.items():
        if needed not in rules:
            rules.pop(name, None)
    for name in ("cooldown_minutes", "max_hold_minutes"):
        if name in rules:
            rules[name] *= step_minutes
    if "take_profit_steps" in rules:
        rules["take_profit_steps"] = [(since * step_minutes, at) for since, at in rules["take_profit_steps"]]
    return rules


def candles_of(
    count: int, seed: int, *, unit: float, step_ms: int, holes: bool, calm: bool = False
) -> list[list[Any]]:
    """Candles from ``MIDNIGHT`` on; prices are multiples of ``unit``, and seldom move where it is ``calm``."""
    dice = np.random.default_rng(seed)
    tables = (_CALM,) * 4 if calm else (_GAPS, _BODIES, _WICKS, _WICKS)
    columns = [dice.choice(table, count).tolist() for table in (*tables, _HOLES)]
    candles: list[list[Any]] = []
    time, close = MIDNIGHT, MIDDLE
    for gap, body, up, down, hole in zip(*columns, strict=True):
        opened = max(LOWEST, close + gap)
        close = max(LOWEST, opened + body)
        high, low = max(opened, close) + abs(up), max(1, min(opened, close) - abs(down))
        time += hole * step_ms if holes and candles else 0
        candles.append([time, *(unit * price for price in (opened, high, low, close)), 1.0])
        time += step_ms
    return candles


class Rows:
    """Makes rows of a scene from seeds: each asks for something near the price that is known at its tick."""

    def __init__(
        self,
        candles: list[list[Any]],
        way: str,
        columns: frozenset[str],
        *,
        unit: float,
        step: int,
        in_percent: bool,
    ):
        self.candles, self.way, self.columns, self.unit, self.step = candles, way, columns, unit, step
        self.times = [candle[0] for candle in candles]
        self.in_percent = in_percent

    def row(self, time: int, dice: np.random.Generator) -> Record:
        """The row of a tick."""
        before = bisect_left(self.times, time) - 1
        here = round(self.candles[max(before, 0)][4] / self.unit)
        row: Record = {"timestamp": time}
        side = self._say(row, dice)
        has = {name: name in self.columns and dice.random() < 0.7 for name in ALL_COLUMNS}
        entry = here
        if has["limit"] and side:
            entry = here - side * int(dice.integers(-2, 7))
            row["price_open"] = self.unit * entry
        elif has["trigger"] and side:
            entry = here + side * int(dice.integers(-2, 7))
            row["price_trigger"] = self.unit * entry
        self._level(row, dice, has["stop"], "price_stop_loss", "stop_loss_percent", entry, -(side or 1))
        self._level(row, dice, has["take"], "price_take_profit", "take_profit_percent", entry, side or 1)
        if has["lifetime"]:
            minutes = dice.choice([2.0, 1.0, 4.0, 0.5, 7.25, 50.0, math.inf])
            row["minute_estimated_time"] = float(minutes * self.step / MINUTE_MS)
        for name in ("set_stop_loss", "set_take_profit"):
            if has[name] and dice.random() < 0.5:
                row[name] = self.unit * max(1, here + int(dice.integers(-8, 9)))
        if has["trail_distance"]:
            row["trail_distance"] = self.unit * int(dice.choice([1, 2, 4, 8]))
        if has["fee_percent"]:
            row["fee_percent"] = float(dice.choice([0.0, -0.1, 0.3]))
        if has["cost"]:
            row["cost"] = float(dice.choice([50.0, 1.0, 300.0]))
        if has["size"]:
            row["size"] = float(dice.choice([0.5, 1.0]))
        if has["symbol"]:
            row["symbol"] = str(dice.choice(["TEST", "OTHER"]))
        if has["faults"] and dice.random() < 0.3:
            self._spoil(row, dice)
        return row

    def _say(self, row: Record, dice: np.random.Generator) -> int:
        """Write what the row wants; the side that it may enter."""
        side = int(dice.choice([1, 1, -1, -1, 0]))
        leaves = dice.random() < 0.25
        if self.way == "target":
            row["target"] = side if dice.random() < 0.9 else None
            return side
        if self.way == "booleans":
            row.update(enter_long=side > 0, enter_short=side < 0)
            row.update(
                exit_long=bool(leaves and dice.random() < 0.7),
                exit_short=bool(leaves and dice.random() < 0.7),
            )
            return side
        if self.way == "signs":
            row["position"] = side if dice.random() < 0.8 else (side or None)
            row["exit"] = bool(leaves)
            return side
        row["position"] = {1: "long", -1: "short", 0: None}[side]
        row["exit"] = str(dice.choice(["long", "short"])) if leaves else None
        return side

    def _level(
        self,
        row: Record,
        dice: np.random.Generator,
        wanted: bool,
        price: str,
        percent: str,
        entry: int,
        toward: int,
    ) -> None:
        if not wanted:
            return
        if self.in_percent and dice.random() < 0.5:
            row[percent] = float(dice.choice([0.25, 0.5, 1.0, 2.0, 5.0]))
        else:
            row[price] = self.unit * max(1, entry + toward * int(dice.choice([1, 2, 4, 8, 20, 0, -2])))

    def _spoil(self, row: Record, dice: np.random.Generator) -> None:
        """Make one of the given prices or percents none that can be."""
        given = [
            name
            for name in row
            if name.startswith("price_") or name.endswith(("profit_percent", "loss_percent"))
        ]
        if given:
            row[str(dice.choice(given))] = float(dice.choice([0.0, -1.0, math.inf, math.nan]))


@st.composite
def fill_scenes(
    draw: st.DrawFn,
    *,
    holes: bool | None = None,
    columns: Sequence[str] = COLUMNS,
    ways: Sequence[str] = WAYS,
    scales: Sequence[float] = (1.0, 1.0, 2.0**-40, 2.0**30, 1e-7, 3.7e5),
    policies: st.SearchStrategy[Mapping[str, Any]] = rules,
    settings: st.SearchStrategy[Mapping[str, Any]] = configurations,
    candles: tuple[int, int] = (4, 100),
    calm: bool = False,
    densities: Sequence[float] = (0.5, 0.2, 0.9),
    in_percent: bool = True,
) -> Record:
    """A scene.

    holes       whether candles may be missing; None: drawn
    candles     the least and the most of them
    calm        whether prices seldom move, so that a run has something to jump over
    densities   shares of the ticks that have a row
    in_percent  whether rows may give levels in percent
    """
    interval = draw(st.sampled_from(["1m", "15m", "1h", "1d"]))
    step = INTERVAL_MINUTES[interval] * MINUTE_MS
    unit = 0.25 * draw(st.sampled_from(scales))
    configuration = dict(draw(settings))
    patience = "CC_SCHEDULE_AWAIT_MINUTES"
    for name in (patience, "CC_MAX_SIGNAL_LIFETIME_MINUTES"):
        if name in configuration:
            configuration[name] *= step / MINUTE_MS
    with_holes = draw(st.booleans()) if holes is None else holes
    count = draw(st.integers(*candles))
    made = candles_of(count, draw(_seeds), unit=unit, step_ms=step, holes=with_holes, calm=calm)
    first, last = made[0][0], made[-1][0] + step
    earliest = 0 if configuration["CC_FILL_MODEL"] == "next_open" else 1
    start = first + step * draw(st.integers(earliest, 3))
    ticks = max(1, (last - start) // step)
    end = start + step * (ticks + draw(st.sampled_from([0, 0, 1, 4, -1, -2, -5])))
    end = max(start + step, end) + draw(st.sampled_from([0, 0, step // 2, step - 1]))
    way = draw(st.sampled_from(ways))
    chosen = draw(st.frozensets(st.sampled_from(columns), max_size=7))
    maker = Rows(made, way, chosen, unit=unit, step=step, in_percent=in_percent)
    dice = np.random.default_rng(draw(_seeds))
    density = draw(st.sampled_from(densities))
    times = [time for time in range(start - 2 * step, end + 3 * step, step) if dice.random() < density] or [
        start
    ]
    rows = [maker.row(time, dice) for time in decided_once(times, made, step)]
    return {
        "id": "scene",
        "family": way,
        "candles": made,
        "rows": rows,
        "settings": configuration,
        "policy": usable(draw(policies), step_minutes=step // MINUTE_MS),
        "frame": {"start_ms": start, "end_ms": end, "interval": interval},
    }


def decided_once(times: Sequence[int], candles: list[list[Any]], step: int) -> list[int]:
    """The times without those at the edge of a hole where the candle after it has a row of its own."""
    opened = [candle[0] for candle in candles]
    edges = {one + step: other for one, other in pairwise(opened) if other != one + step}
    asked = frozenset(times)
    kept = [time for time in times if edges.get(time) not in asked]
    return kept or list(times[-1:])


def scene_of(
    candles: list[list[Any]],
    rows: list[Record],
    policy: Mapping[str, Any] = MappingProxyType({}),
    *,
    end: int = 0,
    **settings: Any,
) -> Record:
    """A scene told by hand, of minutes and without costs, from its first candle to its last.

    end        minutes by which the frame ends later than the last candle opens
    settings   constants without ``CC_``; the model is ``next_open``
    """
    plain = {
        "FILL_MODEL": "next_open",
        "PERCENT_FEE": 0.0,
        "PERCENT_SLIPPAGE": 0.0,
        "POSITION_ENTRY_COST": 100.0,
        "SCHEDULE_AWAIT_MINUTES": math.inf,
    }
    last = candles[-1][0] + end * MINUTE_MS
    return {
        "id": "scene",
        "family": "by hand",
        "candles": candles,
        "rows": rows,
        "settings": {f"CC_{name}": value for name, value in {**plain, **settings}.items()},
        "policy": dict(policy),
        "frame": {"start_ms": candles[0][0], "end_ms": last, "interval": "1m"},
    }

"""Which parameters change what, and how are the combinations measured fastest? Chooses the plan of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bkapi.backtests.prepare import hooks_of, signal_table
from bkapi.errors import BkError, SchemaError, UnknownNameError
from bkapi.runs.strategy import StrategyRun
from bkapi.schemas.policy import Policy, refuse_under_vwap
from bkapi.schemas.space import Column, Space
from bkapi.schemas.strategy import StrategySchema
from bkapi.sweeps.policies import policy_records
from bkcore.errors import did_you_mean, shown
from bkcore.intervals import MOST_MINUTES, interval_step_ms
from bkcore.machine.codes import Given
from bkcore.machine.market import Market
from bkcore.machine.run import Frame, Records, no_signals
from bkcore.machine.settings import EngineSettings
from bkcore.statistics.metrics import METRIC_NAMES, Metric
from bkcore.sweeps.paths import PathSweep
from bkcore.sweeps.slots import Slots, reason_against_slots, slots_of
from bkcore.sweeps.static import StaticSweep, cell_bytes
from bkcore.sweeps.tables import Levels
from bkcore.sweeps.walks import Depth, spans
from bkcore.sweeps.whole_runs import MachineSweep

#: The parameters that replace the bracket of every signal, in order.
BRACKET: Final = ("take_profit_percent", "stop_loss_percent", "lifetime_minutes")
_PROBES, _PROBE_SECONDS = 64, 5e-3
_SWEPT_LEVELS: Final = (
    ("take_profit_percent", "take_profit", Given.TAKE_PERCENT),
    ("stop_loss_percent", "stop_loss", Given.STOP_PERCENT),
)
_WHOLE: Final = ("lifetime_minutes", "dca_most_entries")
#: The columns of a result besides the parameters.
RESULT_COLUMNS: Final = ("combination", "symbol", "frame_name", *METRIC_NAMES, "refused_signals")
_TRAIL: Final = ("trailing_stop_from_percent", "trailing_stop_distance_percent")
PlanName = Literal["tables", "paths", "machine"]
Float = NDArray[np.float64]
Told = Callable[[float], object]

#: Seconds per trade and thread, on the machine of docs/performance.md; a cell is one level of one slot.
_TABLE_SECONDS: Final = {Depth.RESULTS: 4.5e-9, Depth.DRAWDOWN: 7.5e-9, Depth.ALL: 90e-9}
_PATH_SECONDS: Final = {Depth.RESULTS: 50e-9, Depth.DRAWDOWN: 120e-9, Depth.ALL: 340e-9}
_CELL_SECONDS: Final = 25e-9
_LISTED: Final = 500_000  # trades that are listed at a time


class SweepError(BkError, ValueError):
    """Raised by ``sweep_brackets(..., take_profit_percent=[0])``: an axis is empty or holds an impossible value."""


@dataclass(frozen=True)
class Roles:
    """What each parameter of a space changes.

    signals   arguments of the ``signals`` function: it is called once per set of them
    hooks     parameters of jitted functions
    policy    fields of the policy
    bracket   take-profit, stop-loss and lifetime of every signal
    """

    signals: tuple[str, ...]
    hooks: tuple[str, ...]
    policy: tuple[str, ...]
    bracket: tuple[str, ...]

    @classmethod
    def of(cls, space: Space, strategy: StrategySchema) -> Roles:
        """Sort the names of a space; raises :class:`UnknownNameError` for a name that is none of these."""
        common = (*strategy.params, *BRACKET)  # take_profit means take_profit_percent, not take_profit_steps
        known = (*common, *Policy.model_fields)
        for name in space.names:
            if name not in known:
                raise UnknownNameError(
                    "parameter",
                    name,
                    "Sweep",
                    known,
                    hint=(did_you_mean(name, common) or did_you_mean(name, known))
                    + f"give params={{{name!r}: ...}} to the strategy, or vary one of {', '.join(known)}.",
                )
        own = tuple(name for name in space.names if name in strategy.params)
        return cls(
            signals=own if strategy.signals is not None else (),
            hooks=own if strategy.signals is None else (),
            policy=tuple(n for n in space.names if n in Policy.model_fields and n not in own),
            bracket=tuple(n for n in space.names if n in BRACKET and n not in own),
        )


def with_parameters(strategy: StrategySchema, chosen: Mapping[str, Any], roles: Roles) -> StrategySchema:
    """A strategy with the given parameters. A bracket is left out: the signals carry it."""
    own = {name: value for name, value in chosen.items() if name in strategy.params}
    changes: dict[str, Any] = {"params": {**strategy.params, **own}}
    rules = {name: chosen[name] for name in roles.policy}
    if rules:
        known = {} if strategy.policy is None else strategy.policy.model_dump(exclude_unset=True)
        changes["policy"] = Policy(**{**known, **rules})
    return strategy.model_copy(update=changes)


def check_bracket(space: Space, names: Sequence[str], settings: EngineSettings) -> None:
    """Raise :class:`SweepError` unless every bracket in the space can be traded.

    At real prices a lifetime may be a fraction, and the limits are those that are on (spec fills.md 6).
    """
    limits = {
        "take_profit_percent": (settings.min_take_profit_percent, np.inf),
        "stop_loss_percent": (settings.min_stop_loss_percent, settings.max_stop_loss_percent or np.inf),
        "lifetime_minutes": (0.0 if settings.at_real_prices else 1.0, settings.max_lifetime_minutes),
    }
    for name in names:
        _check_axis(name, space.ends(name), *limits[name], whole=not settings.at_real_prices)


def _refuse_priced(
    signals: Records, bracket: Sequence[str], strategy_name: str, settings: EngineSettings
) -> None:
    """Raise :class:`SweepError` where a level that is swept is given as a price."""
    swept = [(field, bit) for name, field, bit in _SWEPT_LEVELS if name in bracket]
    given = signals["given"]
    if settings.at_real_prices:  # a level that is missing may be swept, too
        enters = signals["side"] != 0
        priced = [
            bool((enters & (given & bit == 0) & ~np.isnan(signals[field])).any()) for field, bit in swept
        ]
    else:
        priced = [not (given & Given.PERCENT_LEVELS).all() for _ in swept]
    if any(priced):
        raise SweepError(
            f"the signals of {strategy_name!r} give their levels as prices.",
            hint="return the columns take_profit_percent and stop_loss_percent instead.",
        )


def check_columns(space: Space) -> None:
    """Raise :class:`SweepError` for a parameter that has the name of a column of the result."""
    for name in space.names:
        if name in RESULT_COLUMNS:
            raise SweepError(
                f"the parameter {name!r} has the name of a column of the result.",
                hint=f"rename it in the strategy, to {name}_limit or the like.",
            )


def check_hooks(space: Space, names: Sequence[str]) -> None:
    """Raise :class:`SweepError` for a value that a jitted function cannot take."""
    for name in names:
        for value in space.ends(name):
            if not isinstance(value, int | float):
                raise SweepError(
                    f"{name}={value!r} is no number.", hint="a jitted function reads its params as numbers."
                )


def check_whole(space: Space, names: Sequence[str]) -> None:
    """Raise :class:`SweepError` for a range of fractions of a parameter that takes whole numbers only."""
    for name in names:
        if name in _WHOLE and space.values(name) is None:
            ends = space.ends(name)
            if not all(isinstance(end, int) for end in ends):
                whole = ", ".join(f"{end:.0f}" for end in ends)
                raise SweepError(
                    f"{name}={tuple(ends)!r} draws fractions.",
                    hint=f"give whole numbers, {name}=({whole}).",
                )


def _check_axis(name: str, values: Sequence[Any], least: float, most: float, *, whole: bool) -> None:
    try:
        axis = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise SweepError(
            f"{name}={shown(list(values))} is no list of numbers.", hint=f"give {name}=[1.0, 2.0]."
        ) from None
    for value in axis:
        if name == "lifetime_minutes" and MOST_MINUTES < value < np.inf:
            raise SweepError(
                f"lifetime_minutes={value:g} is longer than a time in milliseconds holds.",
                hint=f"give at most {MOST_MINUTES:,} minutes, or inf for no end.",
            )
        # A percent that differs from a limit by less than a billionth is at the limit.
        endless = name == "lifetime_minutes" and value == np.inf and not whole
        fits = endless or (value > 0.0 and least * (1.0 - 1e-9) <= value <= most * (1.0 + 1e-9))
        counts = whole and name == "lifetime_minutes"
        if not fits or (counts and value != np.inf and value % 1):
            number = "a whole number " if counts else ""
            raise SweepError(
                f"{name}={value:g} is not {number}between {least:g} and {most:g}.",
                hint="the limits come from the configuration, see get_config() and set_config().",
            )


@dataclass(frozen=True)
class Choice:
    """The plan that measures a set of signals, and the reason; seconds are a forecast for one thread."""

    plan: PlanName
    reason: str
    levels: int
    slots: int
    seconds_to_begin: float
    seconds_per_combination: float


@dataclass(frozen=True, eq=False)
class SweepMarket:
    """One symbol and frame of a sweep.

    signals   the candidates of the strategy as it is registered
    """

    symbol: str
    frame_name: str
    market: Market
    settings: EngineSettings
    frame: Frame
    signals: Records

    @classmethod
    def of(cls, run: StrategyRun) -> SweepMarket:
        """The market of a prepared run."""
        return cls(run.symbol, run.names.frame_name, run.run.market, run.settings, run.frame, run.run.signals)


class SignalSet:
    """One market and one set of signals; measures combinations of brackets and policies over them."""

    def __init__(
        self,
        market: SweepMarket,
        strategy: StrategySchema,
        space: Space,
        roles: Roles,
        *,
        depth: Depth,
        threads: int,
        memory: int,
    ) -> None:
        self._space = space
        self._roles = roles
        self._depth = depth
        self._threads = threads
        self._memory = memory
        self._strategy = strategy
        self._base = {} if strategy.policy is None else strategy.policy.model_dump(exclude_unset=True)
        self._has_policy = strategy.policy is not None or bool(roles.policy)
        signals = market.signals
        if roles.signals:
            table = signal_table(
                strategy, market.market, market.symbol, settings=market.settings, frame=market.frame
            )
            signals = no_signals() if table is None else table.records
        _refuse_priced(signals, roles.bracket, strategy.strategy_name, market.settings)
        self._inputs = (market.market, market.settings, market.frame, signals)
        self._interval_ms = interval_step_ms(strategy.interval)
        self._hooks = hooks_of(strategy)
        self._slots: Slots | None = None
        self._why_machine = self._reason_for_machine()
        if not self._why_machine:
            self._slots = slots_of(market.market, market.frame, signals, self._interval_ms)
        self._machine: MachineSweep | None = None
        self._paths: PathSweep | None = None
        self._tables: tuple[Levels, StaticSweep] | None = None
        self._machine_seconds = 0.0

    def _reason_for_machine(self) -> str:
        market, settings, frame, signals = self._inputs
        if self._hooks.kernel is not None:
            return "a jitted kernel decides at every tick"
        if self._hooks.manage is not None:
            return "a manage hook looks at every candle"
        if settings.at_real_prices:
            return "orders fill at real prices"
        return reason_against_slots(market, settings, frame, signals)

    # ------------------------------------------------------------------------------------------------- the plan

    def choose(self, count: int, columns: Mapping[str, Column], trades: float) -> Choice:
        """The plan for ``count`` combinations, of which ``columns`` are a part, with about ``trades`` trades each.

        The choice depends on the sweep alone, so a sweep that goes on from its parts chooses the same.
        """
        if self._slots is None:
            return Choice("machine", self._why_machine, 0, 0, 0.0, self._machine_seconds)
        per_path = trades * _PATH_SECONDS[self._depth]
        paths = Choice("paths", "", 0, len(self._slots), 0.0, per_path)
        policies = self._policies(columns)
        if policies is not None and not _only_trails(policies[0]):
            return _because(paths, "the policy moves levels with other events")
        levels = self._level_count(count)
        to_begin = levels * len(self._slots) * _CELL_SECONDS
        per_table = trades * _TABLE_SECONDS[self._depth]
        if to_begin + count * per_table > count * per_path:
            return _because(paths, f"{levels:,} distinct levels for {count:,} combinations share too little")
        reason = "every exit depends on its own level only"
        return Choice("tables", reason, levels, len(self._slots), to_begin, per_table)

    def probe(self, columns: Mapping[str, Column]) -> float:
        """How many trades one combination has, from a whole backtest, whose time is kept for :meth:`choose`."""
        import time

        self._by_machine(columns, 1, silent)  # untimed: loads kernels and allocates
        for count in (1, _PROBES):  # one combination may take less time than starting a thread
            some = {name: Column(c.values, np.repeat(c.codes, count)) for name, c in columns.items()}
            started = time.perf_counter()
            metrics, _ = self._by_machine(some, count, silent)
            seconds = time.perf_counter() - started
            self._machine_seconds = seconds / count * (self._threads if count > 1 else 1)
            if seconds > _PROBE_SECONDS:
                break
        return float(metrics[0, Metric.TOTAL_TRADES])

    # ---------------------------------------------------------------------------------------------- measuring

    def measure(
        self, choice: Choice, columns: Mapping[str, Column], count: int, progress: Told
    ) -> tuple[Float, NDArray[np.int64]]:
        """Metrics f8[count, len(Metric)] and refused signals of combinations; NaN where a metric is not measured."""
        if choice.plan == "machine":
            return self._by_machine(columns, count, progress)
        by_plan = self._by_tables if choice.plan == "tables" else self._by_paths
        metrics, refused, unclear = by_plan(columns, count, progress)
        if choice.plan == "tables" and unclear.any():
            again = np.flatnonzero(unclear)
            metrics[again], refused[again], unclear[again] = self._by_paths(
                rows_of(columns, again), again.size, silent
            )
        if unclear.any():
            again = np.flatnonzero(unclear)
            metrics[again], refused[again] = self._by_machine(rows_of(columns, again), again.size, silent)
        return metrics, refused

    def period_returns(
        self, columns: Mapping[str, Column], trades: NDArray[np.int64], edges: NDArray[np.int64]
    ) -> Float:
        """The returns of combinations in each period, f8[periods, n], in percent: sums of the trades that closed in it.

        trades   how many each combination has, as measured
        edges : i8[periods + 1]   where periods begin, ms UTC, and where the last one ends (included)
        """
        returns = np.zeros((edges.size - 1, trades.size))

        def add(k: int, results: Float, close: NDArray[np.int64]) -> None:
            place = np.clip(np.searchsorted(edges, close, side="right") - 1, 0, edges.size - 2)
            returns[:, k] = np.bincount(place, results, edges.size - 1)

        if self._slots is None:
            self._by_machine(columns, trades.size, silent, add)
            return returns
        for begin, end in spans(trades, _LISTED):
            some = {name: Column(column.values, column.codes[begin:end]) for name, column in columns.items()}
            policies = self._policies(some)
            rules = None if policies is None else policies[0][policies[1]]
            bracket = self._bracket(some, end - begin)
            listing = self._path_sweep().listed(*bracket, rules, trades[begin:end])
            for k in range(begin, end):
                part = slice(listing.bounds[k - begin], listing.bounds[k - begin + 1])
                add(k, listing.columns.results[part], listing.columns.close[part])
        return returns

    def _by_machine(
        self,
        columns: Mapping[str, Column],
        count: int,
        progress: Told,
        trades: Callable[[int, Float, NDArray[np.int64]], object] | None = None,
    ) -> tuple[Float, NDArray[np.int64]]:
        if self._machine is None:
            self._machine = MachineSweep(
                *self._inputs,
                interval_ms=self._interval_ms,
                threads=self._threads,
                has_policy=self._has_policy,
                hooks=self._hooks,
                asks_in_position=self._strategy.when_in_position,
            )
        policies = self._policies(columns)
        if policies is None and self._has_policy:
            policies = (Policy(**self._base).record(), np.zeros(count, np.int64))
        rules = None if policies is None else policies[0][policies[1]]
        return self._machine.measure(
            *(*self._bracket(columns, count), rules, self._parameters(columns, count)),
            progress=progress,
            trades=trades,
        )

    def _by_paths(self, columns: Mapping[str, Column], count: int, progress: Told) -> Any:
        policies = self._policies(columns)
        rules = None if policies is None else policies[0][policies[1]]
        return self._path_sweep().measure(*self._bracket(columns, count), rules, progress=progress)

    def _path_sweep(self) -> PathSweep:
        if self._paths is None:
            assert self._slots is not None
            self._paths = PathSweep(*self._inputs, self._slots, depth=self._depth, threads=self._threads)
        return self._paths

    def _by_tables(self, columns: Mapping[str, Column], count: int, progress: Told) -> Any:
        policies = self._policies(columns)
        levels = self._levels(columns, policies)
        if self._tables is None or not _same_levels(self._tables[0], levels):
            assert self._slots is not None
            self._tables = (
                levels,
                StaticSweep(
                    *(*self._inputs, self._slots, levels),
                    depth=self._depth,
                    threads=self._threads,
                    memory=self._memory,
                ),
            )
        axes = (levels.takes, levels.stops, levels.lifetimes)
        bracket = self._bracket(columns, count)
        takes, stops, lifetimes = (
            np.searchsorted(axis, values) for axis, values in zip(axes, bracket, strict=True)
        )
        trails = None
        if len(levels.trails):
            assert policies is not None
            places = {tuple(trail): k for k, trail in enumerate(levels.trails.tolist())}
            of_policy = [places[trail] for trail in _trails_of(policies[0])]
            trails = np.array(of_policy, np.int64)[policies[1]]
        return self._tables[1].measure(takes, stops, lifetimes, trails, progress=progress)

    # -------------------------------------------------------------------------------- parameters as kernels read

    def _bracket(self, columns: Mapping[str, Column], count: int) -> tuple[Float, Float, Float]:
        take, stop, lifetime = (
            columns[name].numbers() if name in self._roles.bracket else np.full(count, np.nan)
            for name in BRACKET
        )
        return take, stop, lifetime

    def _policies(self, columns: Mapping[str, Column]) -> tuple[Records, NDArray[np.int64]] | None:
        """The distinct policies of the combinations, and which one each has; None without a policy."""
        if not self._has_policy:
            return None
        if not self._roles.policy:
            count = len(next(iter(columns.values())).codes) if columns else 1
            return Policy(**self._base).record(), np.zeros(count, np.int64)
        codes = np.stack([columns[name].codes for name in self._roles.policy], axis=1)
        distinct, which = np.unique(codes, axis=0, return_inverse=True)
        chosen = {
            name: Column(columns[name].values, distinct[:, place].copy())
            for place, name in enumerate(self._roles.policy)
        }
        fill = self._inputs[1].fill
        return policy_records(self._base, chosen, len(distinct), fill=fill), which.reshape(-1)

    def _parameters(self, columns: Mapping[str, Column], count: int) -> Float | None:
        if not self._roles.hooks:
            return None
        table = np.empty((count, len(self._strategy.params)))
        for place, (name, value) in enumerate(self._strategy.params.items()):
            table[:, place] = columns[name].numbers() if name in self._roles.hooks else float(value)
        return table

    def _levels(
        self, columns: Mapping[str, Column], policies: tuple[Records, NDArray[np.int64]] | None
    ) -> Levels:
        takes, stops, lifetimes = (self._axis(name, columns) for name in BRACKET)
        trails = np.empty((0, 2))
        if policies is not None:
            named = [name for name in _TRAIL if name in self._roles.policy]
            known = {name: self._space.values(name) for name in named}
            chosen = set(_trails_of(policies[0]))
            if named and all(values is not None for values in known.values()):
                chosen |= self._all_trails(known)  # type: ignore[arg-type]
            trails = np.array(sorted(chosen))
        return Levels(takes, stops, lifetimes, trails)

    def _level_count(self, count: int) -> int:
        """About how many distinct levels ``count`` combinations have."""
        axes: list[tuple[str, ...]] = [(name,) for name in BRACKET]
        if self._has_policy:
            axes.append(_TRAIL)
        levels = 0
        for axis in axes:
            known = [self._space.values(name) for name in axis if name in self._space.names]
            levels += min(count, math.prod(count if v is None else len(v) for v in known))
        return levels

    def _all_trails(self, known: Mapping[str, Sequence[Any]]) -> set[tuple[float, float]]:
        """Every trailing stop of the space, so that one table serves all parts; without a distance there is none."""
        trails = set()
        for row in product(*known.values()):
            rules = {**self._base, **dict(zip(known, row, strict=True))}
            with suppress(SchemaError):
                policy = Policy(**rules)
                refuse_under_vwap(policy, self._inputs[1].fill, self._strategy.strategy_name)
                trails |= set(_trails_of(policy.record()))
        return trails

    def _axis(self, name: str, columns: Mapping[str, Column]) -> Float:
        """The levels of an axis: all of the space, or those of these combinations where the space has too many."""
        if name not in self._roles.bracket:
            return np.array([np.nan])
        values = self._space.values(name)
        return np.unique(columns[name].numbers() if values is None else np.array(values, np.float64))


def rows_of(columns: Mapping[str, Column], rows: NDArray[np.int64]) -> dict[str, Column]:
    """The parameters of some combinations."""
    return {name: Column(column.values, column.codes[rows]) for name, column in columns.items()}


def silent(done: float) -> None:
    """Ignores progress."""


def _because(choice: Choice, reason: str) -> Choice:
    from dataclasses import replace

    return replace(choice, reason=reason)


def _only_trails(policies: Records) -> bool:
    """Whether every policy has a trailing stop and no other rule."""
    never = ("close_profit", "close_loss", "breakeven_from", "take_from", "max_hold")
    none = ("profit_count", "loss_count", "most_entries", "step_count", "cooldown_ms")
    off = ("by_close", "stop_may_loosen", "exit_profit_only", "on_opposite")
    idle = [np.isinf(policies[name]) for name in never]
    idle += [policies[name] == 0 for name in (*none, *off)]
    idle.append(np.isnan(policies["target_from_average"]))
    return bool(np.all(idle))


def _trails_of(policies: Records) -> list[tuple[float, float]]:
    return list(zip(policies["stop_from"].tolist(), policies["stop_distance"].tolist(), strict=True))


def _same_levels(one: Levels, other: Levels) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("takes", "stops", "lifetimes", "trails")
    )


def table_bytes(choice: Choice, depth: Depth) -> int:
    """Memory for the tables of a plan when all of them are kept."""
    return choice.levels * choice.slots * cell_bytes(depth) if choice.plan == "tables" else 0

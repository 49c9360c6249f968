"""Which parameters suit a strategy? Measures a space of them on one or many markets."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from copy import copy
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ByteSize, TypeAdapter, ValidationError

from bkapi.backtests.prepare import prepare, run_to_end
from bkapi.base.context import Context
from bkapi.base.progress import Progress, progress_of
from bkapi.base.record import Record, record
from bkapi.base.resources import cores, resident_bytes
from bkapi.errors import UnknownNameError
from bkapi.runs.commanding import commander_of
from bkapi.runs.finished import FinishedRun
from bkapi.schemas.registry import strategies
from bkapi.schemas.space import Column, Space
from bkapi.schemas.strategy import StrategySchema
from bkapi.statistics.columns import check_column
from bkapi.sweeps.measurer import Engine, Measurer, Part, measured_here, version
from bkapi.sweeps.parts import PartFolder, digest_of, source_of
from bkapi.sweeps.plan import (
    BRACKET,
    Choice,
    PlanName,
    Roles,
    SweepError,
    SweepMarket,
    check_bracket,
    check_columns,
    check_hooks,
    check_whole,
    table_bytes,
    with_parameters,
)
from bkapi.sweeps.policies import check_policy
from bkapi.sweeps.result import SweepResult
from bkcore.errors import shown
from bkcore.statistics.metrics import COUNTS, METRIC_NAMES, Metric
from bkcore.statistics.price_profile import Trend
from bkcore.sweeps.cells import WIDTH
from bkcore.sweeps.static import cell_bytes
from bkcore.sweeps.walks import LISTED, Depth

logger = logging.getLogger("bkapi")

#: The columns that name a bracket, in order.
PARAMETERS: Final = BRACKET
MetricGroup = Literal["results", "drawdown", "all"]
EngineName = Literal["local", "ray"]

_MOST_COMBINATIONS: Final = 5_000_000  # two gigabytes of metrics in memory
_PART_SECONDS: Final = 4.0  # about the most that a killed sweep loses
_PART_COMBINATIONS: Final = (256, 65_536)
_LEAST_TABLE_MEMORY: Final = 64 << 20
_CANDLE_BYTES: Final = 176  # of candles as a signals function gets them, and of slots
_OWN_BYTES: Final = 8 << 20  # of runs, threads and frames, whatever is swept
_LISTED_BYTES: Final = 48  # of a trade that is looked at by itself
_MOST_THREADS: Final = 1024
_AMOUNT: Final = re.compile(r"\s*[\d.]+\s*[a-z]*\s*", re.IGNORECASE)  # pydantic would read "1,5G" as one byte

#: What each group of metrics leaves out.
_NEEDS_TRADES: Final = (Metric.MEDIAN_PNL, *range(Metric.MEDIAN_STEP_SIZE, len(Metric)))
_NEEDS_EXTREMES: Final = (
    *(Metric.CALMAR_RATIO, Metric.RECOVERY_FACTOR, Metric.MAX_DRAWDOWN, Metric.AVG_PEAK_PNL),
    *(Metric.AVG_FALL_PNL, Metric.PEAK_PROFIT_PNL, Metric.MAX_DRAWDOWN_PNL),
)
_LEFT_OUT: Final = {
    Depth.ALL: frozenset[int](),
    Depth.DRAWDOWN: frozenset(_NEEDS_TRADES),
    Depth.RESULTS: frozenset((*_NEEDS_TRADES, *_NEEDS_EXTREMES)),
}


class SweepOptions(TypedDict, total=False):
    """The arguments of :class:`ParameterSweep` besides context and space."""

    symbol: str | None
    symbols: Sequence[str]
    frame_names: Sequence[str]
    metrics: MetricGroup
    threads: int | None
    max_memory: int | str


@record
class SweepExplanation(Record):
    """How a sweep will be measured; seconds and memory are forecasts.

    plan           ``tables`` (first passages, shared by all combinations), ``paths`` (the machine plays every trade,
                   jumping over quiet candles) or ``machine`` (a whole backtest per combination)
    reason         why this plan
    combinations   of the space, before its conditions
    markets        pairs of symbol and frame
    signal_sets    how often signals are computed per market
    levels, slots  distinct levels of all axes, and ticks at which a trade may begin: tables have a cell for each pair
    trades         of one combination that was tried: the middle of every axis, or the first that meets the conditions
    """

    plan: PlanName
    reason: str
    combinations: int
    markets: int
    signal_sets: int
    levels: int
    slots: int
    trades: float
    threads: int
    seconds: float
    table_mb: float
    result_mb: float
    part_combinations: int

    def __repr__(self) -> str:
        sets = f"{self.signal_sets:,} set{'s' if self.signal_sets > 1 else ''} of signals"
        lines = [
            f"{self.combinations:,} combinations x {self.markets:,} market{'s' if self.markets > 1 else ''}, {sets}",
            f"plan: {self.plan}, because {self.reason}",
            f"about {self.seconds:.3g} s on {self.threads} threads, {self.table_mb:,.0f} MB of tables, "
            f"{self.result_mb:,.0f} MB of results, in parts of {self.part_combinations:,}",
            f"{self.trades:,.0f} trades per combination; {self.levels:,} levels x {self.slots:,} slots",
        ]
        return "\n".join(lines)


class ParameterSweep:
    """A strategy, a space of its parameters, and the markets they are tried on; made by ``Sweep(...)``.

    context   ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``
    space     a :class:`Space` whose names are parameters of the strategy (``params``), fields of its :class:`Policy`,
              or ``take_profit_percent``, ``stop_loss_percent``, ``lifetime_minutes``, which replace those of every
              signal
    symbols, frame_names   several of each are crossed; a frame defaults to that of the context
    metrics   ``results`` (what follows from the trades' results), ``drawdown`` (and from their best and worst moments),
              ``all`` (and the median and the price profile, at about ten times the cost)
    threads   default: the cores of this process
    max_memory   bytes of the process, or a text such as ``"2G"``: tables are made smaller to fit, down to 64 MB.
                 :meth:`run` raises where the sweep alone, its smallest tables, candles and signals of a market, the
                 parts in progress and the result, needs more; with a folder the result takes none. Not counted is what
                 a signals function takes for itself, and compiling

    Trades are those of :meth:`Backtest.run` with the parameters, whatever the plan. Raises :class:`SweepError` for
    callbacks and listeners that may give commands, which no sweep calls, and for values that cannot be traded,
    :class:`SchemaError` for those that a policy does not take, and :class:`UnknownNameError` for a name that is no
    parameter.
    """

    def __init__(
        self,
        context: Context,
        space: Space,
        *,
        symbol: str | None = None,
        symbols: Sequence[str] = (),
        frame_names: Sequence[str] = (),
        metrics: MetricGroup = "drawdown",
        threads: int | None = None,
        max_memory: int | str = "1G",
    ) -> None:
        if not isinstance(space, Space):
            raise SweepError(f"{space!r} is no Space.", hint="give Space.grid(fast=[5, 10], ...).")
        self.space = space
        self._context = dict(context)
        self._symbols = _distinct("symbols", [*([] if symbol is None else [symbol]), *_listed(symbols)])
        frames = _listed(frame_names) or [self._context.get("frame_name", "")]
        self._frames = _distinct("frame_names", frames)
        self._threads = cores() if threads is None else threads
        if not isinstance(self._threads, int) or not 1 <= self._threads <= _MOST_THREADS:
            raise SweepError(
                f"threads={shown(threads)} is no whole number from 1 to {_MOST_THREADS:,}.",
                hint="leave threads out to use every core.",
            )
        if metrics not in [depth.value for depth in Depth]:
            raise SweepError(f"metrics={metrics!r} is no group of metrics.", hint="results, drawdown or all.")
        self._depth = Depth(metrics)
        self._memory = _bytes_of(max_memory)
        if not self._symbols:
            raise SweepError("no symbol is given.", hint='give symbol="BTCUSDT", or symbols=[...].')
        self._markets = [
            SweepMarket.of(prepare(name, {**self._context, "frame_name": frame}, source="Sweep"))
            for name, frame in product(self._symbols, self._frames)
        ]
        self._strategy: StrategySchema = strategies.get(self._context["strategy_name"], "Sweep")
        if self._strategy.signals is None and self._strategy.kernel is None:
            raise SweepError(
                f"strategy {self._strategy.strategy_name!r} has no signals function.",
                hint="register it with signals=<function from candles to a signal frame>, or with a jitted kernel.",
            )
        if self._strategy.risks:
            asked = ", ".join(self._strategy.risks)
            raise SweepError(
                f"strategy {self._strategy.strategy_name!r} has risk profiles ({asked}), which a sweep cannot ask.",
                hint="compare the combinations with add_walker_schema(space=...), which plays each as a backtest, or "
                "sweep the strategy without its risk profiles.",
            )
        self._refuse_commands()
        self._roles = Roles.of(space, self._strategy)
        if self._strategy.signals is None and self._roles.bracket:
            raise SweepError(
                f"the kernel of {self._strategy.strategy_name!r} sets its own levels.",
                hint=f"make {self._roles.bracket[0]} one of its params.",
            )
        self._resident = resident_bytes()
        self._probed: tuple[Choice, float, float] | None = None
        self._use_space(space)

    def _refuse_commands(self) -> None:
        """Raise :class:`SweepError` where a backtest would call Python code that gives commands: a sweep calls none."""
        if commander := commander_of(self._strategy):
            raise SweepError(
                f"{commander} may give commands to {self._strategy.strategy_name!r}, and a sweep calls no Python code, "
                "so its trades would not be those of a backtest.",
                hint="compare the combinations with add_walker_schema(space=...), which plays each as a backtest; or "
                "sweep without it: a Policy and a jitted manage function are swept.",
            )

    def _use_space(self, space: Space) -> None:
        """Check a space, and prepare to measure it."""
        check_columns(space)
        check_hooks(space, self._roles.hooks)
        check_policy(
            space,
            self._roles.policy,
            fill=self._markets[0].settings.fill,
            strategy_name=self._strategy.strategy_name,
        )
        check_whole(space, (*self._roles.policy, *self._roles.bracket))
        for market in self._markets:
            check_bracket(space, self._roles.bracket, market.settings)
        self.space = space
        self._plan_space, self._original = space.led_by(self._roles.signals)
        self._measurer = Measurer(
            *(self._strategy, self._plan_space, self._roles),
            depth=self._depth,
            threads=self._threads,
            memory=self._table_memory(),
        )

    def over(self, space: Space) -> ParameterSweep:
        """The same sweep over other values of its parameters; it reuses the prepared markets and the probing backtest.

        Raises :class:`SweepError` for other parameters, and what a sweep over the space raises.
        """
        if set(space.names) != set(self.space.names):
            raise SweepError(
                f"{space!r} has other parameters than the sweep.",
                hint=f"give {', '.join(self.space.names)}, or make a sweep of it.",
            )
        other = copy(self)
        other._use_space(space)
        return other

    def __repr__(self) -> str:
        names = ", ".join(dict.fromkeys(self._symbols))
        return f"ParameterSweep({self._context['strategy_name']!r} on {names}, {self.space!r})"

    # ------------------------------------------------------------------------------------------------- the plan

    def explain(self) -> SweepExplanation:
        """The plan with its expected time and memory, from one probing backtest; nothing else is measured yet."""
        choice, trades, seconds_per_set = self._probe()
        sets = self._measurer.sets
        count = self.space.size
        work = choice.seconds_to_begin * sets + choice.seconds_per_combination * count
        return SweepExplanation(
            plan=choice.plan,
            reason=choice.reason,
            combinations=count,
            markets=len(self._markets),
            signal_sets=sets,
            levels=choice.levels,
            slots=choice.slots,
            trades=trades,
            threads=self._threads,
            seconds=(work / self._threads + seconds_per_set * sets) * len(self._markets),
            table_mb=min(table_bytes(choice, self._depth), self._table_memory()) / 1e6,
            result_mb=count * len(self._markets) * self._row_bytes() / 1e6,
            part_combinations=self._part_size(choice),
        )

    def _probe(self) -> tuple[Choice, float, float]:
        """The plan, the trades of one combination, and the seconds that a set of signals takes."""
        if self._probed is None:
            columns = self._example()
            started = time.perf_counter()
            signals = self._measurer.signal_set(self._markets[0], columns)
            seconds = time.perf_counter() - started
            trades = signals.probe(columns)
            self._probed = signals.choose(self._measurer.set_size, columns, trades), trades, seconds
        return self._probed

    def _example(self) -> dict[str, Column]:
        """One combination that meets the conditions: the middle of every axis if it does, else the first."""
        space, middle = self._plan_space, 0
        for block in space.blocks:
            middle = middle * block.size + block.size // 2
        starts = range(0, space.size, _PART_COMBINATIONS[1])
        spans = chain([(middle, middle + 1)], ((first, first + starts.step) for first in starts))
        for first, end in spans:
            numbers, columns = space.columns(first, end)
            if numbers.size:
                return {name: Column(column.values, column.codes[:1]) for name, column in columns.items()}
        raise SweepError(
            "no combination meets the conditions of the space.", hint="loosen them, or widen its axes."
        )

    def _part_size(self, choice: Choice) -> int:
        least, most = _PART_COMBINATIONS
        if table_bytes(choice, self._depth) > self._table_memory():
            most *= 4  # every part fills tables again that do not fit
        wanted = int(_PART_SECONDS * self._threads / max(choice.seconds_per_combination, 1e-9))
        size = min(max(wanted, least), most)
        return 1 << (size.bit_length() - 1)

    def _row_bytes(self) -> int:
        """Memory of a row of the result."""
        return 8 * (len(METRIC_NAMES) - len(_LEFT_OUT[self._depth]) + len(self.space.names) + 2)

    def _part_memory(self) -> int:
        """Memory of the parts that are measured, joined and written."""
        return 5 * min(self.space.size, _PART_COMBINATIONS[1]) * (8 * len(METRIC_NAMES) + 512)

    def _result_memory(self) -> int:
        """Memory of the result, where it is not in a folder."""
        return min(self.space.size * len(self._markets), _MOST_COMBINATIONS) * self._row_bytes()

    def _market_memory(self, trades: float = math.inf) -> int:
        """Memory of the signals of all markets, of candles and slots of the largest, and of trades that are listed."""
        listed = min(LISTED, trades * self.space.size) if self._depth is Depth.ALL else 0
        signals = sum(market.signals.nbytes for market in self._markets)
        candles = max(market.market.timestamps.size for market in self._markets)
        return _OWN_BYTES + signals + candles * _CANDLE_BYTES + int(listed) * _LISTED_BYTES

    def _table_memory(self) -> int:
        """The part of ``max_memory`` left for tables, beside the process, the result and what parts need meanwhile."""
        taken = self._resident + self._result_memory() + self._part_memory() + self._market_memory()
        return max(_LEAST_TABLE_MEMORY, self._memory - taken)

    def _check_memory(self, choice: Choice, trades: float, *, in_memory: bool) -> None:
        """Raise :class:`SweepError` where ``max_memory`` is too little even with the smallest tables."""
        least = max(_LEAST_TABLE_MEMORY, choice.levels * WIDTH * cell_bytes(self._depth) * self._threads)
        takes = {
            "results": self._result_memory() if in_memory else 0,
            "parts": self._part_memory(),
            "tables": min(table_bytes(choice, self._depth), least),
            "candles, signals and trades": self._market_memory(trades),
        }
        if sum(takes.values()) > self._memory:
            needed = sum(takes.values()) // 1_000_000 + 1
            told = ", ".join(f"{amount / 1e6:,.1f} MB of {what}" for what, amount in takes.items())
            raise SweepError(
                f"the sweep needs {needed:,} MB ({told}), more than max_memory={self._memory / 1e6:,.1f} MB.",
                hint=f'give max_memory="{needed}M"'
                + (", or a folder to keep the result in." if in_memory else "."),
            )

    # ------------------------------------------------------------------------------------------------- running

    def run(
        self,
        *,
        folder: str | Path | None = None,
        progress: bool | Progress = True,
        engine: EngineName = "local",
        address: str | None = None,
    ) -> SweepResult:
        """Measure every combination.

        folder     where parts are written as they are finished; a sweep that was stopped or killed goes on from
                   them, to the identical result, and results larger than memory are read from there
        progress   a bar with rate and time left on stderr where that is a terminal; or a function ``(done, total)``
        engine     ``local`` measures in threads of this process, ``ray`` in the processes of a Ray cluster (extra
                   ``distributed``), with the identical result
        address    of the cluster, ``"host:6379"``, ``"ray://host:10001"`` or ``"auto"``; default: the one that this
                   process uses already, that of ``RAY_ADDRESS``, or one of ``threads`` processes that is started on
                   this machine for this call

        Ctrl-C returns what is done (``complete`` is False). Raises :class:`SweepError` when the results would not fit
        into memory, :class:`SweepFolderError` for the folder of another sweep, and what signals functions raise.
        """
        self._refuse_commands()
        total = self.space.size * len(self._markets)
        if folder is None and total > _MOST_COMBINATIONS:
            told = f"{' x '.join(f'{block.size:,}' for block in self.space.blocks)} values make {total:,} brackets"
            raise SweepError(
                f"{told if self._roles.bracket == self.space.names else f'{total:,} rows are too many'}.",
                hint=f"at most {_MOST_COMBINATIONS:,} are kept in memory; take wider steps, or give a folder.",
            )
        measure = self._engine(engine, address)
        choice, trades, _ = self._probe()
        self._check_memory(choice, trades, in_memory=folder is None)
        size = self._part_size(choice)
        parts = None if folder is None else PartFolder(folder, self.manifest(), size)
        size = size if parts is None else parts.part_combinations
        done: dict[tuple[int, int], pl.DataFrame | Path] = {}
        complete = True
        with progress_of(progress, total) as tell:
            try:
                self._find_or_measure(done, size, parts, measure, tell)
            except KeyboardInterrupt:
                if not done:
                    raise
                complete = False
                logger.warning("the sweep was stopped; %d parts of it are done", len(done))
        return self.result_of(self._joined(done), complete=complete)

    def result_of(self, rows: pl.LazyFrame, *, complete: bool = True) -> SweepResult:
        """The result made of measured rows: one per market and combination of the space."""
        return SweepResult(
            rows,
            f"combinations of {self._strategy.strategy_name!r} on {', '.join(dict.fromkeys(self._symbols))}",
            self.space.names,
            self._markets[0].settings,
            complete,
            _sweep=self,
        )

    def _find_or_measure(
        self,
        done: dict[tuple[int, int], pl.DataFrame | Path],
        size: int,
        folder: PartFolder | None,
        measure: Engine,
        tell: Callable[[float], object],
    ) -> None:
        """Find every part in the folder or measure it; ``done`` gets its frame, or its file, by market and chunk."""

        def missing() -> Iterator[Part]:
            for place in range(len(self._markets)):
                for chunk, first in enumerate(range(0, self._plan_space.size, size)):
                    part = Part(place, chunk, *self._plan_space.columns(first, first + size))
                    path = (
                        None if folder is None else folder.find(place, chunk, partial(self._unmeasured, part))
                    )
                    if path is None:
                        yield part
                    else:
                        done[place, chunk] = path
                        tell(min(size, self.space.size - first))
            if folder is not None:
                folder.put_rest_aside()

        with closing(measure(missing(), tell)) as measured:
            for part, metrics, refused in measured:
                place, chunk = part.place, part.chunk
                frame = self._frame_of(self._markets[place], part.numbers, part.columns, metrics, refused)
                done[place, chunk] = frame if folder is None else folder.write(place, chunk, frame)
                tell(min(size, self.space.size - chunk * size) - part.numbers.size)

    def _engine(self, engine: EngineName, address: str | None) -> Engine:
        if engine not in get_args(EngineName):
            raise SweepError(f"engine={engine!r} is no engine.", hint=f"{' or '.join(get_args(EngineName))}.")
        if engine == "local" and address is not None:
            raise SweepError(f"address={address!r} is for another engine.", hint='give engine="ray" with it.')
        choice, trades, seconds_per_set = self._probe()
        if engine == "local":
            return partial(measured_here, self._measurer, self._markets, trades)
        from bkapi.sweeps.ray_cluster import Cluster, Costs, measured_by_ray, pack

        costs = Costs(
            choice.seconds_per_combination,
            seconds_per_set + choice.seconds_to_begin,
            self._measurer.sets * len(self._markets),
            self.space.size * len(self._markets),
        )
        cluster = Cluster(address, self._threads)
        work = pack(self._measurer)
        return partial(measured_by_ray, self._measurer, self._markets, trades, work, costs, cluster)

    def _frame_of(
        self,
        market: SweepMarket,
        numbers: NDArray[np.int64],
        columns: Mapping[str, Column],
        metrics: NDArray[np.float64],
        refused: NDArray[np.int64],
    ) -> pl.DataFrame:
        where = {}
        if len(self._symbols) > 1:
            where["symbol"] = pl.Series([market.symbol], dtype=pl.String).new_from_index(0, numbers.size)
        if len(self._frames) > 1:
            where["frame_name"] = pl.Series([market.frame_name]).new_from_index(0, numbers.size)
        left_out = _LEFT_OUT[self._depth]
        measured = {
            name: metrics[:, place] for place, name in enumerate(METRIC_NAMES) if place not in left_out
        }
        parameters = {name: columns[name].series(name) for name in self.space.names}
        frame = pl.DataFrame(
            {
                "combination": self._original(numbers),
                **where,
                **parameters,
                **measured,
                "refused_signals": refused,
            }
        )
        trends = [trend.name.lower() for trend in Trend]
        named = [pl.col(METRIC_NAMES[metric]).cast(pl.Int64) for metric in COUNTS]
        if "trend" in measured:
            codes = pl.col("trend").replace_strict(dict(enumerate(trends)), return_dtype=pl.Enum(trends))
            named.append(codes)
        return frame.with_columns(pl.col(list(measured)).fill_nan(None)).with_columns(named)

    def _unmeasured(self, part: Part) -> pl.DataFrame:
        """The rows of a part without their metrics."""
        none = np.zeros(part.numbers.size, np.int64)
        metrics = np.full((none.size, len(Metric)), np.nan)
        metrics[:, list(COUNTS)] = 0.0
        metrics[:, Metric.TREND] = 0.0
        return self._frame_of(self._markets[part.place], part.numbers, part.columns, metrics, none)

    def _joined(self, done: Mapping[tuple[int, int], pl.DataFrame | Path]) -> pl.LazyFrame:
        """The parts of every market, each in the order of its combinations."""
        if not done:
            none = np.zeros(0, np.int64)
            columns = {name: Column((), none) for name in self.space.names}
            return self._frame_of(self._markets[0], none, columns, np.zeros((0, len(Metric))), none).lazy()
        markets = []
        for place in range(len(self._markets)):
            parts: list[Any] = [done[key] for key in sorted(done) if key[0] == place]
            if not parts:
                continue
            in_files = isinstance(parts[0], Path)
            rows = pl.scan_parquet(parts) if in_files else pl.concat(parts, how="vertical_relaxed").lazy()
            markets.append(rows if self._plan_space is self.space else rows.sort("combination"))
        return markets[0] if len(markets) == 1 else pl.concat(markets, how="vertical_relaxed")

    # ------------------------------------------------------------------------------------------- one combination

    def parameters(self, combination: int) -> dict[str, Any]:
        """The parameters of a combination by its number."""
        return self.space.parameters(combination)

    def strategy(self, combination: int) -> StrategySchema:
        """The strategy with the parameters of a combination. A bracket is left out: the signals carry it."""
        return with_parameters(self._strategy, self.parameters(combination), self._roles)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of its markets."""
        return tuple(dict.fromkeys(self._symbols))

    @property
    def frame_names(self) -> tuple[str, ...]:
        """The frames of its markets."""
        return self._frames

    def play(self, combination: int, symbol: str = "", frame_name: str = "") -> FinishedRun:
        """Backtest a combination in a market of the sweep; names may be left out where there is one."""
        market = self._market(symbol, frame_name)
        return self.play_in(combination, market.symbol, market.frame_name)

    def play_in(self, combination: int, symbol: str, frame_name: str) -> FinishedRun:
        """Backtest a combination in any registered frame, of the sweep or not."""
        self._refuse_commands()
        chosen = self.parameters(combination)
        bracket = {name: float(chosen[name]) for name in self._roles.bracket}
        return run_to_end(
            symbol, {**self._context, "frame_name": frame_name}, self.strategy(combination), bracket
        )

    def period_returns(
        self,
        combinations: NDArray[np.int64],
        trades: NDArray[np.int64],
        edges: NDArray[np.int64],
        *,
        symbol: str = "",
        frame_name: str = "",
    ) -> NDArray[np.float64]:
        """The returns of combinations of one market in each period, f8[periods, n], in percent.

        combinations, trades : i8[n]   their numbers, and how many trades each has (``total_trades`` of the result)
        edges : i8[periods + 1]        where periods begin, ms UTC, and where the last one ends
        """
        self._refuse_commands()
        columns = self.space.columns_at(combinations)
        return self._measurer.period_returns(self._market(symbol, frame_name), columns, trades, edges)

    def span(self, symbol: str = "", frame_name: str = "") -> tuple[int, int]:
        """First tick of a market of the sweep and the last moment of a trade in it, ms UTC."""
        frame = self._market(symbol, frame_name).frame
        return frame.start_ms, frame.end_ms + frame.step_ms

    def _market(self, symbol: str, frame_name: str) -> SweepMarket:
        fits = [
            market
            for market in self._markets
            if symbol in ("", market.symbol) and frame_name in ("", market.frame_name)
        ]
        if len(fits) != 1:
            known = ", ".join(f"{market.symbol} in {market.frame_name}" for market in self._markets)
            raise SweepError(
                f"symbol={symbol!r} and frame_name={frame_name!r} name {len(fits)} markets of the sweep.",
                hint=f"it has: {known}.",
            )
        return fits[0]

    @property
    def metric_columns(self) -> tuple[str, ...]:
        """The metrics that the result has."""
        left_out = _LEFT_OUT[self._depth]
        return *(name for k, name in enumerate(METRIC_NAMES) if k not in left_out), "refused_signals"

    def manifest(self) -> dict[str, Any]:
        """What is swept, with digests of strategy, space and candles; the same for equal sweeps in any process."""
        strategy = self._strategy
        functions = (strategy.signals, strategy.kernel, strategy.manage)
        return {
            "strategy_name": strategy.strategy_name,
            "strategy": digest_of(
                *(source_of(function) for function in functions),
                dict(strategy.params),
                strategy.interval,
                strategy.policy,
                strategy.when_in_position,
                *(market.signals.tobytes() for market in self._markets),
            ),
            "space": digest_of(self.space.fingerprint),
            "markets": [
                [market.symbol, market.frame_name, market.market.digest, repr(market.frame)]
                for market in self._markets
            ],
            "settings": repr(self._markets[0].settings),
            "metrics": self._depth.value,
            "version": version(),
        }


def group_of(*metrics: str) -> MetricGroup:
    """The cheapest group of metrics that contains a drawdown and these."""
    return "drawdown" if {METRIC_NAMES[place] for place in _NEEDS_TRADES}.isdisjoint(metrics) else "all"


def _listed(names: Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _distinct(field: str, names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise SweepError(f"{field} has {name!r} twice.", hint="name each once.")
    return tuple(names)


def _bytes_of(memory: Any) -> int:
    amount = 0
    if _AMOUNT.fullmatch(str(memory)):
        with suppress(ValidationError):
            whole = int(memory) if isinstance(memory, float) else memory
            amount = TypeAdapter(ByteSize).validate_python(whole)
    if amount > 0:
        return amount
    raise SweepError(
        f"max_memory={memory!r} is no amount of memory.", hint='give bytes, or a text such as "2G".'
    )


def sweep_brackets(
    symbol: str,
    context: Context,
    *,
    take_profit_percent: Iterable[float],
    stop_loss_percent: Iterable[float],
    lifetime_minutes: Iterable[float],
    threads: int | None = None,
    metrics: MetricGroup = "all",
    progress: Progress | None = None,
) -> SweepResult:
    """Backtest a vectorized strategy with every combination of the three axes: a short way to ``Sweep(...).run()``.

    context    ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``; the strategy's ``signals`` frame
               gives its levels in percent (``take_profit_percent``, ``stop_loss_percent``)
    threads, metrics   see :class:`ParameterSweep`
    progress   called as ``progress(done, total)``

    Raises :class:`SweepError` for an axis that is empty or breaks the limits of the configuration.
    """
    axes = dict(zip(PARAMETERS, (take_profit_percent, stop_loss_percent, lifetime_minutes), strict=True))
    space = Space.grid(**{name: _numbers(name, axis) for name, axis in axes.items()})
    sweep = ParameterSweep(context, space, symbol=symbol, threads=threads, metrics=metrics)
    return sweep.run(progress=progress or False)


def _numbers(name: str, axis: Any) -> list[float]:
    try:
        values = [float(value) for value in axis]
    except (TypeError, ValueError, OverflowError):
        raise SweepError(f"{name}={axis!r} is no list of numbers.", hint=f"give {name}=[1.0, 2.0].") from None
    if not values:
        raise SweepError(f"the axis {name} is empty.", hint=f"give at least one value, {name}=[1.0].")
    return values


__all__ = [
    "PARAMETERS",
    "ParameterSweep",
    "SweepError",
    "SweepExplanation",
    "SweepResult",
    "UnknownNameError",
    "check_column",
    "sweep_brackets",
]

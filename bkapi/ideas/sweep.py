"""Which stop, trailing, hold and lock suits a feed of trading ideas? (spec risk-sizing-walker-sweep.md 4)

Each idea's price path is read once; all points of the grid are then computed from what was read, without a backtest
each. Confirm the parameters that you choose by a backtest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, reduce
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkapi.base import config
from bkapi.base.coroutines import settle
from bkapi.base.lazy_rows import LazyRows
from bkapi.ideas.feed import CandleTrail, IdeaSweepError, ideas_of, read_ideas, without_flood
from bkapi.ideas.records import (
    CRITERIA,
    EXIT_REASONS,
    AbsorbedIdea,
    AuthorTrack,
    BestGridPoint,
    Criterion,
    GridPoint,
    GridPointReport,
    GridReports,
    Idea,
    IdeaProfile,
    IdeaSweepResult,
    IdeaTrade,
)
from bkapi.market.exchange import client_of
from bkapi.schemas.registry import sweeps
from bkapi.schemas.services import SchemaService, ValidationService
from bkapi.schemas.sweep import SweepCallbacks, SweepSchema
from bkcore.errors import did_you_mean
from bkcore.ideas.paths import Axes, Diagnostic
from bkcore.ideas.sweep import Costs, ExitReason, Figure, IdeaGrid
from bkcore.intervals import MINUTE_MS

if TYPE_CHECKING:
    from bkapi.schemas.space import Space
    from bkapi.sweeps.sweep import ParameterSweep, SweepOptions

MOST_POINTS: Final = 5_000_000  # a gigabyte of figures

#: The axes in grid order, outermost first, with the values of an axis that is left out.
DEFAULT_AXES: Mapping[str, tuple[float, ...]] = {
    "hard_stop_percent": tuple(1.0 + 0.5 * step for step in range(19)),
    "trailing_take_percent": tuple(0.5 + 0.5 * step for step in range(10)),
    "hold_minutes": tuple(1440 * day for day in range(1, 15)),
    "profit_lock_percent": (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0),
}
_SIDES = {"LONG": 1, "SHORT": -1}
#: The figures of a report, and those of them that are whole numbers.
_FIGURES: Final = GridPointReport.field_names[3:]
_COUNTS: Final = ("skipped_busy", "p95_hold_minutes", "p99_hold_minutes")


class SweepRequest(TypedDict, total=False):
    """The question to a sweep: which symbol, which registered sweep, which ideas."""

    symbol: str
    sweep_name: str
    ideas: Any


def read_axes(given: Mapping[Any, Any]) -> dict[str, tuple[Any, ...]]:
    """The four axes in grid order; those not given have default values. Raises :class:`IdeaSweepError` (spec 4.1)."""
    for name in given:
        if name not in DEFAULT_AXES:
            raise IdeaSweepError(
                f"grid_axes has no axis {name!r}.",
                hint=f"{did_you_mean(str(name), DEFAULT_AXES)}the axes are {', '.join(DEFAULT_AXES)}.",
            )
    axes: dict[str, tuple[Any, ...]] = {}
    for name, default in DEFAULT_AXES.items():
        values = given.get(name)
        try:
            axes[name] = default if values is None else tuple(values)
        except TypeError:
            raise IdeaSweepError(
                f"grid_axes: {name}={values!r} is no list.", hint=f"give {name}=[{default[0]}, ...]."
            ) from None
    for name, axis in axes.items():
        if not axis:
            raise IdeaSweepError(
                f"the grid is empty: the axis {name} has no values.",
                hint="give at least one value, or leave the axis out for its default values.",
            )
    for name, axis in axes.items():
        for value in axis:
            _check_value(name, value)
    if max(axes["hold_minutes"]) <= 0:
        raise IdeaSweepError(
            "holdMinutes axis must contain at least one positive value",
            hint="hold_minutes are whole minutes >= 1.",
        )
    for value in axes["hold_minutes"]:
        if value < 1 or value % 1 or value > 1 << 53:
            raise IdeaSweepError(
                f"grid_axes: hold_minutes={value!r} is no whole number of minutes >= 1.",
                hint="a hold is how many candles a trade may last.",
            )
    count = math.prod(map(len, axes.values()))
    if count > MOST_POINTS:
        raise IdeaSweepError(
            f"{' x '.join(f'{len(axis):,}' for axis in axes.values())} values make {count:,} points.",
            hint=f"at most {MOST_POINTS:,} are evaluated at once; take wider steps.",
        )
    return axes


def _check_value(name: str, value: Any) -> None:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    is_percent = name in ("hard_stop_percent", "trailing_take_percent")
    if not math.isfinite(number) or (is_percent and number < 0.0):
        raise IdeaSweepError(
            f"grid_axes: {name}={value!r} is no finite number{' >= 0' if is_percent else ''}.",
            hint="a trailing of 0 and a lock that is not above 0 are off.",
        )


class _Run:
    """One sweep in progress: the ideas, the grid, and the records, which are made when they are read."""

    def __init__(self, symbol: str, ideas: Sequence[Idea], axes: Mapping[str, tuple[Any, ...]]) -> None:
        self.symbol = symbol
        self.ideas = ideas
        self.axes = axes
        numbers: dict[str | int, int] = {}
        authors = [numbers.setdefault(idea.author, len(numbers)) for idea in ideas]
        self.authors = tuple(numbers)
        stops, trails, holds, locks = axes.values()
        self.grid = IdeaGrid(
            Axes(
                np.array(stops, np.float64),
                np.array(trails, np.float64),
                np.array(holds, np.int64),
                np.array(locks, np.float64),
            ),
            Costs(float(config.value("CC_PERCENT_SLIPPAGE")), float(config.value("CC_PERCENT_FEE"))),
            authors,
        )
        self.figures = np.zeros((self.grid.point_count, len(Figure)))
        self._reports: dict[int, GridPointReport] = {}
        #: The trades of a point, made when looked at: all points have far more than fit into memory.
        self.trades = lru_cache(maxsize=64)(self._make_trades)

    # profiles

    def follow(self, exchange_name: str) -> Iterator[IdeaProfile]:
        """Read the price path of each idea (spec 4.3)."""
        trail = CandleTrail(exchange_name, self.symbol)
        for path, idea in enumerate(self.ideas):
            entry_at = idea.ts // MINUTE_MS * MINUTE_MS + MINUTE_MS
            opens, high, low, close = trail.path(entry_at, self.grid.horizon)
            if not close.size:
                raise IdeaSweepError(
                    f"no candles for {self.symbol} idea {idea.id}: {_one_line(trail.failure)}",
                    hint="have candles for at least CC_MAX_CANDLES_PER_REQUEST minutes after every idea, or drop "
                    "late ideas.",
                ) from trail.failure
            entry = float(opens[0])
            told = self.grid.follow(path, entry_at, _SIDES[idea.direction], entry, high, low, close)
            yield self._profile(idea, entry_at, entry, close.size, told)

    def _profile(
        self, idea: Idea, entry_at: int, entry: float, count: int, told: NDArray[np.float64]
    ) -> IdeaProfile:
        return IdeaProfile(
            idea.id,
            self.symbol,
            idea.author,
            idea.direction,
            entry_at,
            entry,
            count,
            count < self.grid.horizon,
            float(told[Diagnostic.MAX_MFE_PERCENT]),
            float(told[Diagnostic.MAX_MAE_PERCENT]),
            int(told[Diagnostic.MINUTES_TO_MFE]),
            int(told[Diagnostic.MINUTES_TO_MAE]),
            float(told[Diagnostic.SHAKEOUT_MAE_PERCENT]),
            float(told[Diagnostic.MEDIAN_MOVE_PERCENT]),
            bool(told[Diagnostic.HIT]),
            entry_at + count * MINUTE_MS,
        )

    # points

    def point(self, number: int) -> GridPoint:
        """The values of a point."""
        stops, trails, holds, locks = self.axes.values()
        rest, lock = divmod(number, len(locks))
        rest, hold = divmod(rest, len(holds))
        stop, trail = divmod(rest, len(trails))
        return GridPoint(stops[stop], trails[trail], int(holds[hold]), locks[lock])

    def report(self, number: int) -> GridPointReport:
        """The report of a point, always the same object."""
        known = self._reports.get(number)
        if known is None:
            known = self._reports[number] = self._make_report(number)
        return known

    def _make_report(self, number: int) -> GridPointReport:
        row = self.figures[number].tolist()
        figures: dict[str, Any] = {name: row[Figure[name.upper()]] for name in _FIGURES}
        return GridPointReport(
            self.point(number),
            LazyRows(range(int(row[Figure.TRADES])), lambda trade: self.trades(number)[trade]),
            {name: int(row[code]) for code, name in enumerate(EXIT_REASONS)},
            **{name: int(value) if name in _COUNTS else value for name, value in figures.items()},
        )

    def _make_trades(self, number: int) -> tuple[IdeaTrade, ...]:
        """The trades of a point in order of entry."""
        columns = self.grid.trades(number)
        absorbed: dict[int, list[AbsorbedIdea]] = {}
        for idea, holder in zip(self.ideas, columns.holder.tolist(), strict=True):
            if holder >= 0:
                absorbed.setdefault(holder, []).append(AbsorbedIdea(idea.id, idea.author))
        return tuple(
            IdeaTrade(
                idea.id,
                self.symbol,
                idea.author,
                idea.direction,
                entry_at,
                entry_at + index * MINUTE_MS,
                cast(Any, EXIT_REASONS[reason]),
                index + 1,
                pnl,
                tuple(absorbed.get(path, ())),
            )
            for path, (idea, entry_at, index, reason, pnl, holder) in enumerate(
                zip(
                    self.ideas,
                    self.grid.paths.entry_at.tolist(),
                    columns.exit_index.tolist(),
                    columns.reason.tolist(),
                    columns.pnl_percent.tolist(),
                    columns.holder.tolist(),
                    strict=True,
                )
            )
            if holder < 0
        )

    def refuse(self, number: int) -> None:
        """Raise for a point with a trade that lost more than its exit allows (spec 4.4)."""
        point = self.point(number)
        costs = self.grid.costs
        cost = 2.0 * costs.fee_percent + 4.0 * costs.slippage_percent + 0.01
        floors = {
            ExitReason.TRAILING_TAKE.name.lower(): -cost,
            ExitReason.PROFIT_LOCK.name.lower(): point.profit_lock_percent - cost,
        }
        for trade in self.trades(number):
            floor = max(-point.hard_stop_percent - cost, floors.get(trade.exit_reason, -math.inf))
            if not trade.pnl_percent >= floor:
                raise IdeaSweepError(
                    f"{self.symbol} idea {trade.idea_id} at {point!r}: {trade.exit_reason} with "
                    f"{trade.pnl_percent:.4f} %, at least {floor:.4f} % was to be expected.",
                    hint="look at the candles of the idea and at the costs of the configuration.",
                )
        raise AssertionError(f"point {number} breaks no invariant")

    # tracks

    @cached_property
    def rules(self) -> NDArray[np.int64]:
        """The points whose values no earlier point has."""
        return np.flatnonzero(reduce(np.logical_and.outer, map(_is_first, self.axes.values())))

    @cached_property
    def _graded(self) -> tuple[list[int], list[int], NDArray[np.int64]]:
        """Authors by number of ideas, these numbers, and hits per rule and author."""
        ideas = np.bincount(self.grid.paths.author, minlength=len(self.authors)).tolist()
        order = sorted(range(len(self.authors)), key=lambda author: -ideas[author])
        return order, ideas, self.grid.hits(self.rules)

    def track(self, number: int) -> AuthorTrack:
        """The track of one author under one rule; rules in grid order, in each the authors with most ideas first."""
        order, ideas, hits = self._graded
        rule, rank = divmod(number, len(order))
        author = order[rank]
        count = int(hits[rule, author])
        point = self.point(int(self.rules[rule]))
        return AuthorTrack(
            point.hold_minutes,
            point.profit_lock_percent,
            point.hard_stop_percent,
            point.trailing_take_percent,
            self.authors[author],
            ideas[author],
            count,
            count / ideas[author],
        )

    def tracks(self, rules: range | None = None) -> LazyRows[AuthorTrack]:
        """The tracks under all rules or some of them."""
        rules = range(len(self.rules)) if rules is None else rules
        count = len(self.authors)
        return LazyRows(range(rules.start * count, rules.stop * count), self.track)

    # rankings

    def ranked(self, criterion: str) -> NDArray[np.int64]:
        """Points by a criterion, the largest first; equal ones stay in grid order."""
        figure = CRITERIA.get(criterion, Figure.SHARPE)
        return np.argsort(-self.figures[:, figure], kind="stable")

    def frame(self, order: NDArray[np.int64]) -> pl.DataFrame:
        """A row per point: its values and its figures."""
        levels = np.unravel_index(order, [len(axis) for axis in self.axes.values()])
        values = {
            name: axis[level] for name, axis, level in zip(self.axes, self.grid.axes, levels, strict=True)
        }
        figures = {figure.name.lower(): self.figures[order, figure] for figure in Figure}
        counts = pl.col(*EXIT_REASONS, "trades", *_COUNTS)
        return pl.DataFrame({**values, **figures}).with_columns(counts.cast(pl.Int64))

    def result(
        self, total: int, truncated: int, order: str, best: Sequence[BestGridPoint]
    ) -> IdeaSweepResult:
        """The whole result, sorted as the schema asks."""
        ranked = self.ranked(order)
        minutes = np.arange(self.grid.histogram.size)
        trades = int(self.grid.histogram.sum())
        return IdeaSweepResult(
            self.symbol,
            total,
            len(self.ideas),
            len(self.ideas),
            truncated,
            int((minutes * self.grid.histogram).sum()) / trades if trades else 0.0,
            _percentile(self.grid.histogram, 0.95),
            _percentile(self.grid.histogram, 0.99),
            GridReports(LazyRows(ranked, self.report), tuple(best), self.tracks()),
            self.frame(ranked),
        )


def _is_first(axis: Sequence[Any]) -> NDArray[np.bool_]:
    """For each value of an axis, whether it occurs there for the first time."""
    first = {value: k for k, value in reversed([*enumerate(axis)])}
    return np.array([first[value] == k for k, value in enumerate(axis)])


def _percentile(histogram: NDArray[np.int64], share: float) -> int:
    """The minutes at index ``min(n - 1, floor(share * n))`` of the sorted holds; 0 without one."""
    trades = int(histogram.sum())
    if not trades:
        return 0
    rank = min(trades - 1, math.floor(share * trades))
    return int(np.searchsorted(np.cumsum(histogram), rank, side="right"))


def _one_line(error: BaseException | None) -> str:
    return "the exchange has none." if error is None else str(error).partition("\n")[0]


class ClientSweep:
    """A registered sweep as it was at its first use; nothing is kept between runs."""

    def __init__(self, schema: SweepSchema) -> None:
        self.schema = SweepSchema.model_validate(schema.given())  # an override has not been checked
        self.callbacks = self.schema.callbacks or SweepCallbacks()

    def run(self, symbol: str, ideas: Any) -> IdeaSweepResult:
        """Follow the ideas of ``symbol`` and evaluate the grid, see :meth:`SweepUtils.run`."""
        schema = self.schema
        axes = read_axes(schema.grid_axes)
        base = client_of(schema.exchange_name, "ClientSweep.run").base
        if base != "1m":
            raise IdeaSweepError(
                f"exchange {schema.exchange_name!r} runs on {base} candles, ideas are followed on 1m candles.",
                hint="name an exchange with 1m candles in add_sweep_schema.",
            )
        own = ideas_of(read_ideas(ideas), symbol)
        run = _Run(symbol, without_flood(own), axes)
        self._call("on_ideas", symbol, len(own), len(run.ideas))
        profiles: list[IdeaProfile] = []
        for profile in run.follow(schema.exchange_name):
            profiles.append(profile)
            self._call("on_progress", symbol, "profiles", len(profiles), len(run.ideas))
        truncated = sum(profile.truncated for profile in profiles)
        self._call("on_profiles", symbol, profiles, truncated)
        self._evaluate(run)
        best: list[BestGridPoint] = []
        for criterion in CRITERIA:
            reports = LazyRows(run.ranked(criterion), run.report)
            best.append(BestGridPoint(cast(Criterion, criterion), reports[0]))
            self._call("on_ranking", symbol, criterion, reports, best[-1])
        result = run.result(len(own), truncated, schema.report_order, best)
        self._call("on_done", symbol, result)
        return result

    def _evaluate(self, run: _Run) -> None:
        """Fill the figures, and call the callbacks point by point in grid order."""
        trained, told = self.callbacks.on_authors_trained, self.callbacks.on_grid_point
        listened = trained or told or self.callbacks.on_progress
        rules = {int(point): number for number, point in enumerate(run.rules)} if trained else {}
        for first, last, broken in run.grid.evaluate(run.figures):
            for point in range(first, last if broken < 0 else broken) if listened else ():
                if point in rules:
                    rule = rules[point]
                    self._call("on_authors_trained", run.symbol, run.tracks(range(rule, rule + 1)))
                if told:
                    report = run.report(point)
                    self._call("on_grid_point", run.symbol, report, report.trades_list)
                self._call("on_progress", run.symbol, "grid", point + 1, run.grid.point_count)
            if broken >= 0:
                run.refuse(broken)

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a callback if there is one; what it raises ends the run."""
        callback = getattr(self.callbacks, name)
        if callback is not None:
            settle(callback(*arguments))


def _read_request(
    request: Mapping[str, Any] | None, fields: Mapping[str, Any], source: str
) -> tuple[str, str, Any]:
    """Symbol, sweep name and ideas; the name and its exchange are registered."""
    values = {**(request or {}), **fields}
    known = ("symbol", "sweep_name", "ideas")
    for name in values:
        if name not in known:
            raise IdeaSweepError(
                f"Sweep.run has no argument {name!r}.",
                hint=f"{did_you_mean(name, known)}it has {', '.join(known)}.",
            )
    for name in known:
        if name not in values:
            raise IdeaSweepError(
                f"Sweep.run misses {name}.",
                hint='call it as Sweep.run({"symbol": ..., "sweep_name": ..., "ideas": [...]}).',
            )
    sweeps.validate(values["sweep_name"], source)
    return values["symbol"], values["sweep_name"], values["ideas"]


_clients: dict[str, ClientSweep] = {}


class SweepConnectionService:
    """One client per sweep name, made at its first use; later overrides count after :meth:`clear`."""

    def get_sweep(self, sweep_name: str) -> ClientSweep:
        """The client of a registered sweep; raises :class:`NotRegisteredError`."""
        client = _clients.get(sweep_name)
        if client is None:
            client = _clients[sweep_name] = ClientSweep(sweeps.lookup(sweep_name))
        return client

    def run(self, request: SweepRequest | None = None, /, **fields: Unpack[SweepRequest]) -> IdeaSweepResult:
        """As :meth:`SweepUtils.run`."""
        symbol, sweep_name, ideas = _read_request(request, fields, "SweepConnectionService.run")
        return self.get_sweep(sweep_name).run(symbol, ideas)

    def clear(self, sweep_name: str | None = None) -> None:
        """Forget one client, or all; the next use takes the schema as it is then."""
        if sweep_name is None:
            _clients.clear()
        else:
            _clients.pop(sweep_name, None)


class SweepGlobalService:
    """Validates the name of the sweep and its exchange, then runs it."""

    source = "SweepGlobalService.run"

    def run(self, request: SweepRequest | None = None, /, **fields: Unpack[SweepRequest]) -> IdeaSweepResult:
        """As :meth:`SweepUtils.run`."""
        symbol, sweep_name, ideas = _read_request(request, fields, self.source)
        return SweepConnectionService().get_sweep(sweep_name).run(symbol, ideas)


class SweepCoreService(SweepGlobalService):
    """Like :class:`SweepGlobalService`, by the name of the core services."""

    source = "SweepCoreService.run"

    def validate(self, sweep_name: str, source: str = "SweepCoreService.validate") -> bool:
        """True for a registered sweep whose exchange is registered; raises :class:`UnknownNameError`."""
        return sweeps.validate(sweep_name, source)


class SweepUtils(SweepGlobalService):
    """``Sweep(context, space, symbol=...)`` sweeps parameters of a strategy, ``Sweep.run(...)`` a grid over ideas.

    ``Sweep.run({"symbol": ..., "sweep_name": ..., "ideas": [...]})`` is the documented sweep over a feed of trading
    ideas (spec risk-sizing-walker-sweep.md 4). Calling ``Sweep`` makes a :class:`bkapi.ParameterSweep`.
    """

    source = "SweepUtils.run"

    def __call__(
        self, context: Mapping[str, str], space: Space, **options: Unpack[SweepOptions]
    ) -> ParameterSweep:
        """A sweep of a strategy's parameters; arguments of :class:`bkapi.ParameterSweep`."""
        from bkapi.sweeps.sweep import ParameterSweep

        return ParameterSweep(context, space, **options)

    def run(self, request: SweepRequest | None = None, /, **fields: Unpack[SweepRequest]) -> IdeaSweepResult:
        """Follow every idea on 1m candles and evaluate each point of the grid (spec risk-sizing-walker-sweep.md 4).

        symbol       whose ideas and candles
        sweep_name   registered by :func:`add_sweep_schema`
        ideas        mappings, :class:`Idea` records or a frame: id, ts (ms UTC or a datetime), symbol, direction
                     (LONG, SHORT, NEUTRAL), author

        Arguments are one mapping or given by name. A trade opens at the next minute after its idea; each author has one
        trade at a time. A trailing of 0 is off. Callbacks of the schema are called during the run; what they raise
        ends it.

        Raises :class:`UnknownNameError` for an unknown sweep or exchange and :class:`IdeaSweepError` for an empty grid
        (``the grid is empty``), impossible values or ideas, and an idea without candles (``no candles for ...``).
        """
        return super().run(request, **fields)


class SweepSchemaService(SchemaService[SweepSchema], registry=sweeps):
    """The registry of sweeps."""


class SweepValidationService(ValidationService[SweepSchema], registry=sweeps):
    """Which sweeps are known, and whether their exchange is."""

    add_sweep = ValidationService.know


Sweep = SweepUtils()

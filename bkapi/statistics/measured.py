"""Computes the statistics of each kind of report from frames of trades or events.

Frames come in arrival order, newest last. Of each bucket the newest ``row_limit`` rows are kept (None keeps
all) and every number is computed from what was kept (spec reports.md 6, 8). The trade formulas are
in :mod:`bkcore.statistics.metrics`; numba and polars are imported when the first number is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from bkapi.base.deferred import np, pl
from bkapi.statistics.records import (
    COUNTED_ACTIONS,
    BacktestStatistics,
    EventStatistics,
    HeatStatistics,
    HeatSymbolStatistics,
    LiveStatistics,
    MetricStats,
    PerformanceStatistics,
    RiskStatistics,
    ScheduleStatistics,
    TradeStatistics,
)
from bkcore.errors import BkError
from bkcore.intervals import MINUTE_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bkapi.statistics.records import Rows
    from bkcore.statistics.metrics import Scope

    #: pnl, peak, fall, pending, close, price: the columns of ``bkcore.statistics.metrics.trade_metrics``.
    TradeColumns = tuple[NDArray[Any], ...]

E = TypeVar("E", bound=EventStatistics)

#: Rows that a bucket keeps by default, and rows that the performance bucket keeps.
ROW_LIMIT: Final = 250
PERFORMANCE_ROW_LIMIT: Final = 10_000

#: Columns of a trades frame: results in percent (null = no such extreme), times in ms UTC or as datetimes,
#: close price.
TRADE_COLUMNS: Final = (
    "pnl_percent",
    "peak_percent",
    "fall_percent",
    "pending_at",
    "close_timestamp",
    "close_price",
)
_TIME_COLUMNS: Final = ("pending_at", "close_timestamp")
_SCHEDULE_ACTIONS: Final = ("scheduled", "opened", "cancelled")

# How each number of a portfolio comes about (spec 6.8).
_POOLED: Final = (
    "sharpe_ratio",
    "annualized_sharpe_ratio",
    "certainty_ratio",
    "expected_yearly_returns",
    "trades_per_year",
    "std_dev",
    "sortino_ratio",
    "calmar_ratio",
    "recovery_factor",
    "expectancy",
    "median_pnl",
    "avg_duration",
    "avg_win_duration",
    "avg_loss_duration",
)
_WEIGHTED: Final = ("avg_peak_pnl", "avg_fall_pnl", "avg_consecutive_win_pnl", "avg_consecutive_loss_pnl")
_EXTREMES: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {
    "peak_profit_pnl": max,
    "max_drawdown_pnl": min,
}


class StatisticsError(BkError):
    """Raised by ``backtest_statistics(pl.DataFrame({"pnl": [1.0]}))``: columns or rows do not fit."""


def backtest_statistics(
    trades: pl.DataFrame, *, rows: Rows | None = None, row_limit: int | None = ROW_LIMIT
) -> BacktestStatistics:
    """Statistics of the closed trades of one backtest (spec reports.md 6).

    trades : ``TRADE_COLUMNS``; a row without a positive ``pending_at`` and ``close_timestamp`` stays in the
    list and counts nowhere. ``rows``, one per trade, are what ``signal_list`` holds instead of ``trades``.
    Raises :class:`StatisticsError` when a column is missing or ``rows`` is not as long as ``trades``.
    """
    _require(trades, TRADE_COLUMNS)
    kept = _newest(trades.height, row_limit)
    return statistics_of_columns(_trade_columns(trades, kept), _retained(rows, trades, kept))


def statistics_of_columns(columns: TradeColumns, signal_list: Rows) -> BacktestStatistics:
    """:func:`backtest_statistics` of ``TRADE_COLUMNS`` as arrays, the newest trade last; NaN and 0 are no values."""
    _, _, _, pending, close, _ = columns
    metrics = _measured(columns, (pending > 0) & (close > 0))
    return BacktestStatistics(
        signal_list=signal_list,
        total_signals=_available(metrics)["total_trades"],
        **_numbers(BacktestStatistics, metrics),
    )


def live_statistics(
    events: pl.DataFrame, *, rows: Rows | None = None, row_limit: int | None = ROW_LIMIT
) -> LiveStatistics:
    """Statistics of the rows of one live run (spec reports.md 6).

    events : ``action`` and ``TRADE_COLUMNS``, the latter null where an action has none. The limit applies to
    rows of all actions; those with action ``closed``, a pnl and a positive ``close_timestamp`` make the
    numbers. A null ``pending_at`` means the time of the close. ``rows``, errors: :func:`backtest_statistics`.
    """
    _require(events, ("action", *TRADE_COLUMNS))
    kept = _newest(events.height, row_limit)
    pnl, peak, fall, pending, close, price = _trade_columns(events, kept)
    oldest_first = _rows_at(events, kept[::-1])
    pending = np.where(oldest_first["pending_at"].is_null().to_numpy(), close, pending)
    is_closed = (oldest_first["action"] == "closed").fill_null(value=False).to_numpy()
    columns = (pnl, peak, fall, pending, close, price)
    metrics = _measured(columns, is_closed & ~np.isnan(pnl) & (close > 0))
    return LiveStatistics(
        event_list=_retained(rows, events, kept),
        total_events=len(kept),
        total_closed=_available(metrics)["total_trades"],
        **_numbers(LiveStatistics, metrics),
    )


def heat_statistics(trades: pl.DataFrame, *, row_limit: int | None = ROW_LIMIT) -> HeatStatistics:
    """Statistics of the closed trades of a portfolio, per symbol and pooled (spec reports.md 6.6 to 6.8).

    trades : ``symbol`` and ``TRADE_COLUMNS``; the limit applies per symbol. Every kept row counts; a row
    without a positive ``pending_at`` and ``close_timestamp`` is left out of the durations only.
    Raises :class:`StatisticsError` when a column is missing.
    """
    from bkcore.statistics.metrics import Scope

    _require(trades, ("symbol", *TRADE_COLUMNS))
    symbols: list[HeatSymbolStatistics] = []
    newest_first: list[TradeColumns] = []
    for symbol_trades in trades.partition_by("symbol", maintain_order=True):
        kept = _newest(symbol_trades.height, row_limit)
        if kept:
            columns = _trade_columns(symbol_trades, kept)
            numbers = _numbers(HeatSymbolStatistics, _measured(columns, scope=Scope.SYMBOL))
            symbols.append(HeatSymbolStatistics(symbol=symbol_trades["symbol"][0], **numbers))
            newest_first.append(tuple(column[::-1] for column in columns))
    by_sharpe = sorted(symbols, key=lambda one: (one.sharpe_ratio is None, -(one.sharpe_ratio or 0.0)))
    portfolio: dict[str, Any] = dict.fromkeys((*_POOLED, *_WEIGHTED, *_EXTREMES))
    if symbols:
        pool = tuple(np.concatenate(parts) for parts in zip(*newest_first, strict=True))
        pooled = _available(_measured(pool, scope=Scope.POOL))
        portfolio.update({name: pooled[name] for name in _POOLED})
        portfolio.update({name: _weighted_mean(by_sharpe, name) for name in _WEIGHTED})
        portfolio.update({name: _extreme(symbols, name) for name in _EXTREMES})
    return HeatStatistics(
        symbols=by_sharpe,
        total_symbols=len(symbols),
        portfolio_total_pnl=_total_pnl(by_sharpe),
        portfolio_total_trades=sum(one.total_trades for one in symbols),
        **{f"portfolio_{name}": value for name, value in portfolio.items()},
    )


def schedule_statistics(
    events: pl.DataFrame, *, rows: Rows | None = None, row_limit: int | None = ROW_LIMIT
) -> ScheduleStatistics:
    """Statistics of resting orders (spec reports.md 8.2).

    events : ``action`` (``scheduled``, ``opened``, ``cancelled``; others are ignored), ``signal_id``,
    ``scheduled_at``, ``pending_at`` (opened), ``close_timestamp`` (cancelled). A signal that opened at once
    (``pending_at == scheduled_at``) never rested and is ignored.
    ``rows``, errors: :func:`backtest_statistics`.
    """
    _require(events, ("action", "signal_id", "scheduled_at", *_TIME_COLUMNS))
    timed = _in_ms(events, ("scheduled_at", *_TIME_COLUMNS))
    action, scheduled_at, pending_at = pl.col("action"), pl.col("scheduled_at"), pl.col("pending_at")
    never_rested = (action == "opened") & pending_at.eq_missing(scheduled_at)
    belongs = action.is_in(_SCHEDULE_ACTIONS) & ~never_rested
    arrived = timed.select(belongs.fill_null(value=False)).to_series().arg_true().to_list()
    kept = [arrived[k] for k in _newest(len(arrived), row_limit)]
    ended_at = pl.when(action == "opened").then(pending_at).otherwise(pl.col("close_timestamp"))
    newest = _rows_at(timed, kept).with_columns(minutes=(ended_at - scheduled_at) / MINUTE_MS)
    scheduled, opened, cancelled = (newest.filter(action == name) for name in _SCHEDULE_ACTIONS)
    known_opened, known_cancelled = (
        part.join(scheduled, on="signal_id", how="semi").height for part in (opened, cancelled)
    )
    known = known_opened + known_cancelled
    return ScheduleStatistics(
        event_list=_retained(rows, events, kept),
        total_events=len(kept),
        total_scheduled=scheduled.height,
        total_opened=opened.height,
        total_cancelled=cancelled.height,
        cancellation_rate=(known_cancelled / known) * 100 if known else None,
        activation_rate=(known_opened / known) * 100 if known else None,
        avg_wait_time=cast("float | None", cancelled["minutes"].mean()),
        avg_activation_time=cast("float | None", opened["minutes"].mean()),
    )


def performance_statistics(
    events: pl.DataFrame,
    *,
    strategy_name: str = "",
    rows: Rows | None = None,
    row_limit: int | None = PERFORMANCE_ROW_LIMIT,
) -> PerformanceStatistics:
    """Statistics of timing events (spec reports.md 8.4).

    events : ``metric_type``, ``timestamp``, ``previous_timestamp`` (null for the first), ``duration`` (ms).
    ``rows``, errors: :func:`backtest_statistics`.
    """
    _require(events, ("metric_type", "timestamp", "previous_timestamp", "duration"))
    kept = _newest(events.height, row_limit)
    duration = pl.col("duration").cast(pl.Float64)
    wait = (pl.col("timestamp") - pl.col("previous_timestamp")).cast(pl.Float64)
    table = (
        _rows_at(_in_ms(events, ("timestamp", "previous_timestamp")), kept)
        .group_by("metric_type", maintain_order=True)
        .agg(
            count=pl.len(),
            total_duration=duration.sum(),
            avg_duration=duration.mean(),
            min_duration=duration.min(),
            max_duration=duration.max(),
            std_dev=duration.std().fill_null(0.0),
            median=duration.median(),
            p95=duration.quantile(0.95, "linear"),
            p99=duration.quantile(0.99, "linear"),
            avg_wait_time=wait.mean().fill_null(0.0),
            min_wait_time=wait.min().fill_null(0.0),
            max_wait_time=wait.max().fill_null(0.0),
        )
        .sort("total_duration", descending=True, maintain_order=True)
    )
    return PerformanceStatistics(
        strategy_name=strategy_name,
        total_events=len(kept),
        total_duration=float(table["total_duration"].sum()),
        metric_stats={row["metric_type"]: MetricStats(**row) for row in table.iter_rows(named=True)},
        events=_retained(rows, events, kept),
    )


def event_statistics(
    kind: type[E], events: pl.DataFrame, *, rows: Rows | None = None, row_limit: int | None = ROW_LIMIT
) -> E:
    """Rows and counts of one kind, as in ``event_statistics(PartialStatistics, events)`` (spec 8.5, 8.6).

    events : ``action`` where the record counts actions. ``rows``, errors: :func:`backtest_statistics`.
    """
    counters = [name for name in kind.field_names if name in COUNTED_ACTIONS]
    _require(events, ("action",) if counters else ())
    kept = _newest(events.height, row_limit)
    counted = _value_counts(_rows_at(events, kept), "action") if counters else {}
    counts: dict[str, Any] = {name: counted.get(COUNTED_ACTIONS[name], 0) for name in counters}
    return kind(event_list=_retained(rows, events, kept), total_events=len(kept), **counts)


def risk_statistics(
    events: pl.DataFrame, *, rows: Rows | None = None, row_limit: int | None = ROW_LIMIT
) -> RiskStatistics:
    """Counts of rejected signals (spec reports.md 8.6).

    events : ``symbol``, ``strategy_name``. ``rows``, errors: :func:`backtest_statistics`.
    """
    _require(events, ("symbol", "strategy_name"))
    kept = _newest(events.height, row_limit)
    newest = _rows_at(events, kept)
    return RiskStatistics(
        event_list=_retained(rows, events, kept),
        total_rejections=len(kept),
        by_symbol=_value_counts(newest, "symbol"),
        by_strategy=_value_counts(newest, "strategy_name"),
    )


def _require(frame: pl.DataFrame, columns: Iterable[str]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise StatisticsError(
            f"columns are missing: {', '.join(missing)}; the frame has: {', '.join(frame.columns) or 'none'}",
            hint="rename the columns, or add them with nulls where a value is not known",
        )


def _newest(count: int, row_limit: int | None) -> list[int]:
    """Positions of the newest ``row_limit`` of ``count`` rows, newest first."""
    if row_limit is not None and row_limit < 0:
        raise StatisticsError(
            f"row_limit must not be negative, got {row_limit}",
            hint="pass how many rows to keep, or None for all",
        )
    oldest = 0 if row_limit is None else max(0, count - row_limit)
    return list(range(count - 1, oldest - 1, -1))


def _rows_at(frame: pl.DataFrame, positions: Sequence[int]) -> pl.DataFrame:
    return frame[pl.Series(positions, dtype=pl.UInt32)]


def _retained(rows: Rows | None, frame: pl.DataFrame, kept: Sequence[int]) -> Rows:
    """The kept rows, newest first: of ``rows`` when given, else of ``frame``."""
    if rows is None:
        return _rows_at(frame, kept)
    if len(rows) != frame.height:
        raise StatisticsError(
            f"{len(rows)} rows do not fit to a frame of {frame.height}",
            hint="rows and frame must be parallel: one entry each, in arrival order",
        )
    return [rows[k] for k in kept] if isinstance(rows, Sequence) else _rows_at(rows, kept)


def _trade_columns(trades: pl.DataFrame, kept: Sequence[int]) -> TradeColumns:
    """``TRADE_COLUMNS`` of the kept rows as arrays, newest last: NaN for null numbers, 0 for null times."""
    oldest_first = _in_ms(_rows_at(trades.select(TRADE_COLUMNS), kept[::-1]), _TIME_COLUMNS)
    return tuple(
        (
            column.fill_null(0)
            if column.name in _TIME_COLUMNS
            else column.cast(pl.Float64).fill_null(float("nan"))
        ).to_numpy()
        for column in oldest_first
    )


def _in_ms(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """``frame`` with the named times as int64 ms UTC, whether they are integers, datetimes or all null."""
    return frame.with_columns(
        (frame[name].dt.epoch("ms") if frame[name].dtype.is_temporal() else frame[name]).cast(pl.Int64)
        for name in names
    )


def _measured(
    columns: TradeColumns, mask: NDArray[np.bool_] | None = None, *, scope: Scope | None = None
) -> NDArray[np.float64]:
    """The metric vector of the rows in ``mask``; they form a series unless ``scope`` says otherwise."""
    from bkcore.statistics.metrics import Scope, measure

    if mask is not None:
        columns = tuple(column[mask] for column in columns)
    pnl, peak, fall, pending, close, price = columns
    return measure(pnl, peak, fall, pending, close, price, Scope.SERIES if scope is None else scope)


def _available(metrics: NDArray[np.float64]) -> dict[str, Any]:
    """The metric vector by name: counts as integers, the trend in words, None where a number is not available."""
    from bkcore.statistics.metrics import COUNTS, METRIC_NAMES
    from bkcore.statistics.price_profile import Trend

    values = (None if isnan(value) else value for value in metrics.tolist())
    available: dict[str, Any] = dict(zip(METRIC_NAMES, values, strict=True))
    for count in COUNTS:
        name = METRIC_NAMES[count]
        available[name] = None if available[name] is None else int(available[name])
    if available["trend"] is not None:
        available["trend"] = Trend(int(available["trend"])).name.lower()
    return available


def _numbers(kind: type[TradeStatistics], metrics: NDArray[np.float64]) -> dict[str, Any]:
    """Those metrics that ``kind`` has a field for."""
    available = _available(metrics)
    return {name: available[name] for name in kind.field_names if name in available}


def _weighted_mean(symbols: Iterable[HeatSymbolStatistics], name: str) -> float | None:
    """Mean of the symbols' values weighted by their trades, over the symbols that have one."""
    total = 0.0
    weight = 0
    for one in symbols:
        value = getattr(one, name)
        if value is not None:
            total += value * one.total_trades
            weight += one.total_trades
    return total / weight if weight else None


def _extreme(symbols: Iterable[HeatSymbolStatistics], name: str) -> float | None:
    values = [value for one in symbols if (value := getattr(one, name)) is not None]
    return _EXTREMES[name](values) if values else None


def _total_pnl(symbols: Sequence[HeatSymbolStatistics]) -> float | None:
    """Left fold of the symbols' totals; None when there are none or one is not available."""
    total = 0.0
    for one in symbols:
        if one.total_pnl is None:
            return None
        total += one.total_pnl
    return total if symbols else None


def _value_counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """How often each value occurs, in the order of first occurrence."""
    return dict(frame.group_by(column, maintain_order=True).len().iter_rows())


def trades_of_statistics(trades: pl.DataFrame, symbol: str) -> pl.DataFrame:
    """The closed trades of a trades frame, with the columns that statistics need."""
    return (
        trades.filter(pl.col("status") == "closed")
        .select(
            pl.lit(symbol).alias("symbol"),
            "pnl_percent",
            "peak_percent",
            "fall_percent",
            pl.col("pending_at", "ended_at").dt.epoch("ms"),
            "close_price",
        )
        .rename({"ended_at": "close_timestamp"})
    )

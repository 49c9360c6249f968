"""Which numbers do the statistics of a report have? One frozen record per kind (spec reports.md 6.7, 6.8, 8).

``None`` means "not available". Percent is percent, durations of trades are minutes, times are ms UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, dataclass_transform

from bkapi.base.deferred import pl
from bkapi.base.record import Record

if TYPE_CHECKING:
    Rows = Sequence[Any] | pl.DataFrame

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False, field_specifiers=(field,))
def _statistics(cls: type[T]) -> type[T]:
    frozen = dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(cls)
    cast(Any, frozen).field_names = tuple(one.name for one in fields(cast(Any, frozen)))
    return frozen


class Statistics(Record):
    """Base of the statistics: they print as a table and compare by value, frames included."""

    __slots__ = ()

    def lines(self) -> list[tuple[str, str]]:
        """Each field as its name and its text; ``N/A`` for None."""
        return [(name, _text(getattr(self, name))) for name in self.field_names]

    def __repr__(self) -> str:
        lines = self.lines()
        width = max(len(name) for name, _ in lines)
        return "\n".join([type(self).__name__, *(f"  {name:<{width}}  {text}" for name, text in lines)])

    def _repr_html_(self) -> str:
        from html import escape

        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(text)}</td></tr>"
            for name, text in self.lines()
        )
        return f"<table><caption>{type(self).__name__}</caption>{cells}</table>"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_is_equal(getattr(self, name), getattr(other, name)) for name in self.field_names)

    __hash__ = None  # type: ignore[assignment]


def _text(value: Any) -> str:
    if value is None:
        return "N/A"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, Statistics):
        return type(value).__name__
    if isinstance(value, Mapping) and all(isinstance(item, int) for item in value.values()):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return f"{len(value)} rows"


def _is_equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    return bool(one.equals(other) if hasattr(one, "equals") else one == other)


def _table(records: Iterable[Statistics]) -> pl.DataFrame:
    return pl.DataFrame([one.to_dict() for one in records], infer_schema_length=None)


@_statistics
class TradeStatistics(Statistics):
    """What every series of trades has (spec 6.4, 7); the fields of the metric vector of the same name."""

    win_count: int
    loss_count: int
    win_rate: float | None
    avg_pnl: float | None
    total_pnl: float | None
    std_dev: float | None
    sharpe_ratio: float | None
    annualized_sharpe_ratio: float | None
    certainty_ratio: float | None
    expected_yearly_returns: float | None
    avg_peak_pnl: float | None
    avg_fall_pnl: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    recovery_factor: float | None
    expectancy: float | None
    avg_duration: float | None
    median_pnl: float | None
    avg_consecutive_win_pnl: float | None
    avg_consecutive_loss_pnl: float | None
    avg_win_duration: float | None
    avg_loss_duration: float | None
    median_step_size: float | None
    buyer_pressure: float | None
    seller_pressure: float | None
    buyer_strength: float | None
    seller_strength: float | None
    pressure_imbalance: float | None
    trend: str | None
    trend_strength: float | None
    trend_confidence: float | None


@_statistics
class BacktestStatistics(TradeStatistics):
    """Closed trades of one backtest; ``total_signals`` counts those with both times."""

    signal_list: Rows
    total_signals: int


@_statistics
class LiveStatistics(TradeStatistics):
    """Rows of one live run: ``total_events`` counts all, the other numbers are of the closed ones."""

    event_list: Rows
    total_events: int
    total_closed: int


@_statistics
class HeatSymbolStatistics(TradeStatistics):
    """Closed trades of one symbol of a portfolio; ``max_drawdown`` is a positive percent."""

    symbol: str
    total_trades: int
    max_drawdown: float | None
    profit_factor: float | None
    avg_win: float | None
    avg_loss: float | None
    max_win_streak: int
    max_loss_streak: int
    peak_profit_pnl: float | None
    max_drawdown_pnl: float | None
    trades_per_year: float | None


@_statistics
class HeatStatistics(Statistics):
    """A portfolio: its symbols, best Sharpe ratio first, and the numbers of all their trades (spec 6.8)."""

    symbols: Sequence[HeatSymbolStatistics]
    total_symbols: int
    portfolio_total_pnl: float | None
    portfolio_total_trades: int
    portfolio_sharpe_ratio: float | None
    portfolio_annualized_sharpe_ratio: float | None
    portfolio_certainty_ratio: float | None
    portfolio_expected_yearly_returns: float | None
    portfolio_trades_per_year: float | None
    portfolio_std_dev: float | None
    portfolio_sortino_ratio: float | None
    portfolio_calmar_ratio: float | None
    portfolio_recovery_factor: float | None
    portfolio_expectancy: float | None
    portfolio_median_pnl: float | None
    portfolio_avg_duration: float | None
    portfolio_avg_win_duration: float | None
    portfolio_avg_loss_duration: float | None
    portfolio_avg_peak_pnl: float | None
    portfolio_avg_fall_pnl: float | None
    portfolio_avg_consecutive_win_pnl: float | None
    portfolio_avg_consecutive_loss_pnl: float | None
    portfolio_peak_profit_pnl: float | None
    portfolio_max_drawdown_pnl: float | None

    @property
    def table(self) -> pl.DataFrame:
        """A row per symbol, a column per number."""
        return _table(self.symbols)


@_statistics
class ScheduleStatistics(Statistics):
    """Resting orders: raw counts, rates in percent of known orders, times in minutes (spec 8.2)."""

    event_list: Rows
    total_events: int
    total_scheduled: int
    total_opened: int
    total_cancelled: int
    cancellation_rate: float | None
    activation_rate: float | None
    avg_wait_time: float | None
    avg_activation_time: float | None


@_statistics
class MetricStats(Statistics):
    """Durations of one metric type and the waits between its events, all in ms (spec 8.4)."""

    metric_type: str
    count: int
    total_duration: float
    avg_duration: float
    min_duration: float
    max_duration: float
    std_dev: float
    median: float
    p95: float
    p99: float
    avg_wait_time: float
    min_wait_time: float
    max_wait_time: float


@_statistics
class PerformanceStatistics(Statistics):
    """Where the time of a run went; ``metric_stats`` by total duration, longest first (spec 8.4)."""

    strategy_name: str
    total_events: int
    total_duration: float
    metric_stats: Mapping[str, MetricStats]
    events: Rows

    @property
    def table(self) -> pl.DataFrame:
        """A row per metric type, a column per number."""
        return _table(self.metric_stats.values())


@_statistics
class EventStatistics(Statistics):
    """Rows of one kind, and how many there are."""

    event_list: Rows
    total_events: int


@_statistics
class PartialStatistics(EventStatistics):
    """Profit and loss levels reached."""

    total_profit: int
    total_loss: int


@_statistics
class BreakevenStatistics(EventStatistics):
    """Breakeven thresholds reached."""


@_statistics
class HighestProfitStatistics(EventStatistics):
    """New best prices of positions."""


@_statistics
class MaxDrawdownStatistics(EventStatistics):
    """New worst prices of positions."""


@_statistics
class SyncStatistics(EventStatistics):
    """Openings and closes told to the outside."""

    open_count: int
    close_count: int


@_statistics
class StrategyStatistics(EventStatistics):
    """Commands that a strategy committed, by action."""

    cancel_scheduled_count: int
    close_pending_count: int
    partial_profit_count: int
    partial_loss_count: int
    trailing_stop_count: int
    trailing_take_count: int
    breakeven_count: int
    activate_scheduled_count: int
    average_buy_count: int


@_statistics
class RiskStatistics(Statistics):
    """Rejected signals; the counts are in the order in which the newest rows name them."""

    event_list: Rows
    total_rejections: int
    by_symbol: Mapping[str, int]
    by_strategy: Mapping[str, int]


@_statistics
class WalkerStatistics(Statistics):
    """What a walker found: a result per tested strategy, newest first, and the best of them (spec 8.3)."""

    walker_name: str
    symbol: str
    exchange_name: str
    frame_name: str
    metric: str
    total_strategies: int
    best_strategy: str | None
    best_metric: float | None
    best_stats: BacktestStatistics | None
    strategy_results: Sequence[Any]

    @property
    def table(self) -> pl.DataFrame:
        """A row per strategy, a column per number."""
        rows = [
            {
                "strategy_name": one.strategy_name,
                "metric_value": one.metric_value,
                **(getattr(one, "parameters", None) or {}),
                **{
                    name: value
                    for name in one.stats.field_names
                    if isinstance(value := getattr(one.stats, name), float | int | str | None)
                },
            }
            for one in self.strategy_results
        ]
        return pl.DataFrame(rows, infer_schema_length=None)


#: Which action each counter of an event record counts (spec 8.5, 8.6).
COUNTED_ACTIONS: Final[Mapping[str, str]] = {
    "total_profit": "profit",
    "total_loss": "loss",
    "open_count": "signal-open",
    "close_count": "signal-close",
    **{name: name.removesuffix("_count").replace("_", "-") for name in StrategyStatistics.field_names[2:]},
}

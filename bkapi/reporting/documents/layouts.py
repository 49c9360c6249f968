"""Which lines stand around the tables of a document? Layouts as data (spec reports.md 9).

A line of a summary is ``label | field | code | suffix``; a value that is not available is ``N/A`` without the suffix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bkapi.base import config
from bkapi.base.price_text import to_fixed
from bkapi.reporting.cells import NOT_AVAILABLE, written
from bkapi.reporting.documents.columns import Columns, table_lines
from bkapi.reporting.paths import read, reader
from bkapi.reporting.rows import WalkerSignal
from bkapi.statistics.records import StrategyStatistics

_HIGHER: Final = " (higher is better)"
_METRICS: Final = f"""
Average PNL | avg_pnl | S2 |{_HIGHER}
Total PNL | total_pnl | S2 |{_HIGHER}
Standard Deviation Per Trade | std_dev | P3 | (lower is better)
Sharpe Ratio | sharpe_ratio | F3 |{_HIGHER}
Annualized Sharpe Ratio | annualized_sharpe_ratio | F3 |{_HIGHER}
Certainty Ratio | certainty_ratio | F3 |{_HIGHER}
Expected Yearly Returns | expected_yearly_returns | S2 |{_HIGHER}
Avg Peak PNL | avg_peak_pnl | S2 |{_HIGHER}
Avg Max Drawdown PNL | avg_fall_pnl | P2 | (closer to 0 is better)
Sortino Ratio | sortino_ratio | F3 |{_HIGHER}
Calmar Ratio | calmar_ratio | F3 |{_HIGHER}
Recovery Factor | recovery_factor | F3 |{_HIGHER}
Expectancy | expectancy | S3 |%{_HIGHER}
Median PNL | median_pnl | S3 |% (closer to avgPnl = symmetric distribution)
Avg Duration | avg_duration | F1 | min
Avg Win Duration | avg_win_duration | F1 | min
Avg Loss Duration | avg_loss_duration | F1 | min
Avg Consecutive Win PNL | avg_consecutive_win_pnl | S3 |%{_HIGHER}
Avg Consecutive Loss PNL | avg_consecutive_loss_pnl | P3 | (closer to 0 is better)
Trend | trend | T |
Trend Strength | trend_strength | S3 |%/day
Trend Confidence (R²) | trend_confidence | F3 |
Buyer Pressure | buyer_pressure | R1 |
Seller Pressure | seller_pressure | R1 |
Buyer Strength | buyer_strength | R1 |
Seller Strength | seller_strength | R1 |
Pressure Imbalance | pressure_imbalance | S3 |
Median Step Size | median_step_size | P3 |
"""
_LINES: Final[Mapping[str, str]] = {
    "backtest": "Total signals | total_signals | I |\nClosed signals | total_signals | I |\n(win rate)"
    + _METRICS,
    "live": "Total events | total_events | I |\nClosed signals | total_closed | I |\n(win rate)" + _METRICS,
    "schedule": f"""
Total events | total_events | I |
Scheduled signals (raw) | total_scheduled | I |
Opened signals | total_opened | I |
Cancelled signals | total_cancelled | I |
Activation rate | activation_rate | P2 |{_HIGHER}
Cancellation rate | cancellation_rate | P2 | (lower is better)
Average activation time | avg_activation_time | F2 | minutes
Average wait time (cancelled) | avg_wait_time | F2 | minutes
""",
    "heat": """
Total Symbols | total_symbols | I |
Portfolio PNL | portfolio_total_pnl | F2 | %
Pooled Sharpe | portfolio_sharpe_ratio | F3 |
Annualized Sharpe | portfolio_annualized_sharpe_ratio | F3 |
Certainty Ratio | portfolio_certainty_ratio | F3 |
Expected Yearly Returns | portfolio_expected_yearly_returns | F2 | %
Trades Per Year | portfolio_trades_per_year | F1 |
Total Trades | portfolio_total_trades | I |
Avg Peak PNL | portfolio_avg_peak_pnl | F2 | %
Avg Max Drawdown PNL | portfolio_avg_fall_pnl | F2 | %
Peak Profit PNL | portfolio_peak_profit_pnl | F2 | %
Max Drawdown PNL | portfolio_max_drawdown_pnl | F2 | %
Median PNL | portfolio_median_pnl | F2 | %
Avg Duration | portfolio_avg_duration | F1 | min
Avg Win Duration | portfolio_avg_win_duration | F1 | min
Avg Loss Duration | portfolio_avg_loss_duration | F1 | min
Avg Consecutive Win PNL | portfolio_avg_consecutive_win_pnl | F2 | %
Avg Consecutive Loss PNL | portfolio_avg_consecutive_loss_pnl | F2 | %
Standard Deviation Per Trade | portfolio_std_dev | F2 | %
Sortino Ratio | portfolio_sortino_ratio | F3 |
Calmar Ratio | portfolio_calmar_ratio | F3 |
Recovery Factor | portfolio_recovery_factor | F3 |
Expectancy | portfolio_expectancy | F2 | %
""",
    "performance": """
Total events | total_events | I |
Total execution time | total_duration | F2 |ms
Number of metric types | metric_stats | (count) |
""",
    "partial": "Total events | total_events | I |\nProfit events | total_profit | I |\nLoss events | total_loss | I |",
    **dict.fromkeys(
        ("breakeven", "highest_profit", "max_drawdown", "strategy"), "Total events | total_events | I |"
    ),
    "sync": "Total events | total_events | I |\nOpens | open_count | I |\nCloses | close_count | I |",
    "risk": "Total rejections | total_rejections | I |",
    "walker": f"""
Total Signals | best_stats.total_signals | I |
Sortino Ratio | best_stats.sortino_ratio | F3 |{_HIGHER}
Calmar Ratio | best_stats.calmar_ratio | F3 |{_HIGHER}
Recovery Factor | best_stats.recovery_factor | F3 |{_HIGHER}
""",
}

#: What a number of a document means, told under it; the names are the labels (spec 6.4, 7, 8).
_RATIOS: Final = """
Sharpe Ratio: average PNL over the standard deviation per trade, risk-free rate 0; N/A below 10 trades.
Annualized Sharpe Ratio: Sharpe ratio times the root of the trades per year (trades x 365 / days); N/A below \
10 trades, 14 days, or above 365 trades per year.
Certainty Ratio: mean win over the mean loss, both as amounts; N/A below 10 trades or without losses.
Expected Yearly Returns: growth of the compounded equity per year, percent; N/A beyond 100 % and where not annualised.
Sortino Ratio: average PNL over the downside deviation of all trades; N/A below 10 trades or without losses.
Calmar Ratio: expected yearly returns over the largest drawdown of the equity; clamped to 1000.
Recovery Factor: compounded result over the largest drawdown of the equity; N/A below 10 trades.
Expectancy: what a trade earns on average, percent, from the means of wins and losses; N/A below 10 trades.
"""
_LEGENDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("backtest", "live"),
        "Win Rate: wins over wins and losses, percent; trades that earn exactly 0 are neither.\n"
        "Total PNL: sum of the results of the trades, percent, not compounded."
        + _RATIOS
        + "Trend: direction of a line "
        "through the logarithms of the trades' closing prices; pressure counts their moves, strength weighs them.",
    ),
    "heat": "Portfolio: the trades of all symbols as one series, in order of their closes, one equity curve."
    + _RATIOS,
    "walker": "Best: the largest value of the metric; the first strategy wins a tie, one without a value never wins.\n"
    "Higher values are better for all metrics but the standard deviation. Numbers are over all trades of a strategy.",
    "schedule": "Rates: of orders whose scheduling is among the rows. Times: minutes from scheduling to the end.",
    "performance": "P95, P99: interpolated between ranks. Wait: time since the event before.",
}
_STRATEGY_COUNTS: Final = tuple(
    (name.removesuffix("_count").replace("_", " ").capitalize(), name)
    for name in StrategyStatistics.field_names[2:]
)


def value_line(label: str, value: Any, code: str, suffix: str) -> str:
    """``**label:** value``, with the suffix where there is a value."""
    text = written(code)(value)
    return f"**{label}:** {text if text == NOT_AVAILABLE else text + suffix}"


def _compiled(lines: str) -> tuple[tuple[str, Any, str, str], ...]:
    compiled: list[tuple[str, Any, str, str]] = []
    for line in lines.strip().splitlines():
        if line == "(win rate)":
            compiled.append(("Win rate", None, "", ""))
            continue
        label, field, code, suffix = line.split("|")
        compiled.append((label.strip(), reader(field.strip()), code.strip(), suffix))
    return tuple(compiled)


_SUMMARIES: Final = {kind: _compiled(lines) for kind, lines in _LINES.items()}


def _win_rate(record: Any) -> str:
    return value_line(
        "Win rate", record.win_rate, "P2", f" ({record.win_count}W / {record.loss_count}L){_HIGHER}"
    )


def summary(kind: str, record: Any) -> list[str]:
    """The value lines of a document."""
    lines = []
    for label, get, code, suffix in _SUMMARIES[kind]:
        if get is None:
            lines.append(_win_rate(record))
        elif code == "(count)":
            lines.append(f"**{label}:** {len(get(record))}")
        else:
            lines.append(value_line(label, get(record), code, suffix))
    return lines


def legend(kind: str, conditions: str) -> list[str]:
    """What the numbers mean and how they came about: lines that begin and end with one ``*``."""
    lines = [*_LEGENDS.get(kind, "").splitlines(), conditions]
    return [f"*{line}*" for line in lines if line]


def _table_first(kind: str, record: Any, table: Sequence[str]) -> list[str]:
    return [*table, "", *summary(kind, record)]


def _heat(kind: str, record: Any, table: Sequence[str]) -> list[str]:
    return [*summary(kind, record), "", *table]


def _performance(kind: str, record: Any, table: Sequence[str]) -> list[str]:
    total = record.total_duration
    shares = [
        f"- **{one.metric_type}**: {to_fixed(one.total_duration / total * 100 if total else 0.0, 1)}% "
        f"({to_fixed(one.total_duration, 2)}ms total)"
        for one in record.metric_stats.values()
    ]
    return [*_table_first(kind, record, table), "", "## Time Distribution", "", *shares]


def _risk(kind: str, record: Any, table: Sequence[str]) -> list[str]:
    lines = _table_first(kind, record, table)
    for title, counts in (("Symbol", record.by_symbol), ("Strategy", record.by_strategy)):
        lines += [
            "",
            f"## Rejections by {title}",
            *(f"- {name}: {count}" for name, count in counts.items()),
        ]
    return lines


def _strategy(kind: str, record: Any, table: Sequence[str]) -> list[str]:
    counts = [f"- {label}: {getattr(record, field)}" for label, field in _STRATEGY_COUNTS]
    return [*_table_first(kind, record, table), *counts]


_BODIES: Final = {"heat": _heat, "performance": _performance, "risk": _risk, "strategy": _strategy}


def body(kind: str, record: Any, table: Sequence[str]) -> list[str]:
    """The lines of a document between its title and its legend."""
    return _BODIES.get(kind, _table_first)(kind, record, table)


def _by_metric(result: Any) -> float:
    value = result.metric_value
    return float("-inf") if value is None else value


def ranked(record: Any) -> list[Any]:
    """The results of a walker, the best first; among equals the one tested first leads, as it is the best."""
    tested = record.strategy_results[::-1]
    return sorted(tested, key=_by_metric, reverse=True)


def _signals(results: Sequence[Any]) -> list[WalkerSignal]:
    """The trades of all results, of each the newest first."""
    return [
        WalkerSignal(
            strategy_name=result.strategy_name,
            signal_id=read(trade, "signal.id"),
            symbol=read(trade, "signal.symbol"),
            position=read(trade, "signal.position"),
            pnl=read(trade, "pnl.pnl_percentage"),
            close_reason=read(trade, "close_reason"),
            open_time=read(trade, "signal.pending_at"),
            close_time=read(trade, "close_timestamp"),
        )
        for result in results
        for trade in result.stats.signal_list
    ]


def walker_body(
    record: Any, strategy_columns: Columns | None = None, pnl_columns: Columns | None = None
) -> list[str]:
    """The lines of a walker report after its title."""
    tested = [
        *reversed(record.strategy_results)
    ]  # among equals the one tested first leads, as it is the best
    results = sorted(tested, key=_by_metric, reverse=True)
    top = results[: int(config.value("CC_WALKER_MARKDOWN_TOP_N"))]
    signals = _signals(record.strategy_results)
    shown = ("symbol", "exchange_name", "frame_name", "metric", "total_strategies")
    labels = ("Symbol", "Exchange", "Frame", "Optimization Metric", "Strategies Tested")
    has_best = record.best_strategy is not None and record.best_metric is not None
    return [
        *(f"**{label}:** {getattr(record, field)}" for label, field in zip(labels, shown, strict=True)),
        "",
        f"## Best Strategy: {record.best_strategy if has_best else NOT_AVAILABLE}",
        "",
        value_line(f"Best {record.metric}", record.best_metric, "F2", ""),
        *(summary("walker", record) if record.best_stats else ["**Total Signals:** 0", *_no_best()]),
        "",
        "## Top Strategies Comparison",
        "",
        *table_lines(top, "walker_strategy_columns", strategy_columns),
        "",
        "## All Signals (PNL Table)",
        "",
        *(
            table_lines(signals, "walker_pnl_columns", pnl_columns)
            if signals
            else ["No closed signals available."]
        ),
    ]


def _no_best() -> list[str]:
    return [f"**{label}:** {NOT_AVAILABLE}" for label, *_ in _SUMMARIES["walker"][1:]]

"""The parameter grid over ideas: callbacks, their counts, and the whole result."""

from collections import Counter
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record, candles_of, fields, written

SCALARS = (
    "skipped_busy",
    "total_pnl_percent",
    "avg_pnl_percent",
    "win_rate",
    "profit_factor",
    "max_series_drawdown_percent",
    "calmar_ratio",
    "recovery_factor",
    "avg_hold_minutes",
    "p95_hold_minutes",
    "p99_hold_minutes",
    "sharpe",
    "sortino",
)
COUNTS = (
    "symbol",
    "ideas_total",
    "ideas_directional",
    "profile_count",
    "truncated_count",
    "avg_hold_minutes",
    "p95_hold_minutes",
    "p99_hold_minutes",
)
POINT = ("hard_stop_percent", "trailing_take_percent", "hold_minutes", "profit_lock_percent")


def play(api: ModuleType, case: Case) -> Record:
    """Run the sweep of a case."""
    given, calls, counts = case.given, [], Counter()

    def count(name: str) -> None:
        counts[name] += 1

    exchange, sweep = f"{case.id}-ex", f"{case.id}-sw"
    api.add_exchange_schema(exchange_name=exchange, get_candles=candles_of(case))
    api.add_sweep_schema(
        sweep_name=sweep,
        exchange_name=exchange,
        grid_axes=given["grid_axes"],
        report_order=given.get("report_order"),
        callbacks={
            "on_ideas": lambda symbol, total, directional: calls.append(["ideas", total, directional]),
            "on_profiles": lambda symbol, profiles, truncated: calls.append(
                ["profiles", len(profiles), truncated]
            ),
            "on_authors_trained": lambda symbol, tracks: count("authors_trained"),
            "on_grid_point": lambda symbol, report, trades: count("grid_point"),
            "on_progress": lambda symbol, stage, processed, total: count(f"progress_{stage}"),
            "on_ranking": lambda symbol, criterion, reports, best: calls.append(
                ["ranking", criterion, len(reports), fields(best.report.point, *POINT)]
            ),
            "on_done": lambda symbol, result: calls.append(["done"]),
        },
    )
    result = api.Sweep.run({"symbol": given["symbol"], "sweep_name": sweep, "ideas": given["ideas"]})
    return {"callbacks": calls, "callback_counts": dict(counts), "ok": result_record(result)}


def result_record(result: Any) -> Record:
    """A result in the shape of the recording."""
    reports = list(result.reports.reports)
    return {
        **fields(result, *COUNTS),
        "reports": [report_record(report) for report in reports],
        "best": [
            [best.criterion, next(k for k, report in enumerate(reports) if report is best.report)]
            for best in result.reports.best
        ],
        "tracks": [
            written(
                [
                    track.hold_minutes,
                    track.profit_lock_percent,
                    track.hard_stop_percent,
                    track.trailing_take_percent,
                    track.author,
                    track.ideas,
                    track.hits,
                    track.hit_rate,
                ]
            )
            for track in result.reports.tracks
        ],
    }


def report_record(report: Any) -> Record:
    """A report in the shape of the recording."""
    return {
        "point": fields(report.point, *POINT),
        **fields(report, *SCALARS),
        "exit_reasons": written(sorted(report.exit_reasons.items())),
        "trades": [
            written(
                [
                    trade.idea_id,
                    trade.author,
                    trade.direction,
                    trade.entry_timestamp,
                    trade.exit_timestamp,
                    trade.exit_reason,
                    trade.hold_minutes_actual,
                    trade.pnl_percent,
                    [idea.idea_id for idea in trade.absorbed_ideas],
                ]
            )
            for trade in report.trades_list
        ],
    }

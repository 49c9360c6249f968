"""Are our statistics those of a golden folder? ``python tests/golden/run_stats.py ../shared/golden/stats``.

Prints the first mismatches and, as the last line, one JSON object with the counts. Exit code 0 only when at
least one scenario ran and every scenario matched.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bkapi.statistics.measured import (
    backtest_statistics,
    heat_statistics,
    live_statistics,
    performance_statistics,
    schedule_statistics,
)
from bkapi.statistics.records import (
    HeatStatistics,
    Statistics,
)

Difference = tuple[str, Any, Any]
Tolerance = Mapping[str, float]

TRADE_NAMES = {
    "pnl_percentage": "pnl_percent",
    "peak_pnl": "peak_percent",
    "fall_pnl": "fall_percent",
    "price_close": "close_price",
}
NUMBERS = ("pnl_percent", "peak_percent", "fall_percent", "close_price")


def differences(expected: Any, actual: Any, tolerance: Tolerance, path: str = "") -> Iterator[Difference]:
    """Every place where ``actual`` is not what was ``expected``: (path, expected, actual)."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            where = f"{path}.{key}" if path else key
            if isinstance(actual, Mapping) and key in actual:
                yield from differences(value, actual[key], tolerance, where)
            else:
                yield where, value, "absent"
    elif isinstance(expected, int | float) and isinstance(actual, int | float):
        far = abs(expected - actual) > tolerance["abs"] + tolerance["rel"] * max(abs(expected), abs(actual))
        if far or actual != actual or (isinstance(actual, int) and expected != actual):
            yield path, expected, actual
    elif expected != actual:
        yield path, expected, actual


def trades_frame(case: Mapping[str, Any]) -> pl.DataFrame:
    frame = pl.DataFrame(case["trades"], schema=case["columns"], orient="row", infer_schema_length=None)
    return frame.rename(TRADE_NAMES).with_columns(pl.col(NUMBERS).cast(pl.Float64))


def heat_record(heat: HeatStatistics, *, with_order: bool) -> dict[str, Any]:
    return {
        "symbols": {one.symbol: one.to_dict() for one in heat.symbols},
        "portfolio": heat.to_dict(),
        "symbol_order": [one.symbol for one in heat.symbols] if with_order else None,
    }


def with_rows(statistics: Statistics, rows: str) -> dict[str, Any]:
    return {**statistics.to_dict(), "rows_retained": len(getattr(statistics, rows))}


def trades_result(case: Mapping[str, Any]) -> dict[str, Any]:
    frame, limit, expected = trades_frame(case), case["row_limit"], case["expected"]
    live = frame.with_columns(action=pl.lit("closed"))
    heat = heat_statistics(frame, row_limit=limit)
    result = {
        "backtest": with_rows(backtest_statistics(frame, row_limit=limit), "signal_list"),
        "live": with_rows(live_statistics(live, row_limit=limit), "event_list"),
        "heat": heat_record(heat, with_order=expected["heat"]["symbol_order"] is not None),
    }
    if "backtest_by_strategy" in expected:
        result["backtest_by_strategy"] = {
            part["strategy_name"][0]: with_rows(backtest_statistics(part, row_limit=limit), "signal_list")
            for part in frame.partition_by("strategy_name", maintain_order=True)
        }
    return result


def schedule_result(case: Mapping[str, Any]) -> dict[str, Any]:
    columns = {"action": pl.String, "signal_id": pl.String}
    times = dict.fromkeys(("scheduled_at", "pending_at", "close_timestamp"), pl.Int64)
    events = pl.DataFrame(case["events"], schema={**columns, **times})
    return schedule_statistics(events, row_limit=case["row_limit"]).to_dict()


def performance_result(case: Mapping[str, Any]) -> dict[str, Any]:
    times = dict.fromkeys(("timestamp", "previous_timestamp"), pl.Int64)
    events = pl.DataFrame(case["events"], schema={"metric_type": pl.String, **times, "duration": pl.Float64})
    statistics = performance_statistics(events, row_limit=case["row_limit"])
    metric_stats = {name: one.to_dict() for name, one in statistics.metric_stats.items()}
    order = list(statistics.metric_stats)
    return {**statistics.to_dict(), "metric_stats": metric_stats, "report_metric_order": order}


RESULTS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "trades": trades_result,
    "schedule": schedule_result,
    "performance": performance_result,
}


def run(folder: Path, *, shown: int = 20) -> dict[str, Any]:
    """Compare every ``*.json`` of ``folder``; prints up to ``shown`` differences and returns the counts."""
    totals: Counter[str] = Counter()
    by_kind: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path in sorted(folder.glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        kind = case.get("kind", "unknown") if isinstance(case, dict) else "unknown"
        if kind not in RESULTS:
            outcome = "skipped"
            print(f"{path.name}: skipped, kind {kind!r} is not one of {', '.join(RESULTS)}")
        else:
            try:
                found = list(differences(case["expected"], RESULTS[kind](case), case["tolerance"]))
            except Exception as error:
                found = [("raised", "statistics", error)]
            outcome = "mismatched" if found else "matched"
            title = f" ({case['title']})" if "title" in case else ""
            for where, expected, actual in found[: max(0, shown)]:
                print(f"{path.name}{title}: {where}\n  expected {expected!r}\n  actual   {actual!r}")
            shown -= len(found)
        for counter in (totals, by_kind[kind]):
            counter["scenarios"] += 1
            counter[outcome] += 1
    names = ("scenarios", "matched", "mismatched", "skipped")
    return {
        **{name: totals[name] for name in names},
        "by_kind": {kind: {name: counter[name] for name in names} for kind, counter in by_kind.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="compare our statistics with a folder of golden scenarios")
    parser.add_argument("folder", type=Path, help="folder of trades_*, schedule_* and performance_*.json")
    parser.add_argument("--shown", type=int, default=20, help="how many differences to print (default 20)")
    arguments = parser.parse_args()
    counts = run(arguments.folder, shown=arguments.shown)
    print(json.dumps(counts))
    return 0 if counts["matched"] and counts["matched"] == counts["scenarios"] else 1


if __name__ == "__main__":
    sys.exit(main())

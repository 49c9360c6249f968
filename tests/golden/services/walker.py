"""Comparisons of strategies: callbacks, events, progress, completion, data and report."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Difference, Record, fields, written
from tests.golden.services.reports import (
    document,
    document_differences,
    other_differences,
    planned,
    register_world,
    scalars,
)

EVENT = (
    "strategy_name",
    "metric",
    "metric_value",
    "best_metric",
    "best_strategy",
    "strategies_tested",
    "total_strategies",
)
COMPLETE = ("metric", "total_strategies", "best_strategy", "best_metric")
RESULT = ("strategy_name", "metric_value", "first_event_time", "last_event_time")


def play(api: ModuleType, case: Case) -> Record:
    """Run the walker of a case to its end."""
    given = case.given
    symbol, walker = given["symbol"], given["walker"]
    events: list[Any] = []
    progress: list[Any] = []
    complete: list[Any] = []
    calls: list[list[Any]] = []
    api.Markdown.enable()
    register_world(api, case)
    for strategy in given["strategies"]:
        api.add_strategy_schema(
            strategy_name=strategy["strategy_name"],
            interval=strategy["interval"],
            get_signal=planned(strategy["interval"], {symbol: strategy["signals"]}),
        )
    api.add_walker_schema(
        **walker,
        exchange_name=f"{case.id}-ex",
        frame_name=f"{case.id}-fr",
        callbacks={
            "on_strategy_start": lambda strategy, symbol: calls.append(["start", strategy]),
            "on_strategy_complete": lambda strategy, symbol, stats, metric: calls.append(
                ["complete", strategy, stats.total_signals, written(metric)]
            ),
            "on_strategy_error": lambda strategy, symbol, error: calls.append(["error", strategy]),
            "on_complete": lambda results: calls.append(
                ["done", results.best_strategy, written(results.best_metric)]
            ),
        },
    )
    api.listen_walker(events.append)
    api.listen_walker_progress(progress.append)
    api.listen_walker_complete(complete.append)
    context = {"walker_name": walker["walker_name"]}
    yields = sum(1 for _ in api.Walker.run(symbol, context))
    data = api.Walker.get_data(symbol, context)
    return {
        "callbacks": calls,
        "events": [{**fields(event, *EVENT), "stats": statistics(event.stats)} for event in events],
        "progress": [
            [one.processed_strategies, one.total_strategies, written(one.progress)] for one in progress
        ],
        "complete": [
            {
                **fields(one, *COMPLETE),
                "best_total_signals": None if one.best_stats is None else one.best_stats.total_signals,
            }
            for one in complete
        ],
        "yields": yields,
        "data": {
            **fields(data, *COMPLETE),
            "strategy_results": [
                {**fields(result, *RESULT), "total_signals": result.stats.total_signals}
                for result in data.strategy_results
            ],
        },
        "report": document(api.Walker.get_report(symbol, context)),
    }


def statistics(stats: Any) -> Record:
    """The scalars of a statistics record."""
    return {
        "signal_list_length": len(stats.signal_list),
        **scalars(stats, without=("signal_list",)),
    }


def differences(expected: Record, got: Record) -> Iterator[Difference]:
    """Documents cell by cell; one with equal metric values was not recorded.

    The recorded legend closes with a paragraph ``**Note:**``. It is legend too: ``reports/walker.md``, whose legend was
    taken out, does not have it, and the wording of a legend is free (spec reports.md 9).
    """
    for name, value in expected.items():
        if name == "report":
            if value is not None:
                recorded = [line for line in value if not line.startswith("**Note:**")]
                yield from document_differences(recorded, got[name], name)
        elif name != "ties":
            yield from other_differences(value, got[name], name)

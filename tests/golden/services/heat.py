"""The portfolio heat map of several strategies and symbols."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Difference, Record
from tests.golden.services.reports import (
    document,
    document_differences,
    names_of,
    other_differences,
    planned,
    register_world,
    scalars,
)


def play(api: ModuleType, case: Case) -> Record:
    """Run every strategy on every symbol that it has a plan for."""
    api.Markdown.enable()
    register_world(api, case)
    closed: list[list[Any]] = []
    strategies = case.given["strategies"]
    for strategy in strategies:
        plans = {plan["symbol"]: plan["signals"] for plan in strategy["plans"]}
        api.add_strategy_schema(
            strategy_name=strategy["strategy_name"],
            interval=strategy["interval"],
            get_signal=planned(strategy["interval"], plans),
        )
        context = names_of(case, strategy["strategy_name"])
        for symbol in plans:
            closed += [
                [
                    context["strategy_name"],
                    symbol,
                    result.signal_id,
                    result.close_timestamp,
                    result.close_reason,
                    result.pnl.pnl_percentage,
                ]
                for result in api.Backtest.run(symbol, context)
                if result.action == "closed"
            ]
    first = names_of(case, strategies[0]["strategy_name"])
    data = api.Heat.get_data(first, True)
    return {
        "closed": closed,
        "portfolio": scalars(data),
        "symbols": [scalars(row) for row in data.symbols],
        "report": document(api.Heat.get_report(first, True)),
    }


def differences(expected: Record, got: Record) -> Iterator[Difference]:
    """Documents cell by cell, the rest as usual."""
    for name, value in expected.items():
        if name == "report":
            yield from document_differences(value, got[name], name)
        else:
            yield from other_differences(value, got[name], name)

"""Markdown documents and JSONL records of small runs of several strategies."""

import json
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Difference, Record, written
from tests.golden.services.reports import (
    document,
    document_differences,
    names_of,
    obey,
    other_differences,
    planned,
    register_world,
    scalars,
    short,
)
from tests.golden.services.risk import judged

KINDS = {
    "backtest": "Backtest",
    "schedule": "Schedule",
    "partial": "Partial",
    "breakeven": "Breakeven",
    "risk": "Risk",
    "strategy": "Strategy",
    "sync": "Sync",
    "highest_profit": "HighestProfit",
    "max_drawdown": "MaxDrawdown",
}
SHOWN_RECORDS = 20


def play(api: ModuleType, case: Case) -> Record:
    """Run the strategies one after the other with everything collected."""
    kept: dict[str, list[Record]] = {}

    class Kept:
        def __init__(self, report_name: str, base_dir: str) -> None:
            self.report_name = report_name

        def wait_for_init(self, initial: bool) -> None:
            pass

        def write(self, data: Record, options: Record) -> None:
            kept.setdefault(self.report_name, []).append({"data": data, "options": options})

    api.Markdown.enable()
    api.Report.use_report_adapter(Kept)
    api.Report.enable()
    register_world(api, case)
    risk = register_risk(api, case)
    results, contexts = [], []
    for run in case.given["runs"]:
        api.add_strategy_schema(
            strategy_name=run["strategy_name"],
            interval=run["interval"],
            get_signal=planned(run["interval"], {run["symbol"]: run["signals"]}),
            **risk,
        )
        context = names_of(case, run["strategy_name"])
        stop = obey(api, run["strategy_name"], run["rules"])
        results.append([short(result) for result in api.Backtest.run(run["symbol"], context)])
        stop()
        contexts.append((run["symbol"], context))
    return {
        "results": results,
        "reports": [documents(api, symbol, context) for symbol, context in contexts],
        "statistics": [statistics(api, symbol, context) for symbol, context in contexts],
        "records": {name: shown(rows) for name, rows in kept.items() if name != "performance"},
        "heat_report": document(api.Heat.get_report(contexts[0][1], True)),
    }


def register_risk(api: ModuleType, case: Case) -> Record:
    """Register the risk profile of a case; what a strategy has to be given to use it."""
    risk = case.given.get("risk")
    if risk is None:
        return {}
    api.add_risk_schema(
        risk_name=risk["risk_name"], validations=[partial(judged, rule) for rule in risk["validations"]]
    )
    return {"risk_name": risk["risk_name"]}


def asked(api: ModuleType, kind: str, method: str, symbol: str, context: Record) -> Any:
    facade = getattr(getattr(api, KINDS[kind]), method)
    return facade(symbol, context) if kind == "backtest" else facade(symbol, context, True)


def documents(api: ModuleType, symbol: str, context: Record) -> Record:
    return {kind: document(asked(api, kind, "get_report", symbol, context)) for kind in KINDS}


def statistics(api: ModuleType, symbol: str, context: Record) -> Record:
    return {kind: scalars(asked(api, kind, "get_data", symbol, context)) for kind in KINDS}


def shown(rows: list[Record]) -> Record:
    """The first records that are not idle, and how many there are."""
    busy = [row for row in rows if row["data"].get("action") != "idle"]
    counts = {"count": len(rows)}
    idle = len(rows) - len(busy)
    if idle:
        counts["idle"] = idle
    return {**counts, "first": [written(json.loads(json.dumps(row))) for row in busy[:SHOWN_RECORDS]]}


def differences(expected: Record, got: Record) -> Iterator[Difference]:
    """Documents cell by cell, the rest as usual; a time that was not recorded is not compared."""
    yield from document_differences(expected["heat_report"], got["heat_report"], "heat_report")
    for number, (one, other) in enumerate(zip(expected["reports"], got["reports"], strict=True)):
        for kind, lines in one.items():
            yield from document_differences(lines, other[kind], f"reports[{number}].{kind}")
    for name, records in expected["records"].items():
        ours = got["records"].get(name, {"count": 0, "first": []})
        for record, our in zip(records["first"], ours["first"], strict=False):
            if record["data"].get("timestamp", 0) is None:
                our["data"]["timestamp"] = None
        if not records.get("idle"):
            ours = {key: value for key, value in ours.items() if key != "idle"} | (
                {"idle": records["idle"]} if "idle" in records else {}
            )
        yield from other_differences(records, ours, f"records.{name}")
    for name in ("results", "statistics"):
        yield from other_differences(expected[name], got[name], name)
    extra = set(got["records"]) - set(expected["records"])
    if extra:
        yield "records", "nothing", sorted(extra)

"""Are our documents and records golden? ``python tests/golden/run_reports.py ../shared/golden/reports``.

Every ``<kind>.events.json`` is played on the public services: its events are sent on their channels, then statistics,
documents (``<kind>.md``, ``<kind>.with_note.md``) and the records handed to the writer (``<kind>.rows.jsonl``) are
compared; tables cell by cell. ``empty.json`` and ``formatting.json`` are scenarios of their own.

Prints the first differences and, as the last line, one JSON object with the counts. Exit code 0 only when at least one
scenario ran and every scenario matched.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import bkapi
from bkapi.base.price_text import to_fixed
from bkapi.events.payloads import PerformanceEvent, WalkerEvent
from bkapi.reporting import cells
from bkapi.reporting.documents.services import MARKDOWN_SERVICES
from bkapi.reporting.journal.services import REPORT_SERVICES

Record = dict[str, Any]
Difference = tuple[str, Any, Any]

TOLERANCE = 1e-9


class Event(dict[str, Any]):
    """A recorded event: its keys are attributes, what it lacks is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def event_of(value: Any) -> Any:
    """A recorded value with its mappings as events."""
    if isinstance(value, dict):
        return Event({name: event_of(item) for name, item in value.items()})
    return [event_of(item) for item in value] if isinstance(value, list) else value


def channel_of(emitter: str) -> Any:
    """The channel of a recorded emitter."""
    for suffix in ("_emitter", "_subject"):
        if hasattr(bkapi.emitters, emitter + suffix):
            return getattr(bkapi.emitters, emitter + suffix)
    raise LookupError(f"no channel {emitter!r}")


def send(entry: Mapping[str, Any]) -> None:
    """Deliver a recorded event at its time."""
    event, emitter = event_of(entry["event"]), entry["emitter"]
    payload = PerformanceEvent(**{"previous_timestamp": None, **event}) if emitter == "performance" else event
    bkapi.run_in_mock_context(
        lambda: channel_of(emitter).emit(payload),
        symbol=event.symbol or "",
        when=entry["context_timestamp"],
        backtest=bool(event.backtest),
    )


class Kept:
    """A storage of records that keeps them."""

    records: ClassVar[list[Record]] = []

    def __init__(self, report_name: str, base_dir: str) -> None:
        self.report_name = report_name

    async def wait_for_init(self, initial: bool) -> None:
        pass

    async def write(self, data: Record, options: Record) -> None:
        found = {name: value for name, value in options.items() if value}
        Kept.records.append(json.loads(json.dumps({"report_name": self.report_name, "data": data, **found})))


# ------------------------------------------------------------------------------------------------- comparing


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[Difference]:
    """Every place where ``actual`` is not what was ``expected``."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in dict.fromkeys((*expected, *actual)):
            where = f"{path}.{key}" if path else key
            if (key in expected) != (key in actual):
                yield where, expected.get(key, "absent"), actual.get(key, "absent")
            else:
                yield from differences(expected[key], actual[key], where)
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{path}.length", len(expected), len(actual)
        for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
            yield from differences(one, other, f"{path}[{number}]")
    elif is_number(expected) and is_number(actual):
        if abs(expected - actual) > TOLERANCE * max(1.0, abs(expected), abs(actual)):
            yield path, expected, actual
    elif expected != actual or type(expected) is not type(actual):
        yield path, expected, actual


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lines_of(text: str) -> list[str]:
    """The lines that count: no legend, no repeated blank lines, none at the end."""
    lines: list[str] = []
    for line in text.split("\n"):
        is_legend = line.startswith("*") and not line.startswith("**") and line != "*No data available*"
        if not is_legend and (line or (lines and lines[-1])):
            lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def text_differences(expected: str, actual: str, name: str) -> Iterator[Difference]:
    """Differences of two documents: cell by cell in tables, line by line elsewhere."""
    for number, (one, other) in enumerate(zip_longest(lines_of(expected), lines_of(actual)), 1):
        if one == other:
            continue
        if one is None or other is None or not (one.startswith("| ") and other.startswith("| ")):
            yield f"{name} line {number}", one, other
            continue
        for column, (cell, our) in enumerate(zip_longest(one.split(" | "), other.split(" | ")), 1):
            if cell != our:
                yield f"{name} line {number} cell {column}", cell, our


# ------------------------------------------------------------------------------------------------- scenarios


def statistics_record(record: Any, wanted: Mapping[str, Any]) -> Record:
    """The wanted fields of a statistics object; ``<list>_length`` is the length of a list."""
    found: Record = {}
    for name, value in wanted.items():
        if name.endswith("_length") and not hasattr(record, name):
            found[name] = len(getattr(record, name.removesuffix("_length")))
        elif isinstance(value, list):
            found[name] = [
                statistics_record(one, like) if isinstance(like, dict) else one
                for one, like in zip_longest(getattr(record, name), value)
            ]
        elif isinstance(value, dict):
            ours = getattr(record, name)
            found[name] = {
                key: statistics_record(ours[key], like) if isinstance(like, dict) else ours[key]
                for key, like in value.items()
                if key in ours
            }
        else:
            inner = getattr(record, "stats", None)
            found[name] = getattr(record, name) if hasattr(record, name) else getattr(inner, name, "absent")
    return found


def arguments_of(kind: str, context: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """The arguments of ``get_data`` and of ``get_report``."""
    if kind == "walker":
        names = {"exchange_name": context["exchange_name"], "frame_name": context["frame_name"]}
        both = [context["walker_name"], context["symbol"], context["metric"], names]
        return both, both
    wide = [context["exchange_name"], context["frame_name"], context["backtest"]]
    if kind == "heat":
        return wide, [context["strategy_name"], *wide]
    both = [context["symbol"], context["strategy_name"], *wide]
    return both, both


def play_events(kind: str, scenario: Mapping[str, Any]) -> None:
    """Send the events; a walker tells of each strategy what its backtest bucket says."""
    for entry in scenario["events"]:
        send(entry)
    if kind != "walker":
        return
    context = scenario["context"]
    backtests = bkapi.Markdown.services["backtest"]
    for contract in scenario["contracts"]:
        where = (
            context["symbol"],
            contract["strategy_name"],
            context["exchange_name"],
            context["frame_name"],
        )
        bkapi.emitters.walker_emitter.emit(
            WalkerEvent(
                **{
                    name: context[name]
                    for name in ("walker_name", "exchange_name", "frame_name", "symbol", "metric")
                },
                stats=backtests.get_data(*where, True),
                **contract,
            )
        )


def kind_differences(folder: Path, kind: str) -> Iterator[Difference]:
    """Play one kind and compare everything that its folder has."""
    scenario = json.loads((folder / f"{kind}.events.json").read_text(encoding="utf-8"))
    bkapi.reset()
    Kept.records = []
    bkapi.Markdown.enable({kind: True, **({"backtest": True} if kind == "walker" else {})})
    bkapi.Report.use_report_adapter(Kept)
    bkapi.Report.enable({kind: True})
    play_events(kind, scenario)
    service = bkapi.Markdown.services[kind]
    for_data, for_report = arguments_of(kind, scenario["context"])
    wanted = scenario.get("expected_statistics")
    if wanted is not None:
        yield from differences(wanted, statistics_record(service.get_data(*for_data), wanted), "statistics")
    for suffix, shows_notes in (("md", False), ("with_note.md", True)):
        path = folder / f"{kind}.{suffix}"
        if path.is_file():
            bkapi.set_config({"CC_REPORT_SHOW_SIGNAL_NOTE": shows_notes})
            yield from text_differences(
                path.read_text(encoding="utf-8"), service.get_report(*for_report), path.name
            )
    path = folder / f"{kind}.rows.jsonl"
    if path.is_file():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if kind == "walker":
            for row in (*rows, *Kept.records):
                row["data"].pop("timestamp", None)
        yield from differences(rows, Kept.records, path.name)


def empty_differences(folder: Path) -> Iterator[Difference]:
    """The documents of empty buckets."""
    given = json.loads((folder / "empty.json").read_text(encoding="utf-8"))
    bkapi.reset()
    bkapi.Markdown.enable()
    for kind, text in given["empty_reports"].items():
        context = {
            "symbol": given["symbol"],
            "strategy_name": given["strategy_name"],
            "exchange_name": "none",
            "frame_name": "",
            "backtest": kind == "backtest",
        }
        _, arguments = arguments_of(kind, context)
        got = bkapi.Markdown.services[kind].get_report(*arguments)
        if got != text:
            yield f"empty {kind}", text, got


def formatting_differences(folder: Path) -> Iterator[Difference]:
    """The samples of numbers, prices, times and notes."""
    samples = json.loads((folder / "formatting.json").read_text(encoding="utf-8"))
    writers: Mapping[str, Callable[..., str | int]] = {
        "to_fixed": to_fixed,
        "price": lambda value, _: cells.price_text(value),
        "number_to_string": cells.number_text,
        "round_half_up": cells.round_half_up,
        "iso_utc": cells.iso,
        "plain_note": cells.plain_note,
    }
    for name, cases in samples.items():
        if name not in writers:
            continue
        for *given, expected in cases:
            got = writers[name](*given)
            if got != expected:
                yield f"{name}{given!r}", expected, got


def scenarios(folder: Path) -> dict[str, Callable[[], Iterator[Difference]] | None]:
    """What a folder has to play, by name; None for what cannot be played."""
    found: dict[str, Callable[[], Iterator[Difference]] | None] = {}
    for path in sorted(folder.glob("*.events.json")):
        kind = path.name.removesuffix(".events.json")
        known = kind in MARKDOWN_SERVICES and kind in REPORT_SERVICES
        found[kind] = (lambda kind=kind: kind_differences(folder, kind)) if known else None  # type: ignore[misc]
    for name, play in (("empty", empty_differences), ("formatting", formatting_differences)):
        if (folder / f"{name}.json").is_file():
            found[name] = lambda play=play: play(folder)  # type: ignore[misc]
    return found


def run(folder: Path, *, shown: int = 20) -> dict[str, Any]:
    """Play every scenario of ``folder``; prints up to ``shown`` differences and returns the counts."""
    counts: Counter[str] = Counter()
    by_scenario: dict[str, str] = {}
    for name, play in scenarios(folder).items():
        if play is None:
            outcome, found = "skipped", []
        else:
            try:
                found = [*play()]
            except Exception as error:
                found = [("raised", "a document", f"{type(error).__name__}: {error}")]
            finally:
                bkapi.reset()
            outcome = "mismatched" if found else "matched"
        for where, expected, actual in found[: max(0, shown)]:
            print(f"{name}: {where}\n  expected {expected!r}\n  actual   {actual!r}")
        shown -= len(found)
        counts.update(("scenarios", outcome))
        by_scenario[name] = outcome
    names = ("scenarios", "matched", "mismatched", "skipped")
    return {**{name: counts[name] for name in names}, "by_scenario": by_scenario}


def main() -> int:
    parser = argparse.ArgumentParser(description="compare our documents and records with a golden folder")
    parser.add_argument("folder", type=Path, help="folder of <kind>.events.json and what belongs to them")
    parser.add_argument("--shown", type=int, default=20, help="how many differences to print (default 20)")
    arguments = parser.parse_args()
    counts = run(arguments.folder, shown=arguments.shown)
    print(json.dumps(counts))
    return 0 if counts["matched"] and counts["matched"] == counts["scenarios"] else 1


if __name__ == "__main__":
    sys.exit(main())

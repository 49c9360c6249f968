"""How fast do sinks take records, and what do reports cost a backtest? The last line is JSON, with the targets.

    python benchmarks/reports.py [--candles FILE] [--events 1000000] [--runs 40]

Sinks: as many records as asked for, those of a real backtest over and over, from the first call until the last byte is
with the operating system; before any time is taken every sink must give back what it was given. ``service`` is the
whole way of an event, from the channel through fields and writer into JSON Lines.

Documents: a year of 1-minute candles on a vectorized strategy, 20/60 moving-average cross judged every 15 minutes, its
signals worked out beforehand, so that nothing but the engine is slowed down. The same run in turns with nothing enabled
and with all thirteen kinds; a run with everything enabled tells nobody anything and its log is read when the documents
are asked for, which is timed by itself. First the rows that are read from the log must equal those of a run whose every
event is told.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from measuring import candle_file, machine
from single import strategy

SYMBOL = "BTCUSDT"
CONTEXT = {"strategy_name": "cross", "exchange_name": "file", "frame_name": "year"}
MOST_SLOWDOWN_PERCENT = 20.0
FACADES = ("Schedule", "Partial", "Breakeven", "Strategy", "HighestProfit", "MaxDrawdown")


def register(path: Path) -> None:
    """Exchange, frame and strategy over the candles of a file."""
    import bkapi
    from bkapi.base.timestamps import from_ms
    from bkcore.candles.frame import CandleFrame

    candles = CandleFrame.read(path, symbol=SYMBOL, interval="1m", gaps="fill")
    bkapi.add_exchange_schema(exchange_name="file", candles={SYMBOL: candles})
    bkapi.add_frame_schema(
        frame_name="year",
        interval="1m",
        start_date=from_ms(int(candles.timestamps[5])),
        end_date=from_ms(int(candles.timestamps[-2])),
    )
    frames: list[Any] = []

    def signals(candles: Any) -> Any:
        if not frames:
            frames.append(strategy(candles))
        return frames[0]

    bkapi.add_strategy_schema(strategy_name="cross", interval="15m", signals=signals)


def run() -> None:
    """One backtest."""
    import bkapi

    bkapi.Backtest.finish(SYMBOL, CONTEXT)


def documents() -> list[str]:
    """Every document of the last run."""
    import bkapi

    texts = [bkapi.Backtest.get_report(SYMBOL, CONTEXT), bkapi.Heat.get_report(CONTEXT, True)]
    return texts + [getattr(bkapi, name).get_report(SYMBOL, CONTEXT, True) for name in FACADES]


def prove_parity() -> int:
    """Rows read from the log equal rows that were told; returns how many lines the documents have."""
    import bkapi

    bkapi.Markdown.enable()
    run()
    read = documents()
    listening = [channel.subscribe(lambda event: None) for channel in bkapi.emitters.event_channels()]
    run()
    assert documents() == read, "rows read from the log differ from rows that were told"
    for stop in listening:
        stop()
    bkapi.Markdown.disable()
    return sum(text.count("\n") + 1 for text in read)


# -------------------------------------------------------------------------------------------- documents


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def document_figures(runs: int) -> dict[str, Any]:
    """Seconds of a run without and with all kinds enabled, taken in turns, and of reading the documents."""
    import bkapi

    bare, collected = [], []
    run()
    for _ in range(runs):
        bare.append(seconds_of(run))
        stop = bkapi.Markdown.enable()
        collected.append(seconds_of(run))
        stop()
    bkapi.Markdown.enable()
    read = []
    for _ in range(5):
        run()
        read.append(seconds_of(documents))
    stop = bkapi.emitters.highest_profit_subject.subscribe(lambda event: None)
    told = [seconds_of(run) for _ in range(3)]
    stop()
    bkapi.Markdown.disable()
    figures = bkapi.Backtest.last_run(SYMBOL, CONTEXT)
    return {
        "trades": figures.trades.height,
        "events": figures.run.events.size,
        "run_s": min(bare),
        "run_all_enabled_s": min(collected),
        "median_run_s": median(bare),
        "median_run_all_enabled_s": median(collected),
        "slowdown_percent": (min(collected) / min(bare) - 1) * 100,
        "read_all_documents_s": min(read),
        "run_with_a_listener_s": min(told),
    }


# ------------------------------------------------------------------------------------------------ sinks


def sample_records(count: int) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Records of a real run: what a report service hands to its writer."""
    import bkapi

    kept: list[tuple[dict[str, Any], dict[str, str]]] = []

    class Kept:
        def __init__(self, report_name: str, base_dir: str) -> None:
            pass

        def wait_for_init(self, initial: bool) -> None:
            pass

        def write(self, data: dict[str, Any], options: dict[str, str]) -> None:
            if len(kept) < count:
                kept.append((data, options))

    bkapi.Report.use_report_adapter(Kept)
    bkapi.Report.enable({"highest_profit": True, "max_drawdown": True, "heat": True})
    run()
    bkapi.Report.disable()
    bkapi.Report.use_jsonl()
    bkapi.Report.clear()
    return kept


def size_of(path: Path) -> int:
    """Bytes of a file or of all files of a folder."""
    return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size


def sink_figures(name: str, records: list[Any], count: int, folder: Path) -> dict[str, float]:
    """Events per second of a sink and what they weigh."""
    import bkapi
    from bkapi.base.coroutines import settle

    kind = {
        "jsonl": bkapi.ReportBase,
        "sqlite": bkapi.ReportSqlite,
        "parquet": bkapi.ReportParquet,
        "dummy": bkapi.ReportDummy,
    }[name]
    if name != "dummy":
        prove_kept(kind, records[:5000], folder)
    sink: Any = kind("events", str(folder))
    settle(sink.wait_for_init(True))
    take = sink.take
    started = time.perf_counter()
    for data, options in islice(cycle(records), count):
        take(data, options)
    handed_over = time.perf_counter() - started
    if name != "dummy":
        sink.flush()
        sink.close()
    seconds = time.perf_counter() - started
    figures = {"events_per_s": count / seconds, "seconds": seconds, "handed_over_s": handed_over}
    if name != "dummy":
        figures["bytes_per_event"] = size_of(sink.path) / count
        shutil.rmtree(sink.path, ignore_errors=True)
        sink.path.unlink(missing_ok=True)
    return figures


def prove_kept(kind: Any, records: list[Any], folder: Path) -> None:
    """A sink gives back what it was given."""
    import bkapi
    from bkapi.base.coroutines import settle

    sink = kind("proof", str(folder))
    settle(sink.wait_for_init(True))
    for data, options in records:
        sink.take(data, options)
    sink.close()
    assert [record["data"] for record in bkapi.read_records(sink.path)] == [data for data, _ in records]


def service_figures(count: int, folder: Path) -> dict[str, float]:
    """Events per second from the channel into JSON Lines."""
    import bkapi

    bkapi.Report.use_report_adapter(lambda name, _: bkapi.ReportBase(name, str(folder)))
    events: list[Any] = []
    stop = bkapi.emitters.highest_profit_subject.subscribe(
        lambda event: events.append(event) if len(events) < 5000 else None
    )
    run()
    stop()
    bkapi.Report.enable({"highest_profit": True})
    channel = bkapi.emitters.highest_profit_subject
    started = time.perf_counter()
    for event in islice(cycle(events), count):
        channel.emit(event)
    bkapi.ReportWriter.flush()
    seconds = time.perf_counter() - started
    bkapi.Report.disable()
    bkapi.Report.clear()
    bkapi.Report.use_jsonl()
    return {"events_per_s": count / seconds, "seconds": seconds}


def markdown_figures(folder: Path, count: int = 300) -> dict[str, dict[str, float]]:
    """Documents per second of the two sinks of documents; a file is synced to disk, a line handed to the system."""
    import os

    import bkapi

    text = bkapi.Backtest.get_report(SYMBOL, CONTEXT)
    options = {"path": str(folder / "md"), "symbol": SYMBOL}
    here = Path.cwd()
    os.chdir(folder)
    figures = {}
    try:
        for name, choose in (("folder", bkapi.Markdown.use_md), ("jsonl", bkapi.Markdown.use_jsonl)):
            bkapi.MarkdownWriter.clear()
            choose()
            started = time.perf_counter()
            for number in range(count):
                bkapi.MarkdownWriter.write_data("backtest", text, {**options, "file": f"{number}.md"})
            seconds = time.perf_counter() - started
            figures[name] = {"documents_per_s": count / seconds, "bytes_per_document": len(text.encode())}
        bkapi.MarkdownWriter.clear()
        bkapi.Markdown.use_md()
    finally:
        os.chdir(here)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--candles", help="a Parquet file of 1-minute candles (default: a year of BTCUSDT)")
    parser.add_argument("--events", type=int, default=1_000_000, help="records into each sink")
    parser.add_argument("--runs", type=int, default=40, help="runs of which the least counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, source = candle_file(arguments.candles, folder)
        register(path)
        lines = prove_parity()
        print(f"rows read from the log equal rows that were told: {lines:,} lines of documents")
        written = document_figures(arguments.runs)
        print(
            f"a run: {written['run_s'] * 1e3:.2f} ms, with all kinds {written['run_all_enabled_s'] * 1e3:.2f} ms "
            f"({written['slowdown_percent']:+.1f} %); documents {written['read_all_documents_s'] * 1e3:.0f} ms; "
            f"with a listener {written['run_with_a_listener_s']:.2f} s for {written['events']:,} events"
        )
        records = sample_records(100_000)
        sinks = {}
        for sink in ("jsonl", "sqlite", "parquet", "dummy"):
            sinks[sink] = sink_figures(sink, records, arguments.events, folder)
            weight = sinks[sink].get("bytes_per_event", 0.0)
            print(f"{sink:8s} {sinks[sink]['events_per_s']:12,.0f} events/s {weight:8.1f} bytes/event")
        service = service_figures(arguments.events // 5, folder)
        print(f"service  {service['events_per_s']:12,.0f} events/s from the channel into JSON Lines")
        markdown = markdown_figures(folder)
        for sink, figures in markdown.items():
            print(f"markdown {sink}: {figures['documents_per_s']:,.0f} documents/s")
    met = written["slowdown_percent"] <= MOST_SLOWDOWN_PERCENT
    print(
        json.dumps(
            {
                "benchmark": "reports",
                "candles": source,
                "events": arguments.events,
                "documents": written,
                "sinks": sinks,
                "service": service,
                "markdown": markdown,
                "targets": {"slowdown_percent": {"limit": MOST_SLOWDOWN_PERCENT, "met": met}},
                **machine(),
            }
        )
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""The commands of ``bk``: backtest, sweep, walk, candle files, warm-up. Each imports what it needs when it runs."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bkapi.cli.store import store
from bkcore.errors import BkError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl
    from rich.console import Console

    from bkapi.cli.file_run import FileRun
    from bkapi.guards.overfitting import Overfitting
    from bkapi.runs.finished import FinishedRun
    from bkapi.sweeps.sweep import MetricGroup, ParameterSweep, SweepResult
    from bkcore.candles import CandleFrame

app = typer.Typer(
    name="bk",
    help="Backtest trading signals over 1-minute candles, and sweep their parameters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Check, convert, resample, store and invent candles.", no_args_is_help=True)
app.add_typer(data, name="data")
data.add_typer(store, name="store")


class ArgumentError(BkError):
    """Raised by ``bk sweep example --take-profit 3:1:0.5``: an argument that means nothing."""


Candles = Annotated[
    str | None,
    typer.Option(
        help="A candle file: CSV, Parquet, Arrow, a Binance dump; or a quoted pattern such as 'dumps/*.zip'. "
        "Default: the bundled sample."
    ),
]
Name = Annotated[
    str | None, typer.Option("--strategy", help="Which strategy, if the file registers several.")
]
Symbol = Annotated[str | None, typer.Option(help="The symbol, where the file name does not tell it.")]
Start = Annotated[str | None, typer.Option(help="First tick, as 2024-01-31 or 2024-01-31T12:00 (UTC).")]
End = Annotated[str | None, typer.Option(help="Last tick. Default: one candle before the candles end.")]
FrameInterval = Annotated[str, typer.Option(help="Time between ticks: 1m, 5m, 15m, 1h ...")]
Gaps = Annotated[str, typer.Option(help="Missing candles: raise, keep or fill.")]
Config = Annotated[list[str] | None, typer.Option(help="A configuration constant, as CC_PERCENT_FEE=0.05.")]
Strategy = Annotated[str, typer.Argument(help="A Python file that registers a strategy, or 'example'.")]


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _numbers(text: str, option: str) -> list[float]:
    """``1,2,3`` or ``0.5:3:0.5`` (both ends included)."""
    hint = f"give numbers as {option} 0.5,1,2 or a range as {option} 0.5:3:0.5 (first, last, step)."
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise ArgumentError(f"{option} {text!r} is neither a list nor a range.", hint=hint) from None
    count = (last - first) / step if step > 0 else -1.0
    if not 0 <= count < 1e6:
        raise ArgumentError(f"{option} {text!r} is an empty or endless range.", hint=hint)
    return [round(first + k * step, 10) for k in range(int(count + 1e-9) + 1)]


def _configure(constants: list[str] | None) -> None:
    from bkapi.base.config import get_default_config, set_config

    known = get_default_config()
    chosen: dict[str, Any] = {}
    for constant in constants or []:
        name, _, text = constant.partition("=")
        if name not in known:
            raise ArgumentError(
                f"--config {constant!r}: there is no constant {name!r}.",
                hint=did_you_mean(name, known) + "docs: get_config() lists them all.",
            )
        try:
            chosen[name] = text == "true" if text in ("true", "false") else float(text)
        except ValueError:
            raise ArgumentError(
                f"--config {constant!r} has no value.",
                hint="give a number, inf, true or false: --config CC_PERCENT_FEE=0.05.",
            ) from None
    set_config(chosen)


def _set_up(strategy: str, **options: Any) -> FileRun:
    from bkapi.cli.file_run import set_up

    return set_up(strategy, **options)


def _backtest(setup: FileRun) -> FinishedRun:
    from bkapi.backtests.backtest import Backtest

    with setup.watched():
        return Backtest.finish(setup.symbol, setup.context)


def _print_statistics(run: FinishedRun) -> None:
    from rich.table import Table

    from bkapi.cli.run_folder import conditions

    table = Table(
        "statistic", "value", title=f"{run.names.strategy_name} on {run.symbol}", title_justify="left"
    )
    for name, text in run.statistics().lines():
        if name != "signal_list":
            table.add_row(name, text)
    console = _console()
    console.print(table)
    console.print(conditions(run), soft_wrap=True)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return "N/A" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _print_best(result: SweepResult, count: int, by: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    usual = (name for name in result.shown if name not in ("avg_pnl", "sortino_ratio"))
    columns = list(dict.fromkeys((*result.parameters, by, *usual)))[
        : max(9, len(result.parameters) + 3)
    ]  # so many fit into 80 columns
    best = result.top(count, by=by).select(columns)
    table = Table(
        title=f"The best {len(best)} of {len(result):,} combinations by {by}",
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right", vertical="bottom", overflow="fold")
    for row in best.iter_rows():
        table.add_row(*map(_cell, row))
    _console().print(table)
    _print_guards(lambda: result.overfitting(by=by, most=256, draws=0))


def _print_guards(judge: Callable[[], Overfitting]) -> None:
    """One line on how much of the best is selection; nothing where there is nothing to judge."""
    from bkapi.guards.overfitting import TooFewTrialsError

    try:
        _print(judge().line())
    except TooFewTrialsError:
        return


@app.command()
def backtest(
    strategy: Strategy,
    candles: Candles = None,
    name: Name = None,
    symbol: Symbol = None,
    start: Start = None,
    end: End = None,
    frame_interval: FrameInterval = "1m",
    gaps: Gaps = "raise",
    config: Config = None,
    report: Annotated[Path | None, typer.Option(help="Write a report into this folder.")] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Save the run into this folder: bk report shows it, bk repeat runs it again."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the statistics as JSON.")] = False,
) -> None:
    """Run a strategy over a candle file and print its statistics."""
    _configure(config)
    setup = _set_up(
        strategy,
        candles=None if candles is None else _read(candles, symbol=symbol, interval="1m", gaps=gaps),
        strategy_name=name,
        start=start,
        end=end,
        frame_interval=frame_interval,
    )
    run = _backtest(setup)
    if json:
        import orjson

        record = run.statistics().to_dict()
        record.pop("signal_list", None)
        _print(orjson.dumps(record).decode())
    else:
        _print_statistics(run)
    if report is not None:
        from bkapi.cli.run_folder import write_report

        files = write_report(report, run)
        if not json:
            _print(f"report: {report} ({', '.join(file.name for file in files)})")
    if save is not None:
        from bkapi.reporting.saved.saved_runs import save_run

        how = {"strategy": strategy, "candles": _absolute(candles), "symbol": symbol, "gaps": gaps}
        folder = save_run(run, save, how=how)
        if not json:
            _print(f"saved: {folder} (bk report {folder}, bk repeat {folder})")
    if run.has_failed:
        raise typer.Exit(_WITH_ERRORS)


def _absolute(candles: str | None) -> str | None:
    """The same file or pattern, wherever it is read from later."""
    return None if candles is None else str(Path(candles).absolute())


#: The command has done its work, but code of the strategy has raised, or all of its signals were refused.
_WITH_ERRORS = 3

Saved = Annotated[Path, typer.Argument(help="A folder that bk backtest --save has written.")]


@app.command()
def report(
    run: Saved,
    rows: Annotated[int, typer.Option(help="How many of the newest trades to list.", min=0)] = 250,
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of printing it.")] = None,
) -> None:
    """Render the report of a saved run as Markdown."""
    from bkapi.reporting.saved.saved_runs import load_run

    text = load_run(run).to_markdown(row_limit=rows)
    if out is None:
        _print(text)
    else:
        _write_file(out, text.encode())
        _print(f"report: {out}")


@app.command()
def repeat(
    run: Saved,
    yes: Annotated[
        bool, typer.Option("--yes", help="Run its strategy file without asking, wherever it comes from.")
    ] = False,
) -> None:
    """Run a saved run again, and say whether it comes out the same or what differs.

    This executes the strategy file of the run. If that is not an unchanged file below the working directory, bk asks.
    """
    from bkapi.cli.repeating import code_of, repeat_run
    from bkapi.reporting.saved.saved_runs import load_run

    saved = load_run(run)
    code = code_of(saved)
    if code is not None and not code.is_own and not yes:
        _print(f"This runs the Python code of {code.file} (SHA-256 {code.digest}). {code.note}".rstrip())
        if not _agreed("Run it?"):
            raise ArgumentError(
                "the strategy file was not run.", hint=f"bk repeat {run} --yes runs it without asking."
            )
    repetition = repeat_run(saved)
    for note in repetition.notes:
        _print(f"note: {note}")
    count = len(repetition.saved.trades)
    if repetition.is_same:
        _print(f"the same: {count:,} trades, run {repetition.saved.manifest['run_hash']}")
        return
    for difference in repetition.differences:
        _print(f"differs: {difference}")
    raise typer.Exit(1)


def _agreed(question: str) -> bool:
    """What the user answers; no where nobody answers."""
    try:
        return typer.confirm(question)
    except typer.Abort:
        _print("")
        return False


def _write_file(path: Path, content: bytes) -> None:
    from bkcore.candle_files import replace_file

    try:
        replace_file(path, content)
    except OSError as error:
        raise ArgumentError(
            f"--out {str(path)!r} cannot be written: {error.strerror}.", hint="choose another place."
        ) from None


@app.command()
def sweep(
    strategy: Strategy,
    take_profit: Annotated[
        str, typer.Option(help="Percents: a list, first:last:step, or 'own' for those of the signals.")
    ] = "0.6:3:0.3",
    stop_loss: Annotated[str, typer.Option(help="Percents, as above.")] = "0.6:3:0.3",
    lifetime: Annotated[str, typer.Option(help="Minutes, as above.")] = "60,120,240,480",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="One more parameter, of the strategy or of a policy: NAME=1,2,3 or NAME=first:last:step."
        ),
    ] = None,
    candles: Candles = None,
    name: Name = None,
    symbol: Symbol = None,
    start: Start = None,
    end: End = None,
    frame_interval: FrameInterval = "1m",
    gaps: Gaps = "raise",
    config: Config = None,
    top: Annotated[int, typer.Option(help="How many of the best to print.", min=1)] = 10,
    by: Annotated[str, typer.Option(help="The metric to rank by.")] = "sharpe_ratio",
    threads: Annotated[int | None, typer.Option(help="Threads. Default: all cores.", min=1)] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Keep parts here; the same command goes on from them.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the plan and stop.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write all combinations to a .parquet or .csv file.")
    ] = None,
) -> None:
    """Run a strategy with every combination of take-profit, stop-loss, lifetime and more, and rank them."""
    _check_table(out)
    _configure(config)
    given = {"take_profit_percent": take_profit, "stop_loss_percent": stop_loss, "lifetime_minutes": lifetime}
    options = ("--take-profit", "--stop-loss", "--lifetime")
    axes: dict[str, list[Any]] = {
        axis: _numbers(text, option)
        for (axis, text), option in zip(given.items(), options, strict=True)
        if text != "own"
    }
    axes |= _varied(vary)
    setup = _set_up(
        strategy,
        candles=None if candles is None else _read(candles, symbol=symbol, interval="1m", gaps=gaps),
        strategy_name=name,
        start=start,
        end=end,
        frame_interval=frame_interval,
    )
    from bkapi.statistics.columns import check_column
    from bkapi.sweeps.sweep import group_of
    from bkcore.metrics import METRIC_NAMES

    check_column(by, (*METRIC_NAMES, "refused_signals", *axes))
    with setup.watched() as survived:
        planned = _planned(setup, axes, threads, group_of(by))
        if explain:
            _print(repr(planned.explain()))
            return
        result = planned.run(folder=folder)
        refused = not result.frame["total_trades"].sum() and result.frame["refused_signals"].sum() > 0
    if refused:
        for trouble in result.run(0).troubles:
            sys.stderr.write(
                f"warning: in every combination all signals were refused; in the first {trouble}\n"
            )
    _print_best(result, top, by)
    if out is not None:
        _write_table(result.frame, out)
        _print(f"{len(result):,} combinations: {out}")
    if refused or survived.has_errors:
        raise typer.Exit(_WITH_ERRORS)


def _varied(vary: list[str] | None) -> dict[str, list[Any]]:
    """The axes that ``--vary`` gives."""
    axes: dict[str, list[Any]] = {}
    for text in vary or ():
        parameter, _, values = text.partition("=")
        if not values or not parameter:
            raise ArgumentError(f"--vary {text!r} means nothing.", hint="write --vary NAME=1,2,3.")
        axes[parameter] = [
            int(value) if value.is_integer() else value for value in _numbers(values, "--vary")
        ]
    return axes


@app.command()
def walk(
    strategy: Annotated[str, typer.Argument(help="A Python file that registers several strategies.")],
    metric: Annotated[str, typer.Option(help="The statistic to rank by; the largest wins.")] = "sharpe_ratio",
    names: Annotated[
        list[str] | None,
        typer.Option("--strategy", help="Only these, in this order. Default: all of the file."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare every combination: NAME=1,2,3 or NAME=first:last:step, of every strategy."
        ),
    ] = None,
    candles: Candles = None,
    symbol: Symbol = None,
    start: Start = None,
    end: End = None,
    frame_interval: FrameInterval = "1m",
    gaps: Gaps = "raise",
    config: Config = None,
    top: Annotated[int, typer.Option(help="How many of the best to print.", min=1)] = 10,
    threads: Annotated[int | None, typer.Option(help="Threads. Default: all cores.", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="Write all statistics to a .parquet or .csv file.")] = None,
) -> None:
    """Backtest every strategy of a file on the same candles and rank them."""
    _check_table(out)
    _configure(config)
    from bkapi.cli.file_run import set_up_walker
    from bkapi.cli.walker_table import print_comparison
    from bkapi.schemas.space import Space
    from bkapi.statistics.records import TradeStatistics
    from bkapi.walkers.walker import Walker

    known = (*TradeStatistics.field_names, "total_signals")
    if metric not in known:
        raise ArgumentError(
            f"--metric {metric!r} is no statistic.",
            hint=did_you_mean(metric, known) + f"known: {', '.join(known)}.",
        )
    axes = _varied(vary)
    setup = set_up_walker(
        strategy,
        metric=metric,
        names=names or (),
        space=Space.grid(**axes) if axes else None,
        candles=None if candles is None else _read(candles, symbol=symbol, interval="1m", gaps=gaps),
        start=start,
        end=end,
        frame_interval=frame_interval,
    )
    from bkapi.base.progress import progress_bar

    with setup.watched() as survived, progress_bar("walk") as tell:
        for event in Walker.run(setup.symbol, setup.context, threads=threads):
            tell(event.strategies_tested, event.total_strategies)
    found = Walker.get_data(setup.symbol, setup.context)
    print_comparison(found, top, _console())
    _print_guards(lambda: Walker.overfitting(setup.symbol, setup.context, draws=0))
    if out is not None:
        _write_table(found.table, out)
        _print(f"{len(found.strategy_results):,} candidates: {out}")
    traded = any(result.stats.total_signals for result in found.strategy_results)
    if survived.has_errors or (survived.has_refusals and not traded):
        raise typer.Exit(_WITH_ERRORS)


@app.command()
def lookahead(
    strategy: Strategy,
    candles: Candles = None,
    name: Name = None,
    symbol: Symbol = None,
    start: Start = None,
    end: End = None,
    frame_interval: FrameInterval = "1m",
    gaps: Gaps = "raise",
    config: Config = None,
    moments: Annotated[int, typer.Option(help="At how many moments the future is exchanged.", min=1)] = 16,
    indicator: Annotated[
        list[str] | None,
        typer.Option(
            help="A function of the file whose values are checked too; so are those marked @bk.indicator."
        ),
    ] = None,
) -> None:
    """Run the strategies of a file with other futures and name the first signal, indicator or trade that changes."""
    _configure(config)
    from bkapi.cli.file_run import set_up_each

    setups = set_up_each(
        strategy,
        candles=None if candles is None else _read(candles, symbol=symbol, interval="1m", gaps=gaps),
        strategy_name=name,
        start=start,
        end=end,
        frame_interval=frame_interval,
    )
    from bkapi.guards.lookahead import find_lookahead, indicators_of
    from bkapi.schemas.registry import strategies

    looks_ahead = False
    for setup in setups:
        schema = strategies.get(setup.context["strategy_name"])
        indicators = indicators_of(schema.signals or schema.get_signal, indicator or ())
        with setup.watched():
            found = find_lookahead(setup.symbol, setup.context, indicators=indicators, moments=moments)
        _print(repr(found))
        looks_ahead |= found.found
    if looks_ahead:
        sys.exit(1)


def _planned(
    setup: FileRun, axes: dict[str, list[Any]], threads: int | None, metrics: MetricGroup
) -> ParameterSweep:
    from bkapi.schemas.space import Space
    from bkapi.sweeps.sweep import ParameterSweep

    space = Space.grid(**axes)
    return ParameterSweep(setup.context, space, symbol=setup.symbol, threads=threads, metrics=metrics)


def _check_table(out: Path | None) -> None:
    """Whether a table can be written there, before the work begins."""
    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise ArgumentError(f"--out {out.name!r} has no known suffix.", hint="end it in .parquet or .csv.")
    if out is not None and not out.parent.is_dir():
        raise ArgumentError(f"--out {str(out)!r}: there is no such folder.", hint="make the folder first.")


def _write_table(table: pl.DataFrame, path: Path) -> None:
    import io

    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        table.write_parquet(buffer)
    else:
        table.write_csv(buffer)
    _write_file(path, buffer.getvalue())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("bk-demo"),
) -> None:
    """Backtest the example strategy over the bundled candles, then sweep 1,000 brackets of it."""
    from bkapi.cli.run_folder import write_report

    _print(
        "1. Backtest: moving averages cross on 15-minute candles, over two months of synthetic 1-minute candles."
    )
    setup = _set_up("example")
    run = _backtest(setup)
    _print_statistics(run)
    percents = [round(0.6 + 0.3 * k, 1) for k in range(10)]
    axes: dict[str, list[Any]] = {
        "take_profit_percent": percents,
        "stop_loss_percent": percents,
        "lifetime_minutes": [60.0, 120.0, 180.0, 240.0, 360.0, 480.0, 600.0, 720.0, 960.0, 1440.0],
    }
    _print("\n2. Sweep: 10 take-profits x 10 stop-losses x 10 lifetimes.")
    with setup.watched():
        result = _planned(setup, axes, None, "drawdown").run()
    _print_best(result, 10, "sharpe_ratio")
    files = write_report(out, run, sweep=result)
    _print(f"\nreport: {out.resolve()} ({', '.join(file.name for file in files)})")
    _print("The candles are random: whatever wins here won by luck.")


@app.command()
def warmup() -> None:
    """Compile the numeric core now (10 to 30 seconds, once per version), or load it where that is done."""
    import subprocess
    import time

    from bkcore.jit import CACHE_FOLDER, COLD_START

    started = time.perf_counter()
    # What the engine does not need is compiled beside it.
    beside = [sys.executable, "-c", "import bkcore.metrics, bkcore.idea_sweep"]
    with subprocess.Popen(beside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):  # noqa: S603 - fixed text
        import_module("bkapi.backtests.backtest")
    for module in ("bkapi.sweeps.sweep", "bkapi.walkers.walker", "bkapi.ideas.sweep"):
        import_module(module)
    what, where = "compiled" if COLD_START else "loaded", CACHE_FOLDER or "memory alone"
    _print(f"{what} the numeric core in {time.perf_counter() - started:.2f} s; it lies in {where}")


@app.command()
def version(json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Print the versions that matter when numbers are compared."""
    import platform
    from importlib.metadata import version as installed

    from bkapi import __version__

    versions = {"bk": __version__, "python": platform.python_version()}
    versions |= {
        package: installed(package) for package in ("numba", "numpy", "polars", "pyarrow", "pydantic")
    }
    if json:
        import orjson

        _print(orjson.dumps(versions).decode())
    else:
        for package, number in versions.items():
            _print(f"{package:10s} {number}")


File = Annotated[str, typer.Argument(help="A candle file, or a quoted pattern such as 'dumps/*.zip'.")]
Interval = Annotated[str | None, typer.Option(help="The interval, where the file name does not tell it.")]


def _read(
    file: str, *, symbol: str | None = None, interval: str | None = None, gaps: str = "raise"
) -> CandleFrame:
    from bkapi.cli.file_run import read_candles

    return read_candles(file, symbol=symbol, interval=interval, gaps=gaps)


@data.command()
def check(file: File, symbol: Symbol = None, interval: Interval = None) -> None:
    """Read a file through every check and tell its span, its gaps and its silent minutes."""
    candles = _read(file, symbol=symbol, interval=interval, gaps="keep")
    silent = int((candles.volume == 0).sum())
    _print(f"{candles.symbol} {candles.interval}: {len(candles):,} candles, all checks passed")
    _print(
        f"from {candles.start:%Y-%m-%d %H:%M} to {candles.end:%Y-%m-%d %H:%M} UTC, {silent:,} without volume"
    )
    gaps = candles.gaps
    if not len(gaps):
        _print("no gaps")
        return
    from rich.table import Table

    table = Table("after (UTC)", "missing candles", title=f"{len(gaps):,} gaps", title_justify="left")
    for after, missing in gaps.select("after", "missing").iter_rows():
        table.add_row(f"{after:%Y-%m-%d %H:%M}", f"{missing:,}")
    _console().print(table)
    _print(
        "Read it with --gaps keep to leave the holes, or --gaps fill to repeat the last close with volume 0."
    )


@data.command()
def convert(
    source: File,
    target: Annotated[
        str, typer.Argument(help="The file to write: .csv, .csv.gz, .parquet, .arrow, .feather.")
    ],
    symbol: Symbol = None,
    interval: Interval = None,
    gaps: Gaps = "raise",
) -> None:
    """Read candles in one format and write them in another."""
    candles = _read(source, symbol=symbol, interval=interval, gaps=gaps)
    candles.write(target)
    _print(f"{len(candles):,} candles: {target}")


@data.command()
def resample(
    source: File,
    target: Annotated[str, typer.Argument(help="The file to write.")],
    interval: Annotated[str, typer.Option(help="The longer interval: 5m, 15m, 1h ... 1d.")],
    symbol: Symbol = None,
    gaps: Gaps = "raise",
    holes: Annotated[
        str, typer.Option(help="Longer candles that miss a part (after --gaps keep): raise, drop or keep.")
    ] = "raise",
    edges: Annotated[str, typer.Option(help="Incomplete first and last candles: drop or keep.")] = "drop",
) -> None:
    """Join candles to longer ones, aligned to UTC; incomplete ones at the edges are left out."""
    candles = _read(source, symbol=symbol, gaps=gaps).resample(
        interval,
        holes=holes,  # type: ignore[arg-type]  # judged there
        edges=edges,  # type: ignore[arg-type]
    )
    candles.write(target)
    _print(f"{len(candles):,} candles of {interval}: {target}")


@data.command()
def generate(
    target: Annotated[str, typer.Argument(help="The file to write.")],
    symbol: Annotated[str, typer.Option(help="The symbol to call it.")] = "BTCUSDT",
    days: Annotated[float, typer.Option(help="Length in days.", min=0.001, max=40_000)] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same candles.")] = 0,
    start: Annotated[str, typer.Option(help="First candle (UTC).")] = "2024-01-01",
    jumps: Annotated[float, typer.Option(help="Jumps per day.", min=0)] = 0.5,
    gaps: Annotated[int, typer.Option(help="How many holes to leave.", min=0)] = 0,
) -> None:
    """Invent a market: 1-minute candles with calm and wild hours, jumps and, if wanted, gaps."""
    from bkcore.synthetic import generate as invent

    candles = invent(
        symbol=symbol, start=start, minutes=max(1, round(days * 1440)), seed=seed, jumps=jumps, gaps=gaps
    )
    candles.write(target)
    _print(f"{len(candles):,} synthetic candles: {target}")


def _spoken(error: BkError) -> str:
    """An error of the library in the words of the command line: ``gaps="fill"`` is ``--gaps fill``."""
    return re.sub(r"""\b(symbol|interval|gaps|holes|edges)=(['"])(.+?)\2""", r"--\1 \3", str(error))


def _open_streams() -> None:
    """Let every text be printed, whatever characters the terminal or file knows: others become ``?``."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def main() -> None:
    """The ``bk`` command: errors are one message, Ctrl-C ends with 130."""
    _open_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BkError as error:
        from rich.panel import Panel
        from rich.text import Text

        title = type(error).__name__
        _console(stderr=True).print(
            Panel(Text(_spoken(error)), title=title, title_align="left", border_style="red")
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # the disk is full, also that behind the standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = "" if error.filename is None else f" {str(error.filename)!r}"
        sys.stderr.write(f"bk: the system refused{where}: {error.strerror or error}.\n")
        sys.exit(1)


if __name__ == "__main__":
    main()

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

from bkapi.cli.candles import data
from bkapi.cli.options import (
    Fill,
    Market,
    Name,
    Strategy,
    TableFile,
    Threads,
    Top,
    Vary,
    chosen_fill,
    numbers,
    takes_market,
    varied,
)
from bkapi.cli.output import ArgumentError, check_table, console, say, write_file, write_table
from bkcore.errors import BkError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from bkapi.cli.file_run import FileRun
    from bkapi.guards.overfitting import Overfitting
    from bkapi.runs.finished import FinishedRun
    from bkapi.sweeps.sweep import MetricGroup, ParameterSweep, SweepResult

app = typer.Typer(
    name="bk",
    help="Backtest trading signals over 1-minute candles, and sweep their parameters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")


def _set_up(strategy: str, **options: Any) -> FileRun:
    from bkapi.cli.file_run import set_up

    return set_up(strategy, **options)


def _backtest(setup: FileRun) -> FinishedRun:
    from bkapi.backtests.backtest import Backtest

    with setup.watched():
        run = Backtest.finish(setup.symbol, setup.context, quiet=True)
    for remark in run.assumptions:  # what was refused or raised has been told as it happened
        sys.stderr.write(f"warning: {remark}.\n")
    return run


def _print_statistics(run: FinishedRun) -> None:
    from rich.table import Table

    from bkapi.cli.run_folder import conditions

    table = Table(
        "statistic", "value", title=f"{run.names.strategy_name} on {run.symbol}", title_justify="left"
    )
    for name, text in run.statistics().lines():
        if name != "signal_list":
            table.add_row(name, text)
    terminal = console()
    terminal.print(table)
    terminal.print(conditions(run), soft_wrap=True)


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
    console().print(table)
    _print_guards(lambda: result.overfitting(by=by, most=256, draws=0))


def _print_guards(judge: Callable[[], Overfitting]) -> None:
    """One line on how much of the best is selection; nothing where there is nothing to judge."""
    from bkapi.guards.overfitting import TooFewTrialsError

    try:
        say(judge().line())
    except TooFewTrialsError:
        return


@app.command()
@takes_market
def backtest(
    strategy: Strategy,
    market: Market,
    name: Name = None,
    report: Annotated[Path | None, typer.Option(help="Write a report into this folder.")] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Save the run into this folder: bk report shows it, bk repeat runs it again."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the statistics as JSON.")] = False,
) -> None:
    """Run a strategy over a candle file and print its statistics."""
    setup = _set_up(strategy, strategy_name=name, **market.given())
    run = _backtest(setup)
    if json:
        import orjson

        record = run.statistics().to_dict()
        record.pop("signal_list", None)
        say(orjson.dumps(record).decode())
    else:
        _print_statistics(run)
    if report is not None:
        from bkapi.cli.run_folder import write_report

        files = write_report(report, run)
        if not json:
            say(f"report: {report} ({', '.join(file.name for file in files)})")
    if save is not None:
        from bkapi.reporting.saved.saved_runs import save_run

        folder = save_run(run, save, how={"strategy": strategy, **market.how()})
        if not json:
            say(f"saved: {folder} (bk report {folder}, bk repeat {folder})")
    if run.has_failed:
        raise typer.Exit(_WITH_ERRORS)


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
        say(text)
    else:
        write_file(out, text.encode())
        say(f"report: {out}")


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
        say(f"This runs the Python code of {code.file} (SHA-256 {code.digest}). {code.note}".rstrip())
        if not _agreed("Run it?"):
            raise ArgumentError(
                "the strategy file was not run.", hint=f"bk repeat {run} --yes runs it without asking."
            )
    repetition = repeat_run(saved)
    for note in repetition.notes:
        say(f"note: {note}")
    count = len(repetition.saved.trades)
    if repetition.is_same:
        say(f"the same: {count:,} trades, run {repetition.saved.manifest['run_hash']}")
        return
    for difference in repetition.differences:
        say(f"differs: {difference}")
    raise typer.Exit(1)


def _agreed(question: str) -> bool:
    """What the user answers; no where nobody answers."""
    try:
        return typer.confirm(question)
    except typer.Abort:
        say("")
        return False


@app.command()
@takes_market
def sweep(
    strategy: Strategy,
    market: Market,
    take_profit: Annotated[
        str, typer.Option(help="Percents: a list, first:last:step, or 'own' for those of the signals.")
    ] = "0.6:3:0.3",
    stop_loss: Annotated[str, typer.Option(help="Percents, as above.")] = "0.6:3:0.3",
    lifetime: Annotated[str, typer.Option(help="Minutes, as above.")] = "60,120,240,480",
    vary: Vary = None,
    name: Name = None,
    top: Top = 10,
    by: Annotated[str, typer.Option(help="The metric to rank by.")] = "sharpe_ratio",
    threads: Threads = None,
    folder: Annotated[
        Path | None, typer.Option(help="Keep parts here; the same command goes on from them.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the plan and stop.")] = False,
    out: TableFile = None,
) -> None:
    """Run a strategy with every combination of take-profit, stop-loss, lifetime and more, and rank them."""
    check_table(out)
    given = {"take_profit_percent": take_profit, "stop_loss_percent": stop_loss, "lifetime_minutes": lifetime}
    options = ("--take-profit", "--stop-loss", "--lifetime")
    axes: dict[str, list[Any]] = {
        axis: numbers(text, option)
        for (axis, text), option in zip(given.items(), options, strict=True)
        if text != "own"
    }
    axes |= varied(vary)
    setup = _set_up(strategy, strategy_name=name, **market.given())
    from bkapi.statistics.columns import check_column
    from bkapi.sweeps.sweep import group_of
    from bkcore.statistics.metrics import METRIC_NAMES

    check_column(by, (*METRIC_NAMES, "refused_signals", *axes))
    with setup.watched() as survived:
        planned = _planned(setup, axes, threads, group_of(by))
        if explain:
            say(repr(planned.explain()))
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
        write_table(result.frame, out)
        say(f"{len(result):,} combinations: {out}")
    if refused or survived.has_errors:
        raise typer.Exit(_WITH_ERRORS)


@app.command()
@takes_market
def walk(
    strategy: Annotated[str, typer.Argument(help="A Python file that registers several strategies.")],
    market: Market,
    metric: Annotated[str, typer.Option(help="The statistic to rank by; the largest wins.")] = "sharpe_ratio",
    names: Annotated[
        list[str] | None,
        typer.Option("--strategy", help="Only these, in this order. Default: all of the file."),
    ] = None,
    vary: Vary = None,
    top: Top = 10,
    threads: Threads = None,
    out: TableFile = None,
) -> None:
    """Backtest every strategy of a file on the same candles and rank them."""
    check_table(out)
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
    axes = varied(vary)
    setup = set_up_walker(
        strategy,
        metric=metric,
        names=names or (),
        space=Space.grid(**axes) if axes else None,
        **market.given(),
    )
    from bkapi.base.progress import progress_bar

    with setup.watched() as survived, progress_bar("walk") as tell:
        for event in Walker.run(setup.symbol, setup.context, threads=threads):
            tell(event.strategies_tested, event.total_strategies)
    found = Walker.get_data(setup.symbol, setup.context)
    print_comparison(found, top, console())
    _print_guards(lambda: Walker.overfitting(setup.symbol, setup.context, draws=0))
    if out is not None:
        write_table(found.table, out)
        say(f"{len(found.strategy_results):,} candidates: {out}")
    traded = any(result.stats.total_signals for result in found.strategy_results)
    if survived.has_errors or (survived.has_refusals and not traded):
        raise typer.Exit(_WITH_ERRORS)


@app.command()
@takes_market
def lookahead(
    strategy: Strategy,
    market: Market,
    name: Name = None,
    moments: Annotated[int, typer.Option(help="At how many moments the future is exchanged.", min=1)] = 16,
    indicator: Annotated[
        list[str] | None,
        typer.Option(
            help="A function of the file whose values are checked too; so are those marked @bk.indicator."
        ),
    ] = None,
) -> None:
    """Run the strategies of a file with other futures and name the first signal, indicator or trade that changes."""
    from bkapi.cli.file_run import set_up_each

    setups = set_up_each(strategy, strategy_name=name, **market.given())
    from bkapi.guards.lookahead import find_lookahead, indicators_of
    from bkapi.schemas.registry import strategies

    looks_ahead = False
    for setup in setups:
        schema = strategies.get(setup.context["strategy_name"])
        indicators = indicators_of(schema.signals or schema.get_signal, indicator or ())
        with setup.watched():
            found = find_lookahead(setup.symbol, setup.context, indicators=indicators, moments=moments)
        say(repr(found))
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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("bk-demo"),
    fill: Fill = None,
) -> None:
    """Backtest the example strategy over the bundled candles, then sweep 1,000 brackets of it."""
    from bkapi.cli.run_folder import write_report

    chosen = chosen_fill(fill)
    say(
        "1. Backtest: moving averages cross on 15-minute candles, over two months of synthetic 1-minute candles."
    )
    setup = _set_up("example", fill=chosen)
    run = _backtest(setup)
    _print_statistics(run)
    percents = [round(0.6 + 0.3 * k, 1) for k in range(10)]
    axes: dict[str, list[Any]] = {
        "take_profit_percent": percents,
        "stop_loss_percent": percents,
        "lifetime_minutes": [60.0, 120.0, 180.0, 240.0, 360.0, 480.0, 600.0, 720.0, 960.0, 1440.0],
    }
    say("\n2. Sweep: 10 take-profits x 10 stop-losses x 10 lifetimes.")
    with setup.watched():
        result = _planned(setup, axes, None, "drawdown").run()
    _print_best(result, 10, "sharpe_ratio")
    files = write_report(out, run, sweep=result)
    say(f"\nreport: {out.resolve()} ({', '.join(file.name for file in files)})")
    say("The candles are random: whatever wins here won by luck.")


#: What ``bk warmup`` imports after the engine, and what the engine does not need, which is compiled beside it.
_WARMED = (
    *("bkapi.sweeps.sweep", "bkapi.walkers.walker", "bkapi.ideas.sweep"),
    *("bkcore.machine.event_log", "bkcore.machine.history"),
)
_WARMED_BESIDE = ("bkcore.statistics.metrics", "bkcore.ideas.sweep")


@app.command()
def warmup() -> None:
    """Compile the numeric core now (10 to 30 seconds, once per version), or load it where that is done."""
    import subprocess
    import time

    from bkcore.jit import CACHE_FOLDER, COLD_START

    started = time.perf_counter()
    beside = [sys.executable, "-c", f"import {', '.join(_WARMED_BESIDE)}"]
    with subprocess.Popen(beside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):  # noqa: S603 - fixed text
        import_module("bkapi.backtests.backtest")
    for module in _WARMED:
        import_module(module)
    what, where = "compiled" if COLD_START else "loaded", CACHE_FOLDER or "memory alone"
    say(f"{what} the numeric core in {time.perf_counter() - started:.2f} s; it lies in {where}")


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

        say(orjson.dumps(versions).decode())
    else:
        for package, number in versions.items():
            say(f"{package:10s} {number}")


def _spoken(error: BkError) -> str:
    """An error of the library in the words of the command line: ``gaps="fill"`` is ``--gaps fill``."""
    return re.sub(r"""\b(symbol|interval|gaps|holes|edges|fill)=(['"])(.+?)\2""", r"--\1 \3", str(error))


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
        console(stderr=True).print(
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

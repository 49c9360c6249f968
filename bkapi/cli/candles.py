"""What ``bk data`` does: candle files checked, converted, resampled, stored and invented."""

from __future__ import annotations

from typing import Annotated

import typer

from bkapi.cli.options import File, Gaps, Interval, Symbol, Target, read
from bkapi.cli.output import console, say
from bkapi.cli.store import store

data = typer.Typer(help="Check, convert, resample, store and invent candles.", no_args_is_help=True)
data.add_typer(store, name="store")


@data.command()
def check(file: File, symbol: Symbol = None, interval: Interval = None) -> None:
    """Read a file through every check and tell its span, its gaps and its silent minutes."""
    candles = read(file, symbol, interval, "keep")
    silent = int((candles.volume == 0).sum())
    say(f"{candles.symbol} {candles.interval}: {len(candles):,} candles, all checks passed")
    say(f"from {candles.start:%Y-%m-%d %H:%M} to {candles.end:%Y-%m-%d %H:%M} UTC, {silent:,} without volume")
    gaps = candles.gaps
    if not len(gaps):
        say("no gaps")
        return
    from rich.table import Table

    table = Table("after (UTC)", "missing candles", title=f"{len(gaps):,} gaps", title_justify="left")
    for after, missing in gaps.select("after", "missing").iter_rows():
        table.add_row(f"{after:%Y-%m-%d %H:%M}", f"{missing:,}")
    console().print(table)
    say("Read it with --gaps keep to leave the holes, or --gaps fill to repeat the last close with volume 0.")


@data.command()
def convert(
    source: File,
    target: Target,
    symbol: Symbol = None,
    interval: Interval = None,
    gaps: Gaps = "raise",
) -> None:
    """Read candles in one format and write them in another."""
    candles = read(source, symbol, interval, gaps)
    candles.write(target)
    say(f"{len(candles):,} candles: {target}")


@data.command()
def resample(
    source: File,
    target: Target,
    interval: Annotated[str, typer.Option(help="The longer interval: 5m, 15m, 1h ... 1d.")],
    symbol: Symbol = None,
    gaps: Gaps = "raise",
    holes: Annotated[
        str, typer.Option(help="Longer candles that miss a part (after --gaps keep): raise, drop or keep.")
    ] = "raise",
    edges: Annotated[str, typer.Option(help="Incomplete first and last candles: drop or keep.")] = "drop",
) -> None:
    """Join candles to longer ones, aligned to UTC; incomplete ones at the edges are left out."""
    candles = read(source, symbol, gaps=gaps).resample(
        interval,
        holes=holes,  # type: ignore[arg-type]  # judged there
        edges=edges,  # type: ignore[arg-type]
    )
    candles.write(target)
    say(f"{len(candles):,} candles of {interval}: {target}")


@data.command()
def generate(
    target: Target,
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
    say(f"{len(candles):,} synthetic candles: {target}")

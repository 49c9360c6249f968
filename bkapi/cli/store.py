"""The commands ``bk data store``: list, import, fetch, check and export the candles of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bkapi.cli import options
from bkapi.cli.output import say

if TYPE_CHECKING:
    from bkapi.market.store import CandleStore

store = typer.Typer(
    help="Candles in monthly Parquet files: list, import, fetch, check, export.", no_args_is_help=True
)

Root = Annotated[
    str, typer.Option(help="Folder of the store; the default is where exchanges keep their candles.")
]
Exchange = Annotated[str, typer.Argument(help="The name of the exchange.")]
Symbol = Annotated[str, typer.Argument(help="The symbol, such as BTCUSDT or BTC/USDT.")]
Interval = Annotated[str, typer.Argument(help="The interval: 1m, 5m, 1h ...")]
_DEFAULT = "dump/data/candle"


def _open(root: str) -> CandleStore:
    from bkapi.market.store import CandleStore

    return CandleStore(root)


@store.command("list")
def list_series(root: Root = _DEFAULT) -> None:
    """Tell which candles the store holds."""
    found = _open(root).series()
    if not found:
        say(f"no candles in {root}")
        return
    for one in found:
        size = f"{one.bytes / 1e6:,.1f} MB"
        say(f"{one.exchange_name} {one.symbol} {one.interval}: {one.months} months, {size}")


@store.command("import")
def import_files(
    exchange: Exchange,
    files: options.File,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    root: Root = _DEFAULT,
) -> None:
    """Add the candles of files; what is stored already stays as it is."""
    added = _open(root).import_files(exchange, files, symbol=symbol, interval=interval)
    say(f"{added:,} new candles")


@store.command()
def fetch(
    exchange: Annotated[str, typer.Argument(help="An exchange that ccxt knows, such as binance.")],
    symbol: Symbol,
    interval: Interval,
    start: Annotated[str, typer.Option(help="First candle, as 2024-01-31 (UTC).")],
    end: Annotated[str, typer.Option(help="The end, which is not included.")],
) -> None:
    """Fetch candles from an exchange into the store of the working directory; what is stored is not asked for."""
    from bkapi.market.ccxt_venue import ccxt_exchange
    from bkapi.market.warming import warm_candles
    from bkapi.schemas.doors import add_exchange_schema

    add_exchange_schema(ccxt_exchange(exchange))
    count = warm_candles(symbol=symbol, exchange_name=exchange, interval=interval, from_=start, to=end)
    say(f"{count:,} candles")


@store.command()
def check(exchange: Exchange, symbol: Symbol, interval: Interval, root: Root = _DEFAULT) -> None:
    """Compare every month with its digest, put damaged ones aside, and tell the holes."""
    from bkcore.candles.errors import utc_text

    opened = _open(root)
    report = opened.check(exchange, symbol, interval)
    for month in report.quarantined:
        say(f"{month}: damaged, put aside into {opened.root / 'quarantine'}")
    gaps = opened.gaps(exchange, symbol, interval)  # says it all where there are no candles
    span = " .. ".join(utc_text(edge) for edge in (report.first, report.last) if edge is not None)
    say(f"{exchange} {symbol} {interval}: {report.candles:,} candles in {report.months} months, {span}")
    for after, missing in gaps.select("after", "missing").iter_rows():
        say(f"after {after:%Y-%m-%d %H:%M} UTC {missing:,} are missing")
    if report.quarantined:
        raise typer.Exit(1)


@store.command()
def export(
    exchange: Exchange,
    symbol: Symbol,
    interval: Interval,
    target: options.Target,
    start: Annotated[str | None, typer.Option(help="First candle, as 2024-01-31 (UTC).")] = None,
    end: Annotated[str | None, typer.Option(help="The end, which is not included.")] = None,
    gaps: options.Gaps = "raise",
    root: Root = _DEFAULT,
) -> None:
    """Write stored candles to a file."""
    candles = _open(root).load(exchange, symbol, interval, start, end, gaps=gaps)  # type: ignore[arg-type]  # judged there
    candles.write(target)
    say(f"{len(candles):,} candles: {target}")

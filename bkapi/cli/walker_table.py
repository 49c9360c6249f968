"""Prints a comparison of strategies: the best first, in a table that fits a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bkapi.reporting.conditions import conditions_line
from bkapi.reporting.documents.layouts import ranked

if TYPE_CHECKING:
    from rich.console import Console

    from bkapi.statistics.records import WalkerStatistics

_SHOWN: Final = ("win_rate", "avg_pnl", "total_pnl", "sharpe_ratio", "sortino_ratio", "recovery_factor")


def print_comparison(found: WalkerStatistics, count: int, console: Console) -> None:
    """Print the ``count`` best results, and how their numbers were made."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    best = ranked(found)[:count]
    tested = len(found.strategy_results)
    table = Table(
        title=f"The best {len(best):,} of {tested:,} strategies on {found.symbol} by {found.metric}",
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    columns = list(dict.fromkeys((found.metric, "total_signals", *_SHOWN)))
    table.add_column("rank", justify="right", vertical="bottom")
    table.add_column("strategy", vertical="bottom", overflow="fold")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right", vertical="bottom", overflow="fold")
    for rank, result in enumerate(best, 1):
        table.add_row(
            str(rank), result.strategy_name, *(_cell(getattr(result.stats, name)) for name in columns)
        )
    console.print(table)
    if found.total_strategies > tested:
        console.print(f"failed: {found.total_strategies - tested:,} of {found.total_strategies:,}")
    key = (found.symbol, "", found.exchange_name, found.frame_name, True)
    console.print(conditions_line(key, ""), soft_wrap=True)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    return "N/A" if value is None else str(value)

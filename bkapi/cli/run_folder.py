"""Writes the ``--report`` folder of a run: a readable report and the frames behind it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from bkapi.errors import BkError
from bkapi.reporting.conditions import run_conditions
from bkapi.runs.finished import FinishedRun
from bkcore.candles.files import replace_file

if TYPE_CHECKING:
    from bkapi.sweeps.sweep import SweepResult

_CHART_POINTS = 2000


class ReportError(BkError):
    """Raised by ``bk backtest example --report /proc/none``: the folder cannot be written to."""


def write_report(folder: Path, run: FinishedRun, *, sweep: SweepResult | None = None) -> list[Path]:
    """Write ``report.md``, trades and (with a sweep) combinations as CSV and Parquet; returns the files.

    With plotly installed (extra ``charts``) ``report.html`` shows the equity curve and the heatmap of the sweep. Each
    file appears whole or not at all. Raises :class:`ReportError` when the folder cannot be written to.
    """
    contents: dict[str, bytes] = {"report.md": _markdown(run, sweep).encode()}
    contents |= _tables("trades", run.trades)
    if sweep is not None:
        contents |= _tables("sweep", sweep.frame)
    page = _page(run, sweep)
    if page is not None:
        contents["report.html"] = page.encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            replace_file(folder / name, content)
    except OSError as error:
        raise ReportError(
            f"the report cannot be written to {str(folder)!r}: {error.strerror}.",
            hint="choose another folder.",
        ) from None
    return [folder / name for name in contents]


def conditions(run: FinishedRun) -> str:
    """One line on how the numbers were made."""
    return run_conditions(run.strategy_run)


def _tables(name: str, frame: pl.DataFrame) -> dict[str, bytes]:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return {f"{name}.csv": frame.write_csv().encode(), f"{name}.parquet": buffer.getvalue()}


def _markdown(run: FinishedRun, sweep: SweepResult | None) -> str:
    lines = [
        f"# {run.names.strategy_name} on {run.symbol}",
        "",
        f"{_clock(run.strategy_run.frame.start_ms)} .. {_clock(run.strategy_run.frame.end_ms)} UTC",
        "",
        "| statistic | value |",
        "|---|---|",
    ]
    statistics = run.statistics()
    lines += [f"| {name} | {text} |" for name, text in statistics.lines() if name != "signal_list"]
    lines += ["", f"_{conditions(run)}_", ""]
    if sweep is not None:
        best = sweep.top(10).select(sweep.shown)
        lines += [f"## The ten best of {len(sweep):,} combinations by sharpe_ratio", ""]
        lines += ["| " + " | ".join(best.columns) + " |", "|" + "---|" * best.width]
        lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in best.iter_rows()]
        lines += [
            "",
            f"The best of {len(sweep.frame):,} tries is partly luck: confirm it on candles that no sweep has seen.",
            "",
        ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "N/A" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _clock(timestamp: int) -> str:
    from bkapi.base.timestamps import from_ms

    return f"{from_ms(timestamp):%Y-%m-%d %H:%M}"


def _page(run: FinishedRun, sweep: SweepResult | None) -> str | None:
    """The charts as one page that needs no network, or None without plotly."""
    try:
        import plotly.graph_objects as charts
        from plotly.io import to_html
    except ImportError:
        return None
    closed = run.trades.filter(pl.col("status") == "closed").select(
        "ended_at", equity=((1 + pl.col("pnl_percent") / 100).cum_prod() - 1) * 100
    )
    every = max(1, len(closed) // _CHART_POINTS)
    drawn = closed.gather_every(every)
    title = f"{run.names.strategy_name} on {run.symbol}"
    equity = charts.Figure(
        charts.Scatter(
            x=drawn["ended_at"].to_list(), y=drawn["equity"].to_list(), mode="lines", name="equity"
        )
    )
    equity.update_layout(
        title=f"{title}: compounded result of closed trades, percent", template="plotly_white"
    )
    parts = [to_html(equity, full_html=False, include_plotlyjs=True)]
    if sweep is not None:
        table = sweep.heatmap(metric="sharpe_ratio")
        heat = charts.Figure(
            charts.Heatmap(
                x=[float(name) for name in table.columns[1:]],
                y=table[table.columns[0]].to_list(),
                z=[list(row[1:]) for row in table.iter_rows()],
                colorscale="RdYlGn",
                colorbar={"title": "sharpe_ratio"},
            )
        )
        heat.update_layout(
            title=f"{title}: mean sharpe_ratio per take-profit and stop-loss over all lifetimes",
            xaxis_title="take_profit_percent",
            yaxis_title="stop_loss_percent",
            template="plotly_white",
        )
        parts.append(to_html(heat, full_html=False, include_plotlyjs=False))
    head = f"<!doctype html><meta charset='utf-8'><title>{_escaped(title)}</title>"
    numbers = run.statistics()._repr_html_()
    body = f"{''.join(parts)}{numbers}<p>{_escaped(conditions(run))}</p>"
    return f"{head}<body style='font-family:sans-serif'>{body}</body>"


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)

"""A finished run as frames: closed trades for statistics, signals with their names for documents."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bkapi.base.deferred import pl
from bkapi.errors import BkError

if TYPE_CHECKING:
    from bkapi.runs.finished import FinishedRun


class ExportError(BkError):
    """Raised by ``export_trades(run, "trades.xls")``: a file that cannot be written, or a package that is missing."""


def signals_frame(run: FinishedRun) -> pl.DataFrame:
    """The trades of a run with what documents show of them: ``id``, ``note``, ``symbol``, levels in force, closes.

    The further columns are those of ``run.trades``; ``closes`` lists type and percent of the partial closes of a trade.
    """
    rows = run.strategy_run.rows
    records = run.run.trades
    named = [rows.details_of(rows.row(trade)) for trade in range(records.size)]
    closes = [
        [{"type": one.type, "percent": one.percent} for one in rows.public(trade, 0.0).partials]
        if count
        else []
        for trade, count in enumerate(records["partial_count"].tolist())
    ]
    kind = pl.List(pl.Struct({"type": pl.String, "percent": pl.Float64}))
    return run.trades.with_columns(
        pl.Series("id", [one.id for one in named], dtype=pl.String),
        pl.Series("note", [one.note for one in named], dtype=pl.String),
        pl.lit(run.symbol).alias("symbol"),
        pl.Series("active_take", records["active_take"]),
        pl.Series("active_stop", records["active_stop"]),
        pl.Series("closes", closes, dtype=kind),
    )


def daily_returns(run: FinishedRun, every: str = "1d") -> pl.DataFrame:
    """Returns of a run per day (or ``every``) as fractions, for tear sheets: columns ``date`` and ``returns``.

    A day's return compounds the results of the trades that closed on it, each with all of the capital; days without a
    close are 0. jquantstats reads the frame as it is; quantstats and pyfolio read
    ``frame.to_pandas().set_index("date")["returns"]``, see :func:`returns_series`.
    """
    from bkapi.base.timestamps import from_ms

    frame = run.strategy_run.frame
    closed = (
        run.trades.filter(pl.col("status") == "closed")
        .sort("ended_at", maintain_order=True)
        .group_by(pl.col("ended_at").dt.truncate(every).alias("date"), maintain_order=True)
        .agg(returns=(1.0 + pl.col("pnl_percent") / 100.0).product() - 1.0)
    )
    last = max(frame.end_ms, int(run.run.trades["ended_at"].max(initial=frame.end_ms)))
    days = pl.DataFrame(
        {"date": pl.datetime_range(from_ms(frame.start_ms), from_ms(last), every, time_unit="ms", eager=True)}
    ).select(pl.col("date").dt.truncate(every))
    first = pl.DataFrame({"date": [from_ms(last)]}, schema={"date": pl.Datetime("ms", "UTC")}).select(
        pl.col("date").dt.truncate(every)
    )
    days = pl.concat([days, first]).unique("date", maintain_order=True).sort("date")
    return days.join(closed, on="date", how="left", maintain_order="left").with_columns(
        pl.col("returns").fill_null(0.0)
    )


def returns_series(run: FinishedRun, every: str = "1d") -> Any:
    """:func:`daily_returns` as a pandas Series with a UTC index, for quantstats and pyfolio; needs pandas."""
    frame = daily_returns(run, every)
    try:
        import pandas as pd
    except ImportError:
        raise ExportError(
            "pandas is not installed.", hint="pip install pandas, or use daily_returns."
        ) from None
    index = pd.DatetimeIndex(frame["date"].to_list(), name="date")
    return pd.Series(frame["returns"].to_list(), index=index, name=run.names.strategy_name)


def export_trades(run: FinishedRun, path: str | Path) -> Path:
    """Write the trades of a run to a ``.csv``, ``.parquet`` or ``.json`` file, whole or not at all; returns its path.

    In memory they are ``run.trades`` (Polars) and ``run.trades.to_pandas()``. Raises :class:`ExportError` for another
    suffix or a place that cannot be written to.
    """
    from bkcore.candles.files import replace_file

    path = Path(path)
    writers = {".csv": "write_csv", ".parquet": "write_parquet", ".json": "write_json"}
    if path.suffix not in writers:
        raise ExportError(f"{path.name!r} has no known suffix.", hint=f"end it in {', '.join(writers)}.")
    frame = signals_frame(run)
    if path.suffix == ".csv":
        frame = frame.drop("closes")  # a cell of a CSV file holds no list
    buffer = io.BytesIO()
    getattr(frame, writers[path.suffix])(buffer)
    try:
        replace_file(path, buffer.getvalue())
    except OSError as error:
        raise ExportError(
            f"{str(path)!r} cannot be written: {error.strerror}.", hint="choose another place."
        ) from None
    return path

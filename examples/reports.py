"""Reports of a run: statistics, documents with columns of your own, records in SQLite, a saved run, daily returns.

python examples/reports.py                     writes into a folder that vanishes, and prints what it reads back
bk backtest examples/reports.py --save run     saves a run of the same strategy; bk report run, bk repeat run
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from bkapi import (
    Backtest,
    ColumnModel,
    Heat,
    Markdown,
    Partial,
    Report,
    ReportSqlite,
    add_exchange_schema,
    add_frame_schema,
    add_strategy_schema,
    daily_returns,
    load_run,
    read_records,
    save_run,
)

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "synthetic_btcusdt_1m.parquet"
HOUR_MS = 60 * 60_000


def signals(candles: pl.DataFrame) -> pl.DataFrame:
    """Once an hour, buy what has risen for four hours."""
    rises = pl.col("close") > pl.col("close").shift(240)
    return candles.filter(rises & (pl.col("closed_at") % HOUR_MS == 0)).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(2.0),
        stop_loss_percent=pl.lit(2.0),
        minute_estimated_time=pl.lit(720),
    )


add_strategy_schema(strategy_name="rising", interval="1h", signals=signals)


def main() -> None:
    """Run once, and look at it from every side."""
    add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": SAMPLE})
    add_frame_schema(frame_name="january", start_date=date(2024, 1, 2), end_date=date(2024, 1, 31))
    context = {"strategy_name": "rising", "exchange_name": "sample", "frame_name": "january"}
    with TemporaryDirectory() as name:
        folder = Path(name)
        Markdown.enable()  # documents of all kinds; they are read from the log of the run when they are asked for
        Report.use_report_adapter(lambda kind, _: ReportSqlite(kind, str(folder)))
        Report.enable({"partial": True})  # every level that a position reaches, as a record
        run = Backtest.finish("BTCUSDT", context)
        Report.disable()
        Report.clear()

        columns = [
            ColumnModel("number", "No.", lambda row, index: str(index + 1)),
            ColumnModel("reason", "Reason", lambda row, index: row.close_reason),
            ColumnModel("pnl", "Result", lambda row, index: f"{row.pnl.pnl_percentage:+.2f} %"),
        ]
        print(Backtest.get_report("BTCUSDT", context, columns))
        print(f"\nportfolio: {Heat.get_data(context, True).portfolio_total_trades} trades")
        kept = Partial.get_data("BTCUSDT", context, True).total_events
        print(f"partial: {kept} rows kept, {len(read_records(folder / 'partial.sqlite'))} records in SQLite")
        print(daily_returns(run).tail(3))
        saved = load_run(save_run(run, folder / "run"))
        print("the same trades:", not saved.differences_to(run))


if __name__ == "__main__":
    main()

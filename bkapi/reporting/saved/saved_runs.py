"""Saves a run as a folder with Parquet files and a manifest, which can be shown and repeated.

``trades.parquet``, ``events.parquet``, the strategy's file and ``manifest.json``; ``folder`` writes and reads them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import orjson

from bkapi.base.deferred import pl
from bkapi.errors import BkError
from bkapi.reporting.conditions import ANNUALISATION, costs, span, told_edge
from bkapi.reporting.provenance import differences, provenance
from bkapi.reporting.saved.folder import SavedRunError, read_files, write_files
from bkapi.reporting.saved.manifest import Manifest
from bkapi.reporting.saved.run_frames import signals_frame
from bkapi.statistics.measured import trades_of_statistics

if TYPE_CHECKING:
    from bkapi.runs.finished import FinishedRun
    from bkapi.statistics.records import BacktestStatistics

__all__ = ["SavedRun", "SavedRunError", "load_run", "save_run"]

_FORMAT: Final = 1
#: The columns of trades that are read, by what they hold, and those that a closed trade may leave empty.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("position", "status", "reason", "id", "note", "symbol"),
    "time": ("scheduled_at", "pending_at", "ended_at"),
    "number": (
        *(
            "price_open",
            "effective_open",
            "take_profit",
            "stop_loss",
            "close_price",
            "pnl_percent",
            "pnl_cost",
        ),
        *(
            "peak_percent",
            "fall_percent",
            "entries",
            "partials",
            "closed_percent",
            "active_take",
            "active_stop",
        ),
    ),
    "list": ("closes",),
}
_MAY_BE_EMPTY: Final = frozenset({"reason", "scheduled_at", "note"})
_LAST_TIME_MS: Final = 253_402_300_799_999  # the end of the year 9999


def _plain(value: Any) -> Any:
    """A value as JSON keeps it: infinities and NaN are words."""
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _number(value: Any) -> Any:
    return float(value.replace("Infinity", "inf")) if value in ("Infinity", "-Infinity", "NaN") else value


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def save_run(run: FinishedRun, folder: str | Path, *, how: Mapping[str, Any] | None = None) -> Path:
    """Write a finished run into ``folder``; returns it.

    how   what ``bk repeat`` needs: ``strategy`` (a file), ``candles``, ``gaps`` ..., see :mod:`bkapi.cli.repeating`

    All files appear at once; one writer of a folder at a time. Raises :class:`SavedRunError` when the folder cannot be
    written to; a run that was saved there before is unchanged then.
    """
    folder = Path(folder)
    contents = {"trades.parquet": _parquet(signals_frame(run)), "events.parquet": _parquet(run.events)}
    about = dict(how or {})
    source = Path(about["strategy"]) if about.get("strategy") else None
    if source is not None and source.is_file():
        contents["strategy.py"] = source.read_bytes()
        about["strategy"] = str(source.absolute())
    statistics = run.statistics().to_dict()
    statistics.pop("signal_list", None)
    settings = run.settings
    manifest = {
        "format": _FORMAT,
        "symbol": run.symbol,
        "strategy_name": run.names.strategy_name,
        "exchange_name": run.names.exchange_name,
        "frame_name": run.names.frame_name,
        "run_hash": provenance(run.strategy_run)["run_hash"],
        "provenance": provenance(run.strategy_run),
        "conditions": {
            "fee_percent": settings.fee_percent,
            "maker_fee_percent": settings.maker_fee_percent,
            "slippage_percent": settings.slippage_percent,
            "fill": settings.fill,
            "average_candles": settings.average_candles,
            "entry_edge_percent": run.entry_edge_percent,
        },
        "statistics": statistics,
        "how": about,
    }
    write_files(folder, _plain(manifest), contents)
    return folder


def load_run(folder: str | Path) -> SavedRun:
    """The run that lies in ``folder``; raises :class:`SavedRunError` when there is none, or it was changed.

    The folder may come from anybody: nothing of it is executed, and nothing outside of it is read.
    """
    folder = Path(folder)
    manifest, contents = read_files(folder)
    if manifest.get("format") != _FORMAT:
        raise SavedRunError(
            f"{str(folder)!r} has format {manifest.get('format')!r:.40}, this version reads {_FORMAT}.",
            hint="use the version that wrote it.",
        )
    Manifest.check(manifest, folder)
    trades, events = (_frame(folder, f"{name}.parquet", contents) for name in ("trades", "events"))
    with _making_sense(folder):
        wrong = _wrong_trades(trades)
    if wrong is not None:
        raise _senseless(folder, wrong)
    return SavedRun(folder, manifest, trades, events)


def _senseless(folder: Path, why: str) -> SavedRunError:
    return SavedRunError(
        f"{str(folder)!r} holds no run of this version: {why}.",
        hint="save it again with bk backtest ... --save.",
    )


@contextmanager
def _making_sense(folder: Path) -> Iterator[None]:
    """For a block, turn what absurd values of a saved run raise into one error."""
    from polars.exceptions import PanicException

    try:
        yield
    except BkError:
        raise
    except (Exception, PanicException) as error:
        raise _senseless(folder, f"{type(error).__name__}: {str(error)[:200]}") from error


def _frame(folder: Path, name: str, contents: Mapping[str, bytes]) -> pl.DataFrame:
    import polars as pl

    with _making_sense(folder):
        return pl.read_parquet(io.BytesIO(contents[name]))


def _wrong_trades(trades: pl.DataFrame) -> str | None:
    """What makes the trades unfit to be shown, or None."""
    import polars as pl

    kinds: dict[str, Callable[[Any], bool]] = {
        "text": lambda kind: kind in (pl.String, pl.Enum, pl.Categorical),
        "time": lambda kind: kind == pl.Datetime("ms", "UTC"),
        "number": lambda kind: kind in (pl.Int64, pl.Float64),
        "list": lambda kind: kind == pl.List(pl.Struct({"type": pl.String, "percent": pl.Float64})),
    }
    for kind, names in _COLUMNS.items():
        for name in names:
            if name not in trades.columns:
                return f"its trades have no column {name!r}"
            if not kinds[kind](trades.schema[name]):
                return f"its trades have {trades.schema[name]} in the column {name!r}, not {kind}"
    for name in _COLUMNS["time"]:
        if not trades[name].dt.epoch("ms").is_between(0, _LAST_TIME_MS).all():
            return f"its trades have an impossible moment in {name!r}"
    closed = trades.filter(pl.col("status") == "closed")
    for name in (name for names in _COLUMNS.values() for name in names if name not in _MAY_BE_EMPTY):
        if closed[name].null_count():
            return f"a closed trade has no {name!r}"
    if not closed["position"].is_in(["long", "short"]).all():
        return "a closed trade is neither long nor short"
    return None


@dataclass(frozen=True, eq=False, repr=False)
class SavedRun:
    """A run that was saved: ``manifest`` says what it was, ``trades`` and ``events`` are its frames."""

    folder: Path
    manifest: Mapping[str, Any]
    trades: pl.DataFrame
    events: pl.DataFrame

    @property
    def symbol(self) -> str:
        """The traded symbol."""
        return str(self.manifest["symbol"])

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the run."""
        return {name: _number(value) for name, value in self.manifest["provenance"]["config"].items()}

    @cached_property
    def statistics(self) -> BacktestStatistics:
        """Statistics of all closed trades."""
        from bkapi.statistics.measured import backtest_statistics

        with _making_sense(self.folder):
            return backtest_statistics(trades_of_statistics(self.trades, self.symbol), row_limit=None)

    def conditions(self) -> str:
        """One line on how the numbers were made."""
        about, made = self.manifest["conditions"], self.manifest["provenance"]
        words = costs(
            about["fee_percent"],
            about.get("maker_fee_percent"),
            about["slippage_percent"],
            about["fill"],
            about["average_candles"],
        )
        words += told_edge(about.get("entry_edge_percent"))
        return (
            f"Conditions: {words}; {ANNUALISATION}; {span(made['frame'])}; candles {made['candles']}; "
            f"run {self.manifest['run_hash']}; code {made['code']}."
        )

    def to_markdown(self, *, row_limit: int | None = 250) -> str:
        """The backtest document of the run: its newest ``row_limit`` trades, and statistics of all of them."""
        from bkapi.reporting.documents.columns import table_lines
        from bkapi.reporting.documents.layouts import body, legend

        title = f"# Backtest Report: {self.manifest['strategy_name']}"
        record = self.statistics
        if not record.total_signals:
            return "\n".join([title, "", "No signals closed yet."])
        with _making_sense(self.folder):
            table = table_lines(self._rows(row_limit), "backtest_columns")
            lines = [title, "", *body("backtest", record, table), ""]
            return "\n".join([*lines, *legend("backtest", self.conditions())])

    def _rows(self, row_limit: int | None) -> list[SimpleNamespace]:
        closed = (
            self.trades.filter(pl.col("status") == "closed")
            .reverse()
            .head(min(row_limit or self.trades.height, self.trades.height))
        )
        closed = closed.with_columns(pl.col("pending_at", "ended_at").dt.epoch("ms"))
        return [_closed_row(row) for row in closed.iter_rows(named=True)]

    def differences_to(self, run: FinishedRun) -> list[str]:
        """What differs between this run and another, a sentence each: first what it was made from, then its trades."""
        other = orjson.loads(orjson.dumps(_plain(provenance(run.strategy_run)), default=repr))
        found = differences(self.manifest["provenance"], other)
        trades = signals_frame(run)
        if not trades.equals(self.trades):
            found.append(_first_difference(self.trades, trades))
        elif not run.events.equals(self.events):
            found.append("events: the log differs, the trades do not")
        return found

    def __repr__(self) -> str:
        return (
            f"SavedRun({str(self.folder)!r}: {self.manifest['strategy_name']} on {self.symbol}, "
            f"{self.trades.height:,} trades, run {self.manifest['run_hash']})"
        )

    def _repr_html_(self) -> str:
        return self.statistics._repr_html_()


def _closed_row(row: Mapping[str, Any]) -> SimpleNamespace:
    """A trade in the shape of a closed result."""
    signal = SimpleNamespace(
        id=row["id"],
        symbol=row["symbol"],
        position=row["position"],
        note=row["note"],
        price_open=row["effective_open"],
        price_take_profit=row["active_take"],
        price_stop_loss=row["active_stop"],
        original_price_take_profit=row["take_profit"],
        original_price_stop_loss=row["stop_loss"],
        original_price_open=row["price_open"],
        total_entries=row["entries"],
        total_partials=row["partials"],
        partial_executed=row["closed_percent"],
        partials=row["closes"],
        pending_at=row["pending_at"],
        peak_profit=SimpleNamespace(pnl_percentage=row["peak_percent"]),
        max_drawdown=SimpleNamespace(pnl_percentage=row["fall_percent"]),
    )
    return SimpleNamespace(
        signal=signal,
        current_price=row["close_price"],
        close_reason=row["reason"],
        close_timestamp=row["ended_at"],
        pnl=SimpleNamespace(pnl_percentage=row["pnl_percent"], pnl_cost=row["pnl_cost"]),
    )


def _first_difference(before: pl.DataFrame, after: pl.DataFrame) -> str:
    """The first place where two trades frames differ."""
    if before.height != after.height:
        return f"trades: there were {before.height:,}, there are {after.height:,}"
    for name in before.columns:
        if name not in after.columns:
            return f"trades: the column {name!r} is gone"
        for number, (one, other) in enumerate(
            zip(before[name].to_list(), after[name].to_list(), strict=True)
        ):
            if one != other and not (one != one and other != other):
                return f"trades: {name} of trade {number} was {one!r}, is {other!r}"
    return "trades: the columns differ"

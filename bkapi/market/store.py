"""Where do candles lie on disk? In one Parquet file per month, written whole or not at all (spec market-data.md 7).

``root/exchange/symbol/interval/2024-01.parquet`` holds the known candles of its month, in order, and their digest.
A stored candle never changes, and a complete month is never written again. One process writes a series at a time, any
number read it; a reader sees the old file or the new one. The store moves a file that does not match its digest to
``root/quarantine``; its candles are missing until they are fetched again.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkapi.base.folder_lock import only_writer
from bkapi.base.record import Record, record
from bkapi.base.timestamps import Moment, now_ms, to_ms
from bkapi.errors import BkError
from bkapi.events.emitters import report_error
from bkcore.candles.checks import COLUMNS, columns_digest
from bkcore.candles.door import DoorOptions
from bkcore.candles.errors import EmptyCandlesError
from bkcore.candles.files import replace_file
from bkcore.candles.frame import CandleFrame
from bkcore.candles.gaps import GapPolicy
from bkcore.errors import did_you_mean, shown
from bkcore.intervals import INTERVAL_MINUTES, interval_step_ms

#: Where the store of a project lies, relative to the working directory.
DEFAULT_ROOT = "dump/data/candle"

_QUARANTINE = "quarantine"
_LONGEST_NAME = 200
_REMEMBERED_MONTHS = 64
_MOST_BYTES = 1 << 30  # a month of 1m candles has two million
_DIGEST = b"bk.digest"
#: How candles are checked that were checked before: no price is an anomaly, holes are allowed.
AS_TOLD: DoorOptions = {"price_anomaly_factor": math.inf, "sparse": True}


class CandleStoreError(BkError):
    """Raised by ``CandleStore(root).read("x", "", "1m", ...)``: a name, range or file that the store cannot serve."""


class DamagedMonthError(CandleStoreError):
    """Reported to ``listen_error`` when a month's file is not what was written; its candles count as missing."""


class StoreBusyError(CandleStoreError):
    """Raised when another process has been writing the same series for a minute."""


def folder_name(name: str, what: str) -> str:
    """A folder name made of a user's name, which cannot leave the parent folder; raises :class:`CandleStoreError`."""
    try:
        safe = quote(name, safe="-_.~ ")
    except (TypeError, UnicodeEncodeError):
        safe = ""
    if safe.startswith("."):
        safe = "%2E" + safe[1:]
    if not safe.strip() or len(safe) > _LONGEST_NAME or safe == _QUARANTINE:
        raise CandleStoreError(
            f"{what}={str(name)[:60]!r} cannot be the name of a folder.",
            hint=f"use text of at most {_LONGEST_NAME} characters such as 'binance' or 'BTC/USDT'.",
        )
    return safe


@record
class StoredSeries(Record):
    """What the store holds of one exchange, symbol and interval."""

    exchange_name: str
    symbol: str
    interval: str
    months: int
    bytes: int


@record
class StoreReport(Record):
    """What a check of a series found: months, candles, first and last (ms UTC), holes, and the files put aside."""

    months: int
    candles: int
    first: int | None
    last: int | None
    missing: int
    quarantined: tuple[str, ...]


@dataclass(frozen=True)
class _Series:
    """One folder of months."""

    folder: Path
    exchange_name: str
    symbol: str
    interval: str

    @property
    def step(self) -> int:
        return interval_step_ms(self.interval)

    @property
    def about(self) -> str:
        return f"{self.exchange_name} {self.symbol} {self.interval}"

    def path(self, month: str) -> Path:
        return self.folder / f"{month}.parquet"

    def months(self) -> list[str]:
        found = (path.stem for path in self.folder.glob("[0-9][0-9][0-9][0-9]-[01][0-9].parquet"))
        return sorted(month for month in found if "01" <= month[5:] <= "12")


def months_between(start_ms: int, end_ms: int) -> list[str]:
    """The months, as ``2024-01``, that ``[start_ms, end_ms)`` touches."""
    if end_ms <= start_ms:
        return []
    first, last = (np.datetime64(edge, "ms").astype("datetime64[M]") for edge in (start_ms, end_ms - 1))
    return [str(month) for month in np.arange(first, last + 1)]


def month_edges(month: str) -> tuple[int, int]:
    """Start of a month and of the next, ms UTC."""
    first = np.datetime64(month, "M")
    edges = (int(edge.astype("datetime64[ms]").astype(np.int64)) for edge in (first, first + 1))
    return next(edges), next(edges)


class CandleStore:
    """Candles on disk by exchange, symbol and interval: ``CandleStore("candles").write("binance", frame)``.

    Names may be any text, also ``BTC/USDT``; they cannot leave the folder ``root``.
    Raises :class:`CandleStoreError` for a root that can be no folder.
    """

    def __init__(self, root: str | os.PathLike[str] = DEFAULT_ROOT) -> None:
        try:
            self.root = Path(root).absolute()
            _status(self.root)
        except (OSError, ValueError, TypeError) as error:
            raise CandleStoreError(
                f"root={shown(root)} can be no folder: {getattr(error, 'strerror', None) or error}.",
                hint="give the path of a folder; it is made where there is none.",
            ) from None
        self._kept: OrderedDict[Path, tuple[tuple[int, int, int], pl.DataFrame]] = OrderedDict()
        self._keeping = threading.Lock()

    def _series(self, exchange_name: str, symbol: str, interval: str) -> _Series:
        if interval not in INTERVAL_MINUTES:
            interval_step_ms(interval)  # raises
        folder = self.root / folder_name(exchange_name, "exchange_name") / folder_name(symbol, "symbol")
        return _Series(folder / interval, exchange_name, symbol, interval)

    def series(self) -> list[StoredSeries]:
        """What lies in the store, sorted."""
        found = []
        for folder in sorted(self.root.glob("*/*/*")):
            exchange_name, symbol = (unquote(name) for name in folder.relative_to(self.root).parts[:2])
            if folder.name not in INTERVAL_MINUTES:
                continue
            series = _Series(folder, exchange_name, symbol, folder.name)
            sizes = [status.st_size for status in map(_status, map(series.path, series.months())) if status]
            if sizes:
                found.append(StoredSeries(exchange_name, symbol, folder.name, len(sizes), sum(sizes)))
        return found

    # writing

    def write(self, exchange_name: str, candles: CandleFrame) -> int:
        """Add candles to their months; returns how many were new.

        Stored candles stay as they are. Candles that have not closed yet are left out, and so are those that were
        invented to fill a gap, since the true ones may still come. Raises :class:`CandleStoreError` where the disk is
        full or read-only; then every month is as it was or whole. Raises :class:`StoreBusyError` while another process
        writes the series for a minute.
        """
        if not isinstance(candles, CandleFrame):
            raise CandleStoreError(
                f"candles are given as {type(candles).__name__!r}, not as a CandleFrame.",
                hint='write CandleFrame.from_any(data, symbol="BTCUSDT", interval="1m"), or use write_rows(...).',
            )
        series = self._series(exchange_name, candles.symbol, candles.interval)
        kept = pl.col("timestamp") + series.step <= now_ms()
        if "filled" in candles.frame.columns:
            kept &= ~pl.col("filled")
        return self._add(series, candles.frame.filter(kept).select(COLUMNS))

    def write_rows(self, exchange_name: str, symbol: str, interval: str, rows: Any) -> int:
        """The same for rows of any shape that :meth:`CandleFrame.from_any` takes; holes and empty lists are allowed."""
        try:
            candles = CandleFrame.from_any(rows, symbol=symbol, interval=interval, gaps="keep", **AS_TOLD)
        except EmptyCandlesError:
            return 0
        return self.write(exchange_name, candles)

    def _add(self, series: _Series, rows: pl.DataFrame) -> int:
        if not len(rows):
            return 0
        times = rows["timestamp"].to_numpy()
        added = 0
        with _spoken(series, "written to"), _writing(series):
            _sweep_parts(series.folder)
            for month in months_between(int(times[0]), int(times[-1]) + 1):
                first, last = np.searchsorted(times, month_edges(month))
                added += self._add_month(series, month, rows[int(first) : int(last)])
        return added

    def _add_month(self, series: _Series, month: str, rows: pl.DataFrame) -> int:
        known = self._month(series, month, locked=True)
        if known is None:
            whole = rows
        else:
            fresh = rows.join(known.select("timestamp"), on="timestamp", how="anti")
            if not len(fresh):
                return 0
            whole = pl.concat([known, fresh]).sort("timestamp")
        if len(whole):
            replace_file(series.path(month), _encoded(whole, series))
        return len(whole) - (0 if known is None else len(known))

    def import_files(
        self,
        exchange_name: str,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        symbol: str | None = None,
        interval: str | None = None,
    ) -> int:
        """Add candle files: a list, or a pattern such as ``"dumps/BTCUSDT-1m-*.zip"``; returns how many were new.

        Each file is checked first (:meth:`CandleFrame.read_many`); nothing is stored unless all are valid.
        """
        frame = CandleFrame.read_many(paths, symbol=symbol, interval=interval, gaps="keep")
        return self.write(exchange_name, frame)

    # reading

    def read(
        self, exchange_name: str, symbol: str, interval: str, start: Moment, end: Moment
    ) -> pl.DataFrame:
        """The stored candles with ``start <= timestamp < end``: timestamp (ms UTC), open, high, low, close, volume."""
        return self._rows(self._series(exchange_name, symbol, interval), to_ms(start), to_ms(end))

    def read_exactly(
        self, exchange_name: str, symbol: str, interval: str, since: int, limit: int
    ) -> pl.DataFrame | None:
        """The ``limit`` candles from ``since`` (ms UTC) on, None when one of them is not stored."""
        if limit < 1:
            return None
        series = self._series(exchange_name, symbol, interval)
        rows = self._rows(series, since, since + limit * series.step)
        if len(rows) != limit or rows["timestamp"][0] != since:
            return None
        return rows

    def load(
        self,
        exchange_name: str,
        symbol: str,
        interval: str = "1m",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        gaps: GapPolicy = "raise",
    ) -> CandleFrame:
        """Stored candles as a :class:`CandleFrame`, of the whole series or of ``[start, end)``.

        Raises :class:`CandleStoreError` when there is none, and as :meth:`CandleFrame.from_any` for holes.
        """
        series = self._series(exchange_name, symbol, interval)
        months = series.months()
        if not months:
            raise self._nothing(series, months)
        first = month_edges(months[0])[0] if start is None else to_ms(start)
        last = month_edges(months[-1])[1] if end is None else to_ms(end)
        rows = self._rows(series, first, last)
        if not len(rows):
            raise self._nothing(series, months)
        return CandleFrame.from_any(rows, symbol=symbol, interval=interval, gaps=gaps, **AS_TOLD)

    def _nothing(self, series: _Series, months: list[str]) -> CandleStoreError:
        """The error for a series, or a range of it, without candles."""
        if months:
            return CandleStoreError(
                f"{series.about}: no candles in that range.", hint=f"it has {months[0]} .. {months[-1]}."
            )
        there = [f"{one.exchange_name} {one.symbol} {one.interval}" for one in self.series()]
        return CandleStoreError(
            f"{series.about}: no candles in {str(self.root)!r}.",
            hint=did_you_mean(series.about, there) + f"there are: {', '.join(there[:10]) or 'none'}.",
        )

    def source(self, exchange_name: str, interval: str = "1m") -> Callable[[str], CandleFrame]:
        """A function of the symbol for ``add_exchange_schema(candles=...)``; holes are not filled."""
        return lambda symbol: self.load(exchange_name, symbol, interval, gaps="keep")

    def _rows(self, series: _Series, start_ms: int, end_ms: int) -> pl.DataFrame:
        there = series.months() if end_ms - start_ms > 4 * 31 * 86_400_000 else None
        wanted = months_between(start_ms, end_ms) if there is None else there
        parts = []
        for month in wanted:
            if there is not None and (month_edges(month)[1] <= start_ms or month_edges(month)[0] >= end_ms):
                continue
            rows = self._month(series, month)
            if rows is not None:
                times = rows["timestamp"].to_numpy()
                first, last = np.searchsorted(times, (start_ms, end_ms))
                parts.append(rows[int(first) : int(last)])
        if not parts:
            return pl.DataFrame(schema=_schema())
        return parts[0] if len(parts) == 1 else pl.concat(parts).rechunk()

    def _month(self, series: _Series, month: str, *, locked: bool = False) -> pl.DataFrame | None:
        """The candles of a month, None when there is no file or it was put aside."""
        path = series.path(month)
        with _spoken(series, "read from"):
            status = _status(path)
        if status is None:
            if not path.is_symlink():
                return None
            damage = DamagedMonthError(
                f"{series.about} {month}: {str(path)!r} is a link to a file that is not there."
            )
            return self._put_aside(series, month, damage, locked=locked)
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._keeping:
            kept = self._kept.get(path)
            if kept is not None and kept[0] == stamp:
                self._kept.move_to_end(path)
                return kept[1]
        with _spoken(series, "read from"):
            content = _content(path)
        if content is None:
            return None
        try:
            rows = _decoded(content, series, month)
        except DamagedMonthError as error:
            return self._put_aside(series, month, error, locked=locked)
        with self._keeping:
            self._kept[path] = (stamp, rows)
            while len(self._kept) > _REMEMBERED_MONTHS:
                self._kept.popitem(last=False)
        return rows

    def _put_aside(
        self, series: _Series, month: str, error: DamagedMonthError, *, locked: bool
    ) -> pl.DataFrame | None:
        """Move a damaged file into quarantine and report it; returns what a writer has put in its place meanwhile.

        Where the file cannot be moved, as in a read-only folder, it stays and counts as missing.
        """
        path, shelf = series.path(month), self.root / _QUARANTINE
        name = "-".join([series.exchange_name, series.symbol, series.interval, month])
        target = shelf / f"{quote(name, safe='-_')[:150]}.{secrets.token_hex(4)}.parquet"
        try:
            with contextlib.nullcontext() if locked else _writing(series):
                content = _content(path)
                if content is None and not path.is_symlink():
                    return None
                with contextlib.suppress(DamagedMonthError):
                    if content is not None:
                        return _decoded(content, series, month)
                shelf.mkdir(parents=True, exist_ok=True)
                path.replace(target)
                error.hint = f"it lies in {str(shelf)!r} now; fetch the month again."
        except (OSError, StoreBusyError) as reason:
            error.hint = f"it cannot be put aside ({reason}); delete {str(path)!r} and fetch the month again."
        report_error(error, "candle store")
        return None

    # looking after it

    def gaps(self, exchange_name: str, symbol: str, interval: str) -> pl.DataFrame:
        """The holes of a series: ``after_timestamp``, ``after`` and how many candles are ``missing``.

        Raises :class:`CandleStoreError` for a series without candles.
        """
        return self.load(exchange_name, symbol, interval, gaps="keep").gaps

    def check(self, exchange_name: str, symbol: str, interval: str) -> StoreReport:
        """Read every month of a series and compare it with its digest; damaged ones are put aside."""
        series = self._series(exchange_name, symbol, interval)
        with self._keeping:
            for path in [path for path in self._kept if path.parent == series.folder]:
                del self._kept[path]
        months = series.months()
        quarantined = tuple(month for month in months if self._month(series, month) is None)
        good = [month for month in months if month not in quarantined]
        if not good:
            return StoreReport(0, 0, None, None, 0, quarantined)
        rows = self._rows(series, month_edges(good[0])[0], month_edges(good[-1])[1])
        first, last = int(rows["timestamp"][0]), int(rows["timestamp"][-1])
        missing = (last - first) // series.step + 1 - len(rows)
        return StoreReport(len(good), len(rows), first, last, missing, quarantined)


def _schema() -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS, pl.Float64), "timestamp": pl.Int64}


def _columns(rows: pl.DataFrame) -> list[NDArray[Any]]:
    return [np.ascontiguousarray(rows[name].to_numpy()) for name in COLUMNS]


def _encoded(rows: pl.DataFrame, series: _Series) -> bytes:
    """The bytes of a month's file."""
    import io

    from pyarrow import parquet

    digest = columns_digest(series.symbol, series.step, _columns(rows))
    table = rows.to_arrow().replace_schema_metadata({_DIGEST: digest.encode()})
    buffer = io.BytesIO()
    parquet.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        column_encoding={
            "timestamp": "DELTA_BINARY_PACKED",
            **dict.fromkeys(COLUMNS[1:], "BYTE_STREAM_SPLIT"),
        },
        write_page_checksum=True,
    )
    return buffer.getvalue()


def _decoded(content: bytes, series: _Series, month: str) -> pl.DataFrame:
    """The candles of a file; raises :class:`DamagedMonthError` when they are not what was written."""
    import pyarrow
    from pyarrow import parquet

    damaged = DamagedMonthError(f"{series.about} {month}: the file is damaged.")
    first, last = month_edges(month)
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(content), page_checksum_verification=True)
        digest = (file.schema_arrow.metadata or {})[_DIGEST].decode()
        fits = file.metadata.num_rows <= (last - first) // series.step
        frame: Any = pl.from_arrow(file.read(columns=[*COLUMNS])) if fits else pl.DataFrame(schema=_schema())
        rows: pl.DataFrame = frame.select(COLUMNS).rechunk()
        times = rows["timestamp"].to_numpy()
        sound = (
            dict(rows.schema) == _schema()
            and not sum(rows.null_count().row(0))
            and columns_digest(series.symbol, series.step, _columns(rows)) == digest
            and len(rows) > 0
            and first <= times[0]
            and times[-1] < last
            and bool((np.diff(times) > 0).all())
            and not (times % series.step).any()
        )
    except Exception:  # noqa: BLE001 - a damaged file can raise nearly anything, and means one thing
        raise damaged from None
    if not sound:
        raise damaged
    return rows


@contextlib.contextmanager
def _writing(series: _Series) -> Iterator[None]:
    """The one writer of a series; waits for another one, for a minute at most."""
    series.folder.mkdir(parents=True, exist_ok=True)
    busy = StoreBusyError(f"{series.about}: another process is writing.", hint="try again when it is done.")
    with only_writer(series.folder, busy):
        yield


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _content(path: Path) -> bytes | None:
    """The bytes of a month; none of what is no regular file (a pipe would hang) or far too large to be one."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return b""
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _spoken(series: _Series, done: str) -> Iterator[None]:
    """Turn an error of the system into one sentence."""
    try:
        yield
    except OSError as error:
        raise CandleStoreError(
            f"{series.about}: candles cannot be {done} {str(series.folder)!r}: {error.strerror or error}.",
            hint="check that the folder may be used and has room; every month is as it was, or whole.",
        ) from None


def _sweep_parts(folder: Path) -> None:
    """Remove the unfinished files of writers that were killed."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)

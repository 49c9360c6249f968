"""``CandleFrame``: candles of one symbol and interval, checked once and then unchangeable."""

from __future__ import annotations

import glob
import html
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self, Unpack, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candles.checks import COLUMNS, FloatColumn, IntColumn, columns_digest
from bkcore.candles.columns import settle
from bkcore.candles.door import (
    DoorOptions,
    admitted,
    check_options,
    checked_interval,
    checked_symbol,
    gaps_settled,
    measured_interval,
)
from bkcore.candles.errors import CandleError, CandleFileError, shown, utc_text
from bkcore.candles.files import checked_path, guess_interval, guess_symbol, read_columns, write_frame
from bkcore.candles.gaps import GapPolicy, holes
from bkcore.candles.merge import merged
from bkcore.candles.resample import EdgePolicy, HolePolicy, resample_frame
from bkcore.candles.sources import raw_columns
from bkcore.intervals import interval_step_ms


@final
class CandleFrame:
    """Candles of one symbol and interval; every instance is valid and never changes.

    symbol, interval : str              e.g. ``"BTCUSDT"``, ``"1m"`` (spec market-data.md 2)
    frame : Polars frame                ``timestamp`` Int64 (UTC ms, open time); ``open``, ``high``, ``low``,
                                        ``close``, ``volume`` Float64; ``filled`` Boolean if gaps were filled
    timestamps : i8[n]                  open times, UTC ms
    open, high, low, close : f8[n]      prices, quote currency
    volume : f8[n]                      base currency
    filled : bool[n]                    True where a candle was invented to fill a gap

    The arrays are contiguous, read-only, and lent without a copy. It is guaranteed that there is at least one candle;
    timestamps rise and lie on the UTC grid of the interval; values are finite, prices above zero, volume not
    negative, high >= low; no price is anomalously low (spec market-data.md 4; a long frame is checked in
    pieces of 1000 candles, as exchange responses are). Open and close may lie outside [low, high], as that
    specification accepts. There are holes only if ``gaps="keep"`` allowed them.

    ``CandleFrame(data, ...)`` does the same as ``CandleFrame.from_any(data, ...)``.
    """

    symbol: str
    interval: str
    _frame: pl.DataFrame

    def __init__(
        self,
        data: Any,
        *,
        symbol: str,
        interval: str = "1m",
        gaps: GapPolicy = "raise",
        **options: Unpack[DoorOptions],
    ) -> None:
        about = f"{checked_symbol(symbol)} {checked_interval(interval)}"
        check_options(gaps, options, about)
        source = raw_columns(data._frame if isinstance(data, CandleFrame) else data, about)
        frame = settle(source, about, options.get("timestamp_unit"), interval=interval, volume_needed=False)
        self._keep(symbol, interval, admitted(frame, interval, gaps, about, options))

    @classmethod
    def from_any(
        cls,
        data: Any,
        *,
        symbol: str,
        interval: str = "1m",
        gaps: GapPolicy = "raise",
        **options: Unpack[DoorOptions],
    ) -> Self:
        """Candles from a frame of any library, a dict of columns, a list of dicts or rows, an array (n, 6).

        data         Polars (also lazy), pandas, PyArrow and whatever narwhals or the Arrow protocol knows;
                     ``{"timestamp": [...], "open": [...], ...}``; ``[{"timestamp": ..., ...}, ...]``;
                     ccxt rows ``[timestamp, open, high, low, close, volume]``; Binance rows of twelve values
        gaps         ``"raise"`` refuses missing candles, ``"keep"`` leaves the holes (``.gaps`` lists them),
                     ``"fill"`` repeats the last close with volume 0 and marks the rows ``filled``
        options      see :class:`DoorOptions`

        Column names may be usual ones (``Open``, ``o``, ``open_time``, ``date``, ...): the documented name
        wins over an alias, two equally near are refused, and other columns are dropped. Columns of two levels are
        those of one ticker. Without a volume every candle is given the volume 1, with a warning. An index of pandas
        is the timestamp when no column is, a date and a time of day together are one. Daily candles that all open at
        midnight of a zone are the candles of those dates. Timestamps are datetimes or dates
        (naive means UTC), ISO text, text with the day or month first where a row shows which, or integers in s, ms,
        us or ns: one unit for the column, recognised by magnitude, so ms, us and ns before 1973-03-03 need
        ``timestamp_unit``. Numbers may be text, with a decimal comma where it cannot part thousands. The input is
        copied where it could change.

        Raises a :class:`CandleError` that names symbol, interval, column, row (counted from 0), time and
        value, or :class:`UnknownIntervalError`. Nothing is repaired, sorted or deduplicated.
        """
        return cls(data, symbol=symbol, interval=interval, gaps=gaps, **options)

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        symbol: str | None = None,
        interval: str | None = None,
        gaps: GapPolicy = "raise",
        **options: Unpack[DoorOptions],
    ) -> Self:
        """Candles from a file: CSV (plain, gz, xz, bz2, zst), Parquet, Arrow/Feather, a Binance dump (zip or CSV).

        symbol       taken from a name such as ``BTCUSDT-1m-2024-12-31.zip`` when not given
        interval     likewise, else the smallest step between two candles if that is a documented interval
        gaps, options    as in :meth:`from_any`

        CSV is UTF-8 with comma, semicolon, tab or bar. Without a header line it has our six columns in the order
        of the schema, or the twelve of a Binance dump (ms or us). Comments above the header are skipped with a
        warning. A zip archive holds one CSV.

        Raises :class:`CandleFileError` for the file itself, otherwise as :meth:`from_any`.
        """
        path = checked_path(path)
        check_options(gaps, options, repr(path.name))
        symbol = guess_symbol(path.name) if symbol is None else checked_symbol(symbol)
        interval = guess_interval(path.name) if interval is None else interval
        if interval is not None:
            interval = checked_interval(interval)
        about = f"{' '.join(filter(None, (symbol, interval)))} in {path.name!r}".lstrip().removeprefix("in ")
        source = read_columns(path, about)
        if symbol is None:
            raise CandleFileError(
                f"{about}: the file name tells no symbol.",
                hint="pass symbol='BTCUSDT', or name the file like BTCUSDT-1m.parquet.",
            )
        frame = settle(source, about, options.get("timestamp_unit"), interval=interval)
        if interval is None:
            interval = measured_interval(frame["timestamp"].to_numpy(), about)
            about = f"{symbol} {interval} in {path.name!r}"
        return cls._trusted(symbol, interval, admitted(frame, interval, gaps, about, options))

    @classmethod
    def read_many(
        cls,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        symbol: str | None = None,
        interval: str | None = None,
        gaps: GapPolicy = "raise",
        **options: Unpack[DoorOptions],
    ) -> Self:
        """Candles of several files joined in the order of time; ``paths``: a list, a path, or a pattern ``"*.zip"``.

        Each file is checked by itself, so units and formats may differ. Candles that occur in several
        files must be identical and are kept once; :class:`CandleConflictError` names the first that are not.
        All files must be of one symbol and interval. The gap policy applies to the joined frame.
        """
        if isinstance(paths, str):
            files = sorted(map(Path, glob.glob(paths)))  # noqa: PTH207 - a pattern may be absolute
        else:
            files = [*map(checked_path, paths if isinstance(paths, Iterable) else [paths])]
        if not files:
            raise CandleFileError(
                f"{shown(paths)}: no file matches." if isinstance(paths, str) else "no files were given.",
                hint="pass a list of paths, or a pattern such as 'candles/BTCUSDT-1m-*.zip'.",
            )
        check_options(gaps, options, f"{len(files):,} files")
        frames = [cls.read(path, symbol=symbol, interval=interval, gaps="keep", **options) for path in files]
        symbol, interval = frames[0].symbol, frames[0].interval
        for path, other in zip(files, frames, strict=True):
            if (other.symbol, other.interval) != (symbol, interval):
                raise CandleError(
                    f"{path.name!r} is {other.symbol} {other.interval}, "
                    f"but {files[0].name!r} is {symbol} {interval}.",
                    hint="read files of one symbol and interval together; symbol= overrules the names.",
                )
        about = f"{symbol} {interval} in {len(files):,} files"
        whole = merged([(path.name, one._frame) for path, one in zip(files, frames, strict=True)], about)
        return cls._trusted(symbol, interval, gaps_settled(whole, interval, gaps, about))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write to CSV, ``.csv.gz``, Parquet or Arrow, as the suffix says; reading gives the same candles.

        The file appears whole or not at all. Symbol and interval are read back from its name, so call it
        something like ``BTCUSDT-1m.parquet``. Raises :class:`CandleFileError`; then nothing was changed.
        """
        write_frame(self._frame, checked_path(path))

    def resample(
        self, interval: str, *, edges: EdgePolicy = "drop", holes: HolePolicy = "raise"
    ) -> CandleFrame:
        """Candles of a longer interval, aligned to the UTC epoch; its length must be a multiple of ours.

        edges    where the frame begins or ends inside a candle: ``"drop"`` leaves that candle out, ``"keep"``
                 makes it of the part that is there
        holes    where candles are missing inside: ``"raise"`` refuses, ``"drop"`` leaves out each candle that
                 misses a part, ``"keep"`` makes it of what is there. Where all parts are missing there is no
                 candle in either case, and ``.gaps`` of the result says so.

        open, high, low, close and volume are the first, highest, lowest, last and the sum (left to right) of
        the parts; a candle with a filled part is ``filled``. The timestamp is the open time: a candle is
        known only when ``timestamp + interval`` has passed.

        Raises :class:`CandleResampleError`, :class:`CandleGapError` and :class:`UnknownIntervalError`.
        """
        about = f"{self.symbol} {self.interval}"
        frame = resample_frame(self._frame, self.interval, interval, about, edges=edges, holes=holes)
        return CandleFrame._trusted(self.symbol, interval, frame)

    def between(self, start: datetime | int, end: datetime | int) -> CandleFrame:
        """The candles with ``start <= timestamp < end``; datetimes (naive means UTC) or UTC ms.

        Raises :class:`CandleError` when there is none.
        """
        bounds = [_milliseconds(start), _milliseconds(end)]
        first, last = (int(np.searchsorted(self.timestamps, bound)) for bound in bounds)
        if first >= last:
            raise CandleError(
                f"{self.symbol} {self.interval}: no candle opens from {utc_text(bounds[0])} "
                f"until before {utc_text(bounds[1])}.",
                hint=f"the frame goes from {utc_text(self._edge(0))} to {utc_text(self._edge(-1))}.",
            )
        return CandleFrame._trusted(self.symbol, self.interval, self._frame[first:last])

    @classmethod
    def _trusted(cls, symbol: str, interval: str, frame: pl.DataFrame) -> Self:
        """A frame of candles that were checked already."""
        made = cls.__new__(cls)
        made._keep(symbol, interval, frame)
        return made

    def _keep(self, symbol: str, interval: str, frame: pl.DataFrame) -> None:
        self.__dict__.update(symbol=symbol, interval=interval, _frame=frame.rechunk())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a CandleFrame never changes; {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a CandleFrame never changes; {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return CandleFrame._trusted, (self.symbol, self.interval, self._frame)

    @property
    def frame(self) -> pl.DataFrame:
        """The candles as a Polars frame of the caller's own: changing it does not change the candles."""
        return self._frame.clone()

    def _column(self, name: str) -> NDArray[Any]:
        return self._frame.get_column(name).to_numpy(allow_copy=False)

    @cached_property
    def timestamps(self) -> IntColumn:
        """i8[n] open times, UTC ms, read-only."""
        return self._column("timestamp")

    @cached_property
    def open(self) -> FloatColumn:
        """f8[n] first prices, quote currency, read-only."""
        return self._column("open")

    @cached_property
    def high(self) -> FloatColumn:
        """f8[n] highest prices, quote currency, read-only."""
        return self._column("high")

    @cached_property
    def low(self) -> FloatColumn:
        """f8[n] lowest prices, quote currency, read-only."""
        return self._column("low")

    @cached_property
    def close(self) -> FloatColumn:
        """f8[n] last prices, quote currency, read-only."""
        return self._column("close")

    @cached_property
    def volume(self) -> FloatColumn:
        """f8[n] traded volume, base currency, read-only."""
        return self._column("volume")

    @cached_property
    def filled(self) -> NDArray[np.bool_]:
        """bool[n], read-only: True where the candle was invented to fill a gap, or holds one that was."""
        marks = np.zeros(len(self), dtype=np.bool_)
        if "filled" in self._frame.columns:
            marks[:] = self._frame.get_column("filled").to_numpy()
        marks.flags.writeable = False
        return marks

    @cached_property
    def gaps(self) -> pl.DataFrame:
        """The holes, one row each: ``row`` of the last candle before it, that candle's ``after_timestamp``
        (UTC ms, and as datetime ``after``), and how many candles are ``missing``."""
        return holes(self.timestamps, interval_step_ms(self.interval))

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits over symbol, interval and every value: equal digests mean equal candles.

        Equal to :attr:`bkcore.machine.market.Market.digest`, which every report of a run names.
        """
        columns = (self._column(name) for name in COLUMNS)
        return columns_digest(self.symbol, interval_step_ms(self.interval), columns)

    def _edge(self, at: int) -> int:
        return int(self.timestamps[at])

    @property
    def start(self) -> datetime:
        """Open time of the first candle, UTC."""
        return datetime.fromtimestamp(self._edge(0) / 1000, UTC)

    @property
    def end(self) -> datetime:
        """Open time of the last candle, UTC; the candle itself lasts one interval longer."""
        return datetime.fromtimestamp(self._edge(-1) / 1000, UTC)

    def __len__(self) -> int:
        return len(self._frame)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CandleFrame):
            return NotImplemented
        return (self.symbol, self.interval) == (other.symbol, other.interval) and self._frame.equals(
            other._frame
        )

    def __hash__(self) -> int:
        return hash((self.symbol, self.interval, len(self), self._edge(0)))

    @property
    def _headline(self) -> str:
        missing = self.gaps["missing"]
        told = f"{len(missing):,} gaps ({missing.sum():,} candles)" if len(missing) else "no gaps"
        filled = int(self.filled.sum())
        return (
            f"{self.symbol} {self.interval}: {len(self):,} candles, "
            f"{utc_text(self._edge(0)).removesuffix(' UTC')} .. {utc_text(self._edge(-1))}, {told}"
            + (f", {filled:,} filled" if filled else "")
        )

    @property
    def _shown(self) -> pl.DataFrame:
        return self._frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ms", "UTC")))

    def __repr__(self) -> str:
        with pl.Config(tbl_rows=6, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
            return f"CandleFrame {self._headline}\n{self._shown}"

    def _repr_html_(self) -> str:
        with pl.Config(tbl_rows=6, tbl_hide_dataframe_shape=True):
            return f"<p>CandleFrame <b>{html.escape(self._headline)}</b></p>{self._shown._repr_html_()}"


def _milliseconds(moment: Any) -> int:
    """The first whole UTC ms from ``moment`` on."""
    if isinstance(moment, datetime) and moment == moment:  # the NaT of pandas is a datetime, but not itself
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return -((datetime(1970, 1, 1, tzinfo=UTC) - aware) // timedelta(milliseconds=1))
    if isinstance(moment, int | np.integer) and abs(int(moment)) < 2**63:
        return int(moment)
    raise CandleError(f"{shown(moment)} is no moment.", hint="give a datetime, or integer milliseconds UTC.")

"""Reads candle files, whatever lies there, and writes them whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from bkcore.candles.archives import MAX_BYTES, STREAMS, decompressed, unzipped
from bkcore.candles.columns import RawColumns
from bkcore.candles.errors import CandleFileError, EmptyCandlesError, shown
from bkcore.candles.formats import columns_of_arrow, columns_of_csv, columns_of_parquet, encoded
from bkcore.errors import did_you_mean
from bkcore.intervals import INTERVAL_MINUTES

#: Formats by suffix.
FORMATS = {
    ".csv": "CSV",
    ".csv.gz": "gzip",
    ".csv.xz": "xz",
    ".csv.bz2": "bzip2",
    ".csv.zst": "zstd",
    ".zip": "zip",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
}
_WRITTEN = [suffix for suffix, kind in FORMATS.items() if kind not in ("zip", "xz", "bzip2", "zstd")]
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"PK": "zip",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}

#: Quote currencies by which a word of a file name is known to be a symbol.
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "BTC", "ETH", "BNB")


def guess_symbol(name: str) -> str | None:
    """Symbol in a file name: the first word of a Binance dump, else a word or two that end in a known quote.

    ``BTCUSDT-1m-2024-12-31.zip``, ``synthetic_btcusdt_1m.parquet`` and ``BTC_USDT-1m.csv`` are all BTCUSDT.
    """
    words = _words(name)
    if len(words) > 1 and words[1] in INTERVAL_MINUTES and words[0].isupper() and words[0] not in _QUOTES:
        return words[0] if words[0].isalnum() else None
    capitals = [word.upper() for word in words]
    joined = [word for word in capitals if word.endswith(_QUOTES) and word not in _QUOTES and word.isalnum()]
    apart = [base + quote for base, quote in pairwise(capitals) if quote in _QUOTES]
    return joined[0] if joined else apart[-1] if apart else None


def guess_interval(name: str) -> str | None:
    """Interval in a file name: the first word that is one, e.g. ``1m`` in ``BTCUSDT-1m-2024-12-31.zip``."""
    return next((word for word in _words(name) if word in INTERVAL_MINUTES), None)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[-_.\s]+", name) if word]


def _suffix(path: Path) -> str | None:
    """The known suffix of ``path``, the longest that fits."""
    fitting = [suffix for suffix in FORMATS if path.name.lower().endswith(suffix)]
    return max(fitting, key=len, default=None)


def checked_path(path: Any) -> Path:
    """``path`` as a path; raises :class:`CandleFileError` when it is none."""
    try:
        return Path(path)
    except TypeError:
        raise CandleFileError(
            f"{shown(path)} is no path.", hint="CandleFrame.from_any(data) takes candles in memory."
        ) from None


def read_columns(path: Path, about: str) -> RawColumns:
    """The columns of a candle file, values not yet converted; ``about`` opens each error.

    Raises :class:`CandleFileError` (absent, unreadable, unknown, damaged, unsafe),
    :class:`CandleColumnError` and :class:`EmptyCandlesError`.
    """
    suffix = _suffix(path)
    data = _content(path, suffix, about)
    if not data:
        raise EmptyCandlesError(f"{about}: the file is empty (0 bytes).", hint="download or write it again.")
    named = FORMATS[suffix or ""]
    found = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "CSV")
    if found != named:
        told = f"starts with {shown(data[:8])}" if found == "CSV" else f"is {found}"
        raise CandleFileError(
            f"{about}: the name says {named}, but the content {told}.",
            hint="rename the file after its content, or download it again.",
        )
    if named == "Parquet":
        return columns_of_parquet(data, about)
    if named == "Arrow":
        return columns_of_arrow(data, about)
    if named == "zip":
        data = unzipped(data, about)
    elif named in STREAMS:
        data = decompressed(data, named, about)
    return columns_of_csv(data, about)


def _content(path: Path, suffix: str | None, about: str) -> bytes:
    try:
        unfit = _unfit(path, path.stat(), suffix, about)
        data = path.read_bytes() if unfit is None else b""
    except FileNotFoundError:
        raise _absent(path, about) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise CandleFileError(
            f"{about}: the file cannot be read: {reason}.", hint="check the path and its permissions."
        ) from None
    if unfit is not None:
        raise unfit
    return data


def _unfit(path: Path, status: os.stat_result, suffix: str | None, about: str) -> CandleFileError | None:
    """Why ``path`` cannot be read at all, or None."""
    if stat.S_ISDIR(status.st_mode):
        return CandleFileError(
            f"{about}: {str(path)!r} is a directory.",
            hint="pass a file, or several by a pattern such as 'folder/*.zip' (CandleFrame.read_many).",
        )
    if not stat.S_ISREG(status.st_mode):
        return CandleFileError(f"{about}: this is no regular file.", hint="copy the data into a file first.")
    if suffix is None:
        return CandleFileError(
            f"{about}: candles are not read from files with {_told_suffix(path)}.",
            hint=f"known are {', '.join(FORMATS)}.",
        )
    if status.st_size > MAX_BYTES:
        return CandleFileError(
            f"{about}: the file has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read.",
            hint="split it by time and read the parts by a pattern such as 'folder/*.csv' (CandleFrame.read_many).",
        )
    return None


def _told_suffix(path: Path) -> str:
    return f"the suffix {path.suffix!r}" if path.suffix else "no suffix"


def _absent(path: Path, about: str) -> CandleFileError:
    try:
        known = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return CandleFileError(f"{about}: there is no folder {str(path.parent)!r}.", hint="check the path.")
    return CandleFileError(
        f"{about}: there is no such file in {str(path.parent)!r}.",
        hint=did_you_mean(path.name, known) + f"the folder holds {len(known):,} other entries.",
    )


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write candles to ``path`` in the format of its suffix; a reader sees the old file or the whole new one.

    Raises :class:`CandleFileError` (no such folder, a directory, unknown suffix, or an error of the system).
    """
    suffix = _suffix(path)
    if suffix not in _WRITTEN:
        raise CandleFileError(
            f"{path.name!r}: candles are not written to files with {_told_suffix(path)}.",
            hint=f"known are {', '.join(_WRITTEN)}.",
        )
    content = encoded(frame, FORMATS[suffix])
    try:
        replace_file(path, content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise CandleFileError(
            f"{path.name!r}: the file cannot be written to {str(path.parent)!r}: {reason}.",
            hint="check that the folder exists, has room, and may be written to; nothing was changed.",
        ) from None


def take_place(part: Path, path: Path) -> None:
    """Rename ``part`` to ``path``, in the place of a file, but never of a device, pipe or socket: OSError."""
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EEXIST, "it is a device, pipe or socket, which no file replaces")
    part.replace(path)


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` in one step: write a temporary file beside it, flush it to disk, rename it."""
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        take_place(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name itself must survive a power cut, too
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

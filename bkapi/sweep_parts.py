"""The parts that a sweep leaves on disk, so that a killed one goes on where it stopped, to the identical result.

A folder holds ``manifest.json`` (what is swept, with digests of space, candles, strategy and configuration) and one
Parquet file per part, which appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bkapi.errors import BkError
from bkcore.candle_files import replace_file

if TYPE_CHECKING:
    import polars as pl

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1


class SweepFolderError(BkError, ValueError):
    """Raised by ``sweep.run(folder="old")`` when the folder holds the parts of another sweep."""


class PartFolder:
    """A sweep's folder. Raises :class:`SweepFolderError` when it belongs to another sweep or cannot be used."""

    def __init__(self, folder: str | Path, manifest: Mapping[str, Any]) -> None:
        import orjson

        self.path = Path(folder)
        wanted = {"format": _FORMAT, **manifest}
        known = self.path / MANIFEST
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if known.exists():
                self._check(orjson.loads(known.read_bytes()), wanted)
            elif any(self.path.glob("part-*.parquet")):
                raise SweepFolderError(
                    f"{self.path} holds parts without a {MANIFEST}.", hint="choose an empty folder."
                )
            else:
                replace_file(known, orjson.dumps(wanted, option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise SweepFolderError(
                f"{self.path} cannot be used: {error.strerror}.", hint="choose another folder."
            ) from None
        except orjson.JSONDecodeError:
            raise SweepFolderError(
                f"{known} is no manifest of a sweep.", hint="choose an empty folder."
            ) from None

    def _check(self, found: Any, wanted: Mapping[str, Any]) -> None:
        if not isinstance(found, dict):
            found = {}
        differs = [name for name in wanted if found.get(name) != wanted[name]]
        if differs:
            raise SweepFolderError(
                f"{self.path} belongs to another sweep: {', '.join(differs)} "
                f"{'differs' if len(differs) == 1 else 'differ'}.",
                hint="choose an empty folder, or make the sweep as it was to go on with it.",
            )

    def part(self, market: int, chunk: int) -> Path:
        """The file of a part."""
        return self.path / f"part-{market:04d}-{chunk:08d}.parquet"

    def has(self, market: int, chunk: int) -> bool:
        """Whether a part is there and can be read."""
        import polars as pl

        path = self.part(market, chunk)
        try:
            pl.read_parquet_metadata(path)
        except (OSError, pl.exceptions.PolarsError):
            path.unlink(missing_ok=True)
            return False
        return True

    def write(self, market: int, chunk: int, frame: pl.DataFrame) -> None:
        """Write a part; it is on disk when this returns."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        replace_file(self.part(market, chunk), buffer.getvalue())


def write_whole(path: Path, rows: pl.LazyFrame) -> Path:
    """Stream rows into one Parquet file that appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows.sink_parquet(temporary, sync_on_close="all")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def digest_of(*texts: Any) -> str:
    """Sixteen hex digits over anything that has a stable text."""
    state = hashlib.sha256()
    for text in texts:
        state.update(repr(text).encode())
        state.update(b"\0")
    return state.hexdigest()[:16]


def source_of(function: Any) -> str:
    """The source of a user's function as far as it can be read, for digests; its name otherwise."""
    import inspect

    if function is None:
        return ""
    plain = getattr(function, "py_func", function)
    try:
        return inspect.getsource(plain)
    except (OSError, TypeError):
        return getattr(plain, "__qualname__", type(plain).__name__)

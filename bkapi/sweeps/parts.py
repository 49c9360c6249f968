"""Keeps the measured parts of a sweep on disk, so that a killed sweep goes on to the identical result.

A folder holds ``manifest.json`` (what is swept, with digests of space, candles, strategy and configuration) and one
Parquet file per part, which appears whole or not at all and carries the digest of its bytes in its name.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import polars as pl

from bkapi.errors import BkError
from bkcore.candles.files import replace_file

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 2
_SIZE: Final = "part_combinations"
_TOLD: Final = ("strategy_name", "metrics", "version")  # fields whose values say something to a reader


class SweepFolderError(BkError, ValueError):
    """Raised by ``sweep.run(folder="old")`` when the folder holds the parts of another sweep."""


class PartFolder:
    """The folder of a sweep. Raises :class:`SweepFolderError` when it belongs to another sweep or cannot be used.

    part_combinations   the size of its parts: the given one where the folder is new
    """

    def __init__(self, folder: str | Path, manifest: Mapping[str, Any], part_combinations: int) -> None:
        import orjson

        self.path = Path(folder)
        self.part_combinations = part_combinations
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
                replace_file(
                    known, orjson.dumps({**wanted, _SIZE: part_combinations}, option=orjson.OPT_INDENT_2)
                )
        except OSError as error:
            raise SweepFolderError(
                f"{self.path} cannot be used: {error.strerror}.", hint="choose another folder."
            ) from None
        except orjson.JSONDecodeError:
            raise SweepFolderError(
                f"{known} is no manifest of a sweep.", hint="choose an empty folder."
            ) from None
        self._files: dict[str, list[Path]] = {}
        for path in sorted(self.path.glob("part-*.parquet")):
            self._files.setdefault(path.name.rpartition("-")[0], []).append(path)

    def _check(self, found: Any, wanted: Mapping[str, Any]) -> None:
        if not isinstance(found, dict):
            found = {}
        differs = [name for name in wanted if found.get(name) != wanted[name]]
        told = [
            f"{name} differs"
            + (f" ({found.get(name)!r} there, {wanted[name]!r} here)" if name in _TOLD else "")
            for name in differs
        ]
        size = found.get(_SIZE)
        if not differs and not (isinstance(size, int) and size > 0):
            told = [f"{_SIZE} is {size!r}"]
        if told:
            raise SweepFolderError(
                f"{self.path} belongs to another sweep: {', '.join(told)}.",
                hint="choose an empty folder, or make the sweep as it was to go on with it.",
            )
        self.part_combinations = size

    def find(self, market: int, chunk: int) -> Path | None:
        """The file of a part, None when there is none; a damaged file is removed."""
        found = None
        for path in self._files.get(_stem(market, chunk), ()):
            with suppress(OSError):
                if found is None and path == self._path(market, chunk, path.read_bytes()):
                    found = path
                else:
                    path.unlink()
        return found

    def write(self, market: int, chunk: int, frame: pl.DataFrame) -> Path:
        """Write a part and return its file, which is on disk then."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
        path = self._path(market, chunk, content)
        replace_file(path, content)
        return path

    def _path(self, market: int, chunk: int, content: bytes) -> Path:
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        return self.path / f"{_stem(market, chunk)}-{digest}.parquet"


def _stem(market: int, chunk: int) -> str:
    return f"part-{market:04d}-{chunk:08d}"


def write_whole(path: Path, rows: pl.LazyFrame) -> Path:
    """Write rows into one Parquet file, batch by batch; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows.sink_parquet(temporary, sync_on_close="all")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def digest_of(*texts: Any) -> str:
    """Sixteen hex digits over anything whose text is the same in every process."""
    state = hashlib.sha256()
    for text in texts:
        state.update(repr(text).encode())
        state.update(b"\0")
    return state.hexdigest()[:16]


def source_of(function: Any) -> str:
    """The source text of a user's function for digests; its name where the source cannot be read."""
    import inspect

    if function is None:
        return ""
    plain = getattr(function, "py_func", function)
    try:
        return inspect.getsource(plain)
    except (OSError, TypeError):
        return getattr(plain, "__qualname__", type(plain).__name__)

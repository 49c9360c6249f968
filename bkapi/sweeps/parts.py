"""Keeps the measured parts of a sweep on disk, so that a killed sweep goes on to the identical result.

A folder holds ``manifest.json`` (what is swept, with digests of space, candles, strategy and configuration) and one
Parquet file per part, which appears whole or not at all and carries in its name a digest of the manifest, its place and
its bytes. What does not belong to the sweep is put aside, into the folder ``aside``.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from bkapi.base.json_files import regular_bytes
from bkapi.errors import BkError
from bkcore.candles.files import replace_file, take_place
from bkcore.statistics.metrics import METRIC_NAMES

logger = logging.getLogger("bkapi")

MANIFEST: Final = "manifest.json"
_ASIDE: Final = "aside"
_FORMAT: Final = 3
_DIGEST: Final = "digest"
_SIZE: Final = "part_combinations"
_MEASURED: Final = cs.by_name(*METRIC_NAMES, "refused_signals", require_all=False)
_TOLD: Final = ("strategy_name", "metrics", "version")  # fields whose values say something to a reader


class SweepFolderError(BkError, ValueError):
    """Raised by ``sweep.run(folder="old")`` when the folder holds the parts of another sweep, or the disk is full."""


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
                self._check(orjson.loads(regular_bytes(known)), wanted)
            elif any(self.path.glob("part-*.parquet")):
                raise SweepFolderError(
                    f"{self.path} holds parts without a {MANIFEST}.", hint="choose an empty folder."
                )
            else:
                self._digest = _digest_of_manifest({**wanted, _SIZE: part_combinations})
                whole = {**wanted, _SIZE: part_combinations, _DIGEST: self._digest}
                replace_file(known, orjson.dumps(whole, option=orjson.OPT_INDENT_2))
            found = sorted(self.path.glob("part-*.parquet"))
        except (OSError, ValueError) as error:
            if isinstance(error, SweepFolderError):
                raise
            if isinstance(error, orjson.JSONDecodeError):
                raise SweepFolderError(
                    f"{known} is no manifest of a sweep.", hint="choose an empty folder."
                ) from None
            raise SweepFolderError(
                f"{self.path} cannot be used: {_reason(error)}.", hint="choose another folder."
            ) from None
        self._moved: list[str] = []
        self._files: dict[str, list[Path]] = {}
        for path in found:
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
        if told:
            raise SweepFolderError(
                f"{self.path} belongs to another sweep: {', '.join(told)}.",
                hint="choose an empty folder, or make the sweep as it was to go on with it.",
            )
        self._digest = _digest_of_manifest({**wanted, _SIZE: size})
        if not (isinstance(size, int) and size > 0) or found.get(_DIGEST) != self._digest:
            raise SweepFolderError(
                f"{self.path / MANIFEST} was changed: {_SIZE} is {size!r}, and its digest is that of another number.",
                hint="bring the file back as it was, or choose an empty folder.",
            )
        self.part_combinations = size

    def find(self, market: int, chunk: int, expected: Callable[[], pl.DataFrame]) -> Path | None:
        """The file of a part, None when there is none; files of its name that are not this part are put aside.

        expected   makes the part with its rows and parameters and whatever metrics
        """
        found = None
        for path in self._files.pop(_stem(market, chunk), ()):
            if found is None and self._is_part(path, market, chunk, expected):
                found = path
            else:
                self._put_aside(path)
        return found

    def put_rest_aside(self) -> None:
        """Put files aside that no :meth:`find` has asked for, parts of another sweep, and tell what lies there."""
        while self._files:
            for path in self._files.popitem()[1]:
                self._put_aside(path)
        if self._moved:
            logger.warning(
                "%d files were damaged or no parts of this sweep, the first of them %s; they lie in %s now",
                *(len(self._moved), self._moved[0], self.path / _ASIDE),
            )
            self._moved.clear()

    def _is_part(self, path: Path, market: int, chunk: int, expected: Callable[[], pl.DataFrame]) -> bool:
        try:
            content = regular_bytes(path)
        except OSError:  # a dangling link, a folder, a pipe
            return False
        if path != self._path(market, chunk, content):
            return False
        try:
            part = pl.read_parquet(io.BytesIO(content))
        except (OSError, pl.exceptions.PolarsError):
            return False
        rows = expected()
        return part.schema == rows.schema and part.drop(_MEASURED).equals(rows.drop(_MEASURED))

    def _put_aside(self, path: Path) -> None:
        aside = self.path / _ASIDE
        place = aside / f"{path.name}.{secrets.token_hex(4)}"
        with _writing(path, "cannot be put aside"):
            aside.mkdir(exist_ok=True)
            path.rename(place)
        self._moved.append(path.name)

    def write(self, market: int, chunk: int, frame: pl.DataFrame) -> Path:
        """Write a part and return its file, which is on disk then."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
        path = self._path(market, chunk, content)
        with _writing(path, "cannot be written"):
            replace_file(path, content)
        return path

    def _path(self, market: int, chunk: int, content: bytes) -> Path:
        state = hashlib.blake2b(f"{self._digest} {market} {chunk} ".encode(), digest_size=8)
        state.update(content)
        return self.path / f"{_stem(market, chunk)}-{state.hexdigest()}.parquet"


def _stem(market: int, chunk: int) -> str:
    return f"part-{market:04d}-{chunk:08d}"


def _digest_of_manifest(fields: Mapping[str, Any]) -> str:
    return digest_of(sorted(fields.items()))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def _writing(path: Path, what: str) -> Iterator[None]:
    """Say in one sentence what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise SweepFolderError(
            f"{path} {what}: {_reason(error)}.",
            hint="make room or choose another folder; parts that are done are kept, and the sweep goes on from them.",
        ) from None


def write_whole(path: Path, rows: pl.LazyFrame) -> Path:
    """Write rows into one Parquet file, batch by batch; the file appears whole or not at all.

    Raises :class:`SweepFolderError` where the disk refuses it.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Polars writes to a file of ours: after an error its threads could still make one of that name.
            with temporary.open("xb") as file:
                rows.sink_parquet(file)
                file.flush()
                os.fsync(file.fileno())
            take_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SweepFolderError(
            f"{path} cannot be written: {_reason(error)}.", hint="make room, or choose another place."
        ) from None
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

"""Reads packed candle files: the one CSV of a zip archive or of a compressed stream, up to a limit of size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from typing import Any

from bkcore.candles.errors import FOREIGN, CandleFileError, damaged, shown

#: Content beyond this is refused before memory is spent; ten years of minutes are 0.8 GB of CSV.
MAX_BYTES = 2 << 30
#: Packed candles expand about fivefold; an archive above the free size that expands more than this is refused.
MAX_EXPANSION = 100
FREE_BYTES = 16 << 20

_DISTRUST = "do not trust this archive; download it from its source again."


def unzipped(data: bytes, about: str) -> bytes:
    """The one CSV in the zip archive ``data``; raises :class:`CandleFileError` for any other archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = _only_member(archive, about)
            _check_expansion(member.file_size, len(data), about)
            with archive.open(member) as stream:
                return stream.read()  # ends at the announced size, checksum compared
    except CandleFileError:
        raise
    except FOREIGN:  # a damaged archive can raise nearly anything, and means one thing
        raise damaged(about, "the zip archive") from None


def _only_member(archive: zipfile.ZipFile, about: str) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        names = ", ".join(shown(member.filename) for member in members[:3]) or "nothing"
        raise CandleFileError(
            f"{about}: the archive holds {len(members)} files ({names}), not one.",
            hint="unpack it and read the files by a pattern such as 'folder/*.csv' (CandleFrame.read_many).",
        )
    member = members[0]
    name = member.filename
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        raise CandleFileError(f"{about}: the archive holds the unsafe name {shown(name)}.", hint=_DISTRUST)
    if not name.lower().endswith(".csv"):
        raise CandleFileError(
            f"{about}: the archive's member {shown(name)} is no CSV.", hint="unpack it and read it directly."
        )
    if member.flag_bits & 1:
        raise CandleFileError(f"{about}: the archive has a password.", hint="unpack it first.")
    return member


def _zstd(data: io.BytesIO) -> Any:
    import pyarrow

    return pyarrow.CompressedInputStream(pyarrow.PythonFile(data, "r"), "zstd")


#: How the stream of each kind is opened.
_STREAMS: dict[str, Callable[[io.BytesIO], Any]] = {
    "gzip": lambda data: gzip.GzipFile(fileobj=data),
    "xz": lzma.LZMAFile,
    "bzip2": bz2.BZ2File,
    "zstd": _zstd,
}
STREAMS = tuple(_STREAMS)


def decompressed(data: bytes, kind: str, about: str) -> bytes:
    """The content of a stream of one of :data:`STREAMS`; raises :class:`CandleFileError` when damaged or too large."""
    limit = min(MAX_BYTES, max(FREE_BYTES, MAX_EXPANSION * len(data)))
    try:
        with _STREAMS[kind](io.BytesIO(data)) as stream:
            content: bytes = stream.read(limit + 1)
    except FOREIGN:  # a damaged stream can raise nearly anything, and means one thing
        raise damaged(about, f"the {kind} stream") from None
    _check_expansion(len(content), len(data), about)
    return content


def _check_expansion(size: int, packed: int, about: str) -> None:
    if size > MAX_BYTES or (size > FREE_BYTES and size > MAX_EXPANSION * packed):
        raise CandleFileError(
            f"{about}: {packed:,} packed bytes expand to {size:,} or more; no candle file does that.",
            hint=_DISTRUST,
        )

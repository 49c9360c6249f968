"""Makes file names of names that users choose; such a file name cannot leave its folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from bkapi.base.context import get_context_timestamp

_LONGEST: Final = 200  # bytes; file systems allow 255
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RESERVED: Final = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")


def safe_file_name(text: str) -> str:
    """``text`` as a file name: no separators, no ``..``, at most 200 bytes.

    A text that has to be changed ends in eight hex digits of its digest, so that two texts never share a file.
    """
    name = _UNSAFE.sub("_", text).strip(". ")
    if name == text and name and not _RESERVED.match(name) and len(name.encode()) <= _LONGEST:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 10:
        stem, suffix = name, ""
    stem = stem.encode()[: _LONGEST - 30].decode(errors="ignore")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{stem or 'file'}-{digest}{'.' if suffix else ''}{suffix}"


def report_file_name(names: Iterable[str], frame_name: str) -> str:
    """``SYMBOL_strategy_exchange_frame_backtest-TIME.md``, without a frame ``..._live-TIME.md`` (spec reports.md 1)."""
    parts = [*(name for name in names if name), *([frame_name, "backtest"] if frame_name else ["live"])]
    return f"{'_'.join(parts)}-{get_context_timestamp()}.md"

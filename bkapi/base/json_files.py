"""Keeps small records on disk: one JSON file per record, written whole or not at all."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Any

import orjson

from bkapi.errors import BkError
from bkcore.candles.files import replace_file

_LONGEST_NAME = 200


class FileNameError(BkError, ValueError):
    """Raised for a name that cannot be that of a file: empty, too long, or one that leaves its folder."""


def file_name(name: str) -> str:
    """``name`` if it can be the name of a file; raises :class:`FileNameError`."""
    fits = isinstance(name, str) and 0 < len(name.encode("utf-8", "replace")) <= _LONGEST_NAME
    if not fits or name.startswith(".") or any(sign in '/\\:\0<>"|?*' or sign < " " for sign in name):
        raise FileNameError(
            f"{name!r} cannot be the name of a file.",
            hint='use letters, digits, "-" and "_", at most 200 of them.',
        )
    return name


def regular_bytes(path: Path) -> bytes:
    """The content of a file; raises ``OSError`` for what is no regular file, where reading may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path.read_bytes()


class RecordFolder:
    """JSON records by name; a file that cannot be read counts as absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any] | None:
        """The record, or None."""
        try:
            found = orjson.loads(regular_bytes(self.folder / f"{file_name(name)}.json"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, name: str, record: dict[str, Any]) -> None:
        """Write a record, whole or not at all; raises ``TypeError`` for what is no JSON."""
        path = self.folder / f"{file_name(name)}.json"
        content = orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)

    def names(self) -> list[str]:
        """The names of all records, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

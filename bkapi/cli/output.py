"""How the command line speaks and writes: lines, tables, and files that appear whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bkcore.errors import BkError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console


class ArgumentError(BkError):
    """Raised by ``bk sweep example --take-profit 3:1:0.5``: an argument that means nothing."""


def console(*, stderr: bool = False) -> Console:
    """The terminal, or the place for errors."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


def write_file(path: Path, content: bytes) -> None:
    """Write what ``--out`` asks for; raises :class:`ArgumentError` where that cannot be."""
    from bkcore.candles.files import replace_file

    try:
        replace_file(path, content)
    except (OSError, ValueError) as error:  # ValueError: no name at all, or one with a zero byte
        raise ArgumentError(
            f"--out {str(path)!r} cannot be written: {getattr(error, 'strerror', None) or error}.",
            hint="choose another place.",
        ) from None


def check_table(out: Path | None) -> None:
    """Whether a table can be written there, before the work begins."""
    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise ArgumentError(f"--out {out.name!r} has no known suffix.", hint="end it in .parquet or .csv.")
    if out is not None and not out.parent.is_dir():
        raise ArgumentError(f"--out {str(out)!r}: there is no such folder.", hint="make the folder first.")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table in the format that the name ends in."""
    import io

    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        table.write_parquet(buffer)
    else:
        table.write_csv(buffer)
    write_file(path, buffer.getvalue())

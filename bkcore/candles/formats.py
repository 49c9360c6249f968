"""Converts CSV, Parquet and Arrow: bytes to columns, and a frame to bytes."""

from __future__ import annotations

import gzip
import io
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import polars as pl

from bkcore.candles.checks import COLUMNS
from bkcore.candles.columns import RawColumns, column_of, positional_names
from bkcore.candles.errors import (
    FOREIGN,
    CandleColumnError,
    CandleFileError,
    EmptyCandlesError,
    damaged,
    shown,
)
from bkcore.candles.levels import header_lines, header_names

if TYPE_CHECKING:
    import pyarrow

logger = logging.getLogger(__name__)

#: Lines of a text file among which its header ends.
_LEVELS = 4

#: Rows a binary file may announce: 38 years of minutes.
MAX_ROWS = 20_000_000


def columns_of_csv(data: bytes, about: str) -> RawColumns:
    """CSV as columns of text; the separator is a comma, semicolon, tab or bar, a header line is recognised.

    Lines above the header that are plainly comments are skipped, and told in a warning.
    """
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CandleFileError(f"{about}: the text is UTF-16, not UTF-8.", hint="save it as UTF-8.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CandleFileError(
            f"{about}: the text is not UTF-8: byte 0x{data[error.start]:02x} in line {line:,}.",
            hint="save it as UTF-8, or download it again.",
        ) from None
    data = _without_comments(data, about)
    lines = [line.decode("utf-8") for line in re.split(rb"\r\n|\r|\n", data, maxsplit=_LEVELS)]
    separator = _separator(lines[0])
    fields = [
        [field.strip().strip('"').strip() for field in line.split(separator)] for line in lines[:_LEVELS]
    ]
    texts = list(takewhile(lambda line: not any(map(_looks_like_a_value, line)), fields))
    header = header_lines(texts) if texts else 0
    if header and not "".join(lines[header:]).strip():
        raise EmptyCandlesError(
            f"{about}: there are no candles (0 rows).", hint="download or write it again."
        )
    names = header_names(fields[:header]) if header else positional_names(len(fields[0]), "the file", about)
    if header and names[0] == "":
        names = ("index", *names[1:])
    table = _parsed_csv(data, separator, len(names), header, about)
    return RawColumns(names, lambda places: [column_of(table.column(at), names[at], about) for at in places])


def _separator(line: str) -> str:
    """The sign that parts the fields; a comma may also part decimals, so it comes last."""
    return next(
        (sign for sign in "\t;|" if line.count(sign) >= len(COLUMNS) - 1), max(",;\t|", key=line.count)
    )


#: How a line above the header begins that is plainly none of the table.
_COMMENT = re.compile(rb"\s*(?:#|//|sep=|https?://|www\.|$)", re.IGNORECASE)


def _without_comments(data: bytes, about: str) -> bytes:
    """The text from the header, or the first row, on."""
    start = 0
    skipped: list[str] = []
    for line in re.finditer(rb"([^\r\n]*)(?:\r\n|\r|\n|\Z)", data):
        told = line[1].decode("utf-8")
        if (
            not _COMMENT.match(line[1]) or told.count(_separator(told)) >= len(COLUMNS) - 1
        ):  # "#timestamp,open,..."
            break
        start = line.end()
        if told.strip():
            skipped.append(told.strip())
        if start == len(data):
            break
    if skipped:
        logger.warning(
            "%s: skipped %d lines of comment above the header, the first is %s",
            about,
            len(skipped),
            shown(skipped[0]),
        )
    return data[start:]


def _looks_like_a_value(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", field) is not None
    return True


def _parsed_csv(data: bytes, separator: str, width: int, header: int, about: str) -> pyarrow.Table:
    import pyarrow
    from pyarrow import csv

    names = [str(at) for at in range(width)]
    odd: list[tuple[int, int, str]] = []

    def note(row: Any) -> str:
        if not row.text.strip():
            return "skip"
        odd.append((row.number, row.actual_columns, row.text))
        return "error"

    def parse(threads: bool) -> pyarrow.Table:
        return csv.read_csv(
            pyarrow.BufferReader(data),
            read_options=csv.ReadOptions(use_threads=threads, column_names=names, skip_rows=header),
            parse_options=csv.ParseOptions(delimiter=separator, invalid_row_handler=note),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False
            ),
        )

    with suppress(*FOREIGN):  # the second pass, in order, finds the row
        return parse(threads=True)
    odd.clear()
    try:
        return parse(threads=False)
    except FOREIGN:  # told below
        if not odd:
            raise damaged(about, "the CSV text") from None
    number, fields, text = odd[0]
    row = number - 1 - header
    if text.rstrip("\r\n").endswith(separator) and fields == width + 1:
        hint = "the rows end with a separator, so the header has to end with one, too."
    elif _COMMENT.match(text.encode()):
        hint = "it is a comment; comments are read above the header only, so remove it."
    elif data.rstrip().endswith(text.strip().encode()):
        hint = "a cut line at the end means an unfinished download; otherwise look for a stray separator."
    else:
        hint = "look for a stray separator, or for a line that is none of the table."
    raise CandleColumnError(
        f"{about}: row {row:,} has {fields} fields, the {'header' if header else 'first row'} has {width}.",
        hint=hint,
        row=row,
    )


# PyArrow reads the binary formats: there a damaged file ends in an error, while in Polars 2.1 some damage
# aborts the whole process.


def columns_of_parquet(data: bytes, about: str) -> RawColumns:
    """Parquet columns; decodes only those asked for, and compares page checksums where there are any."""
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(data), page_checksum_verification=True)
        rows, names = file.metadata.num_rows, tuple(file.schema_arrow.names)
    except FOREIGN:  # a damaged footer can raise nearly anything, and means one thing
        raise damaged(about, "the Parquet file") from None
    _check_rows(rows, about)

    def take(places: Sequence[int]) -> list[pl.Series]:
        try:
            table = file.read(columns=[names[at] for at in places])
        except FOREIGN:  # as above
            raise damaged(about, "the Parquet file") from None
        return [column_of(table.column(names[at]), names[at], about) for at in places]

    return RawColumns(names, take)


def columns_of_arrow(data: bytes, about: str) -> RawColumns:
    """Columns of an Arrow IPC file, also known as Feather 2."""
    import pyarrow
    from pyarrow import ipc

    try:
        table = ipc.open_file(pyarrow.BufferReader(data)).read_all()
        table.validate(full=True)
    except FOREIGN:  # a damaged file can raise nearly anything, and means one thing
        raise damaged(about, "the Arrow file") from None
    _check_rows(table.num_rows, about)
    names = tuple(table.column_names)
    return RawColumns(names, lambda places: [column_of(table.column(at), names[at], about) for at in places])


def _check_rows(rows: int, about: str) -> None:
    if rows > MAX_ROWS:
        raise CandleFileError(
            f"{about}: the file announces {rows:,} rows; at most {MAX_ROWS:,} are read.",
            hint="split it by time and read the parts by a pattern such as 'folder/*.csv' (CandleFrame.read_many).",
        )


def encoded(frame: pl.DataFrame, kind: str) -> bytes:
    """The bytes of a file of ``kind`` (``"Parquet"``, ``"Arrow"``, ``"CSV"`` or, of CSV, ``"gzip"``)."""
    buffer = io.BytesIO()
    if kind == "Parquet":
        from pyarrow import parquet

        floats = [name for name in COLUMNS if name != "timestamp"]
        parquet.write_table(
            frame.to_arrow(),
            buffer,
            compression="zstd",
            compression_level=9,
            use_dictionary=False,
            column_encoding={"timestamp": "DELTA_BINARY_PACKED"} | dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
            write_page_checksum=True,
        )
    elif kind == "Arrow":
        frame.write_ipc(buffer, compression="zstd")
    else:
        frame.write_csv(buffer)
    content = buffer.getvalue()
    return gzip.compress(content, compresslevel=6, mtime=0) if kind == "gzip" else content

"""Where do records go? To JSON Lines, SQLite, Parquet, nowhere, or what a user provides (spec reports.md 11)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson

from bkapi.base.context import get_context_timestamp
from bkapi.base.deferred import pl
from bkapi.events.channels import Subscription
from bkapi.events.emitters import emitters
from bkapi.reporting.journal.fields import SEARCH_FIELDS
from bkapi.sinks.file_names import safe_file_name
from bkapi.sinks.line_file import WRITE_SECONDS, Batched, LineFile
from bkapi.sinks.writer import Factory, Options, SinkError, WriterAdapter, opening, tell_exit

#: Where records lie unless told otherwise.
BASE_DIR: Final = "./dump/report"
Data = Mapping[str, Any]
#: A record as the tables hold it: name, time, search fields, data as JSON.
Row = tuple[str, int, str, str, str, str, str, str, str]
COLUMNS: Final = ("report_name", "timestamp", *SEARCH_FIELDS, "data")


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)  # NaN and infinities become null
    except TypeError:  # a value of the user that JSON does not know, or an integer beyond 64 bits
        return json.dumps(_finite(value), default=str, ensure_ascii=False).encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


class RecordSink:
    """Base of the storages of records: opened by ``wait_for_init``, released at the shutdown of the process.

    ``report_name`` names its file in ``base_dir``. ``write`` returns when the record is on its way: in batches while
    many come, at once when few do; ``flush`` waits for the last.
    """

    suffix: ClassVar[str]

    def __init__(self, report_name: str, base_dir: str = BASE_DIR) -> None:
        self.report_name = report_name
        self.path = Path.cwd() / base_dir / f"{safe_file_name(report_name)}{self.suffix}"
        self._place: Batched[Any] | None = None
        self._shutdown: Subscription[None] | None = None

    def _opened(self) -> Batched[Any]:
        raise NotImplementedError

    def _record(self, data: Data, options: Options) -> Any:
        raise NotImplementedError

    async def wait_for_init(self, initial: bool = True) -> None:
        """Make the folder and open the file; any number of times."""
        if self._place is None:
            with opening(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._place = self._opened()
            self._shutdown = emitters.shutdown_emitter.subscribe(lambda _: self.close())

    async def write(self, data: Data, options: Options) -> None:
        """Store a record. Raises :class:`SinkError` before ``wait_for_init`` and after 15 seconds."""
        self.take(data, options)

    def take(self, data: Data, options: Options) -> None:
        """Store a record, without a coroutine."""
        if self._place is None:
            raise SinkError(
                f"Stream not initialized for report {self.report_name}. Call wait_for_init() first."
            )
        try:
            self._place.put(self._record(data, options))
        except TimeoutError:
            raise self._too_long() from None

    def _too_long(self) -> SinkError:
        return SinkError(
            f"Timeout writing to report {self.report_name}",
            hint=f"a write may take {WRITE_SECONDS:g} seconds; is the disk still there?",
        )

    def flush(self) -> None:
        """Wait until every record is written. Raises :class:`SinkError` after 15 seconds."""
        if self._place is not None:
            try:
                self._place.flush()
            except TimeoutError:
                raise self._too_long() from None

    def close(self) -> None:
        """Flush and let go of the file."""
        place, self._place = self._place, None
        if self._shutdown is not None:
            self._shutdown()
        if place is not None:
            place.close()


class ReportBase(RecordSink):
    """A line per record in ``<base_dir>/<report_name>.jsonl``."""

    suffix = ".jsonl"

    def _opened(self) -> LineFile:
        return LineFile(self.path, tell_exit)

    def _record(self, data: Data, options: Options) -> bytes:
        record: dict[str, Any] = {"report_name": self.report_name, "data": data}
        for name in SEARCH_FIELDS:
            if options.get(name):
                record[name] = options[name]
        record["timestamp"] = get_context_timestamp()
        return _json(record) + b"\n"


def _row(name: str, data: Data, options: Options) -> Row:
    return (
        name,
        get_context_timestamp(),
        options.get("symbol", ""),
        options.get("strategy_name", ""),
        options.get("exchange_name", ""),
        options.get("frame_name", ""),
        options.get("signal_id", ""),
        options.get("walker_name", ""),
        _json(data).decode(),
    )


class _Table(Batched[Row]):
    """The table of a SQLite file; a batch is a transaction."""

    batch_size = 4096

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._connection = sqlite3.connect(path, check_same_thread=False, timeout=WRITE_SECONDS)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS records (report_name TEXT, timestamp INTEGER, symbol TEXT, strategy_name TEXT, "
            "exchange_name TEXT, frame_name TEXT, signal_id TEXT, walker_name TEXT, data TEXT)"
        )
        self._connection.commit()
        super().__init__(tell_exit)

    def write_batch(self, batch: list[Row]) -> None:
        """Insert rows, all or none."""
        with self._connection:
            self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", batch)

    def finish(self) -> None:
        """Close the file."""
        self._connection.close()


class ReportSqlite(RecordSink):
    """A row per record in the table ``records`` of ``<base_dir>/<report_name>.sqlite``; ``data`` is JSON."""

    suffix = ".sqlite"

    def _opened(self) -> _Table:
        return _Table(self.path)

    def _record(self, data: Data, options: Options) -> Row:
        return _row(self.report_name, data, options)


class _Parts(Batched[Row]):
    """A folder of Parquet files; a batch is a file that appears whole."""

    batch_size = 65_536
    most_waiting = 8
    seconds_in_hand = 2.0
    at_once = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        numbers = [int(part.stem.removeprefix("part-")) for part in folder.glob("part-*.parquet")]
        self._next = max(numbers, default=-1) + 1
        super().__init__(tell_exit)

    def write_batch(self, batch: list[Row]) -> None:
        """Write a part: a neighbour, synced, renamed."""
        import io

        from bkcore.candles.files import replace_file

        kinds = {name: pl.Int64 if name == "timestamp" else pl.String for name in COLUMNS}
        buffer = io.BytesIO()
        pl.DataFrame(batch, schema=kinds, orient="row").write_parquet(buffer)
        replace_file(self._folder / f"part-{self._next:06d}.parquet", buffer.getvalue())
        self._next += 1


class ReportParquet(RecordSink):
    """Parquet files ``part-000000.parquet`` ... in the folder ``<base_dir>/<report_name>``; ``data`` is JSON."""

    suffix = ""

    def _opened(self) -> _Parts:
        return _Parts(self.path)

    def _record(self, data: Data, options: Options) -> Row:
        return _row(self.report_name, data, options)


class ReportDummy:
    """Records go nowhere."""

    def __init__(self, report_name: str, base_dir: str = BASE_DIR) -> None:
        self.report_name = report_name

    async def wait_for_init(self, initial: bool = True) -> None:
        """Nothing to make ready."""

    async def write(self, data: Data, options: Options) -> None:
        """Drop the record."""

    def take(self, data: Data, options: Options) -> None:
        """Drop the record."""


class ReportWriterAdapter(WriterAdapter[Data]):
    """Writes records; the singleton is ``ReportWriter``, the default JSON Lines."""

    method = "write"

    def __init__(self) -> None:
        super().__init__(lambda name: ReportBase(name, BASE_DIR))

    @property
    def report_factory(self) -> Factory:
        """What makes new storages."""
        return self._factory

    def get_report_storage(self, report_name: str) -> Any:
        """The storage of a kind."""
        return self.storage(report_name)

    def use_report_adapter(self, adapter: Any) -> None:
        """Let new storages be made by ``adapter(report_name, base_dir)``."""
        self._use(lambda name: adapter(name, BASE_DIR))

    def use_jsonl(self) -> None:
        """A line per record."""
        self.use_report_adapter(ReportBase)

    def use_sqlite(self) -> None:
        """A row per record in a SQLite file."""
        self.use_report_adapter(ReportSqlite)

    def use_parquet(self) -> None:
        """A row per record in Parquet files."""
        self.use_report_adapter(ReportParquet)

    def use_dummy(self) -> None:
        """Write nothing."""
        self.use_report_adapter(ReportDummy)


ReportWriter: Final = ReportWriterAdapter()


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """The records of a JSON Lines file, a SQLite file or a folder of Parquet files, in order of writing.

    Lines that a crash cut off are skipped, and a warning says which. Raises FileNotFoundError.
    """
    path = Path(path)
    if path.is_dir():
        parts = sorted(path.glob("part-*.parquet"))
        rows = pl.concat([pl.read_parquet(part) for part in parts]).rows() if parts else []
    elif path.suffix == ".sqlite":
        import sqlite3

        if not path.is_file():
            raise FileNotFoundError(path)
        connection = sqlite3.connect(path)
        try:
            rows = connection.execute("SELECT * FROM records ORDER BY rowid").fetchall()
        finally:
            connection.close()
    else:
        from bkapi.sinks.line_file import read_lines

        return [*read_lines(path)]
    records = []
    for row in rows:
        record = {name: value for name, value in zip(COLUMNS, row, strict=True) if value != ""}
        records.append({**record, "data": orjson.loads(record["data"])})
    return records

"""One recorded case of a service: its files, the world its candles come from, and the comparison.

A folder of cases holds ``<family>.jsonl`` or ``<family>.jsonl.gz``, one case ``{id, family, input, expected}`` a line.
Markets lie in ``markets/`` beside them or in ``../trades/markets/``.
"""

import gzip
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.golden import scenario
from tests.golden.hosts import CannotPlayError
from tests.naive.records import plain

Record = dict[str, Any]
Difference = tuple[str, Any, Any]

MINUTE = 60_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A case of ``folder``; ``given`` is its input."""

    folder: Path
    family: str
    id: str
    given: Record
    expected: Any


def families(folder: Path) -> dict[str, Path]:
    """The families of a folder and their files, by name."""
    files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])
    return {path.name.removesuffix(".gz").removesuffix(".jsonl"): path for path in files}


def cases(folder: Path, family: str, limit: int | None = None) -> Iterator[Case]:
    """The cases of a family in file order, at most ``limit``."""
    path = families(folder)[family]
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    for line in itertools.islice((line for line in text.split("\n") if line.strip()), limit):
        read = json.loads(line)
        yield Case(folder, family, read["id"], read["input"], read["expected"])


def differences(expected: Any, got: Any) -> Iterator[Difference]:
    """Where two results differ: path, expected, got. Of an error only its kind counts; floats to 1e-9."""
    return scenario.differences(without_texts(expected), without_texts(got))


def without_texts(value: Any) -> Any:
    """A result without the wording of its errors."""
    if isinstance(value, list):
        return [without_texts(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("error"), dict):
        return {**value, "error": {k: v for k, v in value["error"].items() if k != "text"}}
    return {name: without_texts(item) for name, item in value.items()}


def written(value: Any) -> Any:
    """A value as the golden files write it: tuples are lists, NaN is null, infinities are words."""
    if isinstance(value, list | tuple):
        return [written(item) for item in value]
    if isinstance(value, dict):
        return {name: written(item) for name, item in value.items()}
    return plain(value)


def fields(thing: Any, *names: str) -> Record:
    """The named attributes of a record, written."""
    return {name: written(getattr(thing, name)) for name in names}


def markets_of(folder: Path) -> Path:
    """The folder that has ``markets/``; CannotPlayError without one."""
    for place in (folder, folder.parent / "trades"):
        if (place / "markets").is_dir():
            return place
    raise CannotPlayError(f"no markets beside {folder}")


def candles_of(case: Case) -> Callable[..., list[Record]]:
    """The ``get_candles`` of a case's world: a request before its first candle gets nothing, past its end less."""
    world = case.given["world"]
    rows = scenario.market(markets_of(case.folder), world["market"])
    start = rows[0][0]

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> list[Record]:
        assert interval == "1m"
        since_ms = (since - EPOCH) // timedelta(milliseconds=1)
        if since_ms < start:
            return []
        first = (since_ms - start) // MINUTE + world["offsets"].get(symbol, 0)
        names = ("open", "high", "low", "close", "volume")
        return [
            {"timestamp": since_ms + k * MINUTE, **dict(zip(names, row[1:], strict=True))}
            for k, row in enumerate(rows[first : first + limit])
        ]

    return get_candles

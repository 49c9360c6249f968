"""Which columns a table has: the fourteen sets, as data, and how they are replaced (spec reports.md 4, 5, 13)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bkapi.base import config
from bkapi.base.coroutines import settle
from bkapi.base.price_text import to_fixed
from bkapi.errors import ConfigError
from bkapi.reporting.cells import NOT_AVAILABLE, round_half_up, written
from bkapi.reporting.documents.column_sets import COLUMN_LINES
from bkapi.reporting.paths import read, reader
from bkcore.intervals import MINUTE_MS

logger = logging.getLogger(__name__)

__all__ = [
    "ColumnModel",
    "ColumnValidationService",
    "Columns",
    "get_columns",
    "get_default_columns",
    "set_columns",
    "table_lines",
]


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class ColumnModel:
    """A column of a report: ``ColumnModel("symbol", "Symbol", lambda row, index: row.symbol)``.

    ``format(row, index)`` writes a cell, ``index`` counts rows from 0; ``is_visible()`` is asked once per table. Both
    may be coroutine functions.
    """

    key: str
    label: str
    format: Callable[[Any, int], Any]
    is_visible: Callable[[], Any] = _always


#: What a caller may give as columns: models, or mappings with the same four fields.
Columns = Sequence[ColumnModel | Mapping[str, Any]]


def _shows_notes() -> bool:
    return bool(config.value("CC_REPORT_SHOW_SIGNAL_NOTE"))


def _partial_closes(row: Any, _: int) -> str:
    """``2 (↑2: 50.0%, ↓0: 0.0%)``: how often a trade took profit and loss, and how many percent."""
    closes = read(row, "signal._partial")
    if not closes:
        return NOT_AVAILABLE
    parts = []
    for sign, kind in (("↑", "profit"), ("↓", "loss")):
        percents = [read(close, "percent") for close in closes if read(close, "type") == kind]
        parts.append(f"{sign}{len(percents)}: {to_fixed(float(sum(percents)), 1)}%")
    return f"{len(closes)} ({', '.join(parts)})"


def _closed_duration(row: Any, _: int) -> str:
    opened, closed = read(row, "signal.pending_at"), read(row, "close_timestamp")
    return str(round_half_up((closed - opened) / MINUTE_MS)) if opened and closed else NOT_AVAILABLE


def _signed_level(row: Any, _: int) -> str:
    return f"{'+' if read(row, 'action') == 'profit' else '-'}{read(row, 'level')}%"


def _negated(code: str, path: str) -> Callable[[Any, int], str]:
    write, get = written(code), reader(path)

    def text(row: Any, _: int) -> str:
        value = get(row)
        return write(None if value is None else -value)

    return text


_SPECIAL: Final[Mapping[str, Callable[[Any, int], str]]] = {
    "(partial closes)": _partial_closes,
    "(duration)": _closed_duration,
    "(level)": _signed_level,
    "(rank)": lambda _, index: str(index + 1),
}


def _column(line: str) -> ColumnModel:
    """A line ``key | label | path | code`` compiled; without a path it is the key."""
    key, label, *about = (part.strip() for part in line.split("|"))
    code = about[-1]
    path = about[0] if len(about) == 2 else key
    visible = _shows_notes if code == "N" else _always
    if code in _SPECIAL:
        return ColumnModel(key, label, _SPECIAL[code], visible)
    if path.startswith("-"):
        return ColumnModel(key, label, _negated(code, path[1:]), visible)
    get, write = reader(path), written(code)
    return ColumnModel(key, label, lambda row, _: write(get(row)), visible)


_DEFAULTS: Final[Mapping[str, tuple[ColumnModel, ...]]] = MappingProxyType(
    {
        name: tuple(_column(line) for line in lines.strip().splitlines())
        for name, lines in COLUMN_LINES.items()
    }
)
_current: dict[str, Any] = {name: [*columns] for name, columns in _DEFAULTS.items()}


def get_columns() -> dict[str, Any]:
    """The column sets in use, by name; the mapping is a copy."""
    return dict(_current)


def get_default_columns() -> Mapping[str, tuple[ColumnModel, ...]]:
    """The column sets at the start, read-only."""
    return _DEFAULTS


def set_columns(columns: Mapping[str, Any], _unsafe: bool = False) -> None:
    """Replace column sets: ``set_columns({"risk_columns": [ColumnModel(...), ...]})``.

    All sets are checked afterwards, unless ``_unsafe``; raises :class:`ConfigError` with every problem numbered, and
    the previous sets stay (spec reports.md 13).
    """
    global _current
    if not isinstance(columns, Mapping):
        raise ConfigError(
            f"set_columns: {columns!r:.60} is not a mapping.", (), hint='give {"risk_columns": [...]}.'
        )
    before, _current = _current, {**_current, **columns}
    if _unsafe:
        return
    try:
        ColumnValidationService().validate()
    except ConfigError as error:
        _current = before
        logger.warning("set_columns: %s", error.message)
        raise


def reset_columns() -> None:
    """Bring back the default sets."""
    global _current
    _current = {name: [*columns] for name, columns in _DEFAULTS.items()}


_FIELDS: Final = ("key", "label", "format", "is_visible")


def _is_object(entry: Any) -> bool:
    return isinstance(entry, ColumnModel | Mapping)


def _type(value: Any) -> str:
    return "null" if value is None else type(value).__name__


class ColumnValidationService:
    """Checks every column set in use."""

    def validate(self) -> None:
        """Raise one :class:`ConfigError` that lists every problem of every set (spec reports.md 13)."""
        problems = [
            problem for name, entries in _current.items() for problem in self._problems(name, entries)
        ]
        if problems:
            raise ConfigError(
                "Column configuration validation failed:",
                problems,
                hint="a column has key, label, format(row, index) and is_visible(); keys of a set differ.",
            )

    def _problems(self, name: str, entries: Any) -> list[str]:
        if not isinstance(entries, list | tuple):
            return [f"{name} is not an array, got {_type(entries)}"]
        problems: list[str] = []
        for index, entry in enumerate(entries):
            where = f"{name}[{index}]"
            if not _is_object(entry):
                problems.append(f"{where}: Column must be an object, got {_type(entry)}")
                continue
            values = {field: read(entry, field) for field in _FIELDS}
            for field, value in values.items():
                if value is None:
                    problems.append(f'{where}: Missing required field "{field}"')
            for field, value in values.items():  # what is missing is of no type either, as recorded
                if field in ("key", "label"):
                    if not (isinstance(value, str) and value.strip()):
                        problems.append(f"{where}.{field} must be a non-empty string, got {value!r}")
                elif not callable(value):
                    problems.append(f'{where}.{field} must be a function, got "{_type(value)}"')
        places: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            key = read(entry, "key") if _is_object(entry) else None
            if isinstance(key, str) and key:
                places.setdefault(key, []).append(index)
        problems += [
            f'{name}: Duplicate key "{key}" at indexes {", ".join(map(str, at))}'
            for key, at in places.items()
            if len(at) > 1
        ]
        return problems


def chosen_columns(name: str, columns: Columns | None) -> list[ColumnModel]:
    """``columns`` themselves, or the set in use of that name, as models."""
    given = _current[name] if columns is None else columns
    return [
        one
        if isinstance(one, ColumnModel)
        else ColumnModel(one["key"], one["label"], one["format"], one.get("is_visible", _always))
        for one in given
    ]


def table_lines(rows: Sequence[Any], name: str, columns: Columns | None = None) -> list[str]:
    """Header, separator and a line per row (spec reports.md 4)."""
    shown = [column for column in chosen_columns(name, columns) if settle(column.is_visible())]
    table = [[column.label for column in shown], ["---"] * len(shown)]
    table += [[str(settle(column.format(row, index))) for column in shown] for index, row in enumerate(rows)]
    return [f"| {' | '.join(cells)} |" for cells in table]

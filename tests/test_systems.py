"""Every documented system can be imported from ``bkapi`` and has its methods, but for a list of what is missing.

``tests/systems/table.md`` holds the systems, ``tests/systems/missing.txt`` what is not there yet: a line is a system or
``System.method``. The list only shrinks: a line for what is there is an error, and ``python tests/test_systems.py``
takes it out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent / "systems"
MISSING = HERE / "missing.txt"

#: Words of the table in the type of code that name no method.
NOT_METHODS = frozenset({"bucket", "data", "strategy", "removed", "Lookup", "on_timeframe"})
#: Rows that list the actions they tell of between their methods.
OWN_METHODS = {
    "StrategyReportService": ("subscribe", "unsubscribe"),
    "StrategyMarkdownService": ("get_data", "get_report", "dump", "clear", "subscribe", "unsubscribe"),
}
#: Rows that say "the same as" another one, and methods that a row names in plain words.
ALIKE = {
    "StorageBacktestAdapter": "StorageLiveAdapter",
    "StateBacktestAdapter": "StateLiveAdapter",
    "SessionBacktestAdapter": "SessionLiveAdapter",
    "RecentBacktestAdapter": "RecentLiveAdapter",
    "NotificationBacktestAdapter": "NotificationLiveAdapter",
    "MemoryBacktestAdapter": "MemoryLiveAdapter",
    "BacktestUtils": "LiveUtils",
    "ExchangeCoreService": "ExchangeUtils",
}
PLAIN_WORDS = {
    "MarkdownAdapter": ("enable", "disable", "clear"),
    "ReflectUtils": ("get_position_*",),
    "LiveUtils": ("commit_*",),
}
TRIO = ("get_data", "get_report", "dump")


class System(NamedTuple):
    """A row of the table."""

    number: int
    name: str
    methods: tuple[str, ...]


def method_names(name: str, told: str) -> tuple[str, ...]:
    """The methods that a row names."""
    if name in OWN_METHODS:
        return OWN_METHODS[name]
    found: list[str] = [*TRIO] if "report trio" in told else []
    if "subscribe-once" in told:
        found += ["subscribe", "unsubscribe"]
    for words in re.findall(r"`([^`]+)`", told):
        match = re.fullmatch(r"([a-zA-Z]\w*(?:_\*(?:_\w+)?)?\*?)(\(.*\))?", words)
        if match and match[1] not in NOT_METHODS:
            found.append(match[1])
    return tuple(dict.fromkeys([*found, *PLAIN_WORDS.get(name, ())]))


@cache
def systems() -> tuple[System, ...]:
    """All rows."""
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.*) \| [\w-]+ \|$", (HERE / "table.md").read_text(), re.M)
    own = {name: method_names(name, told) for _, name, told in rows}
    return tuple(
        System(int(number), name, tuple(dict.fromkeys([*own[name], *own.get(ALIKE.get(name, ""), ())])))
        for number, name, _ in rows
    )


def has(thing: Any, method: str) -> bool:
    """Whether a system has a method, or at least one of a form such as ``get_position_*``."""
    if "*" not in method:
        return hasattr(thing, method)
    form = re.compile(method.replace("*", r"\w+"))
    return any(form.fullmatch(one) for one in dir(thing))


def absent() -> Iterator[str]:
    """What is not there: systems, and methods of systems that are."""
    import bkapi

    for system in systems():
        thing = getattr(bkapi, system.name, None)
        if thing is None:
            yield system.name
        else:
            yield from (f"{system.name}.{one}" for one in system.methods if not has(thing, one))


def listed() -> list[str]:
    """The lines of the list of what is missing."""
    return [line for line in MISSING.read_text().splitlines() if line and not line.startswith("#")]


def test_the_table_has_all_165_systems() -> None:
    assert [system.number for system in systems()] == list(range(1, 166))
    assert len({system.name for system in systems()}) == 165
    assert sum(not system.methods for system in systems()) == 0


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.name)
def test_a_system_is_there_with_its_methods_or_is_listed_as_missing(system: System) -> None:
    import bkapi

    known = listed()
    if system.name in known:
        assert not hasattr(bkapi, system.name), f"{system.name} is there: take it out of {MISSING.name}"
        return
    thing = getattr(bkapi, system.name)
    for method in system.methods:
        if f"{system.name}.{method}" in known:
            assert not has(thing, method), f"{system.name}.{method} is there: take it out of {MISSING.name}"
        else:
            assert has(thing, method), f"{system.name} has no {method}"


def test_the_list_of_what_is_missing_names_only_what_is_documented() -> None:
    names = {system.name: system.methods for system in systems()}
    for line in listed():
        name, _, method = line.partition(".")
        assert name in names, line
        assert not method or method in names[name], line


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    allowed = set(listed())
    left = [one for one in absent() if one in allowed or one.split(".")[0] in allowed]
    title = "# Documented systems, and methods of systems, that are not there yet."
    MISSING.write_text("\n".join([title, *left]) + "\n")
    sys.stdout.write(f"{len(left)} lines\n")

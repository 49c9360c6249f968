"""Checks of the configuration and of the report columns."""

import re
from types import ModuleType
from typing import Any

from tests.golden.scenario import number_of
from tests.golden.service_case import Case, Record, written

#: Words of a numbered line about columns, and the rule that it says is broken.
RULES = {
    "is not an array": "not_list",
    "Column must be an object": "not_object",
    "Missing required field": "missing_field",
    "must be a non-empty string": "empty_text",
    "must be a function": "not_callable",
    "Duplicate key": "duplicate_key",
}


def play(api: ModuleType, case: Case) -> Record:
    """One change of the configuration or of a set of columns."""
    return config(api, case.given) if case.given["kind"] == "config" else columns(api, case.given)


def config(api: ModuleType, given: Record) -> Record:
    """What ``set_config`` says, and what is in force afterwards."""
    before = api.get_config()
    try:
        api.set_config(
            {name: number_of(value) for name, value in given["overrides"].items()}, unsafe=given["unsafe"]
        )
        answer: Record = {"ok": True}
    except api.ConfigError as error:
        mentioned = [list(dict.fromkeys(re.findall(r"CC_\w+", problem))) for problem in error.problems]
        answer = {"error": {"kind": "config_invalid", "violations": mentioned}}
    after = api.get_config()
    return {
        **answer,
        "config_unchanged": before == after,
        "values": {name: written(after[name]) for name in given["overrides"]},
    }


def columns(api: ModuleType, given: Record) -> Record:
    """What ``set_columns`` says, and whether the new set is in force."""
    asked = callables(given["columns"])
    try:
        api.set_columns({given["set"]: asked})
        answer: Record = {"ok": True}
    except api.ConfigError as error:
        answer = {
            "error": {"kind": "columns_invalid", "problems": [problem(line) for line in error.problems]}
        }
    return {**answer, "active_after": api.get_columns()[given["set"]] is asked}


def callables(value: Any) -> Any:
    """Columns with real callables."""
    if isinstance(value, list):
        return [callables(item) for item in value]
    if isinstance(value, dict):
        return {name: callables(item) for name, item in value.items()}
    return (lambda *_: "") if value == "fn" else value


def problem(line: str) -> Record:
    """A numbered line in the shape of the recording."""
    rule = next(rule for words, rule in RULES.items() if words in line)
    place = re.match(r"\w+\[(\d+)\]", line)
    field = re.search(r'field "(\w+)"', line) or re.match(r"\w+\[\d+\]\.(\w+)", line)
    return {
        "rule": rule,
        "index": int(place[1]) if place else None,
        "field": field[1] if field else None,
    }

"""What is a recorded scenario of the fill models on real prices, and does an engine give its record?

A player takes a scenario and gives a record; :func:`tell` plays a folder with it and prints as the other runners do.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from tests.golden.scenario import families, lines

Record = dict[str, Any]
Player = Callable[[Record], Record]
Difference = tuple[str, Any, Any]

#: Floats that may differ in their last digits; everything else is exact (README of the folder, section 3).
INEXACT = {
    "price_open",
    "close_price",
    "pnl_percent",
    "peak_price",
    "peak_percent",
    "fall_price",
    "fall_percent",
}
TOLERANCE = 1e-9
SHOWN_DIFFERENCES = 6


def load(folder: Path, family: str) -> Iterator[tuple[Record, Record]]:
    """Scenarios of a family with their records; ValueError where the two files do not belong together."""
    inputs, records = (lines(folder / kind / f"{family}.jsonl.gz") for kind in ("inputs", "expected"))
    for one, other in zip(inputs, records, strict=True):
        scenario, expected = json.loads(one), json.loads(other)
        if scenario["id"] != expected["id"]:
            raise ValueError(f"{family}: input {scenario['id']} but expected {expected['id']}")
        for values in (scenario["settings"], scenario["policy"]):
            values.update({name: float("inf") for name, value in values.items() if value == "Infinity"})
        yield scenario, expected


def is_same(name: str, expected: Any, got: Any) -> bool:
    """Whether a field is as recorded."""
    if name in INEXACT and isinstance(got, float):
        return abs(got - expected) <= TOLERANCE * max(1.0, abs(expected))
    return type(expected) is type(got) and bool(expected == got)


def differences(expected: Record, got: Record) -> Iterator[Difference]:
    """Where two records differ: path, expected, got. A record too many or too few is one difference."""
    for kind in ("trades", "orders"):
        for number, (wanted, have) in enumerate(zip_longest(expected[kind], got[kind])):
            if wanted is None or have is None:
                yield f"{kind}[{number}]", wanted, have
                continue
            for name in sorted(wanted.keys() | have.keys()):
                if not is_same(name, wanted.get(name), have.get(name)):
                    yield f"{kind}[{number}].{name}", wanted.get(name), have.get(name)
    for name in sorted(expected["rows"].keys() | got["rows"].keys()):
        if expected["rows"].get(name) != got["rows"].get(name):
            yield f"rows.{name}", expected["rows"].get(name), got["rows"].get(name)


@dataclass(frozen=True)
class Verdict:
    """How a scenario came out; ``lines`` say where it differs."""

    family: str
    id: str
    lines: tuple[str, ...] = ()


def judge(play: Player, scenario: Record, expected: Record) -> Verdict:
    """Play one scenario; whatever the engine raises is a mismatch that shows its traceback."""
    try:
        found = list(islice(differences(expected, play(scenario)), SHOWN_DIFFERENCES))
    except Exception:
        told = tuple(traceback.format_exc().splitlines()[-8:])
    else:
        told = tuple(f"{path}: expected {want}, got {have}" for path, want, have in found)
    return Verdict(scenario["family"], scenario["id"], told)


def judge_all(
    play: Player, folder: Path, wanted: Sequence[str] | None = None, every: int = 1
) -> list[Verdict]:
    """One scenario in ``every`` of the ``wanted`` families, or of all."""
    return [
        judge(play, scenario, expected)
        for family in wanted or families(folder)
        for scenario, expected in islice(load(folder, family), None, None, every)
    ]


def tell(verdicts: Sequence[Verdict], show: int) -> int:
    """Print ``show`` mismatches, the ids of the others, and one line of counts; the exit code."""
    wrong = [verdict for verdict in verdicts if verdict.lines]
    for verdict in wrong[:show]:
        print("\n    ".join([f"MISMATCH {verdict.id}", *verdict.lines]))
    if len(wrong) > show:
        print("also mismatched:", " ".join(verdict.id for verdict in wrong[show:]))
    by_family: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_family.setdefault(verdict.family, []).append(verdict)
    counts = {family: counted(some) for family, some in by_family.items()}
    print(json.dumps({**counted(verdicts), "by_family": counts}))
    return 0 if verdicts and not wrong else 1


def counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many there are, and how they came out; no scenario is ever skipped."""
    wrong = sum(bool(verdict.lines) for verdict in verdicts)
    return {
        "scenarios": len(verdicts),
        "matched": len(verdicts) - wrong,
        "mismatched": wrong,
        "skipped": 0,
    }

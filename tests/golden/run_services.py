"""Play a folder of recorded service cases and say which come out as recorded.

    python tests/golden/run_services.py ../shared/golden/services --families sweep,walker
    python tests/golden/run_services.py ../shared/golden/services --limit 5

The first mismatches are printed as path, expected and got. The last line is one JSON object with the counts
``scenarios``, ``matched``, ``mismatched`` and ``skipped``, the same per family in ``by_family``, and in ``waiting`` the
families that were skipped and why. The exit code is 0 only when at least one case was played and all that were played
match.

To add a family: a module ``tests/golden/services/<family>.py`` with ``play(api, case)``, which returns what the product
gives in the shape of ``expected``, and a line in ``HANDLERS``. It may have ``differences(expected, got)`` where the
common comparison is not the documented one. Every case starts from a clean state with its ``config`` set.
"""

import argparse
import importlib
import json
import logging
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.golden import service_case
from tests.golden.hosts import CannotPlayError, public_api
from tests.golden.service_case import Case, cases, families

#: Which module plays a family.
HANDLERS = {
    "candle_validation": "tests.golden.services.candle_validation",
    "candles_window": "tests.golden.services.candles",
    "channels": "tests.golden.services.channels",
    "config_validation": "tests.golden.services.configuration",
    "frames": "tests.golden.services.frames",
    "level_trackers": "tests.golden.services.level_trackers",
    "pnl": "tests.golden.services.pnl",
    "position_helpers": "tests.golden.services.position_helpers",
    "scheduling": "tests.golden.services.scheduling",
    "schema_validation": "tests.golden.services.schemas",
    "sizing": "tests.golden.services.sizing",
    "heat": "tests.golden.services.heat",
    "records": "tests.golden.services.records",
    "risk": "tests.golden.services.risk",
    "sweep": "tests.golden.services.sweep",
    "vwap": "tests.golden.services.vwap",
    "walker": "tests.golden.services.walker",
}

STATES = ("matched", "mismatched", "skipped")
SHOWN_DIFFERENCES = 6
LONGEST_VALUE = 400


@dataclass(frozen=True)
class Verdict:
    """How a case came out; ``lines`` say why it did not match or was not played."""

    family: str
    id: str
    state: str
    lines: tuple[str, ...] = ()


def judge(case: Case, handler: ModuleType) -> Verdict:
    """Play one case and compare; whatever the product raises is a mismatch that shows its traceback."""
    try:
        got = play(case, handler)
    except CannotPlayError as reason:
        return Verdict(case.family, case.id, "skipped", (str(reason),))
    except Exception:
        return Verdict(case.family, case.id, "mismatched", tuple(traceback.format_exc().splitlines()[-8:]))
    compare = getattr(handler, "differences", service_case.differences)
    found = list(islice(compare(case.expected, got), SHOWN_DIFFERENCES + 1))
    if not found:
        return Verdict(case.family, case.id, "matched")
    lines: list[str] = []
    for path, want, have in found[:SHOWN_DIFFERENCES]:
        lines += [path, f"    expected {shortened(want)}", f"    got      {shortened(have)}"]
    if len(found) > SHOWN_DIFFERENCES:
        lines.append("(more differences follow)")
    return Verdict(case.family, case.id, "mismatched", tuple(lines))


def play(case: Case, handler: ModuleType) -> Any:
    """What the product gives for a case, from a clean state."""
    api = public_api()
    api.reset()
    api.PersistCandleAdapter.use_dummy()
    try:
        api.set_config({"CC_GET_CANDLES_RETRY_DELAY_MS": 0, **case.given.get("config", {})})
        return handler.play(api, case)
    finally:
        api.reset()


def shortened(value: Any) -> str:
    """A value on one line of bearable length."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + " ..."


def judge_family(
    folder: Path, family: str, *, limit: int | None = None, only: frozenset[str] = frozenset()
) -> list[Verdict]:
    """Judge the cases of a family; without a handler they are skipped."""
    chosen = [case for case in cases(folder, family, limit) if not only or case.id in only]
    if family not in HANDLERS:
        return [Verdict(family, case.id, "skipped", ("no handler yet",)) for case in chosen]
    handler = importlib.import_module(HANDLERS[family])
    return [judge(case, handler) for case in chosen]


def silence() -> None:
    """Recorded cases are about results; what the libraries say meanwhile is not worth reading."""
    warnings.simplefilter("ignore")
    logging.getLogger("bkapi").setLevel(logging.CRITICAL + 1)


# the command


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path, help="folder with <family>.jsonl or <family>.jsonl.gz")
    parser.add_argument("--families", help="only these, comma separated")
    parser.add_argument("--limit", type=int, help="at most so many cases of each family")
    parser.add_argument("--ids", help="only these cases, comma separated")
    parser.add_argument("--show", type=int, default=5, help="print so many mismatches (default 5)")
    options = parser.parse_args(argv)
    if not families(options.path):
        parser.error(f"{options.path} has no files <family>.jsonl or <family>.jsonl.gz")
    return options


def summary(verdicts: list[Verdict]) -> dict[str, Any]:
    """The counts of the last line."""

    def counts(some: list[Verdict]) -> dict[str, int]:
        return {"scenarios": len(some), **{state: sum(v.state == state for v in some) for state in STATES}}

    by_family: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_family.setdefault(verdict.family, []).append(verdict)
    waiting = Counter((v.family, " ".join(v.lines)) for v in verdicts if v.state == "skipped")
    return {
        **counts(verdicts),
        "by_family": {family: counts(some) for family, some in by_family.items()},
        "waiting": [
            {"family": family, "scenarios": count, "reason": reason}
            for (family, reason), count in waiting.items()
        ],
    }


def main(argv: list[str] | None = None) -> int:
    """Play, print, and return the exit code."""
    options = arguments(argv)
    folder = options.path.resolve()
    there = list(families(folder))
    wanted = options.families.split(",") if options.families else there
    unknown = sorted(set(wanted) - set(there))
    if unknown:
        raise SystemExit(f"no such family: {', '.join(unknown)}; there are {', '.join(there)}")
    only = frozenset(options.ids.split(",")) if options.ids else frozenset()
    silence()
    started = time.perf_counter()
    verdicts = [
        verdict
        for family in wanted
        for verdict in judge_family(folder, family, limit=options.limit, only=only)
    ]
    mismatches = [verdict for verdict in verdicts if verdict.state == "mismatched"]
    for verdict in mismatches[: options.show]:
        print(f"MISMATCH {verdict.id}")
        for line in verdict.lines:
            print(f"    {line}")
    if len(mismatches) > options.show:
        print("also mismatched:", " ".join(verdict.id for verdict in mismatches[options.show :]))
    print(f"{len(verdicts)} scenarios in {time.perf_counter() - started:.1f} s")
    counted = summary(verdicts)
    print(json.dumps(counted))
    return 0 if counted["matched"] and not counted["mismatched"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""Does the slow twin of the fill models give the recorded trades?

    python tests/golden/run_fills_twin.py ../shared/golden/fills --families holes,ladder

The first mismatches are printed as path, expected and got. The last line is one JSON object with the counts
``scenarios``, ``matched``, ``mismatched`` and ``skipped``, and the same per family in ``by_family``. The exit code is
0 only when at least one scenario was played and all that were played match.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.golden.fills_case import Record, judge_all, tell
from tests.golden.scenario import families
from tests.naive import fills


def play(scenario: Record) -> Record:
    """The record that the twin gives."""
    frame = scenario["frame"]
    outcome = fills.run(
        scenario["candles"],
        scenario["rows"],
        scenario["settings"],
        scenario["policy"],
        start_ms=frame["start_ms"],
        end_ms=frame["end_ms"],
        interval=frame["interval"],
    )
    rows = {name: outcome.rows[name] for name in ("taken", "passed_over", "refused")}
    return {"trades": outcome.trades, "orders": outcome.orders, "rows": rows}


def main(argv: list[str] | None = None) -> int:
    """Play, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path, help="folder with inputs/ and expected/")
    parser.add_argument("--families", help="only these, comma separated")
    parser.add_argument("--every", type=int, default=1, help="one scenario in so many of each family")
    parser.add_argument("--show", type=int, default=5, help="print so many mismatches (default 5)")
    options = parser.parse_args(argv)
    known = families(options.path)
    wanted = options.families.split(",") if options.families else known
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        parser.error(f"no such family: {', '.join(unknown)}; there are {', '.join(known) or 'none'}")
    return tell(judge_all(play, options.path, wanted, options.every), options.show)


if __name__ == "__main__":
    sys.exit(main())

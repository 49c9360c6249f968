"""Does the engine give the recorded trades of the fill models on real prices?

    python tests/golden/run_fills.py ../shared/golden/fills --families holes,ladder --driver step

The first mismatches are printed as path, expected and got. The last line is one JSON object with the counts
``scenarios``, ``matched``, ``mismatched`` and ``skipped``, and the same per family in ``by_family``. The exit code is
0 only when at least one scenario was played and all that were played match.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.golden.fills_case import judge_all, tell
from tests.golden.fills_engine import play
from tests.golden.scenario import families


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder with inputs/ and expected/")
    parser.add_argument("--families", help="comma separated; default: all")
    parser.add_argument(
        "--driver", default="skip", choices=("skip", "run", "step"), help="how candles are visited"
    )
    parser.add_argument("--show", type=int, default=5, help="how many mismatches to print")
    chosen = parser.parse_args(arguments)
    wanted = chosen.families.split(",") if chosen.families else families(chosen.folder)
    return tell(judge_all(partial(play, driver=chosen.driver), chosen.folder, wanted), chosen.show)


if __name__ == "__main__":
    sys.exit(main())

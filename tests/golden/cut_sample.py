"""Cut the small sample in ``data/`` from recorded scenarios: of each family the one with the shortest frame.

    python tests/golden/cut_sample.py ../shared/golden/edges tests/golden/data/edges --families fills,plan

Each scenario gets a market of its own with only the minutes it can look at: the longest averaging window
before its frame and a few minutes after it. Scenarios that bring their own candles go into one file, ``sample``.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.golden.scenario import MINUTE, Record, families, lines

KINDS = ("inputs", "expected")
MINUTES_BEFORE = 30
MINUTES_AFTER = 5


def write(path: Path, text: str) -> None:
    """Write gzipped text that is the same bytes every time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def shortest(folder: Path, family: str) -> int:
    """The line of the scenario with the shortest frame that opened a position."""

    def length(number: int) -> tuple[bool, int]:
        scenario: Record = json.loads(inputs[number])
        expected: Record = json.loads(outputs[number])
        opened = any(result["action"] == "opened" for result in expected["results"])
        return not opened, scenario["frame"]["end_ms"] - scenario["frame"]["start_ms"]

    inputs = lines(folder / "inputs" / f"{family}.jsonl.gz")
    outputs = lines(folder / "expected" / f"{family}.jsonl.gz")
    return min(range(len(inputs)), key=length)


def cut(folder: Path, family: str, target: Path) -> None:
    """Copy one scenario of a family with its minutes."""
    number = shortest(folder, family)
    scenario: Record = json.loads(lines(folder / "inputs" / f"{family}.jsonl.gz")[number])
    first = scenario["frame"]["start_ms"] - MINUTES_BEFORE * MINUTE
    last = scenario["frame"]["end_ms"] + MINUTES_AFTER * MINUTE
    head, *rows = lines(folder / "markets" / f"{scenario['market']}.csv.gz")
    kept = [row for row in rows if first <= int(row.partition(",")[0]) <= last]
    scenario["market"] = f"{scenario['market']}-{family}"
    write(target / "markets" / f"{scenario['market']}.csv.gz", "".join([head, *kept]))
    write(target / "inputs" / f"{family}.jsonl.gz", json.dumps(scenario) + "\n")
    write(
        target / "expected" / f"{family}.jsonl.gz", lines(folder / "expected" / f"{family}.jsonl.gz")[number]
    )


def cut_fills(folder: Path, wanted: list[str], target: Path) -> None:
    """Copy of each family the scenario of the fill models with the fewest candles that has three trades."""
    kept: list[tuple[str, str]] = []
    for family in wanted:
        pairs = zip(*(lines(folder / kind / f"{family}.jsonl.gz") for kind in KINDS), strict=True)
        rich = [pair for pair in pairs if len(json.loads(pair[1])["trades"]) >= 3]
        kept.append(min(rich, key=lambda pair: len(json.loads(pair[0])["candles"])))
    for kind, some in zip(KINDS, zip(*kept, strict=True), strict=True):
        write(target / kind / "sample.jsonl.gz", "".join(some))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with inputs/, expected/, mostly markets/")
    parser.add_argument("target", type=Path, help="where the sample goes")
    parser.add_argument("--families", help="only these, comma separated")
    options = parser.parse_args()
    wanted = options.families.split(",") if options.families else families(options.folder)
    if not (options.folder / "markets").is_dir():
        return cut_fills(options.folder, wanted, options.target)
    for family in wanted:
        cut(options.folder, family, options.target)
    return None


if __name__ == "__main__":
    main()

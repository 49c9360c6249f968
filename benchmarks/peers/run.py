"""How fast are other engines on the same work? The last line is JSON. Not part of ``make bench``: ``make peers``.

    python benchmarks/peers/run.py [--rounds 3] [--minutes 525600] [--only vectorbt,...] [--work static,...] [--quick]

Every engine works in a process of its own, a peer in a virtual environment of its own
(``benchmarks/peers/.environments``, made on demand from ``requirements-<peer>.txt``). Rounds alternate: one of the
peer, one of ours, so that other load on the machine meets both; the least of either counts, by the clock and of the
processor, and a ratio is the smaller of the two. Everybody uses one thread.

**The work.** One year of synthetic 1-minute candles that open at the close before. Moving averages 20/60, their crosses
judged at every quarter of an hour; the signals are worked out once and given to everybody. Enter when flat, take-profit
and stop-loss in percent of the entry, out after 240 minutes, fee and slippage 0.1 % each per fill. A combination is a
pair of take-profit and stop-loss.

* ``static``: the levels stand. vectorbt: ``from_signals`` with a signal function for the lifetime. backtesting.py:
  a strategy class, on a few combinations of the grid, for one takes seconds.
* ``trailing``: the stop follows the best close at its own distance.
* ``averaging``: up to three more entries of the same cost, each half a percent below the best so far (``Policy`` here,
  ``from_order_func`` in vectorbt, which is told our rules). What an entry does depends on those before.
* ``apart``: ``static`` with long signals only, further apart than a lifetime, so that arrays of entries and exits can
  say it: raptorbt, and vectorbt with its Rust core.

**Why it is the same.** Our fill model is ``last_close``, as that of the peers: entry at the close that is judged (the
next open: there are no gaps), levels reached by highs and lows, the stop first, exits at the level. The frame goes in
steps of 15 minutes, so we enter on that grid only. The last candle of every quarter stands still, so nothing ends on
the candle that is judged for the next entry, where engines differ in whether they may enter again. The last signal
lies far enough from the end that no trade is left open. Where stops trail, candles have no wicks: following highs
(vectorbt) or closes (ours) is then the same. The averages of candles (VWAP), our default model, play no part.

**What is compared.** Before any time is taken, every trade of every combination: its entry, its end, its side, and its
result in percent of the entry, costs included (``tolerance`` below). A side that differs is absent from the figures,
with the reason. Ours are the trades of whole backtests; what the timed sweep sums up has to equal their sums.

**What is timed.** From data in memory in each engine's own form to trades and results per combination. Ours is the
whole public call, ``Sweep(...).run()`` with drawdowns and thirty other metrics; its signal frame is checked every time.
Peers do more per run, see ``beyond`` in the JSON; what they work out lazily is not asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environments import HERE, AbsentError, environment
from workload import Workload, quiet_ends, steps

sys.path.insert(0, str(HERE.parent))
from measuring import YEAR, machine

SEED = 7
OURS = "bk"
Answer = dict[str, Any]
MEASURED = ("entry", "ended", "side")


class Peer(NamedTuple):
    """A side of a comparison.

    environment   the peer whose environment it needs
    module        what speaks to it
    beyond        what it computes beyond us in the work that is timed
    tolerance     percentage points by which the result of a trade may differ
    combinations  how many of the grid it runs; 0 means all
    option        a word for the module
    """

    environment: str
    module: str
    beyond: str
    tolerance: float = 1e-9
    combinations: int = 0
    option: str = ""


_VECTORBT = (
    "a record of every order; cash, debt and value of the account at every candle while it simulates; a record of "
    "every trade with its prices, sizes and fees, which we work out for a combination when somebody looks"
)
VECTORBT = Peer("vectorbt", "peer_vectorbt", _VECTORBT)
VECTORBT_RUST = VECTORBT._replace(option="rust")
BACKTESTING = Peer(
    "backtesting",
    "peer_backtesting",
    "orders and equity at every candle, a table of trades, some thirty statistics of the equity curve",
    tolerance=0.02,
)
RAPTORBT = Peer(
    "raptorbt",
    "peer_raptorbt",
    "equity, drawdown and return at every candle, orders and trades as objects with their extremes, 48 statistics",
)

#: Which peers can express which work.
SIDES: dict[str, dict[str, Peer]] = {
    "static": {"vectorbt": VECTORBT, "backtesting": BACKTESTING._replace(combinations=2)},
    "trailing": {"vectorbt": VECTORBT, "backtesting": BACKTESTING._replace(combinations=1)},
    "averaging": {"vectorbt": VECTORBT},
    "apart": {"vectorbt-rust": VECTORBT_RUST, "vectorbt": VECTORBT, "raptorbt": RAPTORBT},
}
NOT_EXPRESSED = {
    "backtesting": {
        "averaging": "an order fills at the next open or at its own level, not at the close before",
        "apart": "left out, it says the same as static",
    },
    "raptorbt": {
        "static": "its arrays know one direction and no lifetime; its strategy class (Python per candle) is left out",
        "trailing": "likewise",
        "averaging": "its arrays know no further entries",
    },
}


def workloads(side: int) -> dict[str, Workload]:
    """The work, on grids of ``side`` x ``side``; averaging is dearer and gets fewer."""
    levels = steps(0.6, 3.0, side)
    few = max(2, side * 6 // 10)
    return {
        "static": Workload("static", levels, levels),
        "trailing": Workload("trailing", levels, levels, rules="trailing", wicks=False),
        "averaging": Workload(
            "averaging", steps(0.6, 3.0, few), steps(1.8, 4.0, few), rules="averaging", most_entries=4
        ),
        "apart": Workload("apart", levels, levels, signals="apart"),
    }


#: Sides of the larger grid on which our cost per combination is taken, too.
LARGER = {"static": 200, "trailing": 60, "averaging": 40}


def larger(workload: Workload, side: int) -> Workload:
    """The same work on a larger grid: what is shared between combinations is paid once."""
    takes, stops = workload.takes, workload.stops
    return replace(
        workload,
        takes=steps(takes[0], takes[-1], side),
        stops=steps(stops[0], stops[-1], side),
    )


@dataclass
class Worker:
    """A process that obeys :mod:`worker`."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    @classmethod
    @contextmanager
    def started(cls, name: str, python: Path | str, module: str, folder: Path) -> Iterator[Worker]:
        """A worker that ends with the block."""
        log = folder / f"{name}.log"
        threads = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with log.open("w") as errors:
            process = subprocess.Popen(
                [str(python), str(HERE / "worker.py"), module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                env={**os.environ, **threads},
            )
        with process:
            try:
                yield cls(name, process, log)
            finally:
                process.kill()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Its answer; raises :class:`AbsentError` where it has none."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
        except BrokenPipeError:
            raise AbsentError(self.last_words()) from None
        line = self.process.stdout.readline()
        if not line:
            raise AbsentError(self.last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise AbsentError(answer["error"])
        return answer

    def last_words(self) -> str:
        """Why it has ended."""
        lines = self.log.read_text().strip().splitlines()
        return f"its process has ended with {self.process.wait()}: {lines[-1] if lines else 'no word'}"

    def prepare(self, workload: Workload, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """What it says of itself, and its trades."""
        path = folder / f"{self.name}-{workload.name}.npz"
        answer = self.ask(
            do="prepare", workload=workload.told(), candles=str(folder / "candles.npz"), trades=str(path)
        )
        with np.load(path) as file:
            return answer, {name: file[name] for name in file.files}


def compare(theirs: dict[str, Any], ours: dict[str, Any], peer: Peer, workload: Workload) -> dict[str, Any]:
    """How both lists of trades agree; raises :class:`AbsentError` where they do not."""
    chosen = np.isin(ours["combination"], workload.numbers)
    ours = {name: column[chosen] for name, column in ours.items()}
    counts = [np.bincount(found["combination"], minlength=workload.size) for found in (theirs, ours)]
    differ = int((counts[0] != counts[1]).sum())
    if differ:
        told = f"{counts[0].sum():,} trades against our {counts[1].sum():,}"
        raise AbsentError(f"{differ} of {len(workload.numbers)} combinations differ in number: {told}")
    off = np.zeros(counts[0].sum(), np.bool_)
    for name in MEASURED:
        off |= theirs[name] != ours[name]
    apart = np.abs(theirs["percent"] - ours["percent"])
    off |= ~(apart <= peer.tolerance)
    if off.any():
        first = int(np.flatnonzero(off)[0])
        shown = [{name: found[name][first].item() for name in found} for found in (theirs, ours)]
        raise AbsentError(
            f"{int(off.sum()):,} of {off.size:,} trades differ, the first: {shown[0]} against {shown[1]}"
        )
    return {"trades_compared": int(off.size), "largest_difference_percent": float(apart.max(initial=0.0))}


def ours(folder: Path, name: str) -> Any:
    """A worker of this project in the present environment; what it times is ``sweep`` in ``ours.py``."""
    return Worker.started(name, sys.executable, "ours", folder)


def measure(
    workload: Workload,
    peers: dict[str, Peer],
    environments: Path,
    folder: Path,
    rounds: int,
    wide_side: int,
) -> dict[str, Any]:
    """One kind of work: compare, then alternate.

    A ``ratio`` is of seconds per combination, ours from the larger grid where there is one: peers do not gain from
    width (they lose), and we do. ``ratio_same_grid`` is on the peer's own grid. One thread on either side.
    """
    found: dict[str, Any] = {"combinations": workload.size, "peers": {}}
    with ExitStack() as stack:
        own = stack.enter_context(ours(folder, OURS))
        answer, trades = own.prepare(workload, folder)
        found |= {"trades": answer["trades"], "ours": answer}
        ready: dict[str, tuple[Worker, Workload]] = {}
        for name, peer in peers.items():
            say(f"{workload.name}: comparing trades with {name}")
            work = replace(workload.some(peer.combinations), option=peer.option)
            try:
                python = environment(peer.environment, environments)
                worker = stack.enter_context(Worker.started(name, python, peer.module, folder))
                told, theirs = worker.prepare(work, folder)
                agreed = compare(theirs, trades, peer, work)
            except AbsentError as error:
                say(f"{workload.name}: {name} is absent, {error}")
                found["peers"][name] = {"absent": str(error)}
                continue
            ready[name] = worker, work
            found["peers"][name] = {
                "combinations": len(work.numbers),
                **told,
                **agreed,
                "beyond": peer.beyond,
            }
        wide = None
        if wide_side:
            wide = stack.enter_context(ours(folder, f"{OURS}-larger"))
            wider = larger(workload, wide_side)
            wide.prepare(wider.some(100), folder)  # a hundred of them are held against whole backtests
        taken: dict[str, list[Answer]] = {name: [] for name in (*ready, OURS)}
        if wide is not None:
            taken["larger"] = []
        for turn in range(rounds):
            for name, (worker, _) in ready.items():
                taken[name].append(worker.ask(do="run"))
                taken[OURS].append(own.ask(do="run"))
                if wide is not None:
                    taken["larger"].append(wide.ask(do="run"))
            if not ready:
                taken[OURS].append(own.ask(do="run"))
            latest = ", ".join(f"{name} {answers[-1]['seconds']:.3g} s" for name, answers in taken.items())
            say(f"{workload.name}: round {turn + 1} of {rounds}, {latest}")
        found["ours"] |= timed(taken[OURS], workload.size)
        for name, (_, work) in ready.items():
            figures = found["peers"][name]
            figures |= timed(taken[name], len(work.numbers))
            figures["ratio_same_grid"] = figures["ratio"] = ratio(figures, found["ours"])
            if taken.get("larger"):
                found["ours_larger"] = {"grid": wider.size, **timed(taken["larger"], wider.size)}
                figures["ratio"] = ratio(figures, found["ours_larger"])
    return found


def timed(answers: list[Answer], combinations: int) -> dict[str, Any]:
    """The least of the rounds, by the clock and of the processor."""
    wall, computed = (min(answer[name] for answer in answers) for name in ("seconds", "cpu_seconds"))
    return {
        "seconds": wall,
        "seconds_per_combination": wall / combinations,
        "cpu_seconds_per_combination": computed / combinations,
        "rounds": len(answers),
    }


def ratio(theirs: dict[str, Any], own: dict[str, Any]) -> float:
    """How many times as long as ours, by the clock or the processor, whichever is less.

    A long run meets other load that a short one slips through, so the clock flatters the faster side.
    """
    names = ("seconds_per_combination", "cpu_seconds_per_combination")
    return round(min(theirs[name] / own[name] for name in names), 2)


def say(text: str) -> None:
    """What goes on, to stderr."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Compare, measure, end with one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=YEAR)
    parser.add_argument("--only", default="", help="names of peers, separated by commas")
    parser.add_argument("--work", default="", help="names of workloads, separated by commas")
    parser.add_argument("--quick", action="store_true", help="grids of 4 x 4, two months")
    parser.add_argument("--environments", type=Path, default=HERE / ".environments")
    chosen = parser.parse_args()
    side, minutes = (4, 60 * 1440) if chosen.quick else (10, chosen.minutes)
    rounds = max(1, chosen.rounds)
    names = set(filter(None, chosen.only.split(",")))
    work = {
        name: workload
        for name, workload in workloads(side).items()
        if not chosen.work or name in chosen.work.split(",")
    }
    result: dict[str, Any] = {"benchmark": "peers", "candles": minutes, "source": f"synthetic (seed {SEED})"}
    with tempfile.TemporaryDirectory(prefix="bk-peers-") as name:
        folder = Path(name)
        write_candles(folder / "candles.npz", minutes)
        for kind, workload in work.items():
            peers = {n: peer for n, peer in SIDES[kind].items() if not names or {n, peer.environment} & names}
            wide = LARGER.get(kind, 0) // (5 if chosen.quick else 1)
            result[kind] = measure(workload, peers, chosen.environments, folder, rounds, wide)
    result["not_expressed"] = NOT_EXPRESSED
    for figure, kind in (
        ("vectorbt_ratio", "static"),
        ("vectorbt_ratio_path", "averaging"),
        ("vectorbt_ratio_trailing", "trailing"),
    ):
        figures = result.get(kind, {}).get("peers", {}).get("vectorbt", {})
        result[figure] = figures.get("ratio")
        result[f"{figure}_same_grid"] = figures.get("ratio_same_grid")
    result["machine"] = machine()
    print_table(result, work)
    print(json.dumps(result))


def write_candles(path: Path, minutes: int) -> None:
    """The market of everybody."""
    from bkcore.synthetic import generate

    candles = generate(minutes=minutes, seed=SEED)
    columns = {name: getattr(candles, name) for name in ("open", "high", "low", "close", "volume")}
    np.savez(path, **quiet_ends({"timestamp": candles.timestamps, **columns}))


def print_table(result: dict[str, Any], work: dict[str, Workload]) -> None:
    """Milliseconds per combination, by the clock and of the processor."""
    print(f"{'work':10} {'engine':14} {'ms each':>12} {'of the cpu':>12} {'ratio':>8} {'trades':>9}")
    for kind in work:
        sides = {OURS: result[kind]["ours"], **result[kind]["peers"]}
        if "ours_larger" in result[kind]:
            wide = result[kind]["ours_larger"]
            sides[f"{OURS}, {wide['grid']:,}"] = {**wide, "trades": 0}
        for name, figures in sides.items():
            if "absent" in figures:
                print(f"{kind:10} {name:14} absent: {figures['absent']}")
                continue
            wall, computed = (1e3 * figures[f"{of}seconds_per_combination"] for of in ("", "cpu_"))
            times = f"{figures['ratio']:8.1f}" if "ratio" in figures else " " * 8
            print(f"{kind:10} {name:14} {wall:12.4f} {computed:12.4f} {times} {figures['trades']:9,}")


if __name__ == "__main__":
    main()

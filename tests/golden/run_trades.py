"""Play a folder of recorded trade scenarios and say which come out as recorded.

    python tests/golden/run_trades.py ../shared/golden/trades --families dca,pppl
    python tests/golden/run_trades.py ../shared/golden/edges --engine naive --limit 2

The first mismatches are printed as path, expected and got. The last line is one JSON object with the counts
``scenarios``, ``matched``, ``mismatched`` and ``skipped``, the same per family in ``by_family``, and in
``waiting`` the scenarios that were skipped because the product does not have a name they need. The exit code
is 0 only when at least one scenario was played and all that were played match.
"""

import argparse
import json
import multiprocessing
import queue
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.golden.hosts import CannotPlayError, Choice, play, public_api
from tests.golden.scenario import differences, families, load, scenario_ids

STATES = ("matched", "mismatched", "skipped")
SHOWN_DIFFERENCES = 6
LONGEST_VALUE = 400


@dataclass(frozen=True)
class Task:
    """One scenario to play."""

    folder: Path
    family: str
    number: int
    id: str


@dataclass(frozen=True)
class Verdict:
    """How a scenario came out; ``lines`` say why it did not match or was not played."""

    task: Task
    state: str
    lines: tuple[str, ...] = ()


def judge(task: Task, choice: Choice) -> Verdict:
    """Play one scenario and compare; whatever the engine raises is a mismatch that shows its traceback."""
    try:
        scenario, expected = load(task.folder, task.family, task.number)
        wanted, got = play(task.folder, scenario, expected, choice)
    except CannotPlayError as reason:
        return Verdict(task, "skipped", (str(reason),))
    except Exception:
        return Verdict(task, "mismatched", tuple(traceback.format_exc().splitlines()[-8:]))
    found = list(islice(differences(wanted, got), SHOWN_DIFFERENCES + 1))
    if not found:
        return Verdict(task, "matched")
    lines: list[str] = []
    for path, want, have in found[:SHOWN_DIFFERENCES]:
        lines += [path, f"    expected {shortened(want)}", f"    got      {shortened(have)}"]
    if len(found) > SHOWN_DIFFERENCES:
        lines.append("(more differences follow)")
    return Verdict(task, "mismatched", tuple(lines))


def shortened(value: Any) -> str:
    """A value on one line of bearable length."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + " ..."


# workers: one process each, so that a crash of compiled code costs one scenario and not the run


def work(pipe: Connection, choice: Choice) -> None:
    """A worker process: judge the tasks that come through the pipe until None comes."""
    while (task := pipe.recv()) is not None:
        pipe.send(judge(task, choice))


class Worker(threading.Thread):
    """Feeds one worker process from the common queue and starts a new one when it dies or hangs."""

    def __init__(
        self,
        tasks: "queue.SimpleQueue[Task | None]",
        verdicts: "queue.SimpleQueue[Verdict]",
        choice: Choice,
        timeout: float,
    ) -> None:
        super().__init__(daemon=True)
        self.tasks, self.verdicts, self.choice, self.timeout = tasks, verdicts, choice, timeout
        self.start_process()

    def start_process(self) -> None:
        """A fresh process; spawned, so that it inherits neither threads nor registrations."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.choice), daemon=True)
        self.process.start()
        theirs.close()

    def run(self) -> None:
        """Hand out tasks until None comes."""
        while (task := self.tasks.get()) is not None:
            self.verdicts.put(self.ask(task))
        self.pipe.send(None)
        self.process.join()

    def ask(self, task: Task) -> Verdict:
        """The verdict of the process, or that it gave none."""
        try:
            self.pipe.send(task)
            if self.pipe.poll(self.timeout):
                verdict: Verdict = self.pipe.recv()
                return verdict
            why = f"no answer within {self.timeout:g} s"
        except (EOFError, OSError):
            self.process.join()
            why = f"the worker process died with exit code {self.process.exitcode}"
        self.process.kill()
        self.process.join()
        self.start_process()
        return Verdict(task, "mismatched", (why,))


def judge_all(tasks: list[Task], choice: Choice, workers: int, timeout: float) -> list[Verdict]:
    """Judge every task, in the order of ``tasks``; without workers in this process."""
    if workers == 0:
        return [judge(task, choice) for task in tasks]
    waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    verdicts: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
    crew = [Worker(waiting, verdicts, choice, timeout) for _ in range(min(workers, len(tasks)))]
    for task in tasks:
        waiting.put(task)
    for worker in crew:
        waiting.put(None)
        worker.start()
    answered = {verdict.task: verdict for verdict in (verdicts.get() for _ in tasks)}
    for worker in crew:
        worker.join()
    return [answered[task] for task in tasks]


# the command


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path, help="folder with markets/, inputs/ and expected/")
    parser.add_argument("--families", help="only these, comma separated")
    parser.add_argument(
        "--engine", choices=("bk", "naive"), default="bk", help="the product or the slow twin"
    )
    parser.add_argument(
        "--form",
        choices=("get_signal", "signals"),
        default="get_signal",
        help="how the product's strategy is given: a function, or the plan as a signal frame",
    )
    parser.add_argument("--limit", type=int, help="at most so many scenarios of each family")
    parser.add_argument("--ids", help="only these scenarios, comma separated")
    parser.add_argument("--show", type=int, default=5, help="print so many mismatches (default 5)")
    parser.add_argument("--no-stats", action="store_true", help="leave the statistics uncompared")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2); 0 plays in this one")
    parser.add_argument(
        "--timeout", type=float, default=300.0, help="seconds a scenario may take (default 300)"
    )
    options = parser.parse_args(argv)
    if options.engine == "naive" and options.form == "signals":
        parser.error("the slow twin knows only --form get_signal")
    if not (options.path / "inputs").is_dir():
        parser.error(f"{options.path} has no folder inputs/")
    return options


def chosen_tasks(options: argparse.Namespace) -> list[Task]:
    """The scenarios the options choose, in file order."""
    folder = options.path.resolve()
    wanted = options.families.split(",") if options.families else families(folder)
    unknown = sorted(set(wanted) - set(families(folder)))
    if unknown:
        raise SystemExit(f"no such family: {', '.join(unknown)}; there are {', '.join(families(folder))}")
    only = set(options.ids.split(",")) if options.ids else None
    tasks: list[Task] = []
    for family in wanted:
        ids = list(enumerate(scenario_ids(folder, family)))
        if only is not None:
            ids = [(number, name) for number, name in ids if name in only]
        tasks += [Task(folder, family, number, name) for number, name in ids[: options.limit]]
    return tasks


def summary(verdicts: list[Verdict]) -> dict[str, Any]:
    """The counts of the last line."""

    def counts(some: list[Verdict]) -> dict[str, int]:
        return {"scenarios": len(some), **{state: sum(v.state == state for v in some) for state in STATES}}

    by_family: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_family.setdefault(verdict.task.family, []).append(verdict)
    return {
        **counts(verdicts),
        "by_family": {family: counts(some) for family, some in by_family.items()},
        "waiting": [
            {"id": verdict.task.id, "reason": " ".join(verdict.lines)}
            for verdict in verdicts
            if verdict.state == "skipped"
        ],
    }


def main(argv: list[str] | None = None) -> int:
    """Play, print, and return the exit code."""
    options = arguments(argv)
    choice = Choice(options.engine, options.form, not options.no_stats)
    tasks = chosen_tasks(options)
    started = time.perf_counter()
    if choice.engine == "bk":
        try:
            public_api()  # compiles once, here; the workers read the cache
        except CannotPlayError as reason:
            print(f"every scenario waits: {reason}")
    verdicts = judge_all(tasks, choice, options.workers, options.timeout)
    mismatches = [verdict for verdict in verdicts if verdict.state == "mismatched"]
    for verdict in mismatches[: options.show]:
        print(f"MISMATCH {verdict.task.id}")
        for line in verdict.lines:
            print(f"    {line}")
    if len(mismatches) > options.show:
        print("also mismatched:", " ".join(verdict.task.id for verdict in mismatches[options.show :]))
    print(f"{len(verdicts)} scenarios in {time.perf_counter() - started:.1f} s")
    counted = summary(verdicts)
    print(json.dumps(counted))
    return 0 if counted["matched"] and not counted["mismatched"] else 1


if __name__ == "__main__":
    sys.exit(main())

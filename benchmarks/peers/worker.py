"""One engine in its own process and environment: JSON lines in, JSON lines out.

    python worker.py MODULE

MODULE has a class ``Side(columns, signals, workload)`` with ``run() -> (trades, percent)``, a number per combination
each (None where an engine gives no percent), ``trades()``, the list of them by :func:`workload.trade_list`, and
``versions()``. Orders: ``prepare`` loads the data, runs once and writes the trades to a file; ``run`` runs once
more and tells the seconds, by the clock and of the processor.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
import warnings
from typing import Any

import numpy as np
from workload import Workload, load


def prepare(module: str, order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The side, and what it says of itself; its sums must be those of its trades."""
    workload = Workload.heard(order["workload"])
    started = time.perf_counter()
    imported = importlib.import_module(module)
    side = imported.Side(*load(order["candles"], workload), workload)
    counts, sums = side.run()
    first = time.perf_counter() - started
    trades = side.trades()
    place = np.searchsorted(np.array(workload.numbers), trades["combination"])
    count = np.bincount(place, minlength=len(workload.numbers))
    total = np.bincount(place, trades["percent"], minlength=len(workload.numbers))
    assert (count == np.asarray(counts)).all(), f"{counts} trades are counted, {count} are listed"
    is_sum = sums is None or np.allclose(total, np.asarray(sums), rtol=1e-9, atol=1e-6)
    assert is_sum, "the sums are not those of the trades"
    np.savez(order["trades"], **trades)
    return side, {"first_s": first, "trades": int(count.sum()), "versions": side.versions()}


def main() -> None:
    """Obey until the input ends."""
    warnings.filterwarnings("ignore")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is not an answer
    side = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order["do"] == "prepare":
                side, answer = prepare(sys.argv[1], order)
            else:
                gc.collect()
                started, computed = time.perf_counter(), time.process_time()
                side.run()
                computed = time.process_time() - computed
                answer = {"seconds": time.perf_counter() - started, "cpu_seconds": computed}
            answer["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        except Exception as error:  # noqa: BLE001
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:400]}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()

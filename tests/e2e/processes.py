"""``bk`` in processes of its own: from nothing, or as the fork of a parent that has imported what commands need.

A fork has its own folder, environment and output, and takes what it registers or breaks with it when it ends; it only
does not import for a second and a half.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which a command has hung.
LONGEST = 120


def _variables(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"} | more


def bk_from_nothing(
    *arguments: str | Path, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``bk`` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "bkapi.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=_variables(environment),
        timeout=LONGEST,
        check=False,
    )


def bk(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a fork, where there are any."""
    if not hasattr(os, "fork"):
        return bk_from_nothing(*arguments, cwd=cwd, **environment)
    parent = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    words = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("stdout", "stderr")]
        order = {"words": words, "cwd": str(cwd), "env": _variables(environment), "files": [*map(str, files)]}
        parent.stdin.write(json.dumps(order) + "\n")
        parent.stdin.flush()
        code = int(parent.stdout.readline())
        return subprocess.CompletedProcess(words, code, *(file.read_text() for file in files))


@cache
def _parent() -> subprocess.Popen[str]:
    """The process that forks; it ends with this one."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.processes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=_variables({}),
    )
    atexit.register(parent.communicate)
    return parent


def _begin(order: dict[str, object]) -> None:
    """Become the process that was ordered."""
    signal.alarm(LONGEST)
    os.environ.clear()
    os.environ.update(order["env"])  # type: ignore[call-overload]
    os.chdir(str(order["cwd"]))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in enumerate(order["files"], start=1):  # type: ignore[arg-type]
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    sys.path[0] = str(order["cwd"])
    sys.argv = ["bk", *order["words"]]  # type: ignore[misc]


def _serve() -> None:
    """Fork for every line of the input and answer with the exit code; return in each fork."""
    import bkapi.backtests.backtest
    import bkapi.base.progress
    import bkapi.cli.file_run
    import bkapi.cli.run_folder
    import bkapi.guards.lookahead
    import bkapi.guards.overfitting
    import bkapi.sweeps.sweep
    import bkapi.walkers.walker  # noqa: F401

    gc.collect()
    gc.freeze()  # so that a fork neither copies nor clears at its end what it has from here
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _begin(json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


if __name__ == "__main__":
    from bkapi.cli.main import main

    _serve()
    main()

"""The examples run as a reader runs them: each in a process of its own, far away from the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, bk

EXAMPLES = ROOT / "examples"

#: What each prints, among other things.
WORDS = {
    "vectorized.py": ("BacktestStatistics", "take_profit", "The log of the best trade", "partial_profit"),
    "listeners.py": ("opened", "profit level", "breakeven", "heard:", "yielded:", "total:"),
    "reports.py": (
        "# Backtest Report: rising",
        "*Conditions: fee",
        "returns",
        "partial:",
        "the same trades: True",
    ),
    "distributed.py": ("look_back", "to the last bit: True"),
    "search.py": ("120 combinations of 'moves'", "% a trade", "deflated Sharpe ratio"),
    "sweep.py": ("The best of 405 brackets in January", "february", "Rank correlation"),
}


#: What some cannot do without.
EXTRAS = {"distributed.py": "ray", "search.py": "optuna"}


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A Python process with this source tree on its path."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        timeout=120,
        check=False,
    )


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(WORDS)


@pytest.mark.parametrize("name", WORDS)
def test_an_example_says_what_it_is_and_runs(name: str, tmp_path: Path) -> None:
    assert (EXAMPLES / name).read_text().startswith('"""')
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason=f"{EXTRAS[name]} is not installed")
    done = run(EXAMPLES / name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in WORDS[name]:
        assert word in done.stdout
    for bad in ("nan", "NaN", "error:", "Traceback"):
        assert bad not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []  # an example leaves nothing behind


def test_what_is_heard_is_what_is_yielded(tmp_path: Path) -> None:
    lines = run(EXAMPLES / "listeners.py", cwd=tmp_path).stdout.splitlines()
    heard, yielded = (
        next(line.split(":")[1] for line in lines if line.startswith(start)) for start in ("heard", "yielded")
    )
    for part in yielded.split(","):
        assert part.strip() in heard


@pytest.mark.parametrize("name", WORDS)
def test_the_command_line_runs_the_same_files(name: str, tmp_path: Path) -> None:
    done = bk("backtest", EXAMPLES / name, "--start", "2024-01-03", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "total_signals" in done.stdout


def test_every_block_of_the_readme_runs_in_order(tmp_path: Path) -> None:
    """Its Python blocks are one session, and its ``bk`` lines are typed in the same folder."""
    text = (ROOT / "README.md").read_text()
    blocks = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    assert len(blocks) >= 3
    commands = [
        line.split("#")[0].split()[1:]
        for part in text.split("```sh\n")[1:]
        for line in part.split("```")[0].splitlines()
        if line.startswith("bk ")
    ]
    assert commands
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    for command in commands:
        done = bk(*command, cwd=tmp_path)
        assert done.returncode == 0, f"bk {' '.join(command)}: {done.stderr}"
    (tmp_path / "session.py").write_text("\n".join(blocks))
    done = run("session.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

"""Repeats a saved run with the same strategy, candles and configuration, and says what came out differently."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bkapi.backtests.backtest import Backtest
from bkapi.base import config
from bkapi.cli.file_run import EXAMPLE, read_candles, set_up
from bkapi.reporting.saved.saved_runs import SavedRun, SavedRunError, load_run
from bkapi.runs.finished import FinishedRun
from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS


@dataclass(frozen=True)
class Repetition:
    """A run that was repeated; ``differences`` is empty when it came out the same, ``notes`` say how it was made."""

    saved: SavedRun
    run: FinishedRun
    differences: list[str]
    notes: list[str]

    @property
    def is_same(self) -> bool:
        """Whether every trade, and everything it was made from, is the same."""
        return not self.differences


def repeat_run(folder: str | Path) -> Repetition:
    """Repeat the run saved in ``folder``, with its configuration; registers the schemas that it needs.

    If the strategy file has changed since, a note says so, and the copy in the folder is run. Raises
    :class:`SavedRunError` for a run that was not saved by ``bk backtest --save``, and whatever reading candles raises.
    """
    saved = load_run(folder)
    how, notes = saved.manifest["how"], []
    if "strategy" not in how:
        raise SavedRunError(
            f"{str(saved.folder)!r} does not say how it was made.",
            hint="runs that bk backtest --save wrote can be repeated; of others load_run tells everything else.",
        )
    strategy = how["strategy"]
    if strategy != EXAMPLE:
        copy = saved.folder / "strategy.py"
        file = Path(strategy)
        if not file.is_file() or _digest(file) != saved.manifest["files"]["strategy.py"]:
            notes.append(
                f"{strategy} {'was changed' if file.is_file() else 'is gone'}: its saved copy is run."
            )
            strategy = str(copy)
    config.set_config(saved.config, unsafe=True)
    candles = how.get("candles")
    frame = saved.manifest["provenance"]["frame"]
    names = {minutes * MINUTE_MS: name for name, minutes in INTERVAL_MINUTES.items()}
    setup = set_up(
        strategy,
        candles=None
        if candles is None
        else read_candles(candles, symbol=how.get("symbol"), interval="1m", gaps=how.get("gaps", "raise")),
        strategy_name=saved.manifest["strategy_name"],
        start=frame["start_ms"],
        end=how.get("end_ms", frame["end_ms"]),
        frame_interval=names[frame["step_ms"]],
    )
    with setup.watched():
        run = Backtest.finish(setup.symbol, setup.context)
    return Repetition(saved, run, saved.differences_to(run), notes)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()

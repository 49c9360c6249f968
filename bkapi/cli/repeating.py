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


@dataclass(frozen=True)
class CodeOfRun:
    """The Python file that repeating a run executes: the user's own file if it is unchanged, or else the saved copy.

    digest   SHA-256 of its content
    is_own   whether it is a file below the working directory, and not one of the saved folder
    note     why it is the copy, "" otherwise
    """

    file: Path
    digest: str
    is_own: bool
    note: str = ""


def code_of(saved: SavedRun) -> CodeOfRun | None:
    """What repeating the run executes, None for the built-in example.

    Raises :class:`SavedRunError` for a run that was not saved by ``bk backtest --save``.
    """
    named, files = saved.manifest["how"].get("strategy"), saved.manifest["files"]
    if named is None or (named != EXAMPLE and "strategy.py" not in files):
        raise SavedRunError(
            f"{str(saved.folder)!r} does not say how it was made.",
            hint="runs that bk backtest --save wrote can be repeated; of others load_run tells everything else.",
        )
    if named == EXAMPLE:
        return None
    file, digest = Path(named), files["strategy.py"]
    if file.is_absolute() and _digest(file) == digest:
        place = file.resolve()
        is_own = place.is_relative_to(Path.cwd().resolve()) and not place.is_relative_to(
            saved.folder.resolve()
        )
        return CodeOfRun(file, digest, is_own)
    note = f"{named} {'was changed' if file.is_file() else 'is gone'}: its saved copy is run."
    return CodeOfRun(saved.folder / "strategy.py", digest, False, note)


@config.restored_config()
def repeat_run(folder: str | Path | SavedRun) -> Repetition:
    """Repeat the run saved in ``folder``, with its configuration while it runs; registers the schemas that it needs.

    This executes the strategy file of the run (:func:`code_of` says which), so the folder must come from somebody whom
    you trust. If the file has changed since, a note says so, and the copy in the folder is run. Raises
    :class:`SavedRunError` for a run that was not saved by ``bk backtest --save``, and whatever reading candles raises.
    """
    saved = folder if isinstance(folder, SavedRun) else load_run(folder)
    code, how = code_of(saved), saved.manifest["how"]
    notes = [code.note] if code and code.note else []
    strategy = str(code.file) if code else EXAMPLE
    config.validate_config({**config.get_default_config(), **saved.config})
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
        end=frame["end_ms"] if how.get("end_ms") is None else how["end_ms"],
        frame_interval=names[frame["step_ms"]],
        fill=how.get("fill"),
    )
    with setup.watched():
        run = Backtest.finish(setup.symbol, setup.context, quiet=True)
    return Repetition(saved, run, saved.differences_to(run), notes)


def _digest(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
    except (OSError, ValueError):
        return None

"""Brings a strategy file and a candle file together for ``bk backtest``, ``bk sweep`` and ``bk walk``."""

from __future__ import annotations

import importlib.util
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bkapi.base.timestamps import Moment, from_ms, to_ms
from bkapi.errors import BkError, RefusedSignalError, UnknownNameError
from bkapi.schemas.base import FrameInterval
from bkapi.schemas.doors import add_exchange_schema, add_frame_schema, add_walker_schema
from bkapi.schemas.registry import strategies
from bkapi.schemas.run_settings import setting_of
from bkcore.candles.frame import CandleFrame
from bkcore.errors import did_you_mean
from bkcore.synthetic import sample

if TYPE_CHECKING:
    from bkapi.schemas.space import Space

#: The name of the built-in strategy.
EXAMPLE = "example"
_WARNINGS = 10  # how many different ones are printed


class StrategyFileError(BkError):
    """Raised by ``bk backtest nowhere.py``: a file that is absent, fails, or registers no strategy."""


@dataclass(frozen=True)
class FileRun:
    """The symbol and the context of what was registered from a strategy file and candles."""

    symbol: str
    context: dict[str, str]
    strategy: str

    @contextmanager
    def watched(self) -> Iterator[Survived]:
        """For a block, turn an error of the strategy file that ends the run into one error; count those that do not."""
        survived = Survived(self.strategy)
        logger = logging.getLogger("bkapi")
        logger.addHandler(survived)
        try:
            with _naming_the_line(self.strategy):
                yield survived
        finally:
            logger.removeHandler(survived)
            survived.tell()


def set_up(
    strategy: str,
    *,
    candles: CandleFrame | None = None,
    strategy_name: str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    frame_interval: str = "1m",
    fill: str | None = None,
) -> FileRun:
    """Register a strategy file, candles and a frame; without candles the bundled sample.

    The frame defaults to all candles: its first tick has enough of them before it, and its last tick is followed
    by one more candle, in which an open position ends. ``fill`` replaces the fill model of the strategy.
    """
    name = load_strategy(strategy, strategy_name)
    _choose_fill([name], fill)
    symbol = _set_up_market([name], candles, start, end, frame_interval)
    return _run_of(strategy, name, symbol)


def set_up_each(
    strategy: str,
    *,
    candles: CandleFrame | None = None,
    strategy_name: str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    frame_interval: str = "1m",
    fill: str | None = None,
) -> list[FileRun]:
    """Like :func:`set_up`, for each strategy of the file, or for one alone."""
    registered = register_file(strategy)
    names = (
        registered if strategy_name is None and registered else [_chosen(strategy, strategy_name, registered)]
    )
    _choose_fill(names, fill)
    symbol = _set_up_market(names, candles, start, end, frame_interval)
    return [_run_of(strategy, name, symbol) for name in names]


def _run_of(strategy: str, name: str, symbol: str) -> FileRun:
    context = {"strategy_name": name, "exchange_name": "file", "frame_name": "file"}
    return FileRun(symbol, context, strategy)


def set_up_walker(
    strategy: str,
    *,
    metric: str,
    names: Sequence[str] = (),
    space: Space | None = None,
    candles: CandleFrame | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    frame_interval: str = "1m",
    fill: str | None = None,
) -> FileRun:
    """Like :func:`set_up`, and a walker over the strategies of the file: all of them, or those of ``names``."""
    registered = register_file(strategy)
    for name in names:
        if name not in registered:
            raise UnknownNameError("strategy", name, f"{strategy} --strategy", registered)
    if not registered:
        raise StrategyFileError(
            f"{strategy} registers no strategy.", hint="call add_strategy_schema(...) in it, several times."
        )
    compared = list(names) or registered
    _choose_fill(compared, fill)
    symbol = _set_up_market(compared, candles, start, end, frame_interval)
    add_walker_schema(
        walker_name="file",
        exchange_name="file",
        frame_name="file",
        strategies=compared,
        metric=metric,
        space=space,
    )
    return FileRun(symbol, {"walker_name": "file"}, strategy)


def _choose_fill(names: Sequence[str], fill: str | None) -> None:
    """Let the named strategies run under ``fill``, whatever they were registered with; None changes nothing."""
    if fill is not None:
        for name in names:
            strategies.override(strategy_name=name, fill=fill)


def _set_up_market(
    names: Sequence[str],
    candles: CandleFrame | None,
    start: Moment | None,
    end: Moment | None,
    frame_interval: str,
) -> str:
    """Register candles, and a frame for the named strategies; returns the symbol."""
    frame = sample() if candles is None else candles
    add_exchange_schema(exchange_name="file", candles={frame.symbol: frame})
    windows = (int(setting_of(strategies.lookup(name), "CC_AVG_PRICE_CANDLES_COUNT")) for name in names)
    first = min(max(windows), len(frame) - 1)
    last = max(0, len(frame) - 2)
    add_frame_schema(
        frame_name="file",
        interval=cast(FrameInterval, frame_interval),  # checked when the run starts
        start_date=from_ms(int(frame.timestamps[first]) if start is None else to_ms(start)),
        end_date=from_ms(int(frame.timestamps[last]) if end is None else to_ms(end)),
    )
    return frame.symbol


def read_candles(
    file: str, *, symbol: str | None = None, interval: str | None = None, gaps: str = "raise"
) -> CandleFrame:
    """Candles of one file, or of all that a pattern such as ``dumps/*.zip`` finds."""
    several = any(sign in file for sign in "*?[") and not Path(file).exists()
    read = CandleFrame.read_many if several else CandleFrame.read
    return read(file, symbol=symbol, interval=interval, gaps=gaps)  # type: ignore[arg-type]  # the door judges it


def load_strategy(strategy: str, strategy_name: str | None = None) -> str:
    """Run a strategy file (or register the built-in example); returns the name of the strategy to run."""
    return _chosen(strategy, strategy_name, register_file(strategy))


def _chosen(strategy: str, strategy_name: str | None, registered: Sequence[str]) -> str:
    if strategy_name is not None:
        if strategy_name not in registered:
            raise UnknownNameError("strategy", strategy_name, f"{strategy} --strategy", registered)
        return strategy_name
    if len(registered) != 1:
        told = (
            f"registers {len(registered)} strategies: {', '.join(registered)}"
            if registered
            else "registers no strategy"
        )
        raise StrategyFileError(
            f"{strategy} {told}.",
            hint="choose one with --strategy NAME." if registered else "call add_strategy_schema(...) in it.",
        )
    return registered[0]


def register_file(strategy: str) -> list[str]:
    """Run a strategy file (or register the built-in example); returns the names of the strategies in it."""
    before = set(strategies.names())
    if strategy == EXAMPLE:
        from bkapi.cli.example_strategy import register

        register()
    else:
        _execute(strategy)
    return [name for name in strategies.names() if name not in before]


def _execute(strategy: str) -> None:
    path = Path(strategy)
    try:
        is_there = path.is_file()
        known = [EXAMPLE, *(entry.name for entry in path.parent.glob("*.py"))]
    except (OSError, ValueError) as error:  # too long, or with signs that no name can have
        reason = getattr(error, "strerror", None) or error
        raise StrategyFileError(
            f"{strategy[:200]!r} cannot be a strategy file: {reason}.", hint="give a Python file."
        ) from None
    if not is_there:
        raise StrategyFileError(
            f"there is no strategy file {strategy!r}.",
            hint=did_you_mean(path.name, known)
            + f"give a Python file that registers a strategy, or {EXAMPLE!r}.",
        )
    spec = importlib.util.spec_from_file_location(f"strategy_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StrategyFileError(f"{strategy!r} is not a Python file.", hint="its name should end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with _naming_the_line(strategy):
        spec.loader.exec_module(module)


@contextmanager
def _naming_the_line(strategy: str) -> Iterator[None]:
    """For a block, turn whatever a line of the strategy file raises into one error that names the line."""
    try:
        yield
    except BkError:
        raise
    except Exception as error:
        told = _line_of_error(error, strategy)
        if told is None:
            raise
        raise StrategyFileError(told, hint="run the file with python to see more.") from None


def _line_of_error(error: BaseException, strategy: str) -> str | None:
    """``"dip.py, line 2: ValueError: ..."``, or None when no line of the strategy file took part."""
    path = Path(strategy).absolute()
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path
    ]
    text = str(error)
    if isinstance(error, SyntaxError) and not lines:
        lines, text = [error.lineno or 1], error.msg
    return f"{path.name}, line {lines[-1]}: {type(error).__name__}: {text}" if lines else None


class Survived(logging.Handler):
    """Counts warnings by their text instead of printing each.

    ``has_errors``: whether code of the user has raised; ``has_refusals``: whether signals were refused.
    """

    def __init__(self, strategy: str) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()
        self.has_errors = self.has_refusals = False
        self._strategy = strategy
        self._traces: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Count one; an error of the strategy file by its line, with the traceback of the first."""
        error = getattr(record, "error", None)  # set by report_error, with the number of repeats
        told = _line_of_error(error, self._strategy) if error else None
        text = told or str(error or record.getMessage())
        self.counts[text] += getattr(record, "times", 1)
        if isinstance(error, RefusedSignalError):
            self.has_refusals = True
        elif error is not None:
            self.has_errors = True
            self._traces.setdefault(text, _trace_of_file(error, self._strategy))

    def tell(self) -> None:
        """Print each kind once to the standard error stream."""
        for text, times in self.counts.most_common(_WARNINGS):
            sys.stderr.write(f"warning ({times:,} times): {text}\n{self._traces.get(text, '')}")
        others = len(self.counts) - _WARNINGS
        if others > 0:
            sys.stderr.write(f"warning: {others:,} other warnings are not shown\n")


def _trace_of_file(error: BaseException, strategy: str) -> str:
    """The traceback from the first line of the strategy file on."""
    path = Path(strategy).absolute()
    frames = traceback.extract_tb(error.__traceback__)
    first = next((k for k, frame in enumerate(frames) if Path(frame.filename) == path), len(frames))
    return "".join(traceback.format_list(frames[first:]))

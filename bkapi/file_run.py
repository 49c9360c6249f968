"""How a strategy in a Python file meets candles in a file: what ``bk backtest`` and ``bk sweep`` set up."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from bkapi import config
from bkapi.errors import BkError, UnknownNameError
from bkapi.moments import Moment, from_ms, to_ms
from bkapi.registry import add_exchange_schema, add_frame_schema, strategies
from bkapi.schemas import FrameInterval
from bkcore.candles import CandleFrame
from bkcore.errors import did_you_mean
from bkcore.synthetic import sample

if TYPE_CHECKING:
    from types import ModuleType

#: The name of the built-in strategy.
EXAMPLE = "example"


class StrategyFileError(BkError):
    """Raised by ``bk backtest nowhere.py``: a file that is absent, fails, or registers no strategy."""


@dataclass(frozen=True)
class FileRun:
    """A symbol and the context under which everything is registered."""

    symbol: str
    context: dict[str, str]
    candles: CandleFrame


def set_up(
    strategy: str,
    *,
    candles: str | None = None,
    strategy_name: str | None = None,
    symbol: str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    frame_interval: str = "1m",
    gaps: Literal["raise", "keep", "fill"] = "raise",
) -> FileRun:
    """Register a strategy file, a candle file and a frame; the bundled sample stands in for missing candles.

    The frame defaults to the whole file: its first tick has enough candles before it, and its last tick is followed
    by one more candle, in which an open position ends.
    """
    name = load_strategy(strategy, strategy_name)
    frame = (
        sample() if candles is None else CandleFrame.read(candles, symbol=symbol, interval="1m", gaps=gaps)
    )
    add_exchange_schema(exchange_name="file", candles={frame.symbol: frame})
    first = min(int(config.value("CC_AVG_PRICE_CANDLES_COUNT")), len(frame) - 1)
    last = max(0, len(frame) - 2)
    add_frame_schema(
        frame_name="file",
        interval=cast(FrameInterval, frame_interval),  # checked when the run starts
        start_date=from_ms(int(frame.timestamps[first]) if start is None else to_ms(start)),
        end_date=from_ms(int(frame.timestamps[last]) if end is None else to_ms(end)),
    )
    return FileRun(
        frame.symbol, {"strategy_name": name, "exchange_name": "file", "frame_name": "file"}, frame
    )


def load_strategy(strategy: str, strategy_name: str | None = None) -> str:
    """Run a strategy file (or register the built-in example); returns the name of the strategy to run."""
    before = set(strategies.names())
    if strategy == EXAMPLE:
        from bkapi.example_strategy import register

        register()
    else:
        _execute(Path(strategy))
    registered = [name for name in strategies.names() if name not in before]
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


def _execute(path: Path) -> ModuleType:
    if not path.is_file():
        known = (
            [EXAMPLE, *(entry.name for entry in path.parent.glob("*.py"))]
            if path.parent.is_dir()
            else [EXAMPLE]
        )
        raise StrategyFileError(
            f"there is no strategy file {str(path)!r}.",
            hint=did_you_mean(path.name, known)
            + f"give a Python file that registers a strategy, or {EXAMPLE!r}.",
        )
    spec = importlib.util.spec_from_file_location(f"strategy_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StrategyFileError(f"{str(path)!r} is not a Python file.", hint="its name should end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BkError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's file raises becomes one clear error
        frame = error.__traceback__
        line = 0
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == spec.origin:
                line = frame.tb_lineno
            frame = frame.tb_next
        raise StrategyFileError(
            f"{path.name}, line {line}: {type(error).__name__}: {error}",
            hint="run the file with python to see more.",
        ) from None
    return module

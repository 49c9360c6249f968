"""In which run is this code? Symbol, names, range, time and price in one record (spec market-data.md 14)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from bkapi.base.context import MethodContext, execution, method
from bkapi.base.record import Record, record
from bkapi.events.emitters import report_error
from bkapi.market.exchange import get_average_price
from bkapi.schemas.registry import frames, strategies

R = TypeVar("R")


@record
class RuntimeRange(Record):
    """First and last moment of a frame; ``from`` is a word of the language."""

    from_: datetime
    to: datetime


@record
class RuntimeInfo(Record):
    """Where a piece of strategy code runs; what could not be found out is None."""

    symbol: str
    range: RuntimeRange | None
    info: Any
    context: MethodContext
    backtest: bool
    when: datetime
    current_price: float | None


_ranges: dict[tuple[str, bool], RuntimeRange] = {}


_infos: dict[str, Any] = {}


def get_runtime_info() -> RuntimeInfo:
    """Symbol, range of the frame, ``info`` of the strategy, names, mode, "now" and price of the ambient run.

    Range and info are looked up once per name. What cannot be found out is None, and reported to ``listen_error``.
    Raises :class:`ContextError` outside of a run.
    """
    names = method.require("get_runtime_info")
    moment = execution.require("get_runtime_info")
    return RuntimeInfo(
        symbol=moment.symbol,
        range=_or_none(lambda: _range(names.frame_name)) if moment.backtest else None,
        info=_or_none(lambda: _info(names.strategy_name)),
        context=names,
        backtest=moment.backtest,
        when=moment.when,
        current_price=_or_none(lambda: get_average_price(moment.symbol)),
    )


def _or_none(look: Callable[[], R]) -> R | None:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - documented: what fails is None, and reported
        report_error(error, "get_runtime_info")
        return None


def _range(frame_name: str) -> RuntimeRange:
    known = _ranges.get((frame_name, True))
    if known is None:
        schema = frames.get(frame_name, "get_runtime_info")
        known = _ranges[frame_name, True] = RuntimeRange(schema.start_date, schema.end_date)
    return known


def _info(strategy_name: str) -> Any:
    if strategy_name not in _infos:
        _infos[strategy_name] = strategies.get(strategy_name, "get_runtime_info").info
    return _infos[strategy_name]

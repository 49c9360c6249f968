"""Jitted strategies and managers for the laws about them: a plan as a kernel, and a manager that asks for a lot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bkapi import Command
from bkcore.intervals import MINUTE_MS, interval_step_ms
from bkcore.machine.hooks import KERNEL, MANAGE, compile_hook
from bkcore.machine.run import Hooks
from tests.property.scenes import Planned, Scene

_FIELDS = 8
#: How a scene is played: as a table, by a jitted kernel, or as a table with a jitted manager.
FORMS = st.sampled_from(["table", "kernel", "manage"])


def plan_kernel(
    when: Any,
    price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    params: Any,
    memory: Any,
    signal: Any,
) -> Any:
    """The plan of a scene: the latest row of the interval at or before ``when``."""
    interval = int(params[0])
    first = when // interval * interval
    offered = 0
    for k in range(1, params.size, 8):
        if first <= params[k] <= when:
            offered = k
    if offered == 0 or params[offered + 1] == 2.0:
        return 0
    signal.side = int(params[offered + 1])
    signal.price_open = params[offered + 2]
    signal.take_profit = params[offered + 3]
    signal.stop_loss = params[offered + 4]
    signal.lifetime = params[offered + 5]
    signal.cost = params[offered + 6]
    return 1


_SIDES = {"long": 1.0, "short": -1.0}
_NUMBERS = ("price_open", "price_take_profit", "price_stop_loss", "minute_estimated_time", "cost")


def params_of(scene: Scene) -> dict[str, float]:
    """What :func:`plan_kernel` reads: the interval, and eight numbers a row."""
    values = [float(interval_step_ms(scene.strategy_interval))]
    for one in scene.plan:
        signal = one.signal
        row = [float(scene.start_ms + one.minute * MINUTE_MS)]
        row.append(2.0 if signal is None else _SIDES.get(signal["position"], 0.0))
        for name in _NUMBERS:
            value = None if signal is None else signal.get(name)
            row.append(math.nan if value is None else float(value))
        values += [*row, *[0.0] * (_FIELDS - len(row))]
    return {f"p{k}": value for k, value in enumerate(values)}


def can_be_a_kernel(one: Planned) -> bool:
    """A kernel leaves a field out by NaN and names no symbol."""
    signal = one.signal or {}
    numbers = [signal.get(name) for name in _NUMBERS]
    return "symbol" not in signal and not any(value is not None and math.isnan(value) for value in numbers)


def without_ids(plan: tuple[Planned, ...]) -> tuple[Planned, ...]:
    """The part of a plan that a kernel can say."""
    return tuple(
        Planned(
            one.minute, one.signal and {name: value for name, value in one.signal.items() if name != "id"}
        )
        for one in plan
        if can_be_a_kernel(one)
    )


def manage_everything(
    when: Any,
    price: Any,
    known_price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    position: Any,
    params: Any,
    memory: Any,
    orders: Any,
) -> Any:
    """Every ``params[0]``-th candle of a run a command, in turn; ``memory`` counts the candles."""
    memory[0] += 1.0
    every = int(params[0])
    count = int(memory[0])
    if count % every != 0:
        return 0
    turn = count // every % 6
    move = position.side * (price / position.effective_open - 1.0) * 100.0
    orders[0, 1] = 0.0
    if turn == 0:
        orders[0, 0] = Command.AVERAGE_BUY
        orders[0, 1] = 50.0
    elif turn == 1:
        orders[0, 0] = Command.PARTIAL_PROFIT if move > 0.0 else Command.PARTIAL_LOSS
        orders[0, 1] = 33.0
    elif turn == 2:
        orders[0, 0] = Command.TRAILING_STOP
        orders[0, 1] = -0.3
    elif turn == 3:
        orders[0, 0] = Command.BREAKEVEN
    elif turn == 4:
        orders[0, 0] = Command.TRAILING_TAKE
        orders[0, 1] = -0.2
    else:
        orders[0, 0] = Command.CLOSE if abs(move) > 1.0 else Command.AVERAGE_BUY
        orders[0, 1] = 25.0
    if close[close.size - 1] > open[close.size - 1]:
        orders[1, 0] = Command.PARTIAL_PROFIT_COST
        orders[1, 1] = 10.0
        return 2
    return 1


def hooks_of(scene: Scene, form: str) -> Hooks:
    """The jitted functions of a scene in one of the ``FORMS``; its plan has no ids."""
    if form == "kernel":
        return Hooks(compile_hook(plan_kernel, KERNEL), None, np.array(list(params_of(scene).values())))
    if form == "manage":
        return Hooks(None, compile_hook(manage_everything, MANAGE), np.array([2.0]))
    return Hooks()

"""Jitted strategies and managers at real prices: they decide at a close what the next open executes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from bkapi import Command
from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS
from bkcore.machine.codes import CloseReason, Given, Wake
from bkcore.machine.hooks import KERNEL, MANAGE, compile_hook
from bkcore.machine.records import FROM_SLOT
from bkcore.machine.run import Hooks, Run, no_signals
from bkcore.machine.signals import SignalTable, bind_signals
from tests.golden.fills_case import Record, differences
from tests.golden.fills_engine import record_of, run_of
from tests.golden.run_fills_twin import play as twin
from tests.naive import fills
from tests.naive.fills.costs import Rates, result_percent
from tests.naive.pnl import Entry
from tests.property.comparing import assert_same_runs
from tests.property.fill_scenes import COLUMNS, MIDNIGHT, fill_scenes, scene_of
from tests.shares import share

pytestmark = pytest.mark.real_prices
MANY = settings(max_examples=2 * settings().max_examples)
DRIVERS = st.sampled_from(["skip", "run", "step"])
_NUMBERS = (
    *("price_open", "price_take_profit", "price_stop_loss", "minute_estimated_time", "cost"),
    *("price_trigger", "size", "set_take_profit", "set_stop_loss", "trail_distance", "fee_percent"),
)
_WIDTH = 14
_SIDES = {"long": 1, "short": -1, 1: 1, -1: -1, 0: 0, None: 0}
_EXITS = {"long": 1, "short": 2, True: 3, False: 0, None: 0}
#: What a kernel can say: no percents, nothing that is no number, no side to hold.
spoken = {
    "columns": tuple(name for name in COLUMNS if name != "faults"),
    "ways": ("position", "signs", "booleans"),
    "in_percent": False,
}


def planned(
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
    """The row of ``when``, of 14 numbers each."""
    if price != close[close.size - 1]:
        return 1 // (close.size - close.size)  # the last close is known, and nothing after it
    for k in range(0, params.size, 14):
        if params[k] == when:
            signal.side = int(params[k + 1])
            signal.exits = int(params[k + 2])
            signal.price_open = params[k + 3]
            signal.take_profit = params[k + 4]
            signal.stop_loss = params[k + 5]
            signal.lifetime = params[k + 6]
            signal.cost = params[k + 7]
            signal.price_trigger = params[k + 8]
            signal.size = params[k + 9]
            signal.set_take_profit = params[k + 10]
            signal.set_stop_loss = params[k + 11]
            signal.trail_distance = params[k + 12]
            signal.fee_percent = params[k + 13]
            return 1
    return 0


def numbers_of(row: Record) -> list[float]:
    """A row as :func:`planned` reads it; empty where it says nothing."""
    side = _SIDES[row.get("position")] + bool(row.get("enter_long")) - bool(row.get("enter_short"))
    exits = _EXITS[row.get("exit")] | bool(row.get("exit_long")) | 2 * bool(row.get("exit_short"))
    if not (side or exits or any(row.get(name) is not None for name in ("set_take_profit", "set_stop_loss"))):
        return []
    values = [math.nan if row.get(name) is None else float(row[name]) for name in _NUMBERS]
    return [float(row["timestamp"]), float(side), float(exits), *values]


def step_of(scene: Record) -> int:
    """Length of a candle in ms."""
    return INTERVAL_MINUTES[scene["frame"]["interval"]] * MINUTE_MS


def asked_only(scene: Record, interval: int) -> Record:
    """The scene with the rows of moments at which a strategy of this interval (ms) can be asked."""
    opened = {candle[0] for candle in scene["candles"][1:]}
    rows = [row for row in scene["rows"] if row["timestamp"] in opened and row["timestamp"] % interval == 0]
    return {**scene, "rows": rows}


def table_run(scene: Record, **options: Any) -> Record:
    """What comes of the rows."""
    return record_of(run_of(scene, **options).finish()) if scene["rows"] else {"trades": [], "orders": []}


def kernel_run(scene: Record, interval: int, **options: Any) -> Run:
    """A run in which a kernel says what the rows say."""
    numbers = np.array([number for row in scene["rows"] for number in numbers_of(row)])
    hooks = Hooks(compile_hook(planned, KERNEL), None, numbers)
    run = run_of(scene, signals=no_signals(), hooks=hooks, interval_ms=interval, **options)
    return run.finish()


@MANY
@given(fill_scenes(**spoken), st.sampled_from([1, 3]), DRIVERS)
def test_a_kernel_that_is_asked_when_flat_makes_the_trades_of_its_rows(
    scene: Record, every: int, driver: Any
) -> None:
    """An entry that meets a position or an order is passed over, so nobody need ask for it."""
    interval = every * step_of(scene)
    entries = [
        {name: value for name, value in row.items() if not name.startswith(("exit", "set_"))}
        for row in asked_only(scene, interval)["rows"]
    ]
    policy = {name: value for name, value in scene["policy"].items() if name != "on_opposite"}
    scene = {**scene, "rows": entries, "policy": policy}
    run = kernel_run(scene, interval, driver=driver)
    wanted, got = table_run(scene), record_of(run)
    share("scenes with a trade", bool(wanted["trades"]), least=0.3)
    assert got["trades"] == wanted["trades"]
    assert got["orders"] == wanted["orders"]


@MANY
@given(fill_scenes(**spoken), st.sampled_from([1, 3]), DRIVERS)
def test_a_kernel_that_is_asked_at_every_tick_is_its_rows(scene: Record, every: int, driver: Any) -> None:
    """Exits, reversals and moved levels too; even the counts are those of the rows."""
    interval = every * step_of(scene)
    scene = asked_only(scene, interval)
    if not scene["rows"]:
        share("scenes with rows", False, least=0.6)
        return
    share("scenes with rows", True)
    wanted = table_run(scene)
    got = record_of(kernel_run(scene, interval, driver=driver, asks_in_position=True))
    assert got["trades"] == wanted["trades"]
    assert got["orders"] == wanted["orders"]
    assert {name: got["rows"][name] for name in ("taken", "refused")} == {
        name: wanted["rows"][name] for name in ("taken", "refused")
    }


def answered(table: SignalTable) -> Any:
    """The rows of a table as answers: one that only exits or moves levels is an answer, not nothing."""
    records = table.records.copy()
    records["given"] &= ~np.int16(Given.NOTHING)
    return records


@MANY
@given(fill_scenes(), DRIVERS)
def test_a_callback_that_is_asked_at_every_tick_is_its_rows(scene: Record, driver: Any) -> None:
    """With every column that a row may have, percents and sides to hold included."""
    scene = asked_only(scene, step_of(scene))
    if not scene["rows"]:
        share("scenes with rows", False, least=0.6)
        return
    share("scenes with rows", True)
    frame = pl.DataFrame(scene["rows"], infer_schema_length=None, strict=False)
    answers = {int(row["time"]): row for row in answered(bind_signals(frame, "TEST", at_real_prices=True))}
    run = run_of(
        scene,
        signals=no_signals(),
        driver=driver,
        has_callback=True,
        asks_in_position=True,
        interval_ms=step_of(scene),
    )
    while (wake := run.advance()) is not Wake.DONE:
        if wake is Wake.GET_SIGNAL and run.when in answers:
            run.slot[0] = answers[run.when]
            run.now.candidate = FROM_SLOT
    wanted, got = table_run(scene), record_of(run)
    assert got["trades"] == wanted["trades"]
    assert got["orders"] == wanted["orders"]
    assert got["rows"]["taken"] == wanted["rows"]["taken"]
    assert got["rows"]["refused"] == wanted["rows"]["refused"]


# ------------------------------------------------------------------------------------------------- managers


def ordered(
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
    """The orders of ``when``: (time, command, value) in ``params``; it sees the candle that has just closed."""
    if price != close[close.size - 1] or known_price != price:
        return -1
    count = 0
    for k in range(0, params.size, 3):
        if params[k] == when:
            orders[count, 0] = params[k + 1]
            orders[count, 1] = params[k + 2]
            count += 1
    return count


def managed(scene: Record, orders: Sequence[tuple[int, Command, float]], **options: Any) -> Run:
    """A run in which these orders are given at these closes (ms UTC)."""
    numbers = np.array([float(number) for order in orders for number in order])
    return run_of(scene, hooks=Hooks(None, compile_hook(ordered, MANAGE), numbers), **options).finish()


@MANY
@given(fill_scenes(), st.data(), DRIVERS)
def test_a_position_that_a_manager_closes_ends_at_the_next_open(
    scene: Record, data: st.DataObject, driver: Any
) -> None:
    frame, step = scene["frame"], step_of(scene)
    times = [candle[0] for candle in scene["candles"]]
    last = frame["start_ms"] + (frame["end_ms"] - frame["start_ms"]) // step * step
    some = data.draw(st.sets(st.integers(0, len(times) - 1), max_size=20))
    ends = {k: times[k + 1] if k + 1 < len(times) and times[k + 1] <= last else last for k in some}
    outcome = fills.run(
        scene["candles"],
        scene["rows"],
        scene["settings"],
        scene["policy"],
        start_ms=frame["start_ms"],
        end_ms=frame["end_ms"],
        interval=frame["interval"],
        commands=dict.fromkeys(ends.values(), "close"),
    )
    run = managed(scene, [(times[k] + step, Command.CLOSE, 0.0) for k in some], driver=driver)
    rows = {name: outcome.rows[name] for name in ("taken", "passed_over", "refused")}
    wanted = {"trades": outcome.trades, "orders": outcome.orders, "rows": rows}
    share("runs in which the manager closes", bool(run.trades["by_command"].any()), least=0.2)
    assert list(differences(wanted, record_of(run))) == []


commands = st.sampled_from(
    [
        (Command.AVERAGE_BUY, 50.0),
        (Command.PARTIAL_PROFIT, 33.0),
        (Command.PARTIAL_LOSS, 50.0),
        (Command.PARTIAL_PROFIT, 100.0),
        (Command.PARTIAL_LOSS_COST, 25.0),
        (Command.TRAILING_STOP, -0.5),
        (Command.TRAILING_TAKE, -0.5),
        (Command.BREAKEVEN, 0.0),
        (Command.CLOSE, 0.0),
    ]
)


@MANY
@given(fill_scenes(), st.lists(st.tuples(st.integers(0, 99), commands), min_size=1, max_size=60))
def test_however_a_managed_run_is_driven_it_is_the_same(
    scene: Record, wanted: list[tuple[int, tuple[Command, float]]]
) -> None:
    step, times = step_of(scene), [candle[0] for candle in scene["candles"]]
    orders = [(times[k % len(times)] + step, *order) for k, order in wanted]
    orders = [order for k, order in enumerate(orders) if sum(o[0] == order[0] for o in orders[:k]) < 8]
    run = managed(scene, orders, driver="run")
    share("runs with a commit", int(run.now.commit_count) > 0, least=0.4)
    assert_same_runs(run, managed(scene, orders, driver="skip"))
    assert_same_runs(run, managed(scene, orders, driver="step"))


def candles_at(*opens: float) -> list[list[Any]]:
    """Minutes that open here and close a quarter above."""
    return [
        [MIDNIGHT + k * MINUTE_MS, opened, opened + 0.5, opened - 0.5, opened + 0.25, 1.0]
        for k, opened in enumerate(opens)
    ]


AT = MIDNIGHT + 3 * MINUTE_MS  # the third candle has closed, the fourth opens


@pytest.mark.parametrize("model", ["next_open", "last_close"])
def test_orders_are_executed_at_the_next_open_in_their_order(model: str) -> None:
    scene = scene_of(
        candles_at(100.0, 100.0, 97.0, 95.0, 95.0, 95.0),
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long", "price_stop_loss": 80.0}],
        FILL_MODEL=model,
    )
    run = managed(
        scene,
        [
            (AT, Command.AVERAGE_BUY, 300.0),
            (AT, Command.PARTIAL_LOSS, 50.0),
            (AT, Command.AVERAGE_BUY, 300.0),  # no better than the one before
            (AT, Command.TRAILING_STOP, -5.0),
        ],
    )
    entry, filled = (100.0, 95.0) if model == "next_open" else (100.25, 97.25)
    assert run.entries["price"][: int(run.now.entry_count)].tolist() == [entry, filled]
    assert run.entries["time"][:2].tolist() == [MIDNIGHT + MINUTE_MS, AT]
    (partial,) = run.partials[: int(run.now.partial_count)]
    assert (partial["price"], partial["time"], partial["basis"]) == (filled, AT, 400.0)
    codes = run.commits["code"][: int(run.now.commit_count)].tolist()
    assert codes == [Command.AVERAGE_BUY, Command.PARTIAL_LOSS, Command.TRAILING_STOP]


@pytest.mark.parametrize("closes_first", [True, False])
def test_nothing_is_ordered_after_a_close(closes_first: bool) -> None:
    scene = scene_of(
        candles_at(100.0, 100.0, 103.0, 104.0, 104.0),
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long"}],
    )
    orders = [(AT, Command.PARTIAL_PROFIT, 50.0), (AT, Command.CLOSE, 0.0)]
    run = managed(scene, orders[::-1] if closes_first else orders)
    (trade,) = run.trades
    assert (trade["ended_at"], trade["end_price"], trade["reason"]) == (AT, 104.0, CloseReason.CLOSED)
    assert trade["partial_count"] == (0 if closes_first else 1)


def test_what_a_manager_orders_is_gone_with_the_position() -> None:
    """The stop ends the position inside the candle, before the next open: the next position is left alone."""
    scene = scene_of(
        candles_at(100.0, 100.0, 97.0, 95.0, 95.0, 95.0),
        [
            {"timestamp": MIDNIGHT + MINUTE_MS, "position": "long", "exit": None},
            {"timestamp": AT, "position": "short", "exit": "long"},
        ],
    )
    run = managed(scene, [(AT, Command.CLOSE, 0.0), (AT, Command.PARTIAL_LOSS, 50.0)])
    assert run.trades["reason"].tolist() == [CloseReason.CLOSED, CloseReason.FRAME_END]
    assert run.trades["partial_count"].tolist() == [0, 0]


def test_an_entry_that_is_ordered_pays_the_taker_beside_a_first_one_that_was_a_maker() -> None:
    """Per-fill costs: a limit that was reached inside its candle pays no slippage, the order at the open does."""
    scene = scene_of(
        candles_at(100.0, 100.0, 97.0, 95.0, 95.0, 95.0),
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long", "price_open": 99.75}],
        PERCENT_FEE=0.1,
        PERCENT_MAKER_FEE=-0.05,
        PERCENT_SLIPPAGE=1.0,
    )
    assert twin(scene)["trades"][0]["price_open"] == 99.75
    run = managed(scene, [(AT, Command.AVERAGE_BUY, 300.0)])
    (trade,) = run.trades
    maker, taker = Rates(-0.05, 0.0), Rates(0.1, 1.0)
    entries = [(Entry(99.75, 100.0, 0), maker), (Entry(95.0, 300.0, 0), taker)]
    wanted = result_percent(1, entries, [], trade["end_price"], taker)
    assert trade["pnl_percent"] == pytest.approx(wanted, rel=1e-12)


def test_a_target_that_follows_the_average_follows_what_a_manager_bought() -> None:
    scene = scene_of(
        candles_at(100.0, 100.0, 97.0, 95.0, 95.0, 95.0),
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long"}],
        {"target_from_average_percent": 10.0},
    )
    run = managed(scene, [(AT, Command.AVERAGE_BUY, 100.0)])
    (trade,) = run.trades
    assert trade["active_take"] == pytest.approx(trade["effective_open"] * 1.1, rel=1e-12)

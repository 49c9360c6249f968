"""What is true of every run at real prices, whoever works it out (spec fills.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS
from tests.golden.fills_case import Record, differences
from tests.golden.fills_engine import play
from tests.property.fill_scenes import ALL_COLUMNS, COLUMNS, LOWEST, fill_scenes
from tests.shares import share

pytestmark = pytest.mark.real_prices
MANY = settings(max_examples=3 * settings().max_examples)
#: Columns and rules that hold a price, or a distance in units of price.
PRICES = (
    *("price_open", "price_trigger", "price_take_profit", "price_stop_loss"),
    *("set_take_profit", "set_stop_loss"),
)
#: What a record says in prices.
PRICED = ("price_open", "close_price", "peak_price", "fall_price", "price")
#: The centre of mirrored prices; what it takes away from a price of a scene on binary fractions is exact.
CENTRE = 128.0
#: Rules that know no percent of a price.
unpriced = st.fixed_dictionaries(
    {},
    optional={
        "partial_profit": st.sampled_from([[(50.0, 50.0)], [(25.0, 50.0), (50.0, 50.0), (75.0, 100.0)]]),
        "partial_loss": st.sampled_from([[(50.0, 50.0)], [(25.0, 25.0), (75.0, 100.0)]]),
        "trailing_by": st.sampled_from(["extreme", "close"]),
        "on_opposite": st.sampled_from(["ignore", "close", "reverse"]),
        "stop_may_loosen": st.booleans(),
        "cooldown_minutes": st.sampled_from([1.0, 2.0]),
        "max_hold_minutes": st.sampled_from([3.0, 7.5]),
    },
)
no_costs = st.fixed_dictionaries(
    {
        "CC_FILL_MODEL": st.sampled_from(["next_open", "last_close"]),
        "CC_PERCENT_FEE": st.just(0.0),
        "CC_PERCENT_SLIPPAGE": st.just(0.0),
        "CC_POSITION_ENTRY_COST": st.just(100.0),
        "CC_SCHEDULE_AWAIT_MINUTES": st.sampled_from([3.0, 1.0, 20.0]),
    }
)


def step_of(scene: Record) -> int:
    """Length of a candle in ms."""
    return INTERVAL_MINUTES[scene["frame"]["interval"]] * MINUTE_MS


def with_prices(
    scene: Record, change: Callable[[float], float], distance: Callable[[float], float]
) -> Record:
    """The scene with every price changed; a change that turns them over turns over sides as well."""
    turns = change(1.0) > change(2.0)

    def candle(one: list[Any]) -> list[Any]:
        opened, high, low, close = (change(price) for price in one[1:5])
        return [one[0], opened, max(high, low), min(high, low), close, one[5]]

    def row(one: Record) -> Record:
        changed = dict(one)
        for name in PRICES:
            if one.get(name) is not None:
                changed[name] = change(one[name])
        if one.get("trail_distance") is not None:
            changed["trail_distance"] = distance(one["trail_distance"])
        return turned(changed) if turns else changed

    return {
        **scene,
        "candles": [candle(one) for one in scene["candles"]],
        "rows": [row(one) for one in scene["rows"]],
    }


def turned(row: Record) -> Record:
    """A row with long for short."""
    sides = {"long": "short", "short": "long", True: True, False: False, None: None}
    changed = dict(row)
    if "target" in row:
        changed["target"] = None if row["target"] is None else -row["target"]
    if "enter_long" in row:
        for one, other in (("enter_long", "enter_short"), ("exit_long", "exit_short")):
            changed[one], changed[other] = row[other], row[one]
    if "position" in row:
        side = row["position"]
        changed["position"] = -side if isinstance(side, int) else sides[side]
        changed["exit"] = sides[row["exit"]]
    return changed


# ------------------------------------------------------------------------------------------------ symmetries


@MANY
@given(
    fill_scenes(
        columns=("stop", "take", "limit", "trigger", "set_stop_loss", "set_take_profit", "trail_distance"),
        policies=unpriced,
        settings=no_costs,
        scales=(1.0,),
        in_percent=False,
    )
)
def test_a_short_on_the_mirror_is_the_long(scene: Record) -> None:
    """Prices upside down: times, reasons, counts and orders are the same, and the prices mirror each other."""
    highest = max(candle[2] for candle in scene["candles"])
    centre = CENTRE * np.ceil(highest / CENTRE)  # no price falls to zero
    one = play(scene)
    other = play(with_prices(scene, lambda price: 2 * centre - price, lambda way: way))
    share("scenes with a trade", bool(one["trades"]), least=0.5)
    for kind in ("trades", "orders"):
        assert len(one[kind]) == len(other[kind])
        for long, short in zip(one[kind], other[kind], strict=True):
            assert {long["side"], short["side"]} == {"long", "short"}
            for name in long.keys() - {"side", "pnl_percent", "peak_percent", "fall_percent"}:
                wanted = 2 * centre - long[name] if name in PRICED else long[name]
                assert short[name] == wanted or (name in PRICED and np.isclose(short[name], wanted, 1e-12, 0))
            if kind == "trades" and not long["partials"]:
                gained = long["pnl_percent"] * long["price_open"]
                assert np.isclose(short["pnl_percent"] * short["price_open"], gained, 1e-9, 1e-9)
    assert one["rows"] == other["rows"]


@pytest.mark.parametrize("factor", [2.0, 2.0**-60, 2.0**60])
@given(scene=fill_scenes(scales=(1.0,)))
def test_other_units_of_money_give_the_same_percents(factor: float, scene: Record) -> None:
    """Prices times a power of two: everything but prices is the same to the last bit."""
    one = play(scene)
    other = play(with_prices(scene, lambda price: price * factor, lambda way: way * factor))
    share("scenes with a trade", bool(one["trades"]), least=0.5)
    for kind in ("trades", "orders"):
        for record in one[kind]:
            record.update({name: record[name] * factor for name in PRICED if name in record})
    assert one == other


@given(fill_scenes(), st.integers(1, 500))
def test_another_day_gives_the_same_trades(scene: Record, days: int) -> None:
    """Moving everything in time moves the trades."""
    shift = days * 24 * 60 * MINUTE_MS
    frame = scene["frame"]
    moved = {
        **scene,
        "candles": [[one[0] + shift, *one[1:]] for one in scene["candles"]],
        "rows": [{**row, "timestamp": row["timestamp"] + shift} for row in scene["rows"]],
        "frame": {**frame, "start_ms": frame["start_ms"] + shift, "end_ms": frame["end_ms"] + shift},
    }
    one, other = play(scene), play(moved)
    for record in (*one["trades"], *one["orders"]):
        record.update({name: record[name] + shift for name in record if name.endswith("_at")})
    assert one == other


# --------------------------------------------------------------------------------------------- no look-ahead


@MANY
@given(fill_scenes(), st.data())
def test_later_candles_change_no_earlier_trade(scene: Record, data: st.DataObject) -> None:
    """What ended, and what became of orders, before a moment is the same whatever the candles from it on are."""
    candles, step = scene["candles"], step_of(scene)
    cut = data.draw(st.integers(1, len(candles)))
    moment = candles[cut - 1][0] + step  # all that is known at this time is the candles before
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    later = []
    for time, *prices, volume in candles[cut:]:
        opened, close = (float(price) for price in dice.choice(prices, 2) * dice.choice([0.5, 1.0, 1.5], 2))
        later.append([time, opened, max(opened, close) * 1.25, min(opened, close) * 0.75, close, volume])
    one, other = play(scene), play({**scene, "candles": candles[:cut] + later})
    known = {
        kind: [[e for e in record[kind] if e["ended_at"] < moment] for record in (one, other)]
        for kind in ("trades", "orders")
    }
    share("cuts behind a trade", bool(known["trades"][0]), least=0.2)
    for kind, (before, after) in known.items():
        assert before == after, kind


@given(fill_scenes(), st.data())
def test_later_rows_change_no_earlier_trade(scene: Record, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(scene["rows"])))
    kept, dropped = scene["rows"][:cut], scene["rows"][cut:]
    moment = dropped[0]["timestamp"] if dropped else scene["frame"]["end_ms"] + 1
    one, other = play(scene), play({**scene, "rows": kept})
    early = [[trade for trade in record["trades"] if trade["ended_at"] < moment] for record in (one, other)]
    share("cuts behind a trade", bool(early[0]), least=0.2)
    assert early[0] == early[1]


@given(fill_scenes(), st.integers(1, 9))
def test_candles_after_the_frame_change_nothing(scene: Record, count: int) -> None:
    """Nor do those before it, but for the last one."""
    step, end = step_of(scene), scene["frame"]["end_ms"]
    first = max(scene["candles"][-1][0], end // step * step) + step
    more = [[first + k * step, 1.0, 900.0, 0.5, 2.0, 1.0] for k in range(count)]
    before = [
        [scene["candles"][0][0] - (k + 2) * step, 1.0, 900.0, 0.5, 2.0, 1.0] for k in reversed(range(count))
    ]
    one = play(scene)
    assert play({**scene, "candles": scene["candles"] + more}) == one
    assert play({**scene, "candles": before + scene["candles"]}) == one


# ------------------------------------------------------------------------------------------- what always holds


def prices_at(scene: Record, time: int) -> list[tuple[float, float]]:
    """Ranges in which a fill of this time can lie: of the candle that closes then, of an open or a last close."""
    step, candles = step_of(scene), scene["candles"]
    found = []
    for before, candle in zip([None, *candles], candles, strict=False):
        if candle[0] == time:
            found.append((candle[1], candle[1]))
            found += [(before[4], before[4])] if before else []
        if candle[0] + step == time:
            found.append((candle[3], candle[2]))
    return found or [(candles[-1][4], candles[-1][4])]


def is_inside(scene: Record, time: int, price: float) -> bool:
    """Whether the market had this price at this time; at the end of the frame the last close counts."""
    ends = time + step_of(scene) > scene["frame"]["end_ms"]
    known = [candle[4] for candle in scene["candles"] if candle[0] < time]
    ranges = prices_at(scene, time) + ([(known[-1], known[-1])] if ends and known else [])
    return any(low <= price <= high for low, high in ranges)


@MANY
@given(fill_scenes())
def test_every_fill_is_a_price_that_the_market_had(scene: Record) -> None:
    for trade in play(scene)["trades"]:
        assert is_inside(scene, trade["ended_at"], trade["close_price"]), trade
        if trade["entries"] == 1:
            assert is_inside(scene, trade["opened_at"], trade["price_open"]), trade


@MANY
@given(fill_scenes())
def test_what_is_true_of_every_trade(scene: Record) -> None:
    frame, step = scene["frame"], step_of(scene)
    last = frame["start_ms"] + (frame["end_ms"] - frame["start_ms"]) // step * step
    record, policy = play(scene), scene["policy"]
    cooldown = policy.get("cooldown_minutes", 0.0) * MINUTE_MS
    share("scenes with a trade", bool(record["trades"]), least=0.5)
    before = None
    for trade in record["trades"]:
        assert frame["start_ms"] <= trade["opened_at"] <= trade["ended_at"] <= last + step
        assert trade["fall_percent"] <= trade["pnl_percent"] <= trade["peak_percent"]
        side = 1 if trade["side"] == "long" else -1
        for price in (trade["close_price"], trade["price_open"] if trade["entries"] == 1 else np.nan):
            assert not side * (price - trade["peak_price"]) > 0
            assert not side * (price - trade["fall_price"]) < 0
        if before is not None:
            assert trade["opened_at"] >= before["ended_at"]
            resting = any(order["ended_at"] == trade["opened_at"] for order in record["orders"])
            assert resting or trade["opened_at"] - before["ended_at"] >= cooldown
        if trade["reason"] == "frame_end":
            assert trade["ended_at"] == last
        before = trade
    for order in record["orders"]:
        assert frame["start_ms"] <= order["placed_at"] <= order["ended_at"] <= last + step
        assert order["ended_at"] > order["placed_at"] or order["outcome"] == "filled"
    filled = sum(order["outcome"] == "filled" for order in record["orders"])
    assert filled <= len(record["trades"])


@MANY
@given(fill_scenes(ways=("position", "signs", "booleans")))
def test_every_entry_row_of_the_frame_is_counted_once(scene: Record) -> None:
    frame, step = scene["frame"], step_of(scene)
    last = frame["start_ms"] + (frame["end_ms"] - frame["start_ms"]) // step * step
    asked = sum(
        bool(row.get("position") or row.get("enter_long") or row.get("enter_short"))
        for row in scene["rows"]
        if frame["start_ms"] <= row["timestamp"] <= last
    )
    record = play(scene)
    share("scenes with an entry row", asked > 0, least=0.8)
    assert sum(record["rows"].values()) == asked
    assert min(record["rows"].values()) >= 0
    closed = scene["policy"].get("on_opposite") == "close"
    market = len(record["trades"]) - sum(order["outcome"] == "filled" for order in record["orders"])
    turned_over = sum(trade["reason"] == "reversed" for trade in record["trades"]) if closed else 0
    assert record["rows"]["taken"] == market + len(record["orders"]) + turned_over


@MANY
@given(fill_scenes(columns=ALL_COLUMNS))
def test_rows_for_another_symbol_do_nothing(scene: Record) -> None:
    """They neither enter nor exit nor move a level, and no target changes by them; an entry is counted."""
    own = [row for row in scene["rows"] if row.get("symbol") != "OTHER"]
    share("scenes with rows for another symbol", len(own) < len(scene["rows"]), least=0.05)
    if not own:
        assert play(scene)["trades"] == []
        return
    one, other = play(scene), play({**scene, "rows": own})
    assert one["trades"] == other["trades"]
    assert one["orders"] == other["orders"]
    assert one["rows"]["taken"] == other["rows"]["taken"]
    assert one["rows"]["refused"] >= other["rows"]["refused"]


# ------------------------------------------------------------------------------------------- more is not better


first_rows = fill_scenes(
    columns=("take", "lifetime", "limit", "trigger"),
    ways=("position",),
    densities=(0.2, 0.05),
    in_percent=False,
)


@MANY
@given(first_rows, st.integers(1, 20))
def test_a_stop_never_makes_a_trade_longer(scene: Record, units: int) -> None:
    """Of the first position: with a stop it ends no later, and where the stop did not end it nothing changes."""
    policy = {
        name: value
        for name, value in scene["policy"].items()
        if name not in ("partial_loss", "stop_may_loosen")
    }
    guards = ("CC_MIN_STOPLOSS_DISTANCE_PERCENT", "CC_MAX_STOPLOSS_DISTANCE_PERCENT")
    constants = {name: value for name, value in scene["settings"].items() if name not in guards}
    scene = {**scene, "policy": policy, "settings": constants}
    one = play(scene)
    if not one["trades"] or one["rows"]["refused"]:
        share("scenes with a trade", False, least=0.2)
        return
    share("scenes with a trade", True)
    first = one["trades"][0]
    side = 1 if first["side"] == "long" else -1
    asked = {candle[0]: candle for candle in scene["candles"]}
    unit = scene["candles"][0][1] / 1e6
    rows = []
    for row in scene["rows"]:
        entry = row.get("price_open") or row.get("price_trigger") or asked.get(row["timestamp"], [0, 0.0])[1]
        own = {"long": 1, "short": -1, None: 0}[row["position"]]
        stop = entry * (1 - own * units / 100) - own * unit
        rows.append({**row, "price_stop_loss": stop} if own and stop > 0 else row)
    other = play({**scene, "rows": rows})
    same = [trade for trade in other["trades"] if trade["opened_at"] == first["opened_at"]]
    assert same
    assert same[0]["ended_at"] <= first["ended_at"]
    assert side * (same[0]["fall_price"] - first["fall_price"]) >= -unit * 1e-6
    if same[0]["reason"] not in ("stop_loss", "trailing_stop"):
        assert list(differences({**one, "trades": [first]}, {**one, "trades": [same[0]]})) == []


@given(
    fill_scenes(columns=tuple(name for name in COLUMNS if name != "fee_percent")), st.sampled_from([0.1, 1.0])
)
def test_a_fee_makes_every_trade_worse_and_moves_none(scene: Record, fee: float) -> None:
    """Where no rule goes by the result."""
    by_result = ("close_at_profit_percent", "close_at_loss_percent", "exit_profit_only")
    policy = {name: value for name, value in scene["policy"].items() if name not in by_result}
    plain = {name: value for name, value in scene["settings"].items() if name != "CC_PERCENT_MAKER_FEE"}
    one, other = (
        play({**scene, "policy": policy, "settings": {**plain, "CC_PERCENT_FEE": percent}})
        for percent in (0.0, fee)
    )
    moved = {"pnl_percent", "peak_percent", "fall_percent"}
    for free, paid in zip(one["trades"], other["trades"], strict=True):
        assert all(free[name] == paid[name] for name in free.keys() - moved)
        assert paid["pnl_percent"] < free["pnl_percent"]


def test_prices_of_scenes_leave_room_for_a_mirror() -> None:
    """The mirror's lowest price is above zero."""
    assert LOWEST > 0

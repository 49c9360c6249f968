"""The slow twin gives the worked examples of the specification and keeps to its deviations."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.naive import Engine, MissingCandlesError, Outcome, run
from tests.naive.pnl import Costs, Entry, Partial, closing_pnl
from tests.naive.settings import MINUTE

T0 = 1_700_006_400_000
"""A whole hour; ``minute(4)`` is 00:04 of the examples."""

Candles = list[tuple[int, float, float, float, float, float]]


def minute(number: int) -> int:
    return T0 + number * MINUTE


def flat(price: Callable[[int], float], last: int = 200, lows: dict[int, float] | None = None) -> Candles:
    """Candles of one price each, from 00:-10 on; ``lows`` are wicks without weight."""
    return [
        (minute(m), price(m), price(m), (lows or {}).get(m, price(m)), price(m), 0.0 if lows else 1.0)
        for m in range(-10, last + 1)
    ]


def once(when: int, **signal: Any) -> Callable[[Engine, int, float], dict[str, Any] | None]:
    """A strategy that answers one signal at minute ``when``."""
    return lambda engine, now, price: {"id": "a", **signal} if now == minute(when) else None


def play(candles: Candles, get_signal: Any, last: int = 150, **more: Any) -> Outcome:
    return run(candles, frame=("1m", minute(0), minute(last)), get_signal=get_signal, **more)


def heard(outcome: Outcome, *kinds: str) -> list[tuple[Any, ...]]:
    """Kind, minute and what else tells events of these kinds apart."""
    return [
        (event["e"], (event["t"] - T0) // MINUTE, event.get("action", event.get("level")))
        for event in outcome.events
        if event["e"] in kinds
    ]


LONG = "long"
PNL_EXAMPLES: list[
    tuple[str, list[tuple[float, float]], list[tuple[float, float, float, int]], float, float]
] = [
    (LONG, [(100, 100)], [], 110, 9.570439560439567),
    ("short", [(100, 100)], [], 90, 9.629639639639656),
    (LONG, [(100, 100)], [], 100, -0.39960039960038823),
    (LONG, [(100, 100), (90, 100)], [], 100, 5.13931068931072),
    (LONG, [(100, 100), (80, 300)], [], 100, 18.29422452547453),
    (LONG, [(100, 100)], [(30, 105, 100, 1)], 110, 8.07493356643357),
    (LONG, [(100, 100), (95, 100)], [(30, 105, 100, 1), (50, 102, 170, 2)], 108, 7.340299043062201),
    ("short", [(100, 250)], [(40, 103, 250, 1)], 105, -4.613017217217203),
    (LONG, [(100, 100)], [(50, 105, 100, 1), (100, 106, 50, 1)], 7, 5.0839215784215845),
    (LONG, [(100, 100), (90, 100)], [(50, 105, 100, 1)], 110, 14.416986763236778),
]


@pytest.mark.parametrize(("position", "entries", "partials", "price", "percent"), PNL_EXAMPLES)
def test_pnl_examples(
    position: str,
    entries: list[tuple[float, float]],
    partials: list[tuple[float, float, float, int]],
    price: float,
    percent: float,
) -> None:
    pnl = closing_pnl(
        position,
        [Entry(at, cost, 0) for at, cost in entries],
        [Partial("profit", share, at, basis, count, 0) for share, at, basis, count in partials],
        entries[0][0],
        price,
        Costs(0.1, 0.1),
    )
    assert pnl.pnl_percentage == percent


def test_monitoring_example() -> None:
    outcome = play(
        flat(lambda m: 100 - 0.2 * m if m < 6 else 100 + 0.3 * (m - 6)),
        once(4, position="long", price_take_profit=103, price_stop_loss=95, minute_estimated_time=20),
    )
    kinds = ("highest_profit", "max_drawdown", "breakeven", "partial_profit", "partial_loss")
    assert [event for event in heard(outcome, *kinds) if event[1] <= 10] == [
        ("max_drawdown", 4, None),
        ("max_drawdown", 5, None),
        ("highest_profit", 8, None),
        ("highest_profit", 9, None),
        ("partial_profit", 9, 10),
        ("highest_profit", 10, None),
        ("breakeven", 10, None),
        ("partial_profit", 10, 20),
    ]
    closed = outcome.results[-1]
    assert (closed["close_reason"], closed["current_price"]) == ("take_profit", 103)
    assert closed["close_timestamp"] == minute(18)
    assert outcome.active_pings[0]["last"] == minute(17)


def dca_candles() -> Candles:
    def close(m: int) -> float:
        if m <= 5:
            return 100
        return 100 - 0.4 * (m - 5) if m <= 15 else 96 + 0.5 * (m - 15)

    return [
        (minute(m), close(m), close(m) + 0.1, close(m) - 0.1, close(m), 1.0 + m % 3) for m in range(-10, 201)
    ]


def test_dca_lifecycle_example() -> None:
    asked: dict[int, list[Callable[[Engine], Any]]] = {
        10: [lambda e: e.commit_average_buy("S")],
        11: [lambda e: e.commit_average_buy("S", 50)],
        12: [lambda e: e.commit_partial_loss("S", 20)],
        14: [lambda e: e.commit_average_buy("S", 200)],
        22: [lambda e: e.commit_partial_profit_cost("S", 60)],
        24: [lambda e: e.commit_trailing_stop("S", -5, 99.4), lambda e: e.commit_breakeven("S")],
    }
    answers: list[bool] = []
    entries: list[float] = []

    def on_ping(engine: Engine, event: Any) -> None:
        for command in asked.get((event.timestamp - T0) // MINUTE, []):
            answers.append(command(engine))
            entries.append(engine.get_position_effective_price("S"))

    outcome = play(
        dca_candles(),
        once(5, position="long", price_take_profit=106, price_stop_loss=92, minute_estimated_time=45),
        listeners={"active_ping": on_ping},
    )
    assert answers == [True, True, True, True, False, True, False]
    assert entries[:2] == [99.63869931754316, 99.46080918730821]
    assert entries[3:] == [98.49896996055922] * 4
    closed = outcome.results[-1]
    assert closed["pnl"]["pnl_percentage"] == 6.2271071556498665
    assert closed["pnl"]["pnl_cost"] == 28.0219822004244
    assert closed["close_timestamp"] == minute(37)
    assert closed["signal"]["price_stop_loss"] == 96.92494849802796
    assert closed["signal"]["max_drawdown"]["pnl_percentage"] == -2.2703523540907504


@pytest.mark.parametrize(
    ("lows", "last"),
    [
        ({4: 97}, ("closed", "time_expired", 9)),
        ({9: 89}, ("cancelled", "price_reject", 9)),
        ({0: 99}, ("cancelled", "timeout", 124)),
    ],
)
def test_resting_order_example(lows: dict[int, float], last: tuple[str, str, int]) -> None:
    signal = once(
        4, position="long", price_open=98, price_take_profit=120, price_stop_loss=90, minute_estimated_time=5
    )
    outcome = play(flat(lambda m: 100, lows=lows), signal)
    result = outcome.results[-1]
    reason = result.get("close_reason", result.get("reason"))
    assert (result["action"], reason, (result["close_timestamp"] - T0) // MINUTE) == last
    if last[0] == "closed":
        opened = outcome.results[-2]
        assert (opened["current_price"], opened["created_at"]) == (98, minute(4))
        assert (outcome.active_pings[0]["first"], outcome.active_pings[0]["last"]) == (minute(5), minute(8))


def test_frame_end_example() -> None:
    signal = once(4, position="long", price_take_profit=110, price_stop_loss=90, minute_estimated_time=60)
    outcome = play(flat(lambda m: 100), signal, last=10)
    closed = outcome.results[-1]
    assert (closed["close_reason"], closed["close_timestamp"]) == ("time_expired", minute(11))
    assert outcome.active_pings[0]["count"] == 7


SCHEDULED = {
    "position": "long",
    "price_open": 98,
    "price_take_profit": 120,
    "price_stop_loss": 90,
    "minute_estimated_time": 5,
}
MARKET = {"position": "long", "price_take_profit": 120, "price_stop_loss": 90, "minute_estimated_time": 5}


def test_a_close_asked_for_at_the_opening_tick_is_told_once() -> None:
    def on_open(engine: Engine, event: Any) -> None:
        engine.commit_close_pending("S", {"id": "early"})

    outcome = play(flat(lambda m: 100), once(4, **MARKET), listeners={"signal_event": on_open})
    assert heard(outcome, "signal_event", "commit") == [
        ("signal_event", 4, "opened"),
        ("commit", 4, "close-pending"),
        ("signal_event", 4, "closed"),
    ]
    assert outcome.results[-1]["close_id"] == "early"


def test_an_activation_asked_for_while_the_order_is_announced_opens_on_the_next_candle() -> None:
    def on_schedule(engine: Engine, event: Any) -> None:
        engine.commit_activate_scheduled("S")

    outcome = play(flat(lambda m: 100), once(4, **SCHEDULED), listeners={"order_schedule": on_schedule})
    assert [result["action"] for result in outcome.results] == ["scheduled", "opened", "closed"]
    assert outcome.results[1]["created_at"] == minute(4)


def test_a_close_asked_for_while_an_activation_opens_executes_on_the_next_candle() -> None:
    def on_open(engine: Engine, event: Any) -> None:
        engine.commit_close_pending("S")

    outcome = play(
        flat(lambda m: 100, lows={6: 97}), once(4, **SCHEDULED), listeners={"signal_event": on_open}
    )
    assert heard(outcome, "signal_event") == [("signal_event", 6, "opened"), ("signal_event", 7, "closed")]


def test_a_signal_that_costs_nothing_is_invalid() -> None:
    outcome = play(flat(lambda m: 100), once(4, **MARKET, cost=0))
    assert (outcome.results, outcome.error_count) == ([], 1)


def test_a_dropped_activation_shows_one_price_and_is_told_to_on_cancel() -> None:
    dropped: list[tuple[Any, ...]] = []
    outcome = play(
        flat(lambda m: 100, lows={6: 97}),
        once(4, **SCHEDULED),
        risk=lambda candidate, price, when: when != minute(6),
        listeners={"on_cancel": lambda engine, told: dropped.append(told[1:])},
    )
    assert dropped == [(100, minute(6))]
    assert [event["price"] for event in outcome.events if event.get("action") == "cancelled"] == [100, 100]


def test_a_position_without_end_closes_where_its_candles_end() -> None:
    candles = flat(lambda m: 100, last=30)
    endless = {**MARKET, "minute_estimated_time": math.inf}
    outcome = play(candles, once(4, **endless), 30, config={"CC_MAX_SIGNAL_LIFETIME_MINUTES": math.inf})
    closed = outcome.results[-1]
    assert (closed["close_reason"], closed["close_timestamp"]) == ("time_expired", minute(30))


def test_a_position_with_an_end_needs_its_candles() -> None:
    with pytest.raises(MissingCandlesError):
        play(flat(lambda m: 100, last=6), once(4, **MARKET))


def test_a_listener_that_raises_is_one_error_and_changes_nothing_else() -> None:
    def fail(engine: Engine, event: Any) -> None:
        raise RuntimeError("listener")

    calm = play(flat(lambda m: 100), once(4, **MARKET))
    loud = play(flat(lambda m: 100), once(4, **MARKET), listeners={"signal_event": fail})
    assert loud.results == calm.results
    assert (calm.error_count, loud.error_count) == (0, 2)


def test_a_signal_created_inside_get_signal_takes_the_place_of_its_answer() -> None:
    def get_signal(engine: Engine, when: int, price: float) -> dict[str, Any] | None:
        if when != minute(4):
            return None
        engine.commit_create_signal("S", {"id": "b", **MARKET})
        return {"id": "a", **MARKET}

    outcome = play(flat(lambda m: 100), get_signal)
    assert [result["signal"]["id"] for result in outcome.results] == ["b", "b"]

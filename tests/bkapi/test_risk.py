"""Risk profiles: what a validation may answer, what it is shown, who shares positions, and what a run asks when."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

import bkapi as bk
from bkapi.risk.client import use_position_store
from tests.bkapi.short_runs import CONTEXT, MIDNIGHT_MS, SYMBOL, candles_of, minute_of, register

NAMES = {"exchange_name": "memory", "frame_name": "minutes"}
WHEN = MIDNIGHT_MS + 7 * 60_000
LONG = {"position": "long", "price_take_profit": 110.0, "price_stop_loss": 95.0}
FLAT = [100.0] * 60


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    bk.reset()
    yield
    bk.reset()


def client(*validations: Any, callbacks: Any = None, name: str = "calm", **options: Any) -> bk.ClientRisk:
    schema = bk.add_risk_schema(risk_name=name, validations=list(validations), callbacks=callbacks)
    return bk.ClientRisk(schema, NAMES["exchange_name"], NAMES["frame_name"], **options)


def check(strategy: str = "dip", signal: Mapping[str, Any] = LONG, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": SYMBOL,
        "current_signal": signal,
        "strategy_name": strategy,
        **NAMES,
        "current_price": 100.0,
        "timestamp": WHEN,
        **changes,
    }


def at(call: Callable[[], Any], when: int = WHEN, **names: Any) -> Any:
    """What ``call`` answers inside a run at ``when``."""
    return bk.run_in_mock_context(call, symbol=SYMBOL, when=when, **{"backtest": True, **names})


def names_of(strategy: str) -> dict[str, str]:
    return {"strategy_name": strategy, **NAMES}


def opened(**changes: Any) -> dict[str, Any]:
    return {
        "position": "long",
        "price_open": 100.0,
        "price_stop_loss": 95.0,
        "price_take_profit": 110.0,
        "minute_estimated_time": 60,
        "open_timestamp": WHEN,
        **changes,
    }


def raises(error: Exception) -> Callable[[Any], Any]:
    def validate(payload: Any) -> Any:
        raise error

    return validate


# ------------------------------------------------------------------------------------------ what an answer means

DEFAULT = "Validation rejected the signal"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        True,
        np.True_,
        0,
        1,
        0.0,
        [],
        ["no"],
        (),
        pytest.param(object(), id="object"),
        np.array(False),
    ],
    ids=repr,
)
def test_an_answer_that_allows(answer: Any) -> None:
    risk = client(lambda payload: answer)
    assert at(lambda: risk.check_signal(check())) is True


@pytest.mark.parametrize(
    ("answer", "rejection"),
    [
        ("too many", (None, "too many")),
        (" ", (None, " ")),
        ({}, (None, DEFAULT)),
        ({"note": "closed"}, (None, "closed")),
        ({"id": "r1", "note": ""}, ("r1", DEFAULT)),
        ({"id": "", "note": "closed"}, (None, "closed")),
        (False, (None, DEFAULT)),
        (np.False_, (None, DEFAULT)),
    ],
    ids=repr,
)
def test_an_answer_that_rejects(answer: Any, rejection: tuple[str | None, str]) -> None:
    risk, heard = client({"validate": lambda payload: answer, "note": "documentation only"}), []
    bk.listen_risk(heard.append)
    assert at(lambda: risk.check_signal(check())) is False
    assert [(event.rejection_id, event.rejection_note) for event in heard] == [rejection]


@pytest.mark.parametrize(
    ("error", "note"),
    [(ValueError("no margin"), "no margin"), (KeyError(), "KeyError"), (ValueError(""), "ValueError")],
)
def test_an_error_rejects_and_is_told_to_listen_validation(error: Exception, note: str) -> None:
    risk, heard, errors = client(raises(error)), [], []
    bk.listen_risk(heard.append)
    bk.listen_validation(errors.append)
    assert at(lambda: risk.check_signal_and_reserve(check())) is False
    assert [event.rejection_note for event in heard] == [note]
    assert errors == [error]
    assert risk.positions == []


def test_a_mapping_without_a_function_rejects_every_signal() -> None:
    risk = client({"note": "forgotten"})
    assert at(lambda: risk.check_signal(check())) is False


def test_validations_are_asked_in_order_until_one_rejects() -> None:
    asked: list[str] = []

    def validation(name: str, answer: Any) -> Any:
        return lambda payload: asked.append(name) or answer

    async def waits(payload: Any) -> str:
        asked.append("waits")
        await asyncio.sleep(0)
        return "later than never"

    risk = client(
        validation("first", None), {"validate": validation("second", True)}, waits, validation("last", "no")
    )
    assert at(lambda: risk.check_signal(check())) is False
    assert asked == ["first", "second", "waits"]


def test_without_validations_everything_is_allowed() -> None:
    assert at(lambda: client().check_signal(check())) is True


def test_a_question_that_lacks_a_part_says_which() -> None:
    risk = client()
    with pytest.raises(bk.RiskError, match="needs current_price"):
        at(lambda: risk.check_signal(check(current_price=None)))
    with pytest.raises(bk.RiskError, match="is no signal"):
        at(lambda: risk.check_signal(check(current_signal=7)))


# ------------------------------------------------------------------------------------------ what a validation is shown


def payloads(risk_payloads: list[Any], *, times: int = 1) -> list[Callable[[Any], None]]:
    return [risk_payloads.append] * times


def test_a_market_signal_is_shown_at_the_price_now_with_the_cost_of_the_round_trip() -> None:
    seen: list[Any] = []
    risk = client(*payloads(seen, times=2))
    score = {"deep": [1]}
    signal = {**LONG, "score": score}
    at(lambda: risk.check_signal(check(signal=signal)))
    first, second = seen
    assert first is second
    shown = first.current_signal
    assert (first.symbol, first.strategy_name, first.exchange_name, first.frame_name, first.risk_name) == (
        *(SYMBOL, "dip", "memory", "minutes", "calm"),
    )
    assert (first.current_price, first.timestamp, first.active_position_count) == (100.0, WHEN, 0)
    assert shown.price_open == shown.original_price_open == 100.0
    assert (shown.price_take_profit, shown.original_price_stop_loss) == (110.0, 95.0)
    assert (shown.cost, shown.timestamp) == (100, WHEN)
    assert (shown.total_entries, shown.total_partials, shown.partial_executed) == (1, 0, 0)
    assert shown.pnl == shown.max_drawdown == shown.peak_profit
    assert shown.pnl.pnl_percentage == -0.39960039960038823  # the flat long of spec engine.md 9.5
    assert (shown.id, shown.minute_estimated_time, shown.note) == (None, None, None)
    assert shown.extra == {"score": score}
    assert shown.extra["score"] is not score
    assert shown.to_dict()["score"] == score


def test_a_limit_signal_is_priced_as_if_it_had_opened_at_its_limit() -> None:
    seen: list[Any] = []
    risk = client(*payloads(seen))
    at(
        lambda: risk.check_signal(
            check(signal={**LONG, "price_open": 98.0, "cost": 0, "minute_estimated_time": 30})
        )
    )
    (payload,) = seen
    shown = payload.current_signal
    assert (shown.price_open, shown.cost, shown.minute_estimated_time) == (98.0, 100, 30)
    assert shown.pnl == bk.to_profit_loss_dto({"position": "long", "price_open": 98.0, "cost": 100}, 100.0)
    assert 1.5 < shown.pnl.pnl_percentage < 1.7


@pytest.mark.parametrize(
    "broken",
    [
        {"position": "up"},
        {"price_open": math.nan},
        {"price_open": "low"},
        {"price_open": -1.0},
        {"cost": -5.0},
    ],
    ids=repr,
)
def test_a_signal_that_cannot_open_is_shown_without_a_result(broken: dict[str, Any]) -> None:
    seen: list[Any] = []
    risk = client(*payloads(seen))
    assert at(lambda: risk.check_signal(check(signal={**LONG, **broken}))) is True
    assert seen[0].current_signal.pnl.pnl_percentage == 0.0


def test_open_positions_are_shown_in_the_order_in_which_they_opened() -> None:
    seen: list[Any] = []
    risk = client(*payloads(seen))

    def play() -> None:
        risk.add_signal("ETHUSDT", names_of("late"), opened(open_timestamp=3))
        risk.add_signal(SYMBOL, names_of("early"), opened(open_timestamp=1, minute_estimated_time=math.inf))
        risk.add_signal(
            "ETHUSDT", names_of("late"), opened(open_timestamp=5, position="short")
        )  # in its place
        risk.check_signal(check())

    at(play)
    (payload,) = seen
    assert payload.active_position_count == 2
    assert payload.active_positions == [
        bk.ActivePosition(*("late", *NAMES.values(), "ETHUSDT", "short", 100.0, 95.0, 110.0, 60, 5)),
        bk.ActivePosition(*("early", *NAMES.values(), SYMBOL, "long", 100.0, 95.0, 110.0, math.inf, 1)),
    ]


# ------------------------------------------------------------------------------------------ who is told


def test_a_rejection_shows_the_signal_as_it_came_at_the_clock_of_the_run() -> None:
    heard: list[Any] = []
    calls: list[Any] = []
    told = {
        "on_rejected": lambda symbol, args: calls.append(("rejected", symbol, args)),
        "on_allowed": lambda symbol, args: calls.append(("allowed", symbol, args)),
    }
    risk = client(lambda payload: "no" if payload.current_price > 99 else None, callbacks=told)
    bk.listen_risk(heard.append)
    signal = {**LONG, "mine": 1, "note": None}
    at(lambda: risk.check_signal(check(signal=signal, timestamp=1)))
    at(lambda: risk.check_signal(check(signal=signal, current_price=98.0)))
    (event,) = heard
    assert event.timestamp == WHEN
    assert {name: event.current_signal[name] for name in (*LONG, "mine")} == {**LONG, "mine": 1}
    assert "id" not in event.current_signal
    assert "price_open" not in event.current_signal
    assert (event.backtest, event.active_position_count, event.frame_name) == (True, 0, "minutes")
    assert [(what, symbol) for what, symbol, _ in calls] == [("rejected", SYMBOL), ("allowed", SYMBOL)]
    args = calls[0][2]
    assert args.current_signal is signal
    assert (args.timestamp, args.current_price, args.risk_name) == (1, 100.0, "calm")


def test_what_callbacks_and_listeners_raise_changes_nothing() -> None:
    errors: list[Exception] = []
    bk.listen_error(errors.append)

    def fails(*_: Any) -> None:
        raise ValueError("odd")

    risk = client(
        lambda payload: payload.current_price > 99, callbacks={"on_allowed": fails, "on_rejected": fails}
    )
    bk.listen_risk(fails)
    assert at(lambda: risk.check_signal_and_reserve(check())) is True
    assert at(lambda: risk.check_signal_and_reserve(check("other", current_price=98.0))) is False
    assert [str(error) for error in errors] == ["odd"] * 3
    assert [place.strategy_name for place in risk.positions] == ["dip"]


# ------------------------------------------------------------------------------------------ places


def at_most(count: int) -> Callable[[Any], str | None]:
    def validate(payload: Any) -> str | None:
        time.sleep(0.02)  # long enough for the others to come
        return f"{count} are open" if payload.active_position_count >= count else None

    return validate


@pytest.mark.parametrize(("method", "admitted"), [("check_signal", 3), ("check_signal_and_reserve", 1)])
def test_of_three_that_check_at_once_only_a_reservation_lets_one_pass(method: str, admitted: int) -> None:
    risk, answers = client(at_most(1)), []
    gate = threading.Barrier(3)

    def ask(strategy: str) -> None:
        gate.wait()
        answers.append(at(lambda: getattr(risk, method)(check(strategy))))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answers) == admitted
    assert len(risk.positions) == (0 if method == "check_signal" else 1)


def test_a_reservation_holds_the_place_that_the_position_takes() -> None:
    risk = client()
    at(lambda: risk.check_signal(check(), {"reserve": True}))
    (place,) = risk.positions
    assert (place.price_open, place.minute_estimated_time, place.open_timestamp) == (100.0, 1440, WHEN)
    at(lambda: risk.add_signal(SYMBOL, names_of("dip"), opened(price_open=99.0)))
    (place,) = risk.positions
    assert place.price_open == 99.0
    at(lambda: risk.remove_signal(SYMBOL, names_of("dip")))
    at(lambda: risk.remove_signal(SYMBOL, names_of("dip")))
    assert risk.positions == []


def test_its_own_reservation_does_not_count_against_a_strategy_but_its_position_does() -> None:
    risk = client(lambda payload: "full" if payload.active_position_count else None)
    assert at(lambda: risk.check_signal_and_reserve(check())) is True
    assert at(lambda: risk.check_signal_and_reserve(check())) is True
    assert at(lambda: risk.check_signal(check("other"))) is False
    assert at(lambda: risk.check_signal(check(symbol="ETHUSDT"))) is False
    at(lambda: risk.add_signal(SYMBOL, names_of("dip"), opened()))
    assert at(lambda: risk.check_signal(check())) is False


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("in_a_loop", [False, True])
def test_a_validation_may_ask_another_risk_profile(is_async: bool, in_a_loop: bool) -> None:
    inner = client(name="inner")

    def ask(payload: Any) -> bool:
        return inner.check_signal_and_reserve(check(payload.strategy_name))

    async def ask_later(payload: Any) -> bool:
        await asyncio.sleep(0)
        return ask(payload)

    outer = client(ask_later if is_async else ask)

    async def looped() -> bool:
        return bool(at(lambda: outer.check_signal_and_reserve(check())))

    def answer() -> None:
        answers.append(
            asyncio.run(looped()) if in_a_loop else at(lambda: outer.check_signal_and_reserve(check()))
        )

    answers: list[bool] = []
    asking = threading.Thread(target=answer, daemon=True)
    asking.start()
    asking.join(20)
    assert answers == [True]  # else it waits for itself
    assert len(inner.positions) == len(outer.positions) == 1


# ------------------------------------------------------------------------------------------ several profiles


def merged(answers: Mapping[str, Any]) -> tuple[bk.MergeRisk, dict[str, bk.ClientRisk], list[str]]:
    asked: list[str] = []

    def validation(name: str) -> Callable[[Any], Any]:
        def validate(payload: Any) -> Any:
            assert payload.risk_name == name
            asked.append(name)
            return answers[name]

        return validate

    risks = {name: client(validation(name), name=name) for name in answers}
    return bk.MergeRisk(risks), risks, asked


def test_several_profiles_are_asked_in_order_and_reserve_in_all() -> None:
    merge, risks, asked = merged({"b": None, "a": True, "c": None})
    assert at(lambda: merge.check_signal(check())) is True
    assert [len(risk.positions) for risk in risks.values()] == [0, 0, 0]
    assert at(lambda: merge.check_signal_and_reserve(check())) is True
    assert asked == ["b", "a", "c"] * 2
    assert [len(risk.positions) for risk in risks.values()] == [1, 1, 1]
    at(lambda: merge.add_signal(SYMBOL, names_of("dip"), opened(price_open=90.0)))
    assert [risk.positions[0].price_open for risk in risks.values()] == [90.0] * 3
    at(lambda: merge.remove_signal(SYMBOL, names_of("dip")))
    assert [len(risk.positions) for risk in risks.values()] == [0, 0, 0]


def test_a_rejection_by_a_later_profile_leaves_no_reservation_and_is_told_by_it_alone() -> None:
    heard: list[Any] = []
    bk.listen_risk(heard.append)
    merge, risks, asked = merged({"first": None, "second": "no", "third": None})
    at(lambda: risks["first"].add_signal(SYMBOL, names_of("dip"), opened()))
    before = risks["first"].positions
    assert at(lambda: merge.check_signal_and_reserve(check())) is False
    assert asked == ["first", "second"]
    assert risks["first"].positions == before
    assert [(event.rejection_note, event.active_position_count) for event in heard] == [("no", 0)]


def test_every_profile_hears_of_a_position_though_one_of_them_fails() -> None:
    class Full:
        def read_position_data(self, *_: Any) -> list[Any]:
            return []

        def write_position_data(self, *_: Any) -> None:
            raise OSError("disk full")

    kept = client(name="kept", store=Full(), backtest=False)
    other = client(name="other")
    merge = bk.MergeRisk({"kept": kept, "other": other})
    with pytest.raises(OSError, match="disk full"):
        at(lambda: merge.add_signal(SYMBOL, names_of("dip"), opened()))
    assert len(kept.positions) == len(other.positions) == 1
    with pytest.raises(OSError, match="disk full"):
        at(lambda: merge.remove_signal(SYMBOL, names_of("dip")))
    assert kept.positions == other.positions == []


# ------------------------------------------------------------------------------------------ services


def test_strategies_of_one_exchange_frame_and_mode_share_a_client_until_it_is_cleared() -> None:
    bk.add_risk_schema(risk_name="calm")
    service = bk.RiskConnectionService()
    first = service.get_risk("calm", "memory", "minutes", True)
    assert bk.RiskConnectionService().get_risk("calm", "memory", "minutes", True) is first
    others = [
        ("calm", "memory", "minutes", False),
        ("calm", "memory", "", True),
        ("calm", "else", "minutes", True),
    ]
    assert all(service.get_risk(*names) is not first for names in others)
    service.clear({"risk_name": "calm", **NAMES, "backtest": True})
    assert service.get_risk("calm", "memory", "minutes", True) is not first
    kept = service.get_risk(*others[2])
    service.clear()
    assert service.get_risk(*others[2]) is not kept


def test_the_global_service_validates_names_then_asks() -> None:
    register(candles_of(FLAT), {})
    bk.add_risk_schema(risk_name="calm", validations=[at_most(1)])
    service = bk.RiskGlobalService()
    payload = {"risk_name": "calm", **names_of("dip"), "backtest": True}
    assert at(lambda: service.check_signal(check(), payload)) is True
    assert at(lambda: service.check_signal(check(), payload, {"reserve": True})) is True
    assert at(lambda: service.check_signal_and_reserve(check("other"), payload)) is False
    at(lambda: service.add_signal(SYMBOL, payload, opened()))
    assert at(lambda: service.check_signal(check(), payload)) is False
    at(lambda: service.remove_signal(SYMBOL, payload))
    assert at(lambda: service.check_signal_and_reserve(check("other"), payload)) is True
    service.clear(payload)
    assert at(lambda: service.check_signal(check("third"), payload)) is True
    for field in ("risk_name", "exchange_name", "frame_name"):
        for method, arguments in (
            ("check_signal", (check(),)),
            ("check_signal_and_reserve", (check(),)),
            ("add_signal", (SYMBOL,)),
            ("remove_signal", (SYMBOL,)),
            ("clear", ()),
        ):
            more = (opened(),) if method == "add_signal" else ()
            with pytest.raises(
                bk.UnknownNameError, match=f"nowhere not found source=RiskGlobalService.{method};"
            ):
                getattr(service, method)(*arguments, {**payload, field: "nowhere"}, *more)
    assert service.validate({**payload, "frame_name": ""}) is True  # live has none


# ------------------------------------------------------------------------------------------ what outlives the process


class Kept:
    """A store in memory."""

    def __init__(self, rows: Sequence[Any] = ()) -> None:
        self.rows: list[Any] = [*rows]
        self.calls: list[Any] = []

    def read_position_data(self, risk_name: str, exchange_name: str, when: datetime) -> list[Any]:
        self.calls.append(("read", risk_name, exchange_name, when))
        return self.rows

    def write_position_data(self, rows: Any, risk_name: str, exchange_name: str, when: datetime) -> None:
        self.calls.append(("write", risk_name, exchange_name, when))
        self.rows = [*rows]


def test_live_positions_are_read_once_pruned_and_written_without_reservations(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def row(strategy: str, **changes: Any) -> tuple[str, dict[str, Any]]:
        return f"{strategy}_memory_{SYMBOL}", {**names_of(strategy), "symbol": SYMBOL, **opened(**changes)}

    store = Kept(
        [
            row("gone", open_timestamp=WHEN - 60 * 60_000),
            row("just", open_timestamp=WHEN - 60 * 60_000 + 1),
            row("ever", open_timestamp=0, minute_estimated_time=None),
        ]
    )
    use_position_store(store)
    bk.add_risk_schema(risk_name="calm")
    service = bk.RiskConnectionService()
    live = service.get_risk("calm", "memory", "", False)
    assert store.calls == []
    with caplog.at_level(logging.WARNING):
        assert at(lambda: live.check_signal_and_reserve(check(frame_name="")), backtest=False) is True
    assert "gone_memory_BTCUSDT has expired" in caplog.text
    assert [place.strategy_name for place in live.positions] == ["just", "ever", "dip"]
    assert live.positions[1].minute_estimated_time == math.inf
    assert [call[:3] for call in store.calls] == [("read", "calm", "memory")]
    at(lambda: live.add_signal(SYMBOL, names_of("other"), opened()), backtest=False)
    assert [key for key, _ in store.rows] == [f"{name}_memory_{SYMBOL}" for name in ("just", "ever", "other")]
    assert store.rows[2][1] == {**names_of("other"), "symbol": SYMBOL, **opened()}
    at(lambda: live.remove_signal(SYMBOL, names_of("just")), backtest=False)
    assert [key for key, _ in store.rows] == [f"{name}_memory_{SYMBOL}" for name in ("ever", "other")]
    assert [call[0] for call in store.calls] == ["read", "write", "write"]
    restarted = bk.ClientRisk(bk.get_risk_schema("calm"), "memory", "", False, store=store)
    at(lambda: restarted.check_signal(check()), backtest=False)
    assert [place.strategy_name for place in restarted.positions] == ["ever", "other"]


def test_a_backtest_neither_reads_nor_writes_positions() -> None:
    store = Kept([("x", {})])
    use_position_store(store)
    register(candles_of(FLAT), {10: LONG})
    bk.add_risk_schema(risk_name="calm")
    bk.override_strategy_schema(strategy_name="planned", risk_name="calm")
    assert [result.action for result in bk.Backtest.run(SYMBOL, CONTEXT)] == ["opened", "closed"]
    assert store.calls == []


# ------------------------------------------------------------------------------------------ in a run


def profile(name: str = "calm", *validations: Any, strategy: str = "planned", **more: Any) -> None:
    """Register a risk profile for a strategy that is registered."""
    bk.add_risk_schema(risk_name=name, validations=list(validations), **more)
    bk.override_strategy_schema(strategy_name=strategy, risk_name=name)


def held(frame: str = "minutes") -> list[bk.ActivePosition]:
    return bk.RiskConnectionService().get_risk("calm", "memory", frame, True).positions


def test_a_rejected_candidate_is_asked_for_again_at_the_next_tick() -> None:
    """31 calls in 31 ticks of one minute, of a strategy that is asked once an hour (spec 1.5)."""
    asked: list[int] = []
    register(candles_of([100.0] * 100), {})

    def get_signal(symbol: str, when: datetime, price: float) -> dict[str, Any]:
        asked.append(minute_of(int(when.timestamp() * 1000)))
        return dict(LONG)

    bk.add_strategy_schema(strategy_name="hourly", interval="1h", get_signal=get_signal)
    profile("calm", lambda payload: None if len(asked) > 31 else "wait", strategy="hourly")
    heard: list[Any] = []
    bk.listen_risk(heard.append)
    results = bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "hourly"})
    assert next(results).created_at == MIDNIGHT_MS + 36 * 60_000
    assert asked == [*range(5, 37)]
    assert [minute_of(event.timestamp) for event in heard] == [*range(5, 36)]
    assert [place.open_timestamp for place in held()] == [MIDNIGHT_MS + 36 * 60_000]
    assert [result.action for result in results] == ["closed"]
    assert held() == []


def test_an_invalid_signal_gives_its_place_back_and_uses_its_interval_up() -> None:
    asked: list[Any] = []
    errors: list[Exception] = []
    register(candles_of(FLAT), {})
    bk.add_strategy_schema(
        strategy_name="wrong", interval="15m", get_signal=lambda *_: {**LONG, "price_stop_loss": 120.0}
    )
    profile("calm", asked.append, strategy="wrong")
    bk.listen_error(lambda error: errors.append(error) or len(held()))
    places: list[int] = []
    bk.listen_idle_ping(lambda event: places.append(len(held())))
    assert list(bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "wrong"})) == []
    assert [minute_of(payload.timestamp) for payload in asked] == [5, 15, 30, 45]
    assert len(errors) == 4
    assert set(places) == {0}


def test_another_symbol_and_a_repeated_id_are_not_asked_about() -> None:
    asked: list[Any] = []
    signal = {**LONG, "id": "once", "minute_estimated_time": 2}
    register(candles_of(FLAT), dict.fromkeys(range(10, 40), signal) | {6: {**LONG, "symbol": "ETHUSDT"}})
    profile("calm", asked.append)
    assert [result.action for result in bk.Backtest.run(SYMBOL, CONTEXT)] == ["opened", "closed"]
    assert [minute_of(payload.timestamp) for payload in asked] == [10]


LIMIT = {**LONG, "price_open": 98.0, "id": "limit"}
#: The low of minute 20 fills the order at 98.
DIP = candles_of(FLAT).with_columns(low=pl.when(pl.int_range(60) == 20).then(97.0).otherwise(100.0))


def test_a_limit_order_is_judged_when_it_is_made_and_when_it_is_filled() -> None:
    seen: list[Any] = []
    register(DIP, {10: LIMIT})
    profile("calm", seen.append, lambda payload: "full" if payload.active_position_count else None)
    results = bk.Backtest.run(SYMBOL, CONTEXT)
    assert next(results).action == "scheduled"
    (place,) = held()
    assert (place.price_open, place.open_timestamp) == (98.0, MIDNIGHT_MS + 10 * 60_000)
    assert [result.action for result in results] == ["opened", "closed"]
    made, filled = seen
    assert (minute_of(made.timestamp), made.current_price) == (10, 100.0)
    assert made.current_signal.pnl.pnl_percentage > 1.5
    assert (minute_of(filled.timestamp), filled.current_price) == (20, 98.0)
    assert filled.current_signal.pnl.pnl_percentage == 0.0
    assert (filled.current_signal.id, filled.current_signal.minute_estimated_time) == ("limit", 1440)
    assert filled.active_position_count == 0  # its own reservation does not count (deviation 4)


@pytest.mark.parametrize("command", [False, True])
def test_an_order_that_may_not_be_filled_is_dropped_in_documented_order(command: bool) -> None:
    order: list[Any] = []
    prices: list[float] = []
    register(DIP, {10: LIMIT})

    def judge(payload: Any) -> str | None:
        if payload.current_signal.pending_at is None:
            return None
        prices.append(payload.current_price)
        return "not now"

    profile("calm", judge)
    bk.listen_risk(lambda event: order.append(("risk", event.current_signal.id, len(held()))))
    bk.listen_order_schedule(lambda event: order.append((event.action, event.reason, len(held()))))
    bk.listen_strategy_commit(lambda event: order.append((event.action, event.cancel_id, event.note)))
    if command:
        bk.listen_schedule_ping(
            lambda event: (
                minute_of(event.timestamp) == 14
                and bk.commit_activate_scheduled(SYMBOL, {"id": "mine", "note": "by hand"})
            )
        )
    bk.override_strategy_schema(
        strategy_name="planned",
        callbacks=bk.StrategyCallbacks(
            on_cancel=lambda symbol, row, price, *_: order.append(("on_cancel", price))
        ),
    )
    scheduled, cancelled = bk.Backtest.run(SYMBOL, CONTEXT)
    minute, average = (15, 100.0) if command else (20, 99.8)
    assert (cancelled.action, cancelled.reason, cancelled.cancel_id) == ("cancelled", "user", None)
    assert (minute_of(cancelled.close_timestamp), cancelled.current_price) == (minute, average)
    assert prices == [100.0 if command else 98.0]
    assert order == [
        ("scheduled", None, 1),
        ("risk", "limit", 1),
        ("cancelled", "user", 0),
        ("cancel-scheduled", None, ""),
        ("on_cancel", average),
    ]
    assert scheduled.signal.id == "limit"


def test_a_stop_while_an_order_is_judged_drops_it() -> None:
    register(DIP, {10: LIMIT})
    profile("calm", lambda payload: bk.stop_strategy(SYMBOL) if minute_of(payload.timestamp) == 20 else None)
    actions = [
        (result.action, getattr(result, "reason", None)) for result in bk.Backtest.run(SYMBOL, CONTEXT)
    ]
    assert actions == [("scheduled", None), ("cancelled", "user")]


def test_the_place_of_a_position_is_taken_before_its_opening_is_told_and_kept_until_its_close_is() -> None:
    order: list[Any] = []
    register(candles_of(FLAT), {10: {**LONG, "minute_estimated_time": 5}})
    profile()

    def told(name: str) -> Callable[..., None]:
        return lambda *_: order.append((name, len(held())))

    names = ("on_write", "on_open", "on_close", "on_tick")
    callbacks = bk.StrategyCallbacks(**{name: told(name) for name in names})
    bk.override_strategy_schema(strategy_name="planned", callbacks=callbacks)
    bk.listen_signal_event(told("event"))
    results = [result.action for result in bk.Backtest.run(SYMBOL, CONTEXT)]
    assert results == ["opened", "closed"]
    busy = order[order.index(("on_write", 1)) :]
    begin = [("on_write", 1), ("event", 1), ("on_open", 1), ("on_tick", 1)]
    end = [("event", 1), ("on_close", 1), ("on_write", 0), ("on_tick", 0)]
    kept = [one for one in busy if one[0] != "on_tick" or one in (("on_tick", 1),)]
    assert busy[:4] == begin
    assert [one for one in kept if one[0] in ("event", "on_close")] == [
        ("event", 1),
        ("event", 1),
        ("on_close", 1),
    ]
    close = busy.index(("on_close", 1))
    assert busy[close - 1 : close + 3] == end


@pytest.mark.parametrize("close", ["close_pending", "create_take_profit", "partial"])
def test_a_place_is_given_back_however_a_position_ends(close: str) -> None:
    register(candles_of(FLAT), {10: LONG})
    profile()

    def act(event: Any) -> None:
        if minute_of(event.timestamp) == 12:
            if close == "partial":
                bk.set_config({"CC_ENABLE_PPPL_EVERYWHERE": True})
                assert bk.commit_partial_profit(SYMBOL, 100)
            else:
                getattr(bk, f"commit_{close}")(SYMBOL)

    bk.listen_active_ping(act)
    run = bk.Backtest.run(SYMBOL, CONTEXT)
    assert next(run).action == "opened"
    assert len(held()) == 1
    assert next(run).action == "closed"
    assert held() == []


def test_a_run_that_is_left_early_gives_its_place_back() -> None:
    register(candles_of(FLAT), {10: LONG})
    profile()
    run = bk.Backtest.run(SYMBOL, CONTEXT)
    next(run)
    assert len(held()) == 1
    run.close()
    assert held() == []


def test_a_run_that_fails_gives_its_place_back() -> None:
    register(candles_of(FLAT), {10: LONG})
    profile()

    def fails(*_: Any) -> None:
        raise ValueError("no disk")

    bk.override_strategy_schema(strategy_name="planned", callbacks=bk.StrategyCallbacks(on_write=fails))
    with pytest.raises(ValueError, match="no disk"):
        list(bk.Backtest.run(SYMBOL, CONTEXT))
    assert held() == []


def test_runs_that_begin_together_share_positions_and_a_later_one_begins_without_them() -> None:
    register(candles_of(FLAT), {10: LONG})
    counts: list[tuple[str, int]] = []
    profile("calm", lambda payload: counts.append((payload.strategy_name, payload.active_position_count)))
    for name in ("second", "late"):
        bk.add_strategy_schema(strategy_name=name, get_signal=lambda *_: dict(LONG), risk_name="calm")

    def start(name: str) -> Any:
        return bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": name})

    first, second = start("planned"), start("second")
    next(first)
    next(second)
    late = start("late")
    next(late)
    assert counts == [("planned", 0), ("second", 1), ("late", 0)]
    list(first)
    list(second)
    assert [place.strategy_name for place in held()] == ["late"]


def test_names_of_risk_profiles_are_checked_when_a_run_starts() -> None:
    register(candles_of(FLAT), {})
    bk.override_strategy_schema(strategy_name="planned", risk_list=["nowhere"])
    with pytest.raises(bk.UnknownNameError, match=r"risk nowhere not found source=Backtest\.run"):
        bk.Backtest.run(SYMBOL, CONTEXT)
    bk.add_strategy_schema(strategy_name="unknown", get_signal=lambda *_: None, risk_name="elsewhere")
    with pytest.raises(bk.UnknownNameError, match=r"risk elsewhere not found source=Backtest\.run"):
        bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "unknown"})


def test_one_name_and_a_list_are_asked_in_order_without_repeats() -> None:
    asked: list[str] = []
    register(candles_of(FLAT), {10: LONG})
    for name in ("a", "b", "c"):
        bk.add_risk_schema(risk_name=name, validations=[lambda payload: asked.append(payload.risk_name)])
    bk.override_strategy_schema(strategy_name="planned", risk_name="b", risk_list=["a", "b", "c"])
    assert [result.action for result in bk.Backtest.run(SYMBOL, CONTEXT)] == ["opened", "closed"]
    assert asked == ["b", "a", "c"]


def test_a_check_that_fails_rejects_and_the_run_goes_on() -> None:
    errors: list[Exception] = []
    register(candles_of(FLAT), {10: {**LONG, "lock": threading.Lock()}, 20: LONG})
    profile()
    bk.listen_error(errors.append)
    results = list(bk.Backtest.run(SYMBOL, CONTEXT))
    assert (results[0].action, minute_of(results[0].created_at)) == ("opened", 20)
    assert ["cannot pickle" in str(error) for error in errors] == [True]


def test_a_run_that_nobody_guards_asks_nobody() -> None:
    """A strategy without risk profiles has none in its way, and a vectorized one is still a single call."""
    asked: list[Any] = []
    register(candles_of(FLAT), {10: LONG})
    bk.add_risk_schema(risk_name="calm", validations=[asked.append])
    assert [result.action for result in bk.Backtest.run(SYMBOL, CONTEXT)] == ["opened", "closed"]
    assert asked == []


def framed(**columns: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    moments = [MIDNIGHT_MS + minute * 60_000 for minute in (10, 30)]
    return lambda candles: pl.DataFrame({"timestamp": moments, "position": ["long", "short"], **columns})


def test_a_row_of_a_signal_frame_is_judged_as_the_signal_that_it_means() -> None:
    seen: list[Any] = []
    heard: list[Any] = []
    register(candles_of(FLAT), {})
    bk.add_strategy_schema(
        strategy_name="framed",
        signals=framed(
            take_profit_percent=[2.0, 3.0],
            stop_loss_percent=[1.0, 1.0],
            minute_estimated_time=[5, None],
            price_open=[None, 101.0],
            id=["first", None],
            note=[None, "why"],
        ),
    )
    profile("calm", seen.append, lambda payload: "no", strategy="framed")
    bk.listen_risk(heard.append)
    assert list(bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "framed"})) == []
    first, second = (payload.current_signal for payload in seen)
    assert (first.id, first.note, first.minute_estimated_time, first.price_open) == ("first", None, 5, 100.0)
    assert (first.price_take_profit, first.price_stop_loss) == (102.0, 99.0)
    assert (second.id, second.note, second.minute_estimated_time, second.price_open) == (
        None,
        "why",
        None,
        101.0,
    )
    assert second.price_take_profit == pytest.approx(101 * 0.97)
    assert "price_open" not in heard[0].current_signal


def test_rejections_make_the_report_of_their_kind() -> None:
    bk.Markdown.enable()
    register(candles_of(FLAT), {10: LONG, 20: {**LONG, "id": "second"}})
    profile("calm", lambda payload: {"id": "r9", "note": "closed today"})
    bk.Backtest.finish(SYMBOL, CONTEXT)
    data = bk.Risk.get_data(SYMBOL, CONTEXT, True)
    assert (data.total_rejections, data.by_symbol, data.by_strategy) == (2, {SYMBOL: 2}, {"planned": 2})
    report = bk.Risk.get_report(SYMBOL, CONTEXT, True)
    assert "closed today" in report
    assert "| second |" in report
    bk.Backtest.finish(SYMBOL, CONTEXT)
    assert bk.Risk.get_data(SYMBOL, CONTEXT, True).total_rejections == 2  # a new run starts clean


# ------------------------------------------------------------------------------------------ walkers, sweeps, look-ahead


def vary(**strategy: Any) -> None:
    """A strategy whose lifetime is a parameter."""
    register(candles_of(FLAT), {})

    def signals(candles: pl.DataFrame, minutes: int = 5) -> pl.DataFrame:
        return framed(price_take_profit=[110.0, 90.0], price_stop_loss=[95.0, 105.0])(candles).with_columns(
            minute_estimated_time=minutes
        )

    bk.add_strategy_schema(strategy_name="framed", signals=signals, params={"minutes": 5}, **strategy)


@pytest.mark.parametrize("space", [None, bk.Space.grid(minutes=[5, 10])])
def test_a_walker_asks_the_risk_profiles_of_its_strategies(space: Any) -> None:
    asked: list[int] = []
    bk.add_risk_schema(
        risk_name="longs",
        validations=[
            lambda payload: asked.append(payload.active_position_count),
            lambda payload: payload.current_signal.position == "long",
        ],
    )
    vary(risk_name="longs")
    bk.add_walker_schema(
        walker_name="walk", exchange_name="memory", frame_name="minutes", strategies=["framed"], space=space
    )
    events = list(bk.Walker.run(SYMBOL, {"walker_name": "walk"}, threads=2))
    assert [event.stats.total_signals for event in events] == [1] * (1 if space is None else 2)
    assert set(asked) == {0}


def test_a_sweep_says_that_it_cannot_ask_a_risk_profile() -> None:
    bk.add_risk_schema(risk_name="calm")
    vary(risk_list=["calm"])
    with pytest.raises(bk.SweepError, match=r"'framed' has risk profiles \(calm\)") as error:
        bk.Sweep({**CONTEXT, "strategy_name": "framed"}, bk.Space.grid(minutes=[5, 10]), symbol=SYMBOL)
    assert "add_walker_schema(space=...)" in str(error.value)


def test_a_search_for_look_ahead_begins_every_run_without_positions() -> None:
    counts: list[int] = []
    bk.add_risk_schema(
        risk_name="calm", validations=[lambda payload: counts.append(payload.active_position_count)]
    )
    vary(risk_name="calm")
    suspended = bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "framed"})
    assert next(suspended).action == "opened"
    found = bk.find_lookahead(SYMBOL, {**CONTEXT, "strategy_name": "framed"}, moments=4)
    assert not found.found
    assert len(counts) > 4
    assert set(counts) == {0}

"""Schemas: what each kind accepts, and the one clear error for what it does not."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import polars as pl
import pytest

from bkapi.errors import BkError, SchemaError
from bkapi.schemas.base import Schema
from bkapi.schemas.exchange import ExchangeFields, ExchangeSchema
from bkapi.schemas.frame import FrameFields, FrameSchema
from bkapi.schemas.strategy import StrategyCallbacks, StrategyFields, StrategySchema

START = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2024, 2, 1, tzinfo=UTC)


def nothing(*_: Any) -> None:
    """Stands for any callable."""


def frame(**fields: Any) -> FrameSchema:
    return FrameSchema(**{"frame_name": "january", "start_date": START, "end_date": END, **fields})


def test_a_strategy_with_everything() -> None:
    schema = StrategySchema(
        strategy_name="dip",
        interval="15m",
        get_signal=nothing,
        params={"rsi": 30},
        risk_name="a",
        risk_list=["b", "a"],
        actions=["notify"],
        callbacks={"on_open": nothing},  # type: ignore[arg-type]
        note="buys dips",
        info={"author": "me"},
    )
    assert schema.risks == ("a", "b")
    assert schema.actions == ("notify",)
    assert schema.callbacks is not None
    assert schema.callbacks.on_open is nothing
    assert schema.callbacks.on_close is None
    assert schema.params == {"rsi": 30}


def test_a_strategy_with_nothing_but_a_name_trades_by_commands_only() -> None:
    schema = StrategySchema(strategy_name="manual")
    assert (schema.interval, schema.get_signal, schema.risks, schema.actions) == ("1m", None, (), ())


@pytest.mark.parametrize("empty", [None, "", ()])
def test_falsy_optional_fields_count_as_left_out(empty: Any) -> None:
    schema = StrategySchema(
        strategy_name="dip", interval=empty, risk_name=empty, risk_list=empty, actions=empty, params=empty
    )
    assert (schema.interval, schema.risks, schema.actions, schema.params) == ("1m", (), (), {})


def never(when, price, open, high, low, close, volume, params, memory, signal):  # type: ignore[no-untyped-def]  # noqa: A002
    """A kernel without a signal."""
    return 0


@pytest.mark.parametrize("form", ["get_signal", "signals", "kernel"])
def test_a_strategy_has_one_form(form: str) -> None:
    functions = {"get_signal": nothing, "signals": nothing, "kernel": never}
    own = functions[form]
    assert getattr(StrategySchema(**{"strategy_name": "dip", form: own}), form) is own
    other = next(name for name in StrategySchema.alternatives if name != form)
    with pytest.raises(SchemaError, match="exclude each other for strategy_name='dip'"):
        StrategySchema(**{"strategy_name": "dip", form: own, other: functions[other]})


def test_an_exchange_has_exactly_one_source_of_candles() -> None:
    memory = {"BTCUSDT": pl.DataFrame({"close": [1.0]})}
    assert ExchangeSchema(exchange_name="e", candles=memory).candles is not None
    assert ExchangeSchema(exchange_name="e", candles=nothing).candles is nothing
    assert ExchangeSchema(exchange_name="e", candles=OrderedDict(memory)).get_candles is None
    assert ExchangeSchema(exchange_name="e", get_candles=nothing).get_candles is nothing
    with pytest.raises(SchemaError, match="missing get_candles") as caught:
        ExchangeSchema(exchange_name="e")
    assert "candles={" in str(caught.value)
    with pytest.raises(SchemaError, match="get_candles and candles exclude each other"):
        ExchangeSchema(exchange_name="e", get_candles=nothing, candles=memory)
    with pytest.raises(SchemaError, match=r"candles='BTCUSDT\.parquet' is not usable"):
        ExchangeSchema(exchange_name="e", candles="BTCUSDT.parquet")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "start",
    [START, datetime(2024, 1, 1), date(2024, 1, 1), 1_704_067_200_000],
)
def test_frame_dates_become_aware_utc(start: Any) -> None:
    schema = frame(start_date=start)
    assert schema.start_date == START
    assert schema.start_date.tzinfo is UTC
    assert (schema.start_ms, schema.end_ms) == (1_704_067_200_000, 1_706_745_600_000)


@pytest.mark.parametrize("bad", ["2024-01-01", None, True, 1.5, "", 10**20])
def test_what_is_no_frame_date(bad: Any) -> None:
    with pytest.raises(
        SchemaError, match=r"^frame schema validation failed: start_date=.* is not usable"
    ) as caught:
        frame(start_date=bad)
    assert caught.value.field == "start_date"
    assert caught.value.hint is not None
    assert "ms UTC" in caught.value.hint


def test_the_value_of_an_interval_and_the_order_of_dates_are_left_to_the_run() -> None:
    assert frame(interval="nonsense", start_date=END, end_date=START).interval == "nonsense"
    with pytest.raises(SchemaError, match="interval=5"):
        frame(interval=5)


@pytest.mark.parametrize(
    ("model", "fields", "message", "hint"),
    [
        (StrategySchema, {}, "missing strategy_name.", "strategy_name: the name"),
        (StrategySchema, {"strategy_name": 5}, "strategy_name=5 is not usable", "a text"),
        (
            StrategySchema,
            {"strategy_name": "s", "get_signal": "f"},
            "get_signal='f' is not usable",
            "a function",
        ),
        (
            StrategySchema,
            {"strategy_name": "s", "actions": "a"},
            "actions='a' is not usable",
            "names of actions",
        ),
        (
            StrategySchema,
            {"strategy_name": "s", "actions": ["a", 5]},
            "actions=['a', 5] is",
            "names of actions",
        ),
        (StrategySchema, {"strategy_name": "s", "actions": ["a", "a"]}, "duplicate actions for", "once"),
        (StrategySchema, {"strategy_name": "s", "risk_list": ["a", "a"]}, "duplicate risk_list", "once"),
        (StrategySchema, {"strategy_name": "s", "risk_name": 5}, "risk_name=5 is not usable", "risk profile"),
        (StrategySchema, {"strategy_name": "s", "params": 5}, "params=5 is not usable", "by name"),
        (
            StrategySchema,
            {"strategy_name": "s", "get_sinal": nothing},
            "unknown field 'get_sinal'",
            "'get_signal'?",
        ),
        (
            StrategySchema,
            {"strategy_name": "s", "callbacks": {"on_opne": nothing}},
            "strategy callbacks schema validation failed: unknown field 'on_opne'",
            "did you mean 'on_open'?",
        ),
        (
            StrategySchema,
            {"strategy_name": "s", "callbacks": {"on_open": 5}},
            "on_open=5 is not usable",
            "(symbol, signal, price_open, when, backtest)",
        ),
        (StrategySchema, {"strategy_name": "s", "callbacks": 5}, "5 is not a mapping", "on_tick"),
        (ExchangeSchema, {"exchange_name": "e", "get_candles": 5}, "get_candles=5 is not", "exactly limit"),
        (ExchangeSchema, {"exchange_name": "e", "candles": {}, "format_price": 2}, "format_price=2", "text"),
        (
            FrameSchema,
            {"frame_name": "f", "end_date": END},
            "missing start_date for frame_name='f'",
            "datetime",
        ),
        (FrameSchema, {"frame_name": "f", "start_date": START}, "missing end_date", "datetime"),
    ],
)
def test_one_clear_error(model: type[Schema], fields: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(SchemaError) as caught:
        model(**fields)
    assert isinstance(caught.value, BkError)
    assert message in caught.value.message
    assert caught.value.hint is not None
    assert hint in caught.value.hint
    assert "pydantic" not in str(caught.value)


def test_schemas_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        frame().note = "x"  # type: ignore[misc]


def test_schemas_travel_between_processes() -> None:
    schema = frame(note="x")
    assert pickle.loads(pickle.dumps(schema)) == schema
    strategy = StrategySchema(strategy_name="s", get_signal=nothing, params={"a": 1})
    assert pickle.loads(pickle.dumps(strategy)) == strategy


def test_names_may_be_members_of_an_enum() -> None:
    class Name(StrEnum):
        DIP = "dip"

    assert StrategySchema(strategy_name=Name.DIP, actions=[Name.DIP]).strategy_name == "dip"


def test_given_fields_and_overrides() -> None:
    schema = frame(note="x")
    assert set(schema.given()) == {"frame_name", "start_date", "end_date", "note"}
    changed = FrameSchema(**schema.overridden({"interval": "30m", "end_date": 1_706_745_600_000}))
    assert (changed.interval, changed.end_date, changed.note) == ("30m", END, "x")
    assert schema.interval == "1m"


def test_an_override_with_another_form_replaces_the_first() -> None:
    schema = StrategySchema(strategy_name="s", get_signal=nothing)
    assert schema.overridden({"signals": nothing}) == {"strategy_name": "s", "signals": nothing}
    assert schema.overridden({"note": "x"})["get_signal"] is nothing


@pytest.mark.parametrize("year", [1, 1969, 2200, 9999])
@pytest.mark.parametrize("field", ["start_date", "end_date"])
def test_a_frame_lies_in_the_years_of_candles(field: str, year: int) -> None:
    with pytest.raises(SchemaError, match=f"{field}=.* is not usable.*\n.*from 1970 to 2199"):
        frame(**{field: datetime(year, 6, 1, tzinfo=UTC)})


def test_a_frame_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(
        SchemaError, match="end_date 2023-12-31 23:59:59 UTC lies before start_date 2024-01-01"
    ) as caught:
        frame(end_date=START - timedelta(seconds=1))
    assert caught.value.field == "end_date"
    assert frame(end_date=START).end_ms == frame().start_ms  # one tick


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        (StrategyFields, StrategySchema),
        (ExchangeFields, ExchangeSchema),
        (FrameFields, FrameSchema),
    ],
)
def test_the_typed_keywords_are_the_fields(fields: Any, model: type[Schema]) -> None:
    assert set(fields.__annotations__) == set(model.model_fields)


@pytest.mark.parametrize("model", [StrategySchema, ExchangeSchema, FrameSchema, StrategyCallbacks])
def test_every_field_says_what_it_is(model: type[Schema]) -> None:
    assert all(field.description for field in model.model_fields.values())

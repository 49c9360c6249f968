"""The registry: register, get, override, list, validate, with the documented errors for all kinds alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import bkapi as bk
from bkapi.errors import AlreadyExistsError, NotRegisteredError, SchemaError, UnknownNameError
from bkapi.schemas import doors, registry
from bkapi.schemas.frame import FrameSchema
from bkapi.schemas.policy import Policy
from bkapi.schemas.registry import REGISTRIES, Registry, strategies
from bkapi.schemas.strategy import StrategySchema

START = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2024, 2, 1, tzinfo=UTC)


def nothing(*_: Any) -> None:
    """Stands for any callable."""


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    registry.clear_registries()
    yield
    registry.clear_registries()


# ------------------------------------------------------------------------------------------------- behaviour


def test_fields_by_name_a_mapping_or_a_schema() -> None:
    by_name = doors.add_strategy_schema(strategy_name="a", get_signal=nothing)
    by_mapping = doors.add_strategy_schema({"strategy_name": "b", "get_signal": nothing})
    ready = doors.add_strategy_schema(StrategySchema(strategy_name="c", get_signal=nothing))
    mixed = doors.add_strategy_schema({"strategy_name": "d"}, note="mixed")
    assert doors.list_strategy_schema() == [by_name, by_mapping, ready, mixed]
    assert doors.get_strategy_schema("d").note == "mixed"


def test_an_unknown_name_lists_the_known_and_guesses() -> None:
    doors.add_strategy_schema(strategy_name="rsi_dip", get_signal=nothing)
    doors.add_strategy_schema(strategy_name="sma_cross", get_signal=nothing)
    with pytest.raises(UnknownNameError) as caught:
        doors.get_strategy_schema("sma_cros")
    assert str(caught.value) == (
        "strategy sma_cros not found source=get_strategy_schema; registered: 'rsi_dip', 'sma_cross'.\n"
        "Hint: did you mean 'sma_cross'? add_strategy_schema(...) registers a new one."
    )
    assert caught.value.known == ("rsi_dip", "sma_cross")
    assert isinstance(caught.value, LookupError)


def test_a_second_registration_is_refused() -> None:
    doors.add_frame_schema(frame_name="f", start_date=START, end_date=END)
    with pytest.raises(AlreadyExistsError, match=r"^frame f already exist\nHint: override_frame_schema"):
        doors.add_frame_schema(frame_name="f", start_date=START, end_date=END)
    with pytest.raises(
        AlreadyExistsError, match="Tool is already registered name=f registryName=frame_schema"
    ):
        registry.frames.register("f", doors.get_frame_schema("f"))


def test_a_refused_registration_registers_nothing() -> None:
    for _ in range(2):
        with pytest.raises(SchemaError, match="missing get_candles"):
            doors.add_exchange_schema(exchange_name="e")
        with pytest.raises(SchemaError, match="empty timeframe range"):
            doors.add_frame_schema(frame_name="e", start_date=END, end_date=START)
    assert (doors.list_exchange_schema(), doors.list_frame_schema()) == ([], [])
    with pytest.raises(UnknownNameError):
        doors.override_exchange_schema(exchange_name="e", get_candles=nothing)
    doors.add_exchange_schema(exchange_name="e", get_candles=nothing)
    doors.add_frame_schema(frame_name="e", start_date=START, end_date=END)


def test_an_action_with_a_wrong_method_takes_its_name_and_an_override_completes_it() -> None:
    with pytest.raises(SchemaError, match="invalid method"):
        doors.add_action_schema(action_name="a", handler={"sgnal": nothing})
    with pytest.raises(AlreadyExistsError, match=r"its registration was refused: .*invalid method"):
        doors.add_action_schema(action_name="a", handler={"signal": nothing})
    with pytest.raises(NotRegisteredError, match=r"^Tool not registered name=a registryName=action_schema"):
        doors.get_action_schema("a")
    assert registry.actions.validate("a", "test")
    doors.override_action_schema(action_name="a", note="later")  # recorded: not yet complete
    with pytest.raises(SchemaError, match="callbacks=5 is not usable"):
        doors.override_action_schema(action_name="a", callbacks=5)
    with pytest.raises(SchemaError, match="invalid method"):
        doors.override_action_schema(action_name="a", handler={"sgnal": nothing})
    doors.override_action_schema(action_name="a", handler={"signal": nothing})
    assert doors.get_action_schema("a").note == "later"
    with pytest.raises(SchemaError, match="handler=None is not usable"):
        doors.override_action_schema(action_name="a", handler=None)


def test_a_sizing_without_its_percentage_takes_its_name_too() -> None:
    with pytest.raises(SchemaError, match="risk_percentage=None is no number"):
        doors.add_sizing_schema(sizing_name="s", method="atr-based")
    with pytest.raises(NotRegisteredError):
        doors.get_sizing_schema("s")
    doors.override_sizing_schema(sizing_name="s", method="atr-based", risk_percentage=2)
    assert doors.get_sizing_schema("s").risk_percentage == 2
    with pytest.raises(SchemaError, match="method=5 is not usable"):
        doors.add_sizing_schema(sizing_name="t", method=5)  # type: ignore[arg-type]
    doors.add_sizing_schema(sizing_name="t", method="kelly-criterion")


def test_a_name_that_is_no_text_leaves_nothing_behind() -> None:
    for fields in ({}, {"frame_name": 5}, {"frame_name": None}):
        with pytest.raises(SchemaError):
            doors.add_frame_schema({"start_date": START, "end_date": END, **fields})
    assert doors.list_frame_schema() == []


def test_the_empty_name_is_a_name() -> None:
    doors.add_frame_schema(frame_name="", start_date=START, end_date=END)
    assert doors.get_frame_schema("").start_date == START


def test_an_override_merges_and_list_shows_the_original() -> None:
    first = doors.add_frame_schema(frame_name="f", start_date=START, end_date=END)
    merged = doors.override_frame_schema({"frame_name": "f", "interval": "nonsense"}, note="x")
    assert (merged.interval, merged.note, merged.start_date) == ("nonsense", "x", START)
    assert doors.get_frame_schema("f") is merged
    assert doors.list_frame_schema() == [first]
    assert doors.override_frame_schema(frame_name="f", note="y").interval == "nonsense"


def test_an_override_checks_and_converts_as_a_registration_does() -> None:
    doors.add_strategy_schema(strategy_name="s", get_signal=nothing)
    changed = doors.override_strategy_schema(
        strategy_name="s",
        policy={"breakeven_from_percent": 0.5},
        callbacks={"on_open": nothing},
        actions=["a"],
    )
    assert isinstance(changed.policy, Policy)
    assert changed.callbacks is not None
    assert changed.callbacks.on_open is nothing
    assert changed.actions == ("a",)
    for fields in (
        {"policy": {"breakeven": 1}},
        {"callbacks": {"on_opne": nothing}},
        {"callbacks": {"on_open": 5}},
        {"fill": "best"},
        {"risk_list": ["a", "a"]},
        {"get_signal": None, "kernel": 5},
        {"signals": nothing, "get_signal": nothing},
    ):
        with pytest.raises(SchemaError):
            doors.override_strategy_schema(strategy_name="s", **fields)
        assert doors.get_strategy_schema("s") is changed
    doors.add_exchange_schema(exchange_name="e", get_candles=nothing)
    with pytest.raises(SchemaError, match="missing get_candles"):
        doors.override_exchange_schema(exchange_name="e", candles=None)
    doors.add_frame_schema(frame_name="f", start_date=START, end_date=END)
    with pytest.raises(SchemaError, match="empty timeframe range"):
        doors.override_frame_schema(frame_name="f", end_date=0)


def test_an_override_needs_a_known_name_and_known_fields() -> None:
    with pytest.raises(UnknownNameError, match="frame f not found source=override_frame_schema"):
        doors.override_frame_schema(frame_name="f")
    with pytest.raises(SchemaError, match="missing frame_name"):
        doors.override_frame_schema(note="x")
    doors.add_frame_schema(frame_name="f", start_date=START, end_date=END)
    with pytest.raises(SchemaError, match="unknown field 'end'"):
        doors.override_frame_schema(frame_name="f", end=END)
    with pytest.raises(SchemaError, match="5 is not a schema"):
        doors.override_frame_schema(5)  # type: ignore[arg-type]


def test_a_strategy_is_valid_only_with_its_risks_and_actions() -> None:
    doors.add_strategy_schema(strategy_name="s", risk_name="careful", actions=["notify"])
    with pytest.raises(UnknownNameError, match="risk careful not found source=here"):
        strategies.validate("s", "here")
    doors.add_strategy_schema(strategy_name="t", actions=["notify"])
    with pytest.raises(UnknownNameError, match="action notify not found source=here"):
        strategies.validate("t", "here")


def test_successes_are_remembered_failures_are_not() -> None:
    calls: list[str] = []
    fails = [True]

    def check(schema: FrameSchema, source: str) -> None:
        calls.append(source)
        if fails:
            raise UnknownNameError("part", "p", source, ())

    frames = Registry(FrameSchema, cross_check=check)
    frames.add(frame_name="f", start_date=START, end_date=END)
    with pytest.raises(UnknownNameError):
        frames.validate("f", "first")
    fails.clear()
    assert frames.validate("f", "second")
    assert frames.validate("f", "third")
    assert calls == ["first", "second"]


def test_validate_checks_given_names_and_all_names_of_kinds_left_out() -> None:
    doors.add_frame_schema(frame_name="f", start_date=START, end_date=END)
    registry.validate()
    registry.validate(frame_name="f")
    registry.validate({"FrameName": {"F": "f"}}, strategy_name=[])
    with pytest.raises(UnknownNameError, match=r"frame g not found source=validate\.validate"):
        registry.validate(frame_name=["f", "g"])
    with pytest.raises(UnknownNameError, match="walker w not found"):
        registry.validate(walker_name="w")
    with pytest.raises(SchemaError, match="unknown argument 'farme_name'"):
        registry.validate(farme_name="f")
    doors.add_strategy_schema(strategy_name="s", risk_name="r")
    with pytest.raises(UnknownNameError, match="risk r not found"):
        registry.validate(frame_name="f")
    registry.validate(strategy_name={})


def test_exchanges_are_checked_before_frames_before_strategies() -> None:
    with pytest.raises(UnknownNameError, match="exchange e not found"):
        registry.validate(strategy_name="s", frame_name="f", exchange_name="e")


@pytest.mark.parametrize("kind", list(REGISTRIES))
def test_the_public_functions_have_their_names_and_documents(kind: str) -> None:
    for verb in ("add", "get", "override", "list"):
        function = getattr(doors, f"{verb}_{kind}_schema")
        assert function.__name__ == f"{verb}_{kind}_schema"
        assert function.__doc__
    assert getattr(doors, f"add_{kind}") is getattr(doors, f"add_{kind}_schema")


@pytest.mark.parametrize("name", [None, 5, ["dip"], {"a": 1}])
def test_what_is_no_name_is_one_clean_error(name: Any) -> None:
    given = {"exchange_name": "e", "get_candles": lambda *_: []}
    schemas, names = bk.ExchangeSchemaService(), bk.ExchangeValidationService()
    for call in (
        lambda: schemas.register(name, given),
        lambda: schemas.get(name),
        lambda: schemas.override(name, {"note": "x"}),
        lambda: names.add_exchange(name, given),
        lambda: names.validate(name, "here"),
        lambda: bk.get_exchange_schema(name),
        lambda: bk.validate(exchange_name=[name]),
    ):
        with pytest.raises(bk.BkError):
            call()


def test_what_is_no_partial_or_no_list_of_names_is_one_clean_error() -> None:
    bk.add_exchange_schema(exchange_name="e", get_candles=lambda *_: [])
    with pytest.raises(bk.SchemaError):
        bk.ExchangeSchemaService().override("e", 5)  # type: ignore[arg-type]
    with pytest.raises(bk.SchemaError, match="5 is no name"):
        bk.validate(exchange_name=5)  # type: ignore[arg-type]

"""Where a scenario plays: on the slow twin, or on the product through its public functions."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.golden.scenario import (
    Plan,
    Record,
    Script,
    functions_used,
    kinds_used,
    market,
    number_of,
    signal_of,
)
from tests.naive.engine import Engine
from tests.naive.market import Market
from tests.naive.records import Recorder, plain

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LISTEN_FUNCTIONS = {
    "signal": "listen_signal_backtest",
    "signal_event": "listen_signal_event",
    "order_schedule": "listen_order_schedule",
    "active_ping": "listen_active_ping",
    "schedule_ping": "listen_schedule_ping",
    "idle_ping": "listen_idle_ping",
    "highest_profit": "listen_highest_profit",
    "max_drawdown": "listen_max_drawdown",
    "partial_profit": "listen_partial_profit_available",
    "partial_loss": "listen_partial_loss_available",
    "breakeven": "listen_breakeven_available",
    "commit": "listen_strategy_commit",
    "pause": "listen_pause",
    "error": "listen_error",
}
FACADES = {
    "backtest": "Backtest",
    "schedule": "Schedule",
    "partial": "Partial",
    "breakeven": "Breakeven",
    "highest_profit": "HighestProfit",
    "max_drawdown": "MaxDrawdown",
    "strategy": "Strategy",
    "heat": "Heat",
}
SIGNAL_COLUMNS = (
    "price_open",
    "price_take_profit",
    "price_stop_loss",
    "minute_estimated_time",
    "cost",
)


class CannotPlayError(Exception):
    """The scenario needs something the engine or the chosen form does not have; the message names it."""


@dataclass(frozen=True)
class Choice:
    """How a scenario is played: engine ``bk`` or ``naive``, form ``get_signal`` or ``signals``."""

    engine: str = "bk"
    form: str = "get_signal"
    statistics: bool = True


def play(folder: Path, scenario: Record, expected: Record, choice: Choice) -> tuple[Record, Record]:
    """Play a scenario; the expected record, cut to what this engine and form can know, and what came out.

    CannotPlayError when the scenario needs a name that is not there.
    """
    naive = choice.engine == "naive"
    got = play_naive(folder, scenario) if naive else play_bk(folder, scenario, expected, choice)
    return {name: value for name, value in expected.items() if name in got}, got


def outcome(script: Script, plan: Plan | None, results: list[Record]) -> Record:
    """What was heard, in the shape of an expected record."""
    heard = script.recorder
    record = {
        "id": script.scenario["id"],
        "family": script.scenario["family"],
        "fatal": None,
        "results": results,
        "events": heard.events,
        "active_pings": heard.active_pings,
        "schedule_pings": heard.schedule_pings,
        "idle_pings": heard.idle_pings,
        "signal_event_counts": heard.signal_event_counts,
        "error_count": heard.error_count,
    }
    return record if plan is None else {**record, "get_signal": plan.record}


# the slow twin


@lru_cache(maxsize=8)
def naive_market(folder: Path, name: str, window: int) -> Market:
    """A market with the averages the scenarios before have asked for."""
    return Market(market(folder, name), window)


def play_naive(folder: Path, scenario: Record) -> Record:
    """Play on the slow twin."""
    plan, script = Plan(scenario), Script(scenario, Recorder())

    def listener(kind: str) -> Callable[[Engine, Any], None]:
        return lambda engine, event: script.hear(kind, event)

    frame = scenario["frame"]
    window = scenario["config"].get("CC_AVG_PRICE_CANDLES_COUNT", 5)
    engine = Engine(
        naive_market(folder, scenario["market"], window),
        frame=(frame["interval"], frame["start_ms"], frame["end_ms"]),
        get_signal=lambda engine, when, price: plan.answer(when, price),
        config=scenario["config"],
        strategy_interval=scenario["strategy"]["interval"],
        listeners={kind: listener(kind) for kind in script.recorder.kinds()},
        symbol=scenario["symbol"],
    )
    script.api = engine
    results = engine.run()
    return outcome(script, plan, [script.recorder.result(result) for result in results])


# the product


def public_api() -> ModuleType:
    """The package under test; CannotPlayError while it cannot be imported."""
    try:
        import bkapi
    except ImportError as error:
        raise CannotPlayError(f"bkapi: {error}") from error
    return bkapi


def missing_names(scenario: Record, expected: Record, choice: Choice, api: ModuleType) -> list[str]:
    """The public names this scenario needs and ``api`` does not have."""
    needed = {"add_exchange_schema", "add_frame_schema", "add_strategy_schema", "Backtest"}
    if scenario["config"]:
        needed.add("set_config")
    needed |= functions_used(scenario, expected)
    needed |= {LISTEN_FUNCTIONS[kind] for kind in kinds_used(scenario, expected)}
    missing = {name for name in needed if not hasattr(api, name)}
    if choice.statistics:
        missing |= {
            f"{FACADES[name]}.get_data"
            for name in expected.get("stats") or {}
            if not hasattr(getattr(api, FACADES[name], None), "get_data")
        }
    return sorted(missing)


@lru_cache(maxsize=64)
def polars_market(folder: Path, name: str) -> Any:
    """A market as a Polars frame: timestamp ms, open, high, low, close, volume."""
    import polars as pl

    names = ("timestamp", "open", "high", "low", "close", "volume")
    columns = list(zip(*market(folder, name), strict=True))
    return pl.DataFrame(
        {
            column: pl.Series(column, values, dtype=pl.Int64 if column == "timestamp" else pl.Float64)
            for column, values in zip(names, columns, strict=True)
        }
    )


def signal_frame(scenario: Record) -> Any:
    """The plan of a scenario as a frame, a row per decision; CannotPlayError when a signal fits no row."""
    import polars as pl

    rows: list[Record] = []
    for planned in scenario["signals"]:
        dto = signal_of(planned["dto"])
        unfit = "symbol" in dto or dto.get("position") not in ("long", "short")
        if unfit or any(not isinstance(dto.get(name), int | float) for name in SIGNAL_COLUMNS[1:3]):
            raise CannotPlayError(f"the signal frame has no place for signal {dto.get('id')!r}")
        numbers = {name: None if dto.get(name) is None else float(dto[name]) for name in SIGNAL_COLUMNS}
        words = {name: dto.get(name) for name in ("position", "id", "note")}
        rows.append({"timestamp": planned["when_ms"], **words, **numbers})
    words_schema = dict.fromkeys(("position", "id", "note"), pl.String)
    numbers_schema = dict.fromkeys(SIGNAL_COLUMNS, pl.Float64)
    return pl.DataFrame(rows, schema={"timestamp": pl.Int64, **words_schema, **numbers_schema})


_names = itertools.count()


def play_bk(folder: Path, scenario: Record, expected: Record, choice: Choice) -> Record:
    """Play on the product, through public names only."""
    api = public_api()
    missing = missing_names(scenario, expected, choice, api)
    if missing:
        raise CannotPlayError("missing: " + ", ".join(missing))
    signals = signal_frame(scenario) if choice.form == "signals" else None
    suffix = ""
    if hasattr(api, "reset"):
        api.reset()
    else:
        suffix = f"-{next(_names)}"
    restore = forget_config(api)
    plan, script = Plan(scenario), Script(scenario, Recorder())
    script.api = api
    context = {
        "strategy_name": f"st-{scenario['id']}{suffix}",
        "exchange_name": f"ex-{scenario['market']}{suffix}",
        "frame_name": f"fr-{scenario['id']}{suffix}",
    }
    unsubscribes = subscribe(api, script)
    try:
        if scenario["config"]:
            api.set_config(scenario["config"])
        if hasattr(api, "Markdown"):
            api.Markdown.enable()
        register(api, folder, scenario, context, plan, signals)
        results = [script.recorder.result(result) for result in api.Backtest.run(scenario["symbol"], context)]
        record = outcome(script, None if choice.form == "signals" else plan, results)
        if choice.statistics and expected.get("stats"):
            record["stats"] = statistics(api, scenario["symbol"], context, expected["stats"])
        return record
    finally:
        for unsubscribe in unsubscribes:
            unsubscribe()
        restore()


def forget_config(api: ModuleType) -> Callable[[], None]:
    """How to put the configuration back where there is no ``reset`` that does it."""
    if hasattr(api, "reset") or not hasattr(api, "get_config") or not hasattr(api, "set_config"):
        return lambda: None
    before = dict(api.get_config())
    return lambda: api.set_config(before)


def subscribe(api: ModuleType, script: Script) -> list[Callable[[], object]]:
    """Listen to every kind there is a function for."""

    def listener(kind: str) -> Callable[[Any], None]:
        return lambda event: script.hear(kind, event)

    return [
        getattr(api, function)(listener(kind))
        for kind, function in LISTEN_FUNCTIONS.items()
        if hasattr(api, function)
    ]


def register(
    api: ModuleType, folder: Path, scenario: Record, context: Mapping[str, str], plan: Plan, signals: Any
) -> None:
    """Register exchange, frame and strategy of a scenario."""
    api.add_exchange_schema(
        exchange_name=context["exchange_name"],
        candles={scenario["symbol"]: polars_market(folder, scenario["market"])},
    )
    frame = scenario["frame"]
    api.add_frame_schema(
        frame_name=context["frame_name"],
        interval=frame["interval"],
        start_date=EPOCH + timedelta(milliseconds=frame["start_ms"]),
        end_date=EPOCH + timedelta(milliseconds=frame["end_ms"]),
    )

    def get_signal(symbol: str, when: datetime, current_price: float) -> Record | None:
        return plan.answer((when - EPOCH) // timedelta(milliseconds=1), current_price)

    how = {"get_signal": get_signal} if signals is None else {"signals": lambda candles: signals}
    api.add_strategy_schema(
        strategy_name=context["strategy_name"], interval=scenario["strategy"]["interval"], **how
    )


def statistics(api: ModuleType, symbol: str, context: Mapping[str, str], expected: Record) -> Record:
    """The statistics of the run, the fields of ``expected`` read from the documented facades."""
    found: Record = {}
    for name, wanted in expected.items():
        facade = getattr(api, FACADES[name])
        if name == "backtest":
            data = facade.get_data(symbol, context)
        elif name == "heat":
            data = facade.get_data(context, True)
        else:
            data = facade.get_data(symbol, context, True)
        found[name] = statistics_record(data, wanted)
    return found


def statistics_record(data: Any, wanted: Record) -> Record:
    """The wanted fields of a statistics object; ``<list>_length`` is the length of a list."""
    record: Record = {}
    for name, value in wanted.items():
        if name.endswith("_length"):
            record[name] = len(getattr(data, name.removesuffix("_length")))
        elif isinstance(value, list):
            rows = getattr(data, name)
            record[name] = [statistics_record(row, like) for row, like in zip(rows, value, strict=False)]
            record[name].extend(["(one more)"] * (len(rows) - len(value)))
        else:
            record[name] = plain(getattr(data, name, "(missing)"))
    return record


__all__ = ["CannotPlayError", "Choice", "number_of", "play", "public_api"]

"""Cron tasks, once-per-interval functions and caches."""

import asyncio
import itertools
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record
from tests.golden.services.candles import candle, ms

KEYS = {
    "symbol": lambda arguments: arguments[0],
    "symbol_argument": lambda arguments: f"{arguments[0]}:{arguments[1]}",
}


def play(api: ModuleType, case: Case) -> Any:
    """The operations of a case, in order."""
    return cron(api, case) if case.given["mode"] == "cron" else wrapped(api, case)


# Cron


def cron(api: ModuleType, case: Case) -> Record:
    """Registrations and pings; which handlers fired."""
    registered, fired, errors = [], [], []
    counts: Record = {}
    here: Record = {}
    names = {
        "exchange_name": f"{case.id}-ex",
        "frame_name": f"{case.id}-fr",
        "strategy_name": f"{case.id}-st",
    }

    def get_candles(symbol: str, interval: str, since: Any, limit: int, backtest: bool) -> list[Record]:
        step = api.interval_step_ms(interval)
        return [candle(ms(since) + k * step) for k in range(limit)]

    api.add_exchange_schema(exchange_name=names["exchange_name"], get_candles=get_candles)
    api.add_frame_schema(frame_name=names["frame_name"], start_date=0, end_date=1)
    api.add_strategy_schema(strategy_name=names["strategy_name"], get_signal=lambda *_: None)
    api.listen_error(errors.append)
    api.Cron.dispose()
    api.Cron.enable()
    for at, op in enumerate(case.given["ops"]):
        if op["op"] == "register":
            registered.append(register(api, op["entry"], counts, fired, here))
        elif op["op"] == "tick":
            here["op"] = at
            tick(api, op, names)
        elif op["op"] == "clear":
            api.Cron.clear(*([op["symbol"]] if "symbol" in op else []))
        elif op["op"] == "unregister":
            api.Cron.unregister(op["name"])
        else:
            getattr(api.Cron, op["op"])()
    api.Cron.dispose()
    return {"register": registered, "fired": fired, "error_count": len(errors)}


def register(api: ModuleType, entry: Record, counts: Record, fired: list[Any], here: Record) -> str:
    """``ok`` or ``error``."""
    name = entry["name"]
    calls = counts.setdefault(name, itertools.count(1))

    def handler(info: Any) -> None:
        fails = next(calls) in entry["fail_calls"]
        row = [here["op"], name, info.symbol, ms(info.when), info.current_price]
        fired.append([*row, "raised" if fails else "ok"])
        if fails:
            raise RuntimeError(name)

    try:
        api.Cron.register(
            name=name, interval=entry.get("interval"), symbols=entry.get("symbols"), handler=handler
        )
    except api.BkError:
        return "error"
    return "ok"


def tick(api: ModuleType, op: Record, names: Record) -> None:
    """Publish a ping inside a mock context."""
    event: Record = {
        "symbol": op["symbol"],
        **names,
        "backtest": True,
        "timestamp": op["when_ms"],
        "current_price": 1.0,
    }
    channel, payload, more = {
        "idle": ("idle_ping_subject", "IdlePingEvent", {}),
        "active": ("active_ping_subject", "PingEvent", {"data": None}),
        "schedule": ("schedule_ping_subject", "PingEvent", {"data": None}),
        "before_start": ("before_start_subject", "LifecycleEvent", {"when": None}),
    }[op["ping"]]
    api.run_in_mock_context(
        lambda: getattr(api.emitters, channel).emit(getattr(api, payload)(**event, **more)),
        symbol=op["symbol"],
        when=op["when_ms"],
        backtest=True,
        **names,
    )


# Interval and Cache


def wrapped(api: ModuleType, case: Case) -> list[Any]:
    """Calls of one wrapped function."""
    given, script, runs = case.given, iter(case.given["script"]), itertools.count(1)
    executions: list[int] = []

    def body() -> int | None:
        number, deed = next(runs), next(script)
        executions.append(number)
        if deed == "raise":
            raise RuntimeError(number)
        return None if deed == "null" else number

    def plain(symbol: str, x: int) -> int | None:
        return body()

    async def later(symbol: str, x: int) -> int | None:
        await asyncio.sleep(0)
        return body()

    facade = api.Interval if given["mode"] == "interval" else api.Cache
    options = {"interval": given["interval"]}
    if given["key"] != "default":
        options["key"] = KEYS[given["key"]]
    function = facade.fn(later if given["async"] else plain, options)

    def step(op: Record) -> list[Any]:
        before = len(executions)
        call = function if op["op"] == "call" else getattr(function, op["op"])
        try:
            answer = api.run_in_mock_context(
                lambda: call(*op.get("args", ())),
                strategy_name=op["strategy_name"],
                when=op["when_ms"],
                backtest=op["backtest"],
            )
        except RuntimeError:
            answer = "raised"
        return [answer, len(executions) - before]

    return [step(op) for op in given["ops"]]

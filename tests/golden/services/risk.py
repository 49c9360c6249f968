"""Risk profiles that several strategies share: in backtests that take turns, and asked directly."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from bkapi.base.dotted_paths import get
from bkapi.base.timestamps import from_ms
from tests.golden.service_case import Case, Record, written
from tests.golden.services.reports import names_of, planned, register_world, short

HOUR = 3_600_000
MINUTE = 60_000


def others(payload: Any) -> list[Any]:
    """The active positions of another strategy or another symbol."""
    own = (payload.strategy_name, payload.symbol)
    return [one for one in payload.active_positions if (one.strategy_name, one.symbol) != own]


def left_after(one: Any, now: int) -> float:
    """How long a position still lives, ms."""
    return float(one.open_timestamp + one.minute_estimated_time * MINUTE - now)


#: When a validation rejects, by its kind: ``(rule, payload)``.
REJECTS: dict[str, Callable[[Record, Any], bool]] = {
    "none": lambda rule, p: False,
    "true": lambda rule, p: False,
    "max_positions": lambda rule, p: p.active_position_count >= rule["n"],
    "max_others": lambda rule, p: len(others(p)) >= rule["n"],
    "max_others_per_symbol": lambda rule, p: sum(o.symbol == p.symbol for o in others(p)) >= rule["n"],
    "max_others_per_strategy": lambda rule, p: (
        sum(o.strategy_name == p.strategy_name for o in others(p)) >= rule["n"]
    ),
    "max_others_same_side": lambda rule, p: (
        sum(o.position == p.current_signal.position for o in others(p)) >= rule["n"]
    ),
    "min_gap": lambda rule, p: any(
        abs(p.timestamp - o.open_timestamp) < rule["minutes"] * MINUTE for o in others(p)
    ),
    "expires_soon": lambda rule, p: any(
        left_after(o, p.timestamp) > rule["minutes"] * MINUTE for o in others(p)
    ),
    "allow_symbols": lambda rule, p: p.symbol not in rule["symbols"],
    "deny_symbols": lambda rule, p: p.symbol in rule["symbols"],
    "min_reward_risk": lambda rule, p: (
        abs(p.current_signal.price_take_profit - p.current_signal.price_open)
        / abs(p.current_signal.price_open - p.current_signal.price_stop_loss)
        < rule["ratio"]
    ),
    "max_stop_percent": lambda rule, p: (
        abs(p.current_signal.price_open - p.current_signal.price_stop_loss)
        / p.current_signal.price_open
        * 100
        > rule["percent"]
    ),
    "hours": lambda rule, p: not rule["from"] <= p.timestamp // HOUR % 24 < rule["to"],
    "side": lambda rule, p: p.current_signal.position != rule["side"],
    "min_pnl": lambda rule, p: p.current_signal.pnl.pnl_percentage < rule["percent"],
    "max_cost": lambda rule, p: p.current_signal.cost > rule["cost"],
}

#: What a rejection says.
WORDS: dict[str, Callable[[Record, Any], str]] = {
    "allow_symbols": lambda rule, p: f"symbol {p.symbol}",
    "deny_symbols": lambda rule, p: f"symbol {p.symbol}",
    "hours": lambda rule, p: f"hours {rule['from']}-{rule['to']}",
    "side": lambda rule, p: f"side {p.current_signal.position}",
}
VALUES = ("n", "minutes", "ratio", "percent", "cost")


def judged(rule: Record, payload: Any) -> Any:
    """What a validation answers, or ValueError."""
    kind = rule["kind"]
    if not REJECTS[kind](rule, payload):
        return True if kind == "true" else None
    words = WORDS.get(kind, lambda rule, p: f"{kind} {next(rule[v] for v in VALUES if v in rule)}")
    text = words(rule, payload)
    if rule["as"] == "raise":
        raise ValueError(text)
    return {"id": rule.get("reject_id"), "note": text} if rule["as"] == "mapping" else text


class Heard:
    """What validations, callbacks and listeners of a case hear."""

    def __init__(self, api: ModuleType, case: Case) -> None:
        self.case = case
        self.checks: list[Record] = []
        self.callbacks: list[list[Any]] = []
        self.rejections: list[Any] = []
        self.errors: list[Exception] = []
        self.expected = iter(case.expected["checks"])
        api.listen_risk(self.rejections.append)
        api.listen_validation(self.errors.append)
        for risk in case.given["risks"]:
            name = risk["risk_name"]
            rules = enumerate(risk["validations"])
            api.add_risk_schema(
                risk_name=name,
                validations=[self.validation(name, number, rule) for number, rule in rules],
                callbacks={f"on_{word}": self.callback(name, word) for word in ("allowed", "rejected")},
            )

    def callback(self, risk: str, word: str) -> Callable[[str, Any], None]:
        def call(symbol: str, check: Any) -> None:
            self.callbacks.append(
                [word, risk, check.strategy_name, symbol, check.timestamp, check.current_price]
            )

        return call

    def validation(self, risk: str, number: int, rule: Record) -> Any:
        """A validation as recorded; it notes every call."""

        def validate(payload: Any) -> Any:
            record = self.noted(risk, number, payload)
            self.checks.append(record)
            try:
                record["out"] = judged(rule, payload)
            except ValueError as error:
                record["out"] = {"raised": str(error)}
                raise
            return record["out"]

        return (
            validate if rule["entry"] == "function" else {"validate": validate, "note": "documentation only"}
        )

    def noted(self, risk: str, number: int, payload: Any) -> Record:
        """A call of a validation; what was not recorded of it stays out."""
        like = next(self.expected, {})
        record = {
            "risk": risk,
            "v": number,
            "t": payload.timestamp,
            "strategy": payload.strategy_name,
            "symbol": payload.symbol,
        }
        if number == 0:
            signal = payload.current_signal
            record |= {
                "price": payload.current_price,
                "signal_pnl": signal.pnl.pnl_percentage,
                "price_open": signal.price_open,
                "cost": signal.cost,
                "others": None if like.get("others", 0) is None else [in_short(o) for o in others(payload)],
            }
            if "count" in like:
                record["count"] = None if like["count"] is None else payload.active_position_count
        return record

    def record(self) -> Record:
        """Everything heard, in the shape of a recording."""
        wanted = self.case.expected["rejections"]
        likes = [*wanted, *[{}] * len(self.rejections)]
        return {
            "checks": written(self.checks),
            "callbacks": written(self.callbacks),
            "rejections": [rejection(*pair) for pair in zip(self.rejections, likes, strict=False)],
        }


def rejection(event: Any, like: Record) -> Record:
    """A rejection as recorded; the count was not always, and is null where the own place was taken."""
    record = {
        "t": event.timestamp,
        "strategy": event.strategy_name,
        "symbol": event.symbol,
        "signal": get(event.current_signal, "id"),
        "price": event.current_price,
        "rejection_id": event.rejection_id,
        "rejection_note": event.rejection_note,
    }
    if "active_position_count" in like:
        is_recorded = like["active_position_count"] is not None
        record["active_position_count"] = event.active_position_count if is_recorded else None
    return record


def in_short(one: Any) -> list[Any]:
    return [
        one.strategy_name,
        one.symbol,
        one.position,
        one.open_timestamp,
        one.price_open,
        written(one.minute_estimated_time),
    ]


def play(api: ModuleType, case: Case) -> Record:
    """Play runs that take turns, or direct calls."""
    return play_runs(api, case) if case.given["mode"] == "runs" else play_calls(api, case)


def play_runs(api: ModuleType, case: Case) -> Record:
    given = case.given
    api.Markdown.enable()
    register_world(api, case)
    heard = Heard(api, case)
    plans: dict[str, dict[str, list[Record]]] = {}
    for run in given["runs"]:
        plans.setdefault(run["strategy_name"], {})[run["symbol"]] = run["signals"]
    for strategy in given["strategies"]:
        name, interval = strategy["strategy_name"], strategy["interval"]
        api.add_strategy_schema(**strategy, get_signal=planned(interval, plans.get(name, {})))
    contexts = [(run["symbol"], names_of(case, run["strategy_name"])) for run in given["runs"]]
    runs = [api.Backtest.run(symbol, context) for symbol, context in contexts]
    results: list[list[Any]] = []
    for number in given["steps"]:
        results += [[number, short(result)] for result in [next(runs[number], None)] if result is not None]
    for number, run in enumerate(runs):
        results += [[number, short(result)] for result in run]
    data = [api.Risk.get_data(symbol, context, True) for symbol, context in contexts]
    return {
        **heard.record(),
        "validation_errors": len(heard.errors),
        "results": results,
        "reports": [
            {
                "total_rejections": one.total_rejections,
                "by_symbol": [[*pair] for pair in one.by_symbol.items()],
                "by_strategy": [[*pair] for pair in one.by_strategy.items()],
            }
            for one in data
        ],
    }


def play_calls(api: ModuleType, case: Case) -> Record:
    world = {"exchange_name": f"{case.id}-ex", "frame_name": f"{case.id}-fr"}
    api.add_exchange_schema(exchange_name=world["exchange_name"], get_candles=lambda *_: [])
    start, end = from_ms(0), from_ms(MINUTE)
    api.add_frame_schema(frame_name=world["frame_name"], interval="1m", start_date=start, end_date=end)
    heard = Heard(api, case)
    service = api.RiskGlobalService()
    returns = []
    for op in case.given["ops"]:
        names = {"strategy_name": op["strategy_name"], **world}
        payload = {"risk_name": op["risk_name"], **names, "backtest": op.get("backtest", True)}
        check = {
            "symbol": op["symbol"],
            "current_signal": op.get("signal"),
            **names,
            "risk_name": op["risk_name"],
            "current_price": op.get("current_price"),
            "timestamp": op["when_ms"],
        }
        calls: dict[str, Callable[[], Any]] = {
            "check": lambda check=check, payload=payload: service.check_signal(check, payload),
            "reserve": lambda check=check, payload=payload: service.check_signal_and_reserve(check, payload),
            "add": lambda op=op, payload=payload: service.add_signal(op["symbol"], payload, op["data"]),
            "remove": lambda op=op, payload=payload: service.remove_signal(op["symbol"], payload),
        }
        mock = {"symbol": op["symbol"], "when": op["when_ms"], "backtest": payload["backtest"], **names}
        returns.append(api.run_in_mock_context(calls[op["op"]], mock))
    return {**heard.record(), "returns": returns}

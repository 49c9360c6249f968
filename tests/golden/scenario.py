"""One recorded scenario: its files, the script that plays it against an engine, and the comparison.

A folder of scenarios holds ``markets/<market>.csv.gz``, ``inputs/<family>.jsonl.gz`` and
``expected/<family>.jsonl.gz``. The script asks an engine for nothing but its public functions, by name, so it
plays against the product (a module) and against the slow twin (an object).
"""

import copy
import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.naive.records import Recorder, answer_record, optional, plain, read

Record = dict[str, Any]

MINUTE = 60_000
INTERVAL_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60}

COMMAND_FUNCTIONS = {
    "average_buy": "commit_average_buy",
    "partial_profit": "commit_partial_profit",
    "partial_loss": "commit_partial_loss",
    "partial_profit_cost": "commit_partial_profit_cost",
    "partial_loss_cost": "commit_partial_loss_cost",
    "trailing_stop": "commit_trailing_stop",
    "trailing_take": "commit_trailing_take",
    "trailing_stop_cost": "commit_trailing_stop_cost",
    "trailing_take_cost": "commit_trailing_take_cost",
    "breakeven": "commit_breakeven",
    "close_pending": "commit_close_pending",
    "cancel_scheduled": "commit_cancel_scheduled",
    "activate_scheduled": "commit_activate_scheduled",
    "create_signal": "commit_create_signal",
    "create_take_profit": "commit_create_take_profit",
    "create_stop_loss": "commit_create_stop_loss",
    "set_paused": "set_strategy_paused",
    "stop_strategy": "stop_strategy",
}
METRIC_FUNCTIONS = {
    "entry_overlap": "get_position_entry_overlap",
    "partial_overlap": "get_position_partial_overlap",
    "breakeven_available": "get_breakeven",
    "peak_distance": "get_position_highest_profit_distance_pnl_percentage",
}
PROBE_FUNCTIONS = (
    "get_total_percent_closed",
    "get_total_cost_closed",
    "get_total_percent_held",
    "get_remaining_cost_basis",
    "get_position_effective_price",
    "get_position_invested_count",
    "get_position_invested_cost",
    "get_position_pnl_percent",
    "get_position_pnl_cost",
    "get_position_levels",
    "get_position_estimate_minutes",
    "get_position_countdown_minutes",
    "get_position_active_minutes",
    "get_position_waiting_minutes",
    "get_position_highest_profit_price",
    "get_position_highest_profit_timestamp",
    "get_position_highest_pnl_percentage",
    "get_position_highest_pnl_cost",
    "get_position_highest_profit_breakeven",
    "get_position_drawdown_minutes",
    "get_position_highest_profit_minutes",
    "get_position_max_drawdown_minutes",
    "get_position_max_drawdown_price",
    "get_position_max_drawdown_timestamp",
    "get_position_max_drawdown_pnl_percentage",
    "get_position_max_drawdown_pnl_cost",
    "get_position_highest_profit_distance_pnl_percentage",
    "get_position_highest_profit_distance_pnl_cost",
    "get_position_highest_max_drawdown_pnl_percentage",
    "get_position_highest_max_drawdown_pnl_cost",
    "get_max_drawdown_distance_pnl_percentage",
    "get_max_drawdown_distance_pnl_cost",
    "get_breakeven",
    "get_position_entry_overlap",
    "get_position_partial_overlap",
)
PRICED_PROBES = ("get_breakeven", "get_position_entry_overlap", "get_position_partial_overlap")
PING_KINDS = {"active_ping": "active", "schedule_ping": "schedule", "idle_ping": "idle"}
RULE_KINDS = {
    **PING_KINDS,
    "partial_profit": "partial_profit",
    "partial_loss": "partial_loss",
    "breakeven": "breakeven",
}


# files


def families(folder: Path) -> list[str]:
    """The families recorded in ``folder``, by name."""
    return sorted(path.name.removesuffix(".jsonl.gz") for path in (folder / "inputs").glob("*.jsonl.gz"))


@lru_cache(maxsize=4)
def lines(path: Path) -> list[str]:
    """The lines of a gzipped file; a record is parsed only when its turn comes."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line for line in file if line.strip()]


def scenario_ids(folder: Path, family: str) -> list[str]:
    """The ids of a family, in file order."""
    return [json.loads(line)["id"] for line in lines(folder / "inputs" / f"{family}.jsonl.gz")]


def load(folder: Path, family: str, number: int) -> tuple[Record, Record]:
    """Input and expected record of scenario ``number``; ValueError when they are not the same scenario."""
    scenario = json.loads(lines(folder / "inputs" / f"{family}.jsonl.gz")[number])
    expected = json.loads(lines(folder / "expected" / f"{family}.jsonl.gz")[number])
    if scenario["id"] != expected["id"]:
        raise ValueError(f"{family} line {number}: input {scenario['id']} but expected {expected['id']}")
    scenario["config"] = {name: number_of(value) for name, value in scenario["config"].items()}
    return scenario, expected


@lru_cache(maxsize=64)  # all of a folder: its scenarios change markets at every step
def market(folder: Path, name: str) -> list[tuple[int, float, float, float, float, float]]:
    """The candles of a market: timestamp ms, open, high, low, close, volume."""
    with gzip.open(folder / "markets" / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [
            (int(row[0]), float(row[1]), float(row[2]), float(row[3]), float(row[4]), float(row[5]))
            for row in rows
        ]


def number_of(value: Any) -> Any:
    """A number that JSON had to write as a word."""
    words = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
    return words.get(value, value) if isinstance(value, str) else value


def signal_of(dto: Record) -> Record:
    """A signal as it is handed to the engine: real infinities and NaN in its numbers."""
    words = ("id", "position", "note", "symbol")
    return {name: value if name in words else number_of(value) for name, value in dto.items()}


# the script


class Plan:
    """The planned answers of ``get_signal`` and how often it was asked."""

    def __init__(self, scenario: Record) -> None:
        self.interval = INTERVAL_MINUTES[scenario["strategy"]["interval"]] * MINUTE
        self.signals = {planned["when_ms"]: planned["dto"] for planned in scenario["signals"]}
        self.record: Record = {"count": 0, "first": None, "last": None, "price_sum": 0, "returned": []}

    def answer(self, when: int, price: float) -> Record | None:
        """The signal of the interval that ``when`` lies in; of several for one time the last."""
        self.record["first"] = when if self.record["count"] == 0 else self.record["first"]
        self.record["last"] = when
        self.record["count"] += 1
        self.record["price_sum"] += price
        dto = self.signals.get(when // self.interval * self.interval)
        if dto is None:
            return None
        self.record["returned"].append([when, dto.get("id")])
        return signal_of(copy.deepcopy(dto))


class Script:
    """Probes, minute commands and rules of a scenario, played inside the listeners (README 2.2-2.4)."""

    def __init__(self, scenario: Record, recorder: Recorder) -> None:
        self.scenario = scenario
        self.recorder = recorder
        self.symbol = scenario["symbol"]
        self.every: int = (scenario["probes"] or {}).get("every", 0)
        self.commands: dict[int, list[Record]] = {}
        for command in scenario["commands"]:
            self.commands.setdefault(command["at_ms"], []).append(command)
        self.rules = list(enumerate(scenario["rules"]))
        self.uses: dict[tuple[int, str | None], Record] = {}
        self.pings_of_signal: dict[str, int] = {}
        self.created = 0
        self.api: Any = None

    def call(self, function: str, *args: Any) -> Any:
        """Call a public function of the engine for our symbol."""
        return getattr(self.api, function)(self.symbol, *args)

    def hear(self, kind: str, event: Any) -> None:
        """Record an event, then play what the scenario has for it."""
        self.recorder.hear(kind, event)
        if kind in PING_KINDS:
            if kind == "active_ping" and self.every:
                self.probe(event)
            for command in self.commands.get(read(event, "timestamp"), ()):
                if command["on"] in ("any", PING_KINDS[kind]):
                    self.execute(command, event, "script")
        if kind in RULE_KINDS:
            for number, rule in self.rules:
                if rule["on"] == RULE_KINDS[kind]:
                    self.apply(number, rule, event)

    def probe(self, event: Any) -> None:
        """Read every getter at the ping number 0, every, 2 * every, ... of a signal."""
        identity = read(read(event, "data"), "id")
        number = self.pings_of_signal.get(identity, 0)
        self.pings_of_signal[identity] = number + 1
        if number % self.every:
            return
        price = read(event, "current_price")
        answers = {
            name: answer_record(self.call(name, price) if name in PRICED_PROBES else self.call(name))
            for name in PROBE_FUNCTIONS
        }
        self.recorder.events.append(
            {
                "e": "probe",
                "t": read(event, "timestamp"),
                "id": identity,
                "price": plain(price),
                "average_price": plain(self.call("get_average_price")),
                **answers,
            }
        )

    def apply(self, number: int, rule: Record, event: Any) -> None:
        """A policy: call its command when its limits and conditions allow."""
        data = optional(event, "data")
        when = read(event, "timestamp")
        uses = self.uses.setdefault(
            (number, None if data is None else read(data, "id")), {"calls": 0, "accepted": 0, "last": None}
        )
        if rule.get("max_calls") is not None and uses["calls"] >= rule["max_calls"]:
            return
        if rule.get("max_ok") is not None and uses["accepted"] >= rule["max_ok"]:
            return
        cooldown = rule.get("cooldown")
        if cooldown is not None and uses["last"] is not None and when - uses["last"] < cooldown * MINUTE:
            return
        if not all(self.holds(condition, event) for condition in rule["if"]):
            return
        uses["calls"] += 1
        uses["last"] = when
        uses["accepted"] += self.execute(rule, event, f"rule{number}")

    def holds(self, condition: list[Any], event: Any) -> bool:
        """Does ``[metric, comparison, value, param?]`` hold for the event?"""
        metric, comparison, value = condition[:3]
        measured = self.measure(metric, event, condition[3] if len(condition) > 3 else None)
        if measured is None:
            return False
        return COMPARISONS[comparison](measured, value)

    def measure(self, metric: str, event: Any, param: Any) -> Any:
        """The value of a metric: of the event as it was sent, or of the engine at this moment."""
        price, when = read(event, "current_price"), read(event, "timestamp")
        if metric == "minute_mod":
            return when // MINUTE % param
        if metric in METRIC_FUNCTIONS:
            return self.measure_engine(metric, price, param)
        if metric == "level":
            return optional(event, "level")
        row = optional(event, "data")
        if row is None:
            return None
        if metric == "minutes":
            return (when - (read(row, "pending_at") or read(row, "scheduled_at"))) / MINUTE
        if metric == "pnl":
            return read(read(row, "pnl"), "pnl_percentage")
        if metric in ("move", "progress"):
            return move(row, price) if metric == "move" else progress(row, price)
        counts = {
            "entries": "total_entries",
            "partials": "total_partials",
            "closed_percent": "partial_executed",
        }
        return read(row, counts[metric])

    def measure_engine(self, metric: str, price: float, param: Any) -> Any:
        """A metric that asks the engine and sees the earlier commands of the ping."""
        if metric == "peak_distance":
            return self.call(METRIC_FUNCTIONS[metric])
        if metric == "breakeven_available":
            return self.call(METRIC_FUNCTIONS[metric], price)
        return self.call(METRIC_FUNCTIONS[metric], price, dict(param))

    def execute(self, command: Record, event: Any, source: str) -> bool:
        """Call the command, record it, and say whether it was accepted."""
        args = [self.argument(arg, read(event, "current_price")) for arg in command["args"]]
        record = {
            "e": "command",
            "t": read(event, "timestamp"),
            "op": command["op"],
            "args": [args_record(arg) for arg in args],
            "src": source,
        }
        try:
            if command["op"] == "get":
                answer = self.call(args[0], *args[1:])
            else:
                answer = self.call(COMMAND_FUNCTIONS[command["op"]], *args)
        except Exception as error:
            self.recorder.events.append({**record, "err": str(error)})
            return False
        self.recorder.events.append({**record, "ok": answer_record(answer)})
        return answer is not False

    def argument(self, arg: Any, price: float) -> Any:
        """An argument of a command with its references to the ping price resolved."""
        if arg == "$price":
            return price
        if isinstance(arg, dict) and "price_mul" in arg:
            return price if arg["price_mul"] == 1 else price * arg["price_mul"]
        if isinstance(arg, dict) and "dto" in arg:
            return self.signal_around(arg["dto"], price)
        if isinstance(arg, dict) and "signal" in arg:
            return signal_of(arg["signal"])
        return copy.deepcopy(arg)

    def signal_around(self, dto: Record, price: float) -> Record:
        """A new signal with its levels in percent around the price."""
        sign = 1 if dto["position"] == "long" else -1
        opening = price
        if "open_pct" in dto:
            opening = price * (1 - sign * dto["open_pct"] / 100)
        signal = {
            "id": f"{self.scenario['id']}-u{self.created}",
            "position": dto["position"],
            "price_take_profit": opening * (1 + sign * dto["tp_pct"] / 100),
            "price_stop_loss": opening * (1 - sign * dto["sl_pct"] / 100),
            "minute_estimated_time": number_of(dto["minutes"]),
        }
        if "open_pct" in dto:
            signal["price_open"] = opening
        self.created += 1
        return signal


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def move(row: Any, price: float) -> float:
    """Percent the price moved in favour of the position since its effective entry."""
    percent = (price / read(row, "price_open") - 1) * 100
    return float(percent if read(row, "position") == "long" else -percent)


def progress(row: Any, price: float) -> float:
    """Percent of the way to the target (positive) or to the stop (negative)."""
    opening, target, stop = (
        read(row, name) for name in ("price_open", "price_take_profit", "price_stop_loss")
    )
    if read(row, "position") == "long":
        if price >= opening:
            return float((price - opening) / (target - opening) * 100)
        return float(-((opening - price) / (opening - stop)) * 100)
    if price <= opening:
        return float((opening - price) / (opening - target) * 100)
    return float(-((price - opening) / (stop - opening)) * 100)


def args_record(arg: Any) -> Any:
    """An argument as the golden records write it."""
    if isinstance(arg, dict):
        return {name: plain(value) for name, value in arg.items()}
    return plain(arg)


# what a scenario asks for


def functions_used(scenario: Record, expected: Record) -> set[str]:
    """The public functions the script of a scenario calls."""
    used: set[str] = set()
    for command in [*scenario["commands"], *scenario["rules"]]:
        used.add(command["args"][0] if command["op"] == "get" else COMMAND_FUNCTIONS[command["op"]])
    for rule in scenario["rules"]:
        used |= {
            METRIC_FUNCTIONS[condition[0]] for condition in rule["if"] if condition[0] in METRIC_FUNCTIONS
        }
    if scenario["probes"]:
        used |= {"get_average_price", *PROBE_FUNCTIONS}
    return used


def kinds_used(scenario: Record, expected: Record) -> set[str]:
    """The kinds of events a scenario must hear: what was recorded, and what its script acts upon."""
    used = {event["e"] for event in expected["events"]} - {"command", "probe"}
    used |= {"active_ping", "schedule_ping", "idle_ping", "signal", "error"}
    used |= {
        kind
        for kind in ("partial_profit", "partial_loss", "breakeven")
        for rule in scenario["rules"]
        if rule["on"] == kind
    }
    return used


# the comparison


def differences(expected: Any, got: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two records differ: path, expected, got. Floats to 1e-9, the rest exactly; no messages."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in expected:
            here = f"{path}.{name}" if path else name
            if name in ("err", "message"):
                if name not in got:
                    yield here, expected[name], got
            elif name not in got:
                yield here, expected[name], "(missing)"
            else:
                yield from differences(expected[name], got[name], here)
        for name in sorted(got.keys() - expected.keys()):
            yield (f"{path}.{name}" if path else name), "(nothing)", got[name]
    elif isinstance(expected, list) and isinstance(got, list):
        for number, (wanted, have) in enumerate(zip(expected, got, strict=False)):
            yield from differences(wanted, have, f"{path}[{number}]")
        if len(expected) != len(got):
            number = min(len(expected), len(got))
            wanted = expected[number] if number < len(expected) else "(end)"
            have = got[number] if number < len(got) else "(end)"
            yield f"{path}[{number}] (lengths {len(expected)} and {len(got)})", wanted, have
    elif not is_same(expected, got):
        yield path, expected, got


def is_same(expected: Any, got: Any) -> bool:
    """Equal scalars; a float may differ in its last digits, a time, a count or a flag may not."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float) and isinstance(got, int | float):
        if expected == got:
            return True
        # whole numbers of this size are times in ms: they are exact or wrong
        if isinstance(expected, int) and (isinstance(got, int) or expected > 10**11):
            return False
        return math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-12)
    return type(expected) is type(got) and bool(expected == got)

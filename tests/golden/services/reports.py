"""What the families heat and records share: runs over a world, and the comparison of documents."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import zip_longest
from types import ModuleType
from typing import Any

from tests.golden import scenario
from tests.golden.scenario import COMMAND_FUNCTIONS, INTERVAL_MINUTES, MINUTE
from tests.golden.service_case import EPOCH, Case, Difference, Record, candles_of, without_texts, written


def names_of(case: Case, strategy: str) -> dict[str, str]:
    """The context of a strategy of a case."""
    return {"strategy_name": strategy, "exchange_name": f"{case.id}-ex", "frame_name": f"{case.id}-fr"}


def register_world(api: ModuleType, case: Case) -> None:
    """Register exchange and frame of a case."""
    frame = case.given["frame"]
    api.add_exchange_schema(exchange_name=f"{case.id}-ex", get_candles=candles_of(case))
    api.add_frame_schema(
        frame_name=f"{case.id}-fr",
        interval=frame["interval"],
        start_date=EPOCH + timedelta(milliseconds=frame["start_ms"]),
        end_date=EPOCH + timedelta(milliseconds=frame["end_ms"]),
    )


def planned(interval: str, plans: dict[str, list[Record]]) -> Callable[[str, datetime, float], Record | None]:
    """``get_signal`` of a strategy: per symbol what was planned for each start of its interval."""
    step = INTERVAL_MINUTES[interval] * MINUTE

    def get_signal(symbol: str, when: datetime, price: float) -> Record | None:
        now = (when - EPOCH) // timedelta(milliseconds=1) // step * step
        for signal in plans.get(symbol, ()):
            if signal["when_ms"] == now:
                return dict(signal["dto"])
        return None

    return get_signal


def obey(api: ModuleType, strategy: str, rules: list[Record]) -> Callable[[], None]:
    """Carry out the rules of a strategy: at the n-th active ping of a signal, or at every n-th."""
    pings: dict[str, int] = {}

    def ping(event: Any) -> None:
        if event.strategy_name != strategy:
            return
        count = pings[event.data.id] = pings.get(event.data.id, 0) + 1
        for rule in rules:
            if count % rule["n"] == 0 if rule["repeat"] else count == rule["n"]:
                given = [event.current_price if one == "$price" else one for one in rule["args"]]
                getattr(api, COMMAND_FUNCTIONS[rule["op"]])(event.symbol, *given)

    stop: Callable[[], None] = api.listen_active_ping(ping)
    return stop


def short(result: Any) -> Record:
    """A result as the recordings write it in short."""
    row = {
        "action": result.action,
        "id": result.signal_id,
        "created_at": result.created_at,
        "current_price": result.current_price,
    }
    if result.action == "closed":
        row |= {
            "close_reason": result.close_reason,
            "close_timestamp": result.close_timestamp,
            "pnl_percentage": result.pnl.pnl_percentage,
        }
    elif result.action == "cancelled":
        row |= {"reason": result.reason, "close_timestamp": result.close_timestamp}
    return written(row)


def scalars(record: Any, *, without: tuple[str, ...] = ()) -> Record:
    """The scalar fields of a statistics record; a list is its length as ``<name>_length``."""
    found: Record = {}
    for name in record.field_names:
        value = getattr(record, name)
        if name in without:
            continue
        if isinstance(value, list | tuple):
            found[f"{name}_length"] = len(value)
        else:
            found[name] = written(value)
    return found


# ------------------------------------------------------------------------------------------ documents


def is_legend(line: str) -> bool:
    return line.startswith("*") and not line.startswith("**") and line != "*No data available*"


def counting(lines: list[str]) -> list[str]:
    """The lines that count: no legend, no repeated blank lines, none at the end."""
    kept: list[str] = []
    for line in lines:
        if not is_legend(line) and (line or (kept and kept[-1])):
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def document(text: str) -> list[str]:
    """A document in the shape of a recording."""
    return text.split("\n")


def number_in(cell: str) -> tuple[str, float, float] | None:
    """A cell that begins with a number: the words around it, the number, half a unit of its last place."""
    words = cell.split(" ")
    for place, word in enumerate(words):
        text = word.rstrip("%)")
        try:
            value = float(text)
        except ValueError:
            continue
        decimals = len(text.partition(".")[2])
        rest = " ".join([*words[:place], word.removeprefix(text), *words[place + 1 :]])
        return rest, value, 0.5 * 10.0**-decimals
    return None


def is_same_text(expected: str, got: str) -> bool:
    """Equal, or numbers that differ by less than a unit of their last place."""
    if expected == got:
        return True
    one, other = number_in(expected), number_in(got)
    if one is None or other is None or one[0] != other[0] or one[2] != other[2]:
        return False
    return abs(one[1] - other[1]) <= 2 * one[2] + 1e-12


def line_differences(expected: list[str], got: list[str], path: str) -> Iterator[Difference]:
    """Two documents, tables cell by cell."""
    for number, (one, other) in enumerate(zip_longest(expected, got)):
        if one is None or other is None:
            yield f"{path}[{number}]", one, other
            continue
        cells = zip_longest(one.split(" | "), other.split(" | "), fillvalue="(no cell)")
        for column, (cell, our) in enumerate(cells):
            if not is_same_text(cell, our):
                yield f"{path}[{number}].{column}", cell, our


def document_differences(expected: Any, got: list[str], path: str) -> Iterator[Difference]:
    """A recorded document, whole or only its beginning and end, and ours."""
    ours = counting(got)
    if isinstance(expected, list):
        yield from line_differences(counting(expected), ours, path)
        return
    first, last = expected["first"], counting(expected["last"])
    yield from line_differences(first, ours[: len(first)], f"{path}.first")
    if not any(is_legend(line) for line in expected["last"]):
        yield from line_differences(last, ours[-len(last) :], f"{path}.last")
        if len(ours) != expected["count"]:
            yield f"{path}.count", expected["count"], len(ours)


def other_differences(expected: Any, got: Any, path: str) -> Iterator[Difference]:
    """Everything but documents."""
    for where, one, other in scenario.differences(without_texts(expected), without_texts(got)):
        yield f"{path}.{where}", one, other

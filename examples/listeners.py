"""A strategy in plain Python, asked every hour, with a callback and listeners that hear what the engine does.

python examples/listeners.py                                    runs it and tells what it hears
bk backtest examples/listeners.py --start 2024-01-03            the same strategy from the command line

It looks back 24 hours, so the run starts where the sample has them.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from bkapi import (
    Backtest,
    Position,
    add_exchange_schema,
    add_frame_schema,
    add_strategy_schema,
    get_candles,
    listen_breakeven_available,
    listen_error,
    listen_partial_profit_available,
    listen_signal_event,
    to_datetime,
)

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "synthetic_btcusdt_1m.parquet"
SHOWN = 3
heard: Counter[str] = Counter()
closed = 0


def get_signal(symbol: str, when: datetime, price: float) -> dict[str, Any] | None:
    """Buy 3 % below the highest price of the last 24 hours. Candles that are not over yet cannot be reached."""
    highest = get_candles(symbol, "1h", 24)["high"].max()
    if price > 0.97 * highest:
        return None
    levels = Position.bracket(
        position="long", current_price=price, percent_take_profit=2.0, percent_stop_loss=2.0
    )
    return {**levels, "minute_estimated_time": 720, "note": f"{price / highest - 1:+.2%} from the high"}


def on_close(symbol: str, signal: Any, price: float, when: datetime, backtest: bool) -> None:
    """Count the closed positions; a callback hears one strategy, a listener all of them."""
    global closed
    closed += 1


add_strategy_schema(
    strategy_name="dip", interval="1h", get_signal=get_signal, callbacks={"on_close": on_close}
)


def tell(what: str, event: Any, about: str) -> None:
    """Print an event of the first few positions and count it."""
    heard[what] += 1
    if closed < SHOWN:
        print(f"{to_datetime(event.timestamp):%m-%d %H:%M}  {what:<16} {event.current_price:>9.2f}  {about}")


def on_signal(event: Any) -> None:
    """A position has opened or closed."""
    if event.action == "opened":
        tell("opened", event, event.data.note)
    else:
        tell("closed", event, f"{event.close_reason}, {event.data.pnl.pnl_percentage:+.2f} %")


def main() -> None:
    """Run it over two months of the bundled candles, listening."""
    add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": SAMPLE})
    add_frame_schema(frame_name="winter", start_date=datetime(2024, 1, 3), end_date=datetime(2024, 2, 29))
    listen_signal_event(on_signal)
    listen_partial_profit_available(
        lambda event: tell("profit level", event, f"{event.level} % of the way to take-profit")
    )
    listen_breakeven_available(lambda event: tell("breakeven", event, "closing here would pay its costs"))
    listen_error(lambda error: print("error:", error))

    context = {"strategy_name": "dip", "exchange_name": "sample", "frame_name": "winter"}
    results = Counter(result.action for result in Backtest.run("BTCUSDT", context))

    print(f"\nheard:   {', '.join(f'{count} x {what}' for what, count in sorted(heard.items()))}")
    print(f"yielded: {', '.join(f'{count} x {action}' for action, count in sorted(results.items()))}")
    statistics = Backtest.get_data("BTCUSDT", context)
    print(f"total:   {statistics.total_pnl:+.2f} % over {statistics.total_signals} positions")


if __name__ == "__main__":
    main()

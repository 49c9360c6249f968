"""Which events each kind of report takes: methods that its service of documents and that of records share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from bkapi.events import payloads
from bkapi.events.results import TickResult
from bkapi.reporting import rows

E = TypeVar("E")


class Handler(Generic[E]):
    """A method that takes the events of one channel: ``service.tick(event)`` counts or writes one by hand.

    convert    makes the row of a document, None for an event that does not count; without it the event is the row
    strategy   the path of the strategy's name
    source     names the fields of a record where the kind does not
    swallows   whatever it raises is dropped
    waits      it does nothing while the service is not subscribed
    """

    def __init__(
        self,
        channel: str = "",
        convert: Callable[[E], Any] = lambda event: event,
        *,
        strategy: str = "strategy_name",
        source: str = "",
        swallows: bool = False,
        waits: bool = False,
    ) -> None:
        self.channel = channel
        self.convert = convert
        self.strategy = strategy
        self.source = source
        self.swallows = swallows
        self.waits = waits
        self.__doc__ = f"Take an event of ``{channel}``." if channel else "Take a command of this action."

    def __get__(self, service: Any, owner: type) -> Callable[[E], None]:
        def handle(event: E) -> None:
            if service.is_subscribed or not self.waits:
                try:
                    service.accept(self, event)
                except Exception:
                    if not self.swallows:
                        raise

        return handle


def handlers_of(service: type) -> dict[str, Handler[Any]]:
    """The handlers of a service by name, in order."""
    return {
        name: one for kind in service.__mro__ for name, one in vars(kind).items() if isinstance(one, Handler)
    }


class OfBacktest:
    tick = Handler[TickResult]("signal_backtest_emitter", rows.closed_row)


class OfLive:
    tick = Handler[TickResult]("signal_live_emitter", rows.live_row)


class OfSchedule:
    tick = Handler[TickResult]("signal_emitter", rows.schedule_row)


class OfHeat:
    tick = Handler[TickResult]("signal_emitter", rows.closed_row)


class OfPerformance:
    track = Handler[payloads.PerformanceEvent]("performance_emitter")


class OfPartial:
    tick_profit = Handler[payloads.LevelEvent](
        "partial_profit_subject", rows.profit_row, strategy="data.strategy_name", source="partial_profit"
    )
    tick_loss = Handler[payloads.LevelEvent](
        "partial_loss_subject", rows.loss_row, strategy="data.strategy_name", source="partial_loss"
    )


class OfBreakeven:
    tick_breakeven = Handler[payloads.PingEvent](
        "breakeven_subject", rows.breakeven_row, strategy="data.strategy_name"
    )


class OfRisk:
    tick_rejection = Handler[payloads.RiskEvent]("risk_subject")


def _command(channel: str = "") -> Handler[payloads.StrategyCommitEvent]:
    return Handler(channel, rows.strategy_row, waits=True)


class OfStrategy:
    tick = _command("strategy_commit_subject")
    cancel_scheduled = _command()
    close_pending = _command()
    partial_profit = _command()
    partial_loss = _command()
    trailing_stop = _command()
    trailing_take = _command()
    breakeven = _command()
    activate_scheduled = _command()
    average_buy = _command()


class OfSync:
    tick = Handler[payloads.OrderSyncEvent]("sync_subject", rows.sync_row, swallows=True)


class OfHighestProfit:
    tick = Handler[payloads.ExtremeEvent](
        "highest_profit_subject", rows.highest_profit_row, strategy="signal.strategy_name"
    )


class OfMaxDrawdown:
    tick = Handler[payloads.ExtremeEvent](
        "max_drawdown_subject", rows.max_drawdown_row, strategy="signal.strategy_name"
    )


class OfWalker:
    tick = Handler[payloads.WalkerEvent]("walker_emitter")

"""What can users ask of a running strategy? The commands (spec engine.md 10).

A command that changes the position returns True when it took effect and False when it did not: without a position,
when a precondition does not hold, or for a malformed number. A command without a price argument uses the
average of the closed candles; inside a ping that is the candle before the ping's (spec 3.2, trap 2).
"""

from __future__ import annotations

from typing import TypedDict

from bkapi.errors import NoPositionError
from bkapi.events.emitters import emitters
from bkapi.events.payloads import SignalInfoEvent
from bkapi.events.results import SignalInput
from bkapi.positions.forms import Forms, View
from bkapi.runs.validation import as_number
from bkcore.machine.codes import Command, Deferred


class CommandPayload(TypedDict, total=False):
    """What a deferred command may carry; it is shown in the results and events of its execution."""

    id: str | None
    note: str | None


class NotifyPayload(TypedDict, total=False):
    """What ``commit_signal_notify`` may carry."""

    notification_id: str | None
    notification_note: str | None


class PositionCommands(View):
    """A strategy that runs, given commands at one price."""

    __slots__ = ()

    # changes of the position, effective at once

    def commit_average_buy(self, cost: float | None = None) -> bool:
        """Add an entry of ``cost`` USD, by default ``CC_POSITION_ENTRY_COST``, at the price (spec engine.md 10.3).

        Granted only at a better price than every entry before, or with ``CC_ENABLE_DCA_EVERYWHERE``.
        """
        return self._order(Command.AVERAGE_BUY, self.run.settings.entry_cost if cost is None else cost)

    def commit_partial_profit(self, percent: float) -> bool:
        """Close ``percent`` of what is left, in profit and before the target (spec engine.md 10.4).

        100 closes everything: the next candle ends the position with reason ``closed``.
        """
        return self._order(Command.PARTIAL_PROFIT, percent)

    def commit_partial_loss(self, percent: float) -> bool:
        """Close ``percent`` of what is left, in loss and before the stop (spec engine.md 10.4)."""
        return self._order(Command.PARTIAL_LOSS, percent)

    def commit_partial_profit_cost(self, dollars: float) -> bool:
        """Close ``dollars`` USD of the cost basis that is left, in profit (spec engine.md 10.4)."""
        return self._order(Command.PARTIAL_PROFIT_COST, dollars)

    def commit_partial_loss_cost(self, dollars: float) -> bool:
        """Close ``dollars`` USD of the cost basis that is left, in loss (spec engine.md 10.4)."""
        return self._order(Command.PARTIAL_LOSS_COST, dollars)

    def commit_trailing_stop(self, percent_shift: float) -> bool:
        """Move the stop to its original distance plus ``percent_shift`` (spec engine.md 10.5).

        The shift is in percentage points of the effective entry; below 0 brings the stop nearer. After the first
        call only a tighter stop is granted, unless ``CC_ENABLE_TRAILING_EVERYWHERE``.
        """
        return self._order(Command.TRAILING_STOP, percent_shift)

    def commit_trailing_take(self, percent_shift: float) -> bool:
        """Move the target to its original distance plus ``percent_shift`` (spec engine.md 10.6).

        The shift is in percentage points of the effective entry; below 0 brings the target nearer. After the first
        call only a nearer target is granted, unless ``CC_ENABLE_TRAILING_EVERYWHERE``.
        """
        return self._order(Command.TRAILING_TAKE, percent_shift)

    def commit_trailing_stop_cost(self, new_price: float) -> bool:
        """Move the stop to ``new_price``, up to the last bits, by the shift that leads there (spec engine.md 10.5)."""
        return self._order(Command.TRAILING_STOP_COST, new_price)

    def commit_trailing_take_cost(self, new_price: float) -> bool:
        """Move the target to ``new_price``, up to the last bits, by the shift that leads there (spec 10.6)."""
        return self._order(Command.TRAILING_TAKE_COST, new_price)

    def commit_breakeven(self) -> bool:
        """Move the stop to the effective entry, once the price pays for the round trip (spec engine.md 10.7).

        True as well, and without a change, while a trailed stop already stands beyond the entry.
        """
        return self._order(Command.BREAKEVEN)

    # ends, executed on the next candle

    def commit_close_pending(self, payload: CommandPayload | None = None) -> None:
        """Close the position on the next candle at its average; no-op without one (spec engine.md 10.8).

        ``payload`` may give an ``id`` and a ``note``. Getters see no position from now on.
        """
        self._defer(Deferred.CLOSE, payload)

    def commit_create_take_profit(self, payload: CommandPayload | None = None) -> None:
        """The broker filled the target: close there on the next candle; no-op without a position (spec 10.11)."""
        self._defer(Deferred.TAKE_PROFIT_FILL, payload)

    def commit_create_stop_loss(self, payload: CommandPayload | None = None) -> None:
        """The broker filled the stop: close there on the next candle; no-op without a position (spec 10.11)."""
        self._defer(Deferred.STOP_LOSS_FILL, payload)

    def commit_cancel_scheduled(self, payload: CommandPayload | None = None) -> None:
        """Drop the resting order on the next candle; no-op without one (spec engine.md 10.9)."""
        self._defer(Deferred.CANCEL, payload)

    def commit_activate_scheduled(self, payload: CommandPayload | None = None) -> None:
        """Open the resting order on the next candle at its limit; no-op without one or when stopped (spec 10.9)."""
        self._defer(Deferred.ACTIVATE, payload)

    # the strategy

    def commit_create_signal(self, dto: SignalInput) -> None:
        """Queue a signal for the next tick, past the throttle of the strategy's interval (spec engine.md 10.10).

        Raises :class:`SignalError` when the strategy is stopped, the signal is invalid (:func:`validate_signal`) or
        the strategy is busy: a position, a resting order, a queued signal or a deferred command.
        """
        self.run.queue_signal(dto)

    def set_strategy_paused(self, paused: bool) -> None:
        """Open nothing new until resumed; what lives goes on (spec engine.md 10.12)."""
        self.run.set_paused(bool(paused))

    def stop_strategy(self) -> None:
        """Open nothing new for the rest of the run and drop what has not opened (spec engine.md 10.13)."""
        self.run.stop()

    def commit_signal_notify(self, payload: NotifyPayload | None = None) -> None:
        """Tell the ``listen_signal_notify`` listeners about the open position; nothing changes (spec engine.md 10.14).

        ``payload`` may give a ``notification_id`` and a ``notification_note``; without one the note of the signal is
        told. Raises :class:`NoPositionError` without a position, and whatever a listener raises.
        """
        run, chosen = self.run, payload or {}
        if run.position() is None:
            raise NoPositionError(f"{self.source} no pending signal for {self}")
        signal = run.rows.public(run.trade, self.price)
        emitters.signal_notify_subject.emit(
            SignalInfoEvent(
                data=signal,
                current_price=self.price,
                note=chosen.get("notification_note") or signal.note,
                notification_id=chosen.get("notification_id"),
                symbol=run.symbol,
                backtest=run.backtest,
                timestamp=run.now_ms(),
                **run.names.to_dict(),
            )
        )

    # what the commands are made of

    def _order(self, command: Command, value: object = None) -> bool:
        return self.run.order(command, price=self.price, value=as_number(value))

    def _defer(self, deferred: Deferred, payload: CommandPayload | None) -> None:
        chosen = payload or {}
        self.run.defer(deferred, id=chosen.get("id"), note=chosen.get("note"))


_forms = Forms(PositionCommands)
commit_average_buy = _forms.ambient(PositionCommands.commit_average_buy)
commit_partial_profit = _forms.ambient(PositionCommands.commit_partial_profit)
commit_partial_loss = _forms.ambient(PositionCommands.commit_partial_loss)
commit_partial_profit_cost = _forms.ambient(PositionCommands.commit_partial_profit_cost)
commit_partial_loss_cost = _forms.ambient(PositionCommands.commit_partial_loss_cost)
commit_trailing_stop = _forms.ambient_valued(PositionCommands.commit_trailing_stop)
commit_trailing_take = _forms.ambient_valued(PositionCommands.commit_trailing_take)
commit_trailing_stop_cost = _forms.ambient(PositionCommands.commit_trailing_stop_cost)
commit_trailing_take_cost = _forms.ambient(PositionCommands.commit_trailing_take_cost)
commit_breakeven = _forms.ambient(PositionCommands.commit_breakeven)
commit_close_pending = _forms.ambient(PositionCommands.commit_close_pending)
commit_create_take_profit = _forms.ambient(PositionCommands.commit_create_take_profit)
commit_create_stop_loss = _forms.ambient(PositionCommands.commit_create_stop_loss)
commit_cancel_scheduled = _forms.ambient(PositionCommands.commit_cancel_scheduled)
commit_activate_scheduled = _forms.ambient(PositionCommands.commit_activate_scheduled)
commit_create_signal = _forms.ambient(PositionCommands.commit_create_signal)
set_strategy_paused = _forms.ambient(PositionCommands.set_strategy_paused)
stop_strategy = _forms.ambient(PositionCommands.stop_strategy)
commit_signal_notify = _forms.ambient(PositionCommands.commit_signal_notify)

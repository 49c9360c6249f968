"""Which events are there, and how do users listen to them? (spec adapters-and-events.md 1.3 to 1.7)

``emitters`` holds the 40 documented channels and the one of ``wake_on``. One row of :class:`Emitters` says everything
about a channel, and the ``listen_*`` functions are made from these rows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, cast

from bkapi.base import dotted_paths as dotted
from bkapi.base.coroutines import settle
from bkapi.base.record import Record, record
from bkapi.base.turns import Turn
from bkapi.errors import BkError, RefusedSignalError
from bkapi.events import payloads
from bkapi.events.channels import BehaviourChannel, Channel, OnError, Subscription, isolate, log_error
from bkapi.events.results import OpenedResult, Result, TickResult

logger = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: What must hold for an event to be delivered to a listener of ``listen_*`` (spec 1.5): an open position, a
#: scheduled signal, no open position, or for commits a position (or a user close of that id) unless they
#: end it.
Requirement: TypeAlias = Literal["position", "scheduled", "no position", "commit"]

_REQUIRES: Mapping[Requirement | None, str] = {
    None: "",
    "position": " Not delivered once the position of the event's context is closed.",
    "scheduled": " Not delivered once the scheduled signal of the event's context is gone.",
    "no position": " Not delivered while the event's context has an open position.",
    "commit": " Actions other than ``cancel-scheduled`` and ``close-pending`` are delivered only while the "
    "position is open or its user close is pending.",
}

#: How many contexts a ``listen_*_per_signal`` registration remembers.
REMEMBERED_CONTEXTS: Final = 200


class EventChannel(Channel[T]):
    """A documented channel.

    ``payload``: what is sent; ``isolated``: whether a snapshot detaches it (``System.create_snapshot``);
    ``requires`` and ``gate``: when ``listen_*`` delivers; ``identify``: the id of the signal an event is
    about. The engine puts the gates in with :func:`install_gates`; without a gate everything is delivered.
    """

    __slots__ = ("about", "gate", "identify", "isolated", "payload", "requires")

    def __init__(
        self,
        payload: type[T],
        about: str,
        *,
        isolated: bool = True,
        requires: Requirement | None = None,
        identify: Callable[[Any], str | None] | None = None,
        on_error: OnError | None = None,
    ) -> None:
        super().__init__(on_error=on_error)
        self.payload = payload
        self.about = about
        self.isolated = isolated
        self.requires = requires
        self.identify = identify
        self.gate: Callable[[T], bool] | None = None


def report_error(
    error: Exception, source: str, repeats: ErrorRepeats | None = None, *, times: int = 1
) -> None:
    """Log ``error`` and send it to ``error_emitter``; what ``source`` was doing goes on.

    repeats   what a run has logged already: errors alike are logged once, and counted
    times     how many errors this one stands for
    """
    if repeats is None or repeats.is_first(error, source, times):
        _log(error, source, times=times, more=f" ({times:,} times)" if times > 1 else "")
    emitters.error_emitter.emit(error)


def call_back(callbacks: Any, name: str, *arguments: Any) -> None:
    """Call the callback of that name where there is one; what it raises is reported, and the caller goes on."""
    callback = dotted.get(callbacks, name)
    if callback is not None:
        try:
            settle(callback(*arguments))
        except Exception as error:  # noqa: BLE001 - a callback may raise anything
            report_error(error, name)


def emit_guarded(channel: Channel[T], event: T) -> None:
    """Tell those who listen; what they raise is reported, and the caller goes on."""
    try:
        channel.emit(event)
    except Exception as error:  # noqa: BLE001 - a listener may raise anything
        report_error(error, channel.name)


@record
class Trouble(Record):
    """Errors alike that a run has survived.

    source       what was being done: ``get_signal``, a callback, a channel, or the strategy where a signal was refused
    error        the first one: its type and message
    times        how many there were
    is_refusal   whether signals were refused, rather than code has failed
    """

    source: str
    error: str
    times: int
    is_refusal: bool

    def __str__(self) -> str:
        first = self.error.splitlines()
        shown = " ".join(line.strip() for line in first[:2]) if self.is_refusal else first[0]
        what = "signals refused" if self.is_refusal else f"errors in {self.source}"
        return f"{self.times:,} {what}, the first: {shown[:200]}"


class ErrorRepeats:
    """The errors that one run has told: alike are those of one source, type and wording, numbers aside.

    ``troubles`` lists those of a run that has ended.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, type[Exception], str], list[Any]] = {}
        self.troubles: tuple[Trouble, ...] = ()

    def is_first(self, error: Exception, source: str, times: int = 1) -> bool:
        """Count the error; True when none like it came before."""
        key = (source, type(error), _NUMBER.sub("0", str(error)))
        seen = self._counts.setdefault(key, [error, 0, times])
        seen[1] += times
        return bool(seen[1] == times)

    def finish(self) -> None:
        """Log how many more there were of each, and keep them as text."""
        for (source, _, _), (error, count, logged) in self._counts.items():
            more = count - logged
            if more:
                _log(error, source, times=more, more=f" ({more:,} more like it)")
        self.troubles += tuple(
            Trouble(
                source,
                str(error) if isinstance(error, BkError) else f"{type(error).__name__}: {error}",
                count,
                isinstance(error, RefusedSignalError),
            )
            for (source, _, _), (error, count, _) in self._counts.items()
        )
        self._counts.clear()


def _log(error: Exception, source: str, *, times: int, more: str) -> None:
    known = isinstance(error, BkError) or "more" in more  # our own errors say everything in their message
    about = {"error": error, "times": times}
    logger.warning("%s: %s%s", source, error, more, exc_info=None if known else error, extra=about)


_NUMBER = re.compile(r"\d+")
_by_signal = attrgetter("signal_id")
_by_extreme = attrgetter("signal.id")
_by_data = attrgetter("data.id")
_ANY_RESULT: type[TickResult] = cast(Any, Result)


class Emitters:
    """The documented channels, by name."""

    signal_emitter: Final = EventChannel(
        _ANY_RESULT, "every result of a run, backtest and live", identify=_by_signal
    )
    signal_live_emitter: Final = EventChannel(_ANY_RESULT, "every result of a live run", identify=_by_signal)
    signal_backtest_emitter: Final = EventChannel(
        _ANY_RESULT, "every result of a backtest", identify=_by_signal
    )
    signal_event_subject: Final = EventChannel(
        payloads.SignalEvent, "every opening and closing of a position", identify=_by_data
    )
    schedule_event_subject: Final = EventChannel(
        payloads.ScheduleEvent, "every scheduled signal, created or cancelled", identify=_by_data
    )
    schedule_ping_subject: Final = EventChannel(
        payloads.PingEvent, "every minute of a scheduled signal", requires="scheduled", identify=_by_data
    )
    active_ping_subject: Final = EventChannel(
        payloads.PingEvent, "every minute of an open position", requires="position", identify=_by_data
    )
    idle_ping_subject: Final = EventChannel(
        payloads.IdlePingEvent, "every tick with nothing open and nothing resting", requires="no position"
    )
    strategy_commit_subject: Final = EventChannel(
        payloads.StrategyCommitEvent, "every command that took effect", requires="commit", identify=_by_signal
    )
    partial_profit_subject: Final = EventChannel(
        payloads.LevelEvent,
        "every tenth of the way to the take-profit",
        requires="position",
        identify=_by_data,
    )
    partial_loss_subject: Final = EventChannel(
        payloads.LevelEvent, "every tenth of the way to the stop-loss", requires="position", identify=_by_data
    )
    breakeven_subject: Final = EventChannel(
        payloads.PingEvent,
        "the moment when breakeven becomes available",
        requires="position",
        identify=_by_data,
    )
    highest_profit_subject: Final = EventChannel(
        payloads.ExtremeEvent, "every new best price of a position", requires="position", identify=_by_extreme
    )
    max_drawdown_subject: Final = EventChannel(
        payloads.ExtremeEvent,
        "every new worst price of a position",
        requires="position",
        identify=_by_extreme,
    )
    signal_notify_subject: Final = EventChannel(
        payloads.SignalInfoEvent,
        "every note of a strategy on its position",
        requires="position",
        identify=_by_data,
    )
    pause_subject: Final = EventChannel(payloads.PauseEvent, "every pause and resumption", isolated=False)
    risk_subject: Final = EventChannel(payloads.RiskEvent, "every signal that a risk profile rejected")
    sync_subject: Final = EventChannel(payloads.OrderSyncEvent, "every order about to be opened or closed")
    sync_pending_subject: Final = EventChannel(payloads.OrderCheckEvent, "every check of a live order")
    order_fill_subject: Final = EventChannel(payloads.OrderFillEvent, "every confirmed order")
    order_reject_subject: Final = EventChannel(payloads.OrderRejectEvent, "every order refused for good")
    order_continue_subject: Final = EventChannel(
        payloads.OrderContinueEvent, "every order check that lets it go on"
    )
    order_stop_subject: Final = EventChannel(payloads.OrderStopEvent, "every order check that ends the order")
    before_start_subject: Final = EventChannel(payloads.LifecycleEvent, "every run about to start")
    after_end_subject: Final = EventChannel(payloads.LifecycleEvent, "every run that has ended")
    done_backtest_subject: Final = EventChannel(
        payloads.DoneEvent, "every background backtest that has finished"
    )
    done_live_subject: Final = EventChannel(payloads.DoneEvent, "every background live run that has finished")
    done_walker_subject: Final = EventChannel(
        payloads.DoneEvent, "every background walker that has finished", isolated=False
    )
    progress_backtest_emitter: Final = EventChannel(
        payloads.BacktestProgressEvent, "the progress of a backtest", on_error=report_error
    )
    progress_walker_emitter: Final = EventChannel(
        payloads.WalkerProgressEvent, "the progress of a walker", isolated=False
    )
    performance_emitter: Final = EventChannel(
        payloads.PerformanceEvent, "the duration of each part of a run", on_error=report_error
    )
    walker_emitter: Final = EventChannel(
        payloads.WalkerEvent, "every strategy that a walker has finished", isolated=False
    )
    walker_complete_subject: Final = EventChannel(
        payloads.WalkerCompleteEvent, "every finished walker", isolated=False
    )
    walker_stop_subject: Final = EventChannel(
        payloads.WalkerStopEvent, "requests to stop a walker", isolated=False, on_error=log_error
    )
    validation_subject: Final = EventChannel(
        Exception, "every error inside a risk validation", on_error=log_error
    )
    error_emitter: Final = EventChannel(Exception, "every error that a run survived", on_error=log_error)
    exit_emitter: Final = EventChannel(
        Exception, "every error that ended a background run", isolated=False, on_error=log_error
    )
    shutdown_emitter: Final = EventChannel(type(None), "the shutdown of the process", on_error=log_error)
    backtest_schedule_open_subject: Final = EventChannel(
        OpenedResult, "scheduled signals that open in a backtest"
    )
    wake_subject: Final = EventChannel(
        payloads.PingEvent,
        "a candle at which a condition of ``wake_on`` holds",
        requires="position",
        identify=_by_data,
    )
    entry_subject: Final = BehaviourChannel[str]()

    def __iter__(self) -> Iterator[Channel[Any]]:
        return (channel for channel in vars(type(self)).values() if isinstance(channel, Channel))

    def event_channels(self) -> Iterator[EventChannel[Any]]:
        """All channels but ``entry_subject``, in documented order."""
        return (channel for channel in self if isinstance(channel, EventChannel))

    def isolate(self) -> Callable[[], None]:
        """Detach the listeners of every isolated channel; the returned callable brings them back.

        Which channels are isolated: spec market-data.md 12.4.
        """
        return isolate(channel for channel in self.event_channels() if channel.isolated)

    def clear(self) -> None:
        """Detach every listener of every channel, and forget the announced entry point."""
        for channel in self:
            channel.clear()
        self.entry_subject.data = None


emitters: Final = Emitters()


def install_gates(gates: Mapping[Requirement, Callable[[Any], bool]]) -> None:
    """Say how each requirement is tested: ``gate(event)`` is asked just before an event is delivered."""
    for channel in emitters.event_channels():
        if channel.requires is not None:
            channel.gate = gates.get(channel.requires)


class Listen(Protocol[T_co]):
    """Shape of the ``listen_x`` functions."""

    __name__: str

    def __call__(self, fn: Callable[[T_co], object], /) -> Callable[[], None]: ...


class ListenMatching(Protocol[T_co]):
    """Shape of the ``listen_x_once`` and ``listen_x_per_signal`` functions."""

    __name__: str

    def __call__(
        self, filter_fn: Callable[[T_co], bool], fn: Callable[[T_co], object], /
    ) -> Callable[[], None]: ...


def _serialised(channel: EventChannel[T], deliver: Callable[[T], object]) -> Subscription[T]:
    """``deliver`` behind the gate, one call at a time, in the order of arrival; not attached yet."""
    turn = Turn()

    def take(event: T) -> None:
        with turn:
            gate = channel.gate
            if gate is None or gate(event):
                result = deliver(event)
                if result is not None:
                    settle(result)

    return Subscription(channel, take)


def _named(function: Callable[..., Any], name: str, document: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = document
    return function


def _every(channel: EventChannel[T], name: str, warning: str = "") -> Listen[T]:
    def listen(fn: Callable[[T], object], /) -> Callable[[], None]:
        logger.debug("%s", name)
        if warning:
            logger.warning("%s: %s", name, warning)
        return channel.attach(_serialised(channel, fn))

    listened: Listen[T] = _named(
        listen,
        name,
        f"""Call ``fn(event)`` on {channel.about}; the returned callable ends it.

        ``event`` is a :class:`{channel.payload.__name__}`; ``fn`` may be a coroutine function. Calls of one
        listener never overlap, and the run waits for them.{_REQUIRES[channel.requires]}
        {warning}""".rstrip(),
    )
    return listened


def _once(channel: EventChannel[T], name: str) -> ListenMatching[T]:
    def listen_once(filter_fn: Callable[[T], bool], fn: Callable[[T], object], /) -> Callable[[], None]:
        logger.debug("%s", name)
        fresh = [True]

        def deliver(event: T) -> object:
            if not fresh or not filter_fn(event):
                return None
            fresh.clear()  # before the call: it fires once, even if fn raises
            subscription()
            return fn(event)

        subscription = _serialised(channel, deliver)
        return channel.attach(subscription)

    listened: ListenMatching[T] = _named(
        listen_once,
        name,
        f"""Call ``fn(event)`` once: on the first of {channel.about} that ``filter_fn(event)`` accepts.

        ``event`` is a :class:`{channel.payload.__name__}`. The returned callable cancels
        it.{_REQUIRES[channel.requires]} """,
    )
    return listened


def _per_signal(channel: EventChannel[T], name: str) -> ListenMatching[T]:
    identify = channel.identify
    assert identify is not None

    def listen_per_signal(filter_fn: Callable[[T], bool], fn: Callable[[T], object], /) -> Callable[[], None]:
        logger.debug("%s", name)
        last_ids: dict[tuple[Any, ...], str] = {}

        def deliver(event: T) -> object:
            signal_id = identify(event)
            if signal_id is None or not filter_fn(event):
                return None
            key = _context_of(event)
            if last_ids.get(key) == signal_id:
                return None
            last_ids[key] = signal_id
            if len(last_ids) > REMEMBERED_CONTEXTS:
                del last_ids[next(iter(last_ids))]
            return fn(event)

        return channel.attach(_serialised(channel, deliver))

    listened: ListenMatching[T] = _named(
        listen_per_signal,
        name,
        f"""Call ``fn(event)`` on {channel.about} that ``filter_fn(event)`` accepts, once per signal in a row.

        ``event`` is a :class:`{channel.payload.__name__}`. The id of the last signal is remembered per
        context, for at most {REMEMBERED_CONTEXTS} contexts. The returned callable ends
        it.{_REQUIRES[channel.requires]} """,
    )
    return listened


_context_of: Callable[[Any], tuple[Any, ...]] = attrgetter(
    "strategy_name", "exchange_name", "frame_name", "backtest", "symbol"
)

_GATE_WARNING = (
    "a listener that raises here vetoes or closes orders; exchange integration belongs into a broker adapter "
    "(Broker.use_broker_adapter)."
)


def _with_once(channel: EventChannel[T], name: str) -> tuple[Listen[T], ListenMatching[T]]:
    return _every(channel, name), _once(channel, f"{name}_once")


def _with_all(channel: EventChannel[T], name: str) -> tuple[Listen[T], ListenMatching[T], ListenMatching[T]]:
    return *_with_once(channel, name), _per_signal(channel, f"{name}_per_signal")


listen_signal, listen_signal_once, listen_signal_per_signal = _with_all(
    emitters.signal_emitter, "listen_signal"
)
listen_signal_live, listen_signal_live_once, listen_signal_live_per_signal = _with_all(
    emitters.signal_live_emitter, "listen_signal_live"
)
listen_signal_backtest, listen_signal_backtest_once, listen_signal_backtest_per_signal = _with_all(
    emitters.signal_backtest_emitter, "listen_signal_backtest"
)
listen_signal_event, listen_signal_event_once, listen_signal_event_per_signal = _with_all(
    emitters.signal_event_subject, "listen_signal_event"
)
listen_order_schedule = _every(emitters.schedule_event_subject, "listen_order_schedule")
listen_order_schedule_per_signal = _per_signal(
    emitters.schedule_event_subject, "listen_order_schedule_per_signal"
)
listen_schedule_ping, listen_schedule_ping_once, listen_schedule_ping_per_signal = _with_all(
    emitters.schedule_ping_subject, "listen_schedule_ping"
)
listen_active_ping, listen_active_ping_once, listen_active_ping_per_signal = _with_all(
    emitters.active_ping_subject, "listen_active_ping"
)
listen_wake, listen_wake_once, listen_wake_per_signal = _with_all(emitters.wake_subject, "listen_wake")
listen_idle_ping, listen_idle_ping_once = _with_once(emitters.idle_ping_subject, "listen_idle_ping")
listen_strategy_commit, listen_strategy_commit_once, listen_strategy_commit_per_signal = _with_all(
    emitters.strategy_commit_subject, "listen_strategy_commit"
)
(
    listen_partial_profit_available,
    listen_partial_profit_available_once,
    listen_partial_profit_available_per_signal,
) = _with_all(emitters.partial_profit_subject, "listen_partial_profit_available")
(
    listen_partial_loss_available,
    listen_partial_loss_available_once,
    listen_partial_loss_available_per_signal,
) = _with_all(emitters.partial_loss_subject, "listen_partial_loss_available")
listen_breakeven_available, listen_breakeven_available_once, listen_breakeven_available_per_signal = (
    _with_all(emitters.breakeven_subject, "listen_breakeven_available")
)
listen_highest_profit, listen_highest_profit_once, listen_highest_profit_per_signal = _with_all(
    emitters.highest_profit_subject, "listen_highest_profit"
)
listen_max_drawdown, listen_max_drawdown_once, listen_max_drawdown_per_signal = _with_all(
    emitters.max_drawdown_subject, "listen_max_drawdown"
)
listen_signal_notify, listen_signal_notify_once, listen_signal_notify_per_signal = _with_all(
    emitters.signal_notify_subject, "listen_signal_notify"
)
listen_pause, listen_pause_once = _with_once(emitters.pause_subject, "listen_pause")
listen_risk, listen_risk_once = _with_once(emitters.risk_subject, "listen_risk")
listen_sync = _every(emitters.sync_subject, "listen_sync", _GATE_WARNING)
listen_check = _every(emitters.sync_pending_subject, "listen_check", _GATE_WARNING)
listen_order_fill = _every(emitters.order_fill_subject, "listen_order_fill")
listen_order_reject = _every(emitters.order_reject_subject, "listen_order_reject")
listen_order_continue = _every(emitters.order_continue_subject, "listen_order_continue")
listen_order_stop = _every(emitters.order_stop_subject, "listen_order_stop")
listen_before_start, listen_before_start_once = _with_once(
    emitters.before_start_subject, "listen_before_start"
)
listen_after_end, listen_after_end_once = _with_once(emitters.after_end_subject, "listen_after_end")
listen_done_backtest, listen_done_backtest_once = _with_once(
    emitters.done_backtest_subject, "listen_done_backtest"
)
listen_done_live, listen_done_live_once = _with_once(emitters.done_live_subject, "listen_done_live")
listen_done_walker, listen_done_walker_once = _with_once(emitters.done_walker_subject, "listen_done_walker")
listen_backtest_progress = _every(emitters.progress_backtest_emitter, "listen_backtest_progress")
listen_walker_progress = _every(emitters.progress_walker_emitter, "listen_walker_progress")
listen_performance = _every(emitters.performance_emitter, "listen_performance")
listen_walker, listen_walker_once = _with_once(emitters.walker_emitter, "listen_walker")
listen_walker_complete = _every(emitters.walker_complete_subject, "listen_walker_complete")
listen_validation = _every(emitters.validation_subject, "listen_validation")
listen_error = _every(emitters.error_emitter, "listen_error")
listen_exit = _every(emitters.exit_emitter, "listen_exit")

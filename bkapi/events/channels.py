"""How does an event reach its listeners? A channel calls them in order and applies the rules for errors.

A listener that is added or removed during a call does not change that call (spec adapters-and-events.md 1.1, 1.2).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from bkapi.base.coroutines import settle

logger = logging.getLogger(__name__)

T = TypeVar("T")


#: Handles the first error that the listeners of an emission raised: ``on_error(error, name)``.
OnError: TypeAlias = Callable[[Exception, str], None]


def log_error(error: Exception, source: str) -> None:
    """Log and swallow, so that an error about an error does not cause another."""
    logger.warning("%s: a listener failed: %s", source, error, exc_info=error)


class Subscription(Generic[T]):
    """One listener of one channel; calling it unsubscribes, once or more often.

    ``collects``: it can read what happened from the log of a run, so a run need not tell it (spec reports.md 1).
    """

    __slots__ = ("_channel", "active", "collects", "fn")

    def __init__(self, channel: Channel[T], fn: Callable[[T], object], *, collects: bool = False) -> None:
        self._channel = channel
        self.fn = fn
        self.active = True
        self.collects = collects

    @property
    def is_attached(self) -> bool:
        """Whether it gets what is emitted now: not after it has ended, and not while its channel is isolated."""
        return self.active and self in self._channel.listeners

    def __call__(self) -> None:
        self.active = False
        self._channel._drop_inactive()


class Channel(Generic[T]):
    """A subject: ``emit(payload)`` calls every listener and returns after the last one.

    ``listeners`` is empty while nobody listens: an emitter tests it before it makes a payload. An emission calls the
    listeners that were there when it began, without those removed meanwhile. A listener may be a
    coroutine function. When listeners raise, the others still run; then ``emit`` raises the first error,
    or gives it to ``on_error`` where there is one. Later errors are logged.
    """

    __slots__ = ("listeners", "name", "on_error")

    #: Counts the changes of listeners of all channels; code that depends on them compares it with the last value.
    changes: ClassVar[int] = 0
    _changing = threading.Lock()

    def __init__(self, name: str = "", *, on_error: OnError | None = None) -> None:
        self.name = name
        self.on_error = on_error
        self.listeners: tuple[Subscription[T], ...] = ()

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @property
    def has_listeners(self) -> bool:
        """Whether at least one listener is attached."""
        return bool(self.listeners)

    def subscribe(self, fn: Callable[[T], object]) -> Subscription[T]:
        """Attach ``fn``; the returned callable detaches it."""
        return self.attach(Subscription(self, fn))

    def collect(self, fn: Callable[[T], object]) -> Subscription[T]:
        """Attach ``fn`` as a listener that can read the log of a run instead."""
        return self.attach(Subscription(self, fn, collects=True))

    def attach(self, subscription: Subscription[T]) -> Subscription[T]:
        """Attach a subscription that was made before, for listeners that need their own."""
        with self._changing:
            self._replace((*self.listeners, subscription))
        return subscription

    def once(self, fn: Callable[[T], object]) -> Subscription[T]:
        """Attach ``fn`` for the next payload only."""
        return self._once(None, fn)

    def filter(self, predicate: Callable[[T], bool]) -> Filtered[T]:
        """The payloads that ``predicate`` accepts: ``channel.filter(test).connect(fn)``."""
        return Filtered(self, predicate)

    def to_future(self) -> Future[T]:
        """A future of the next payload: ``.result()`` waits for it, ``asyncio.wrap_future`` awaits it."""
        future: Future[T] = Future()
        self.once(future.set_result)
        return future

    def emit(self, payload: T) -> None:
        """Hand ``payload`` to every listener in subscription order."""
        first: Exception | None = None
        for subscription in self.listeners:
            if subscription.active:
                try:
                    result = subscription.fn(payload)
                    if result is not None:
                        settle(result)
                except Exception as error:  # noqa: BLE001  a listener may raise anything
                    if first is None:
                        first = error
                    else:
                        log_error(error, self.name)
        if first is None:
            return
        if self.on_error is None:
            raise first
        self.on_error(first, self.name)

    def isolate(self) -> Callable[[], None]:
        """Take all listeners away; the returned callable brings back those that did not unsubscribe meanwhile."""
        with self._changing:
            outer = self.listeners
            self._replace(())

        def restore() -> None:
            with self._changing:
                for inner in self.listeners:
                    inner.active = False
                self._replace(tuple(subscription for subscription in outer if subscription.active))

        return restore

    def clear(self) -> None:
        """Detach every listener."""
        for subscription in self.listeners:
            subscription()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {len(self.listeners)} listeners)"

    def _once(self, predicate: Callable[[T], bool] | None, fn: Callable[[T], object]) -> Subscription[T]:
        first = threading.Lock()

        def deliver(payload: T) -> object:
            if (predicate is None or predicate(payload)) and first.acquire(blocking=False):
                subscription()
                return fn(payload)
            return None

        subscription = Subscription(self, deliver)
        return self.attach(subscription)

    def _drop_inactive(self) -> None:
        with self._changing:
            self._replace(tuple(subscription for subscription in self.listeners if subscription.active))

    def _replace(self, listeners: tuple[Subscription[T], ...]) -> None:
        self.listeners = listeners
        Channel.changes += 1


class Filtered(Generic[T]):
    """The payloads of ``channel`` that ``predicate`` accepts."""

    __slots__ = ("_channel", "_predicate")

    def __init__(self, channel: Channel[T], predicate: Callable[[T], bool]) -> None:
        self._channel = channel
        self._predicate = predicate

    def connect(self, fn: Callable[[T], object]) -> Subscription[T]:
        """Attach ``fn`` for the accepted payloads."""
        predicate = self._predicate
        return self._channel.subscribe(lambda payload: fn(payload) if predicate(payload) else None)

    def once(self, fn: Callable[[T], object]) -> Subscription[T]:
        """Attach ``fn`` for the next accepted payload only."""
        return self._channel._once(self._predicate, fn)


class BehaviourChannel(Channel[T]):
    """A channel that keeps its last payload in ``data`` (None before the first)."""

    __slots__ = ("data",)

    def __init__(self, name: str = "", *, on_error: OnError | None = None) -> None:
        super().__init__(name, on_error=on_error)
        self.data: T | None = None

    def emit(self, payload: T) -> None:
        """Keep ``payload``, then hand it to every listener."""
        self.data = payload
        super().emit(payload)


def isolate(channels: Iterable[Channel[Any]]) -> Callable[[], None]:
    """Take the listeners of all ``channels`` away; the returned callable brings them back."""
    restores = [channel.isolate() for channel in channels]

    def restore() -> None:
        for one in restores:
            one()

    return restore

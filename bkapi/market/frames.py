"""Which ticks does a frame have? Also the services that return them (spec market-data.md 11)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from bkapi.base.context import execution, method
from bkapi.base.timestamps import from_ms, now_ms
from bkapi.errors import BkError, FatalError
from bkapi.events.emitters import call_back
from bkapi.schemas.frame import FrameSchema
from bkapi.schemas.registry import frames
from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS, interval_step_ms
from bkcore.machine.run import Frame


class FrameModeError(BkError, RuntimeError):
    """Raised by ``get_backtest_timeframe("BTCUSDT")`` in live, where there is no frame."""


class ClientFrame:
    """One frame; computes the times of its ticks once."""

    def __init__(self, schema: FrameSchema) -> None:
        self.schema = schema
        self._lock = threading.RLock()  # a callback may ask again
        self._times: Sequence[datetime] | None = None

    def get_timeframe(self, symbol: str) -> Sequence[datetime]:
        """The times of the ticks, aware UTC datetimes, always the same object; the symbol does not matter.

        From ``start_date`` floored to the minute in steps of the interval up to ``end_date`` or the wall clock, both
        included. Raises :class:`FatalError` for an unknown interval or when there is no tick.
        """
        with self._lock:
            if self._times is None:
                end_ms = effective_end(self.schema)
                frame = ticks(self.schema, end_ms)
                times = tuple(from_ms(frame.start_ms + tick * frame.step_ms) for tick in range(frame.count))
                self._times = times
                about = (times, self.schema.start_date, from_ms(end_ms), self.schema.interval)
                call_back(self.schema.callbacks, "on_timeframe", *about)
            return self._times


def effective_end(schema: FrameSchema) -> int:
    """The last moment of a frame, ms UTC: its end, or now where that is earlier."""
    return min(schema.end_ms, now_ms())


def ticks(schema: FrameSchema, end_ms: int, base_ms: int = MINUTE_MS) -> Frame:
    """The ticks of a frame up to ``end_ms``, the first at a multiple of ``base_ms``.

    Raises :class:`FatalError` for an unknown interval or when there is none.
    """
    if schema.interval not in INTERVAL_MINUTES:
        raise FatalError(
            f"ClientFrame unknown interval: {schema.interval}", hint=f"known: {', '.join(INTERVAL_MINUTES)}."
        )
    frame = Frame.between(schema.start_ms, end_ms, interval_step_ms(schema.interval), base_ms=base_ms)
    if frame.count == 0:
        raise FatalError(
            f"ClientFrame {schema.frame_name}: empty timeframe range. startDate={schema.start_date.isoformat()} "
            f"must not exceed effective endDate={from_ms(end_ms).isoformat()}",
            hint="let the frame start before it ends, and in the past.",
        )
    return frame


_clients: dict[str, ClientFrame] = {}


class FrameConnectionService:
    """One client per frame name, made at its first use."""

    def get_frame(self, frame_name: str) -> ClientFrame:
        """The client of a registered frame; raises :class:`NotRegisteredError`."""
        client = _clients.get(frame_name)
        if client is None:
            client = _clients[frame_name] = ClientFrame(frames.lookup(frame_name))
        return client

    def get_timeframe(self, symbol: str, frame_name: str | None = None) -> Sequence[datetime]:
        """The ticks of the frame of the ambient run, whatever ``frame_name`` says, as documented."""
        names = method.require("FrameConnectionService.get_timeframe")
        return self.get_frame(names.frame_name).get_timeframe(symbol)

    def clear(self, frame_name: str | None = None) -> None:
        """Forget one client or all; the next use takes overrides and the wall clock into account."""
        if frame_name is None:
            _clients.clear()
        else:
            _clients.pop(frame_name, None)


class FrameCoreService:
    """Validates the name of the frame, then asks the connection service."""

    def validate(self, frame_name: str, source: str = "FrameCoreService.validate") -> bool:
        """True for a registered frame; raises :class:`UnknownNameError`."""
        return frames.validate(frame_name, source)

    def get_timeframe(self, symbol: str, frame_name: str) -> Sequence[datetime]:
        """The ticks of the frame of the ambient run; raises :class:`ContextError` outside of one."""
        method.require("FrameCoreService.get_timeframe")
        self.validate(frame_name, "FrameCoreService.get_timeframe")
        return FrameConnectionService().get_timeframe(symbol, frame_name)


def get_backtest_timeframe(symbol: str) -> Sequence[datetime]:
    """The times of all ticks of the running backtest, aware UTC datetimes, the same object at every call.

    Raises :class:`ContextError` outside of a run and :class:`FrameModeError` in live.
    """
    moment = execution.require("get_backtest_timeframe")
    names = method.require("get_backtest_timeframe")
    if not moment.backtest:
        raise FrameModeError(
            "get_backtest_timeframe can only be used during backtest execution",
            hint="a live run has no frame; get_date() tells its time.",
        )
    return FrameCoreService().get_timeframe(symbol, names.frame_name)

"""Helps scripts start: waits for schemas or a candle, and reads the command line (spec market-data.md 2, 20)."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bkapi.base.timestamps import now_ms
from bkapi.errors import BkError
from bkapi.events.emitters import emitters
from bkapi.schemas.registry import Registry, exchanges, frames, strategies
from bkcore.intervals import candle_step_ms

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 45.0
_READY_POLL_SECONDS = 1.0
_CANDLE_POLL_SECONDS = 5.0
_TEXTS = ("symbol", "strategy", "exchange", "frame")
_FLAGS = ("backtest", "paper", "live")


class CommandLineError(BkError):
    """Raised by ``parse_args()`` for ``--live=yes``: a flag that has got a value."""


def wait_for_ready(backtest: bool = True) -> bool:
    """Wait until an exchange, a strategy and, for a backtest, a frame are registered; returns whether they are.

    Looks once a second for at most 45 s, then says so and returns all the same. Where a launcher has announced its
    entry point (``emitters.entry_subject``), it does not wait.
    """
    wanted: list[Registry[Any]] = [exchanges, strategies, *([frames] if backtest else [])]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while emitters.entry_subject.data is None and not all(registry.names() for registry in wanted):
        if time.monotonic() >= deadline:
            missing = ", ".join(registry.kind for registry in wanted if not registry.names())
            logger.warning("wait_for_ready: still without %s after %d s", missing, _PATIENCE_SECONDS)
            return False
        time.sleep(_READY_POLL_SECONDS)
    return True


def wait_for_candle(interval: str) -> int:
    """Wait until the wall clock enters the next ``interval``; returns its start, ms UTC. For live scripts.

    Looks every 5 s. Raises :class:`UnknownIntervalError`.
    """
    step = candle_step_ms(interval)
    started = now_ms() // step
    while now_ms() // step == started:
        time.sleep(min(_CANDLE_POLL_SECONDS, max(0.0, ((started + 1) * step - now_ms()) / 1000)))
    return now_ms() // step * step


def parse_args(
    defaults: Mapping[str, Any] | None = None, arguments: Sequence[str] | None = None
) -> dict[str, Any]:
    """``--symbol --strategy --exchange --frame`` (texts) and ``--backtest --paper --live`` (flags) of the command line.

    ``defaults`` fills in what is not given; further options are left alone. ``arguments`` replaces ``sys.argv``.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in _TEXTS:
        parser.add_argument(f"--{name}", nargs="?", default=None)
    for name in _FLAGS:
        parser.add_argument(f"--{name}", action="store_true", default=None)
    try:
        given = vars(parser.parse_known_args(sys.argv[1:] if arguments is None else [*arguments])[0])
    except argparse.ArgumentError as error:
        raise CommandLineError(
            f"{error}.", hint="--backtest, --paper and --live take no value; --symbol BTCUSDT takes one."
        ) from None
    known = {**dict.fromkeys(_TEXTS), **dict.fromkeys(_FLAGS, False), **(defaults or {})}
    return {**known, **{name: value for name, value in given.items() if value is not None}}

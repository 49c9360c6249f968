"""How does synchronous code run a coroutine that a user returns? To completion, on a private event loop."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from bkapi.base.turns import working_for

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable


class _Private:
    """The event loop of one thread, and the companion thread that runs it while a loop of the user runs here."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.companion: ThreadPoolExecutor | None = None


_here = threading.local()


def _private() -> _Private:
    try:
        private: _Private = _here.private
    except AttributeError:
        private = _here.private = _Private()
    return private


def _run(awaitable: Awaitable[Any]) -> Any:
    import asyncio

    private = _private()
    if private.loop is None:
        private.loop = asyncio.new_event_loop()
        weakref.finalize(
            private, _close, private.loop
        )  # when the thread ends, or before the interpreter does

    async def task() -> Any:
        return await awaitable

    return private.loop.run_until_complete(task())


def _run_for(caller: int, awaitable: Awaitable[Any]) -> Any:
    with working_for(caller):
        return _run(awaitable)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_running():  # a companion that is still running ends with the interpreter
        loop.close()


def settle(result: Any) -> Any:
    """``result`` itself; if it is awaitable, its value, run to completion in the ambient context.

    Each thread has a private event loop. Where a loop is already running (a notebook, or a coroutine that
    calls back into the synchronous API) a companion thread runs it, with the context of the caller.
    """
    if not hasattr(result, "__await__"):
        return result
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(result)
    private = _private()
    if private.companion is None:
        private.companion = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bk-coroutine")
        weakref.finalize(private, private.companion.shutdown, wait=False)
    return private.companion.submit(copy_context().run, _run_for, threading.get_ident(), result).result()

"""Users' jitted functions: their signatures, how they are compiled, and how a kernel calls them by address.

The engine is compiled once; it knows a user's function only as an address and a fixed signature, so a new strategy
costs the compilation of that one function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numba import float64, from_dtype, int64, njit, types

from bkcore.errors import BkError
from bkcore.jit import f8
from bkcore.machine.records import POSITION, SIGNAL
from bkcore.numba_internals import NumbaError, intrinsic, lower_cast, unpack_tuple

MOST_ORDERS = 8
MEMORY_SIZE = 64

_signal = from_dtype(SIGNAL)
_position = from_dtype(POSITION)
_memory = types.Array(float64, 1, "C")
_orders = types.Array(float64, 2, "C")
#: What a hook answers when it raised.
RAISED = -1

#: ``kernel(when, price, open, high, low, close, volume, params, memory, signal)``
KERNEL_SIGNATURE = int64(int64, float64, f8, f8, f8, f8, f8, f8, _memory, _signal)
#: ``manage(when, price, known_price, open, high, low, close, volume, position, params, memory, orders)``
MANAGE_SIGNATURE = int64(int64, float64, float64, f8, f8, f8, f8, f8, _position, f8, _memory, _orders)


class KernelError(BkError, TypeError):
    """Raised by ``add_strategy_schema(kernel=...)`` for a function that cannot be a kernel."""


class HookForm(NamedTuple):
    """How a kind of hook looks to its author."""

    name: str
    signature: Any
    parameters: tuple[str, ...]
    example: str


KERNEL = HookForm(
    "kernel",
    KERNEL_SIGNATURE,
    ("when", "price", "open", "high", "low", "close", "volume", "params", "memory", "signal"),
    """
    def kernel(when, price, open, high, low, close, volume, params, memory, signal):
        if close.size < 60 or close[-1] < close[-60:].mean():
            return 0                                  # no signal
        signal.side = 1                               # 1 long, -1 short
        signal.take_profit = price * 1.02
        signal.stop_loss = price * 0.99
        signal.lifetime = 240                         # minutes; leave it for the default
        return 1""",
)
MANAGE = HookForm(
    "manage",
    MANAGE_SIGNATURE,
    (
        *("when", "price", "known_price", "open", "high", "low", "close", "volume"),
        *("position", "params", "memory", "orders"),
    ),
    """
    def manage(when, price, known_price, open, high, low, close, volume, position, params, memory, orders):
        if position.side * (price / position.effective_open - 1) * 100 < 1:
            return 0                                  # nothing to do
        orders[0, 0] = Command.BREAKEVEN              # bkapi.Command
        orders[0, 1] = 0                              # cost, percent or shift, as the command wants
        return 1                                      # how many orders""",
)


def compile_hook(function: Any, form: HookForm) -> Any:
    """The dispatcher of a user's function, compiled for the form's signature with bounds checked.

    Raises :class:`KernelError`, which shows the right form, for anything but a plain or jitted function with its
    parameters, and for one that Numba cannot compile without Python objects.
    """
    plain = getattr(function, "py_func", function)
    hint = f"write it like this:\n{form.example}"
    if not inspect.isfunction(plain) or inspect.iscoroutinefunction(plain):
        raise KernelError(f"{form.name}={function!r} is not a plain or jitted function.", hint=hint)
    count = len(inspect.signature(plain).parameters)
    if count != len(form.parameters):
        raise KernelError(
            f"{form.name} {plain.__name__!r} takes {count} parameters, not the {len(form.parameters)} of a "
            f"{form.name}: {', '.join(form.parameters)}.",
            hint=hint,
        )
    known = _compiled.get(plain)
    if known is not None and known[0] is form:
        return known[1]
    compiler: Any = njit
    try:
        dispatcher = compiler(form.signature, nogil=True, error_model="numpy", boundscheck=True)(plain)
    except NumbaError as error:
        raise KernelError(
            f"{form.name} {plain.__name__!r} does not compile: {_first_words(error)}", hint=hint
        ) from None
    _compiled[plain] = form, dispatcher
    return dispatcher


_compiled: WeakKeyDictionary[Any, tuple[HookForm, Any]] = WeakKeyDictionary()


def _first_words(error: Exception) -> str:
    """The sentences of a compiler message that speak of the user's code."""
    skipped = ("Failed in nopython", "During: resolving", "Enable logging", "This error may have been caused")
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(skipped))[:600]


def address_of(dispatcher: Any) -> int:
    """Address of the compiled code, which lives as long as the dispatcher."""
    (result,) = dispatcher.overloads.values()
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


def no_memory() -> Any:
    """Fresh scratch memory for hooks that lives as long as a run: ``MEMORY_SIZE`` zeros, and as many before a call."""
    return np.zeros(2 * MEMORY_SIZE)


def _by_address(signature: Any) -> Callable[[Any, Any, Any, Any], Any]:
    """Code generator of a call by address with Numba's own calling convention; ``RAISED`` when the call fails."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        address, values = arguments
        convention = context.call_conv
        kind = convention.get_function_type(signature.return_type, signature.args)
        pointer = builder.inttoptr(address, kind.as_pointer())
        unpacked = unpack_tuple(builder, values, len(signature.args))
        status, result = convention.call_function(
            builder, pointer, signature.return_type, signature.args, unpacked
        )
        return builder.select(status.is_ok, result, context.get_constant(types.int64, RAISED))

    return generate


@lower_cast(types.IntEnumMember, types.Float)
def _enum_as_float(context: Any, builder: Any, kind: Any, wanted: Any, value: Any) -> Any:
    """``orders[0, 0] = Command.BREAKEVEN`` stores the number of the code."""
    return context.cast(builder, value, kind.dtype, wanted)


@intrinsic
def call_kernel(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call a kernel at ``address`` with a tuple of its arguments."""
    return int64(int64, arguments), _by_address(KERNEL_SIGNATURE)


@intrinsic
def call_manage(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call a manage hook at ``address`` with a tuple of its arguments."""
    return int64(int64, arguments), _by_address(MANAGE_SIGNATURE)

"""How kernels are compiled: one place decides flags and what is kept on disk.

A *kernel* is an entry point: compiled when its module is imported, for one explicit signature, and
loaded from the cache ever after. A *rule* is a piece that kernels are made of: it is compiled into them.
``bkcore/kernel_cache.py`` knows where they lie.

Where it is hot an index is a ``uint64``: a signed one could count from the end, and every access would ask whether it
does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types

from bkcore.kernel_cache import CACHE_FOLDER as CACHE_FOLDER, COLD_START as COLD_START, KernelCache
from bkcore.numba_internals import NO_REFERENCE_COUNTS

_compile: Any = njit
#: Without reference counts: kernels borrow the arrays of their caller and allocate nothing.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", **NO_REFERENCE_COUNTS}
#: Only kernels are called from Python.
_INNER: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

Function = TypeVar("Function", bound=Callable[..., Any])

#: Read-only one-dimensional columns: they fit plain arrays and zero-copy Polars columns alike.
f8 = types.Array(types.float64, 1, "C", readonly=True)
i8 = types.Array(types.int64, 1, "C", readonly=True)
i4 = types.Array(types.int32, 1, "C", readonly=True)
#: Columns that a kernel writes.
f8_out = types.Array(types.float64, 1, "C")
i8_out = types.Array(types.int64, 1, "C")
i4_out = types.Array(types.int32, 1, "C")


def type_of(record: type[Any], *fields: Any) -> Any:
    """How Numba types a named tuple of these fields."""
    numba_types: Any = types
    if len(set(fields)) == 1:
        return numba_types.NamedUniTuple(fields[0], len(fields), record)
    return numba_types.NamedTuple(fields, record)


def kernel(signature: Any) -> Callable[[Function], Function]:
    """Compile an entry point eagerly for ``signature``; cached on disk, and it releases the GIL.

    ``error_model="numpy"`` divides as IEEE-754 does (1/0 = inf, 0/0 = nan). fastmath stays off because
    nan has meaning and results repeat bit for bit.
    """

    def compile_eagerly(function: Function) -> Function:
        compiled: Any = _compile(**_OPTIONS)(function)
        compiled._cache = KernelCache(function)  # as ``cache=True`` does, with a cache of ours
        compiled.compile(signature)
        compiled.disable_compile()
        typed: Function = compiled
        return typed

    return compile_eagerly


def rule(function: Function) -> Function:
    """Mark a function that kernels call; it is compiled into each of them and has no cache of its own."""
    compiled: Function = _compile(forceinline=True, **_INNER)(function)
    return compiled


def routine(function: Function) -> Function:
    """Mark a function that several kernels share and that is large enough to be called instead of inlined."""
    compiled: Function = _compile(**_INNER)(function)
    return compiled


def direct(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled entry point of a kernel, without the dispatcher that looks up types on every call.

    Arguments must have exactly the types of the kernel's signature; that is the caller's promise.
    """
    overloads = compiled.overloads  # type: ignore[attr-defined]
    (overload,) = overloads.values()
    entry_point: Callable[..., Any] = overload.entry_point
    return entry_point

"""How kernels are compiled: one place decides flags, cache folder and what the user is told.

A *kernel* is an entry point: compiled when its module is imported, for one explicit signature, and
loaded from the cache ever after. A *rule* is a piece that kernels are made of: it is compiled into them.
The cache folder is named after the sources of this package, so an edited rule never meets a stale kernel.

Where it is hot an index is a ``uint64``: a signed one could count from the end, and every access would ask whether it
does.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit, types

from bkcore.numba_internals import NO_REFERENCE_COUNTS, config as _config

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


_ANNOUNCEMENT = "bk: compiling the numeric core, once per version (10 to 30 seconds) ...\n"
_announced = False


#: Modules whose constants and layouts are compiled into kernels, besides those that hold rules and kernels.
_COMPILED_IN = (
    "codes.py",
    "intervals.py",
    "jit.py",
    "numba_internals.py",
    "records.py",
    "settings.py",
    "shifts.py",
)


def _source_digest() -> str:
    """Sixteen hex digits over the sources that compiled code depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if path.name in _COMPILED_IN or b"from bkcore.jit import" in source:
            digest.update(path.name.encode())
            digest.update(source)
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))


#: Where compiled kernels lie: ``NUMBA_CACHE_DIR`` or the user's cache folder, one subfolder per source state.
CACHE_FOLDER: Path = (
    Path(_config.CACHE_DIR) if _config.CACHE_DIR else _user_cache() / "bk" / "kernels"
) / _source_digest()

#: True when this process started without compiled kernels and so has to compile them.
COLD_START: bool = not CACHE_FOLDER.is_dir()


def _announce() -> None:
    global _announced
    if COLD_START and not _announced:
        _announced = True
        sys.stderr.write(_ANNOUNCEMENT)
        sys.stderr.flush()


def kernel(signature: Any) -> Callable[[Function], Function]:
    """Compile an entry point eagerly for ``signature``; cached on disk, and it releases the GIL.

    ``error_model="numpy"`` divides as IEEE-754 does (1/0 = inf, 0/0 = nan). fastmath stays off because
    nan has meaning and results repeat bit for bit.
    """

    def compile_eagerly(function: Function) -> Function:
        _announce()
        configured = _config.CACHE_DIR
        _config.CACHE_DIR = str(CACHE_FOLDER)
        try:
            compiled: Function = _compile(signature, cache=True, **_OPTIONS)(function)
        finally:
            _config.CACHE_DIR = configured
        return compiled

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

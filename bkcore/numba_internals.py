"""What of Numba's inside the kernels rest on: the one file that a new release of Numba may break.

Everything else of Numba that the project uses is documented there.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import numba


def take_internal(path: str) -> Any:
    """What lies at the dotted ``path`` inside Numba; raises ``ImportError``, which names it, when it is gone."""
    try:
        return resolve_name(path)
    except (ImportError, AttributeError):
        raise ImportError(
            f"Numba {numba.__version__} has no {path} any more, and bk's kernels rest on it. "
            "Hint: install an older release of Numba, or teach bkcore/numba_internals.py what replaces it."
        ) from None


#: Options of ``njit`` for code without reference counts.
NO_REFERENCE_COUNTS: dict[str, Any] = {"_nrt": False}
#: What is reached through objects that Numba hands out.
_REACHED = (
    "numba.core.options.DefaultOptions._nrt",
    "numba.core.compiler.CompileResult.entry_point",
    "numba.core.codegen.JITCodeLibrary.get_pointer_to_function",
    "numba.core.callconv.CPUCallConv.call_function",
    "numba.core.callconv.CPUCallConv.get_function_type",
)
for _path in _REACHED:
    take_internal(_path)

#: Settings; ``CACHE_DIR`` is what ``NUMBA_CACHE_DIR`` names.
config: Any = take_internal("numba.core.config")
NumbaError: type[Exception] = take_internal("numba.core.errors.NumbaError")
#: Decorator of a function that returns a signature and a code generator.
intrinsic: Callable[[Any], Any] = take_internal("numba.extending.intrinsic")
#: Decorator of the code generator of a conversion.
lower_cast: Callable[..., Callable[[Any], Any]] = take_internal("numba.core.imputils.lower_cast")
#: An array as code generators see it, and how its fields are filled.
make_array: Any = take_internal("numba.np.arrayobj.make_array")
populate_array: Any = take_internal("numba.np.arrayobj.populate_array")
unpack_tuple: Any = take_internal("numba.core.cgutils.unpack_tuple")
#: The cache of a function on disk, one entry of it, and the pickles that entries are.
FunctionCache: Any = take_internal("numba.core.caching.FunctionCache")
CompileResultCacheImpl: Any = take_internal("numba.core.caching.CompileResultCacheImpl")
dumps: Any = take_internal("numba.core.serialize.dumps")

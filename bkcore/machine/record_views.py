"""How Python reads one record: as an object with a Python number per field, at a tenth of NumPy's price."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bkcore.machine.records import ENTRY, EVENT, PARTIAL, POSITION, SIGNAL, STATE

_KINDS: dict[str, Any] = {
    "f8": ctypes.c_double,
    "i8": ctypes.c_int64,
    "i4": ctypes.c_int32,
    "i2": ctypes.c_int16,
    "i1": ctypes.c_int8,
}
_LETTERS = {"f8": "d", "i8": "q", "i4": "i", "i2": "h", "i1": "b"}


def _view_of(name: str, dtype: np.dtype[Any]) -> Any:
    """A class of objects that lie in memory as records of ``dtype`` do."""
    fields = [(field, _KINDS[dtype[field].str[1:]]) for field in dtype.names or ()]
    view = type(name, (ctypes.Structure,), {"__slots__": (), "_fields_": fields})
    assert ctypes.sizeof(view) == dtype.itemsize
    assert all(getattr(view, field).offset == dtype.fields[field][1] for field, _ in fields if dtype.fields)
    return view


def _reader_of(dtype: np.dtype[Any]) -> Callable[[memoryview, int], tuple[Any, ...]]:
    """``read(table, index)``: the fields of a record of ``dtype`` as a tuple."""
    layout = struct.Struct("=" + "".join(_LETTERS[dtype[field].str[1:]] for field in dtype.names or ()))
    unpack, size = layout.unpack_from, dtype.itemsize
    ends = [dtype[field].itemsize + dtype.fields[field][1] for field in dtype.names or () if dtype.fields]
    assert layout.size == ends[-1]  # no gaps but at the end
    return lambda table, index: unpack(table, index * size)


read_entry = _reader_of(ENTRY)
read_partial = _reader_of(PARTIAL)
read_event = _reader_of(EVENT)
StateView = _view_of("StateView", STATE)
PositionView = _view_of("PositionView", POSITION)
SignalView = _view_of("SignalView", SIGNAL)


def bytes_of(table: NDArray[Any]) -> memoryview:
    """The bytes of a table; they keep it alive."""
    octets: Any = table.view(np.uint8)
    return memoryview(octets)


def copy_of(view: Any, table: memoryview, index: int) -> Any:
    """A record of a table as it is now."""
    return view.from_buffer_copy(table, index * ctypes.sizeof(view))


def address_of_record(record: Any) -> int:
    """Where a record lies, as long as somebody keeps it."""
    return ctypes.addressof(record)

"""How kernels are handed the tables of a run: as one list of addresses, since every array costs its caller anew.

A call with an argument takes a tenth of a microsecond, one with thirty arrays takes two, and a listener makes the
engine stop at every candle. So a run writes down once where its tables lie (:func:`write_addresses`), and kernels
find them there (:func:`table_at`). Whoever keeps a list of addresses keeps the arrays alive, and makes a new list when
one of them is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numba import literal_unroll, types
from numpy.typing import NDArray

from bkcore.jit import direct, f8, i8, kernel
from bkcore.machine.policy import POLICY
from bkcore.machine.record_views import bytes_of
from bkcore.machine.records import (
    COMMIT,
    DECISION,
    ENTRY,
    EVENT,
    PARTIAL,
    POSITION,
    REVISION,
    SIGNAL,
    STATE,
    array_of,
)
from bkcore.machine.settings import SETTINGS
from bkcore.numba_internals import intrinsic, make_array, populate_array

_f8_out = types.Array(types.float64, 1, "C")
_i8_out = types.Array(types.int64, 1, "C")
_tuple_of: Any = types.Tuple


class Table(IntEnum):
    """Place of a table in the list of addresses."""

    TIMESTAMPS = 0
    OPEN = 1
    HIGH = 2
    LOW = 3
    CLOSE = 4
    VOLUME = 5
    SERIES = 6
    FLOORS = 7
    CEILINGS = 8
    LOWS = 9
    HIGHS = 10
    SETTINGS = 11
    POLICY = 12
    PARAMETERS = 13
    MEMORY = 14
    ORDERS = 15
    SIGNALS = 16
    DECISIONS = 17
    SLOT = 18
    SCRATCH = 19
    STATE = 20
    TRADES = 21
    ENTRIES = 22
    PARTIALS = 23
    REVISIONS = 24
    COMMITS = 25
    EVENTS = 26


_KINDS: Any = (
    *(i8, f8, f8, f8, f8, f8),
    *(f8, f8, f8, f8, f8),
    *(array_of(SETTINGS), array_of(POLICY)),
    *(f8, _f8_out, _f8_out),
    *(array_of(SIGNAL), array_of(DECISION), array_of(SIGNAL), array_of(POSITION), array_of(STATE)),
    *(array_of(POSITION), array_of(ENTRY), array_of(PARTIAL), array_of(REVISION)),
    *(array_of(COMMIT), array_of(EVENT)),
)


@kernel(types.void(_tuple_of(_KINDS), _i8_out))
def _write_addresses(tables: Any, out: Any) -> None:
    k = 0
    for table in literal_unroll(tables):
        out[k] = table.ctypes.data
        out[k + 1] = table.size
        k += 2


_write: Callable[..., None] = direct(_write_addresses)


class Tables(NamedTuple):
    """Where the tables of a run lie: their addresses, and the bytes of those that Python reads record by record.

    It stays good for what had happened when it was made, even after the run has moved its tables.
    """

    addresses: NDArray[np.int64]
    trades: memoryview
    entries: memoryview
    partials: memoryview
    events: memoryview


def tables_of(tables: tuple[NDArray[Any], ...]) -> Tables:
    """The tables, given in the order of :class:`Table`."""
    return Tables(
        addresses_of(tables),
        bytes_of(tables[Table.TRADES]),
        bytes_of(tables[Table.ENTRIES]),
        bytes_of(tables[Table.PARTIALS]),
        bytes_of(tables[Table.EVENTS]),
    )


def addresses_of(tables: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
    """Address and size of each table, in the order of :class:`Table`: i8[2 * tables]."""
    addresses = np.empty(2 * len(Table), np.int64)
    _write(tables, addresses)
    return addresses


def _by_address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code generator of an array that lies where the list of addresses says."""
    kind, (listed, table, *_) = signature.return_type, signature.args
    addresses = make_array(listed)(context, builder, arguments[0]).data
    place = builder.mul(
        context.cast(builder, arguments[1], table, types.intp), context.get_constant(types.intp, 2)
    )
    address = builder.load(builder.gep(addresses, [place]))
    size = builder.load(builder.gep(addresses, [builder.add(place, context.get_constant(types.intp, 1))]))
    width = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    shape: tuple[Any, ...] = (size,)
    strides: tuple[Any, ...] = (width,)
    if kind.ndim == 2:
        columns = context.cast(builder, arguments[3], signature.args[3], types.intp)
        shape, strides = (builder.sdiv(size, columns), columns), (builder.mul(width, columns), width)
    array = make_array(kind)(context, builder)
    populate_array(
        array,
        data=builder.inttoptr(address, array.data.type),
        shape=shape,
        strides=strides,
        itemsize=width,
        meminfo=None,
    )
    return array._getvalue()


@intrinsic
def table_at(typing_context: Any, addresses: Any, table: Any, kind: Any) -> Any:
    """A table as a one-dimensional array of ``kind``: its NumPy type."""
    return types.Array(kind.dtype, 1, "C")(addresses, table, kind), _by_address


@intrinsic
def rows_at(typing_context: Any, addresses: Any, table: Any, kind: Any, columns: Any) -> Any:
    """A table as a two-dimensional array of ``kind`` with so many columns."""
    return types.Array(kind.dtype, 2, "C")(addresses, table, kind, columns), _by_address


def _record_by_address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))


@intrinsic
def record_at(typing_context: Any, address: Any, kind: Any) -> Any:
    """The record of ``kind`` at an address."""
    return kind.dtype(types.int64, kind), _record_by_address

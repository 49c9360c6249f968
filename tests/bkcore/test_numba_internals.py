"""What the kernels take from inside Numba is there, and a release without it is refused in a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bkcore
from bkcore import numba_internals


def test_everything_is_there() -> None:
    for path in numba_internals._REACHED:
        numba_internals.take_internal(path)
    assert all(
        getattr(numba_internals, name) is not None
        for name in ("config", "NumbaError", "intrinsic", "lower_cast", "make_array", "unpack_tuple")
    )


@pytest.mark.parametrize("path", ["numba.np.arrayobj.gone", "numba.gone.make_array"])
def test_what_is_gone_is_named_with_the_way_out(path: str) -> None:
    with pytest.raises(ImportError, match=rf"Numba [\d.]+ has no {re.escape(path)} any more.*Hint: install"):
        numba_internals.take_internal(path)


def test_nobody_else_looks_inside_numba() -> None:
    inside = re.compile(r"numba\.(core|np|extending|typed|cpython)\b")
    found = {
        path.name for path in Path(bkcore.__file__).parent.rglob("*.py") if inside.search(path.read_text())
    }
    assert found == {"numba_internals.py"}

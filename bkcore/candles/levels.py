"""Which columns has a table with several levels of names? A price and a ticker for each column, as share data come."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import pairwise

from bkcore.candles.checks import PRICES
from bkcore.candles.errors import CandleColumnError, shown


def flat_names(names: Sequence[str], about: str) -> tuple[str, ...]:
    """The names without their tickers, where all columns are of one ticker; names of one level as they are.

    A name of several levels is the text of a tuple, ``"('Close', 'AAPL')"``, as pandas and files of its frames have it.
    Raises :class:`CandleColumnError` where there are several tickers.
    """
    parts = [_levels(name) for name in names]
    depth = max(map(len, parts), default=1)
    tall = [part for part in parts if len(part) == depth > 1]
    prices = [
        len({part[level].strip().lower() for part in tall}.intersection(PRICES)) for level in range(depth)
    ]
    if not any(prices):
        return tuple(names)
    level = prices.index(max(prices))
    for at in range(depth):
        tickers = list(dict.fromkeys(part[at] for part in tall if part[at] and part[level]))
        if at != level and len(tickers) > 1:
            raise CandleColumnError(
                f"{about}: the columns are of {len(tickers):,} tickers: {', '.join(map(shown, tickers[:10]))}"
                + (", and more." if len(tickers) > 10 else "."),
                hint=f"choose one of them: frame.xs({shown(tickers[0])}, axis=1, level={at}).",
            )
    return tuple(
        next(filter(None, (part[level], *part) if len(part) == depth else part), name)
        for part, name in zip(parts, names, strict=True)
    )


def _levels(name: str) -> tuple[str, ...]:
    """The levels of a name; one for an ordinary name."""
    if name.startswith("(") and name.endswith(")"):
        try:
            levels = ast.literal_eval(name)
        except (ValueError, SyntaxError, MemoryError, RecursionError):  # an ordinary name in parentheses
            return (name,)
        if isinstance(levels, tuple) and levels and all(isinstance(level, str) for level in levels):
            return levels
    return (name,)


def header_lines(lines: Sequence[Sequence[str]]) -> int:
    """How many lines of text, each as fields that are no values, are the header: the first, or those of several levels.

    pandas writes a frame of several levels so: a line with the prices, one with the ticker in every column, in either
    order, and one with the name of the index alone, where it has a name.
    """
    count = 1
    for before, fields in pairwise(lines):
        if len(fields) != len(before) or 1 not in (len(_texts(before)), len(_texts(fields))):
            return count + (len(fields) == len(before) and bool(fields[0]) and not _texts(fields))
        count += 1
    return count


def _texts(fields: Sequence[str]) -> set[str]:
    return {*fields[1:]} - {""}


def header_names(lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names of the columns from the lines of a header, each as fields."""
    if len(lines) == 1:
        return tuple(lines[0])
    index = "" if _texts(lines[-1]) else lines[-1][0]
    first, *columns = zip(*(lines[:-1] if index else lines), strict=True)
    # The names of the levels, or nothing, stand above an index without a name.
    if not index and all(first) is any(first):
        index = "index"
    return (index or str(first), *map(str, columns))

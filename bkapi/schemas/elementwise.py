"""Does a Polars expression judge each row by that row alone?"""

from __future__ import annotations

import json
import warnings
from typing import Any, Final

from bkapi.base.deferred import pl

#: Nodes and functions whose answer for a row depends on that row alone; all of a family where it is named so.
_NODES: Final = frozenset(
    {"BinaryExpr", "Ternary", "Cast", "Alias", "RenameAlias", "KeepName", "Field", "Column"}
)
_FAMILIES: Final = frozenset({"StringExpr", "TemporalExpr", "StructExpr", "ListExpr", "Trigonometry", "Pow"})
_FUNCTIONS: Final = frozenset(
    (
        *(
            "Abs",
            "AsStruct",
            "Atan2",
            "Ceil",
            "Clip",
            "Coalesce",
            "Exp",
            "FillNull",
            "Floor",
            "Hash",
            "Log",
            "Log1p",
        ),
        *(
            "MaxHorizontal",
            "MeanHorizontal",
            "MinHorizontal",
            "Negate",
            "Replace",
            "ReplaceStrict",
            "Round",
            "RoundSF",
        ),
        *("Sign", "SumHorizontal", "Truncate"),
    )
)
_TESTS: Final = frozenset(
    (
        *(
            "AllHorizontal",
            "AnyHorizontal",
            "IsBetween",
            "IsClose",
            "IsFinite",
            "IsInfinite",
            "IsNan",
            "IsNotNan",
        ),
        *("IsNotNull", "IsNull", "Not"),
    )
)
_OF_A_COLUMN: Final = frozenset({"ConcatVertical"})  # joins the texts of all rows


def looks_around(expression: pl.Expr) -> str:
    """What in an expression may look at other rows than the one it answers for; empty when nothing does.

    What is not known to look at one row alone is taken to look around.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the form is not promised to stay: what is unknown is refused
        try:
            tree = json.loads(expression.meta.serialize(format="json"))
        except Exception:  # noqa: BLE001 - a function of the user that cannot be written down
            return "a function that cannot be read"
    return _first(tree)


def _first(tree: Any) -> str:
    if not isinstance(tree, dict):
        return str(tree)
    for name, inside in tree.items():
        if found := _node(name, inside):
            return found
    return ""


def _node(name: str, inside: Any) -> str:
    if name == "Selector":
        return ""
    if name == "Literal":
        return "a series" if isinstance(inside, dict) and "Series" in inside else ""
    if name == "Function":
        return _function(inside["function"], inside["input"]) or _each(inside["input"])
    if name == "AnonymousFunction":
        flags = str(inside.get("options", {}).get("flags", ""))
        return _each(inside["input"]) if "ROW_SEPARABLE" in flags else "a Python function over whole columns"
    if name == "Alias":
        return _first(inside[0])
    if name == "Column":
        return ""
    if name not in _NODES:
        kind = next(iter(inside)) if isinstance(inside, dict) and name == "Agg" else name
        return str(kind).lower()
    parts = {"BinaryExpr": ("left", "right"), "Ternary": ("predicate", "truthy", "falsy")}.get(
        name, ("expr",)
    )
    return _each([inside[part] for part in parts if part in inside])


def _function(function: Any, inputs: list[Any]) -> str:
    family, kind = next(iter(function.items())) if isinstance(function, dict) else (function, "")
    member = next(iter(kind)) if isinstance(kind, dict) and kind else str(kind)
    if family in _FUNCTIONS or (family in _FAMILIES and member not in _OF_A_COLUMN):
        return ""
    if family == "Boolean" and (member in _TESTS or (member == "IsIn" and "Literal" in inputs[1])):
        return ""
    return member if family == "Boolean" else str(family)


def _each(trees: list[Any]) -> str:
    return next((found for found in map(_first, trees) if found), "")

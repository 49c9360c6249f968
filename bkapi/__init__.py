"""The Python API: every public name, imported when it is first used.

``__init__.pyi`` lists the names and the module that each lives in. Type checkers read that list, and so does this
module. It imports a module only when one of its names is used, so ``import bkapi`` and the command line start at once.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_LIST = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_HOME_OF = {
    name.name: str(statement.module)
    for statement in _LIST.body
    if isinstance(statement, ast.ImportFrom)
    for name in statement.names
}
#: A star import leaves the built-in ``set`` alone.
__all__ = [name for name in sorted(_HOME_OF) if name not in ("get", "set")]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bkapi' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]

"""Imports go down, every public name has a home, and the documents name files that exist."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bkapi

ROOT = Path(__file__).resolve().parents[2]
#: Every room of the two packages, from the ground up; docs/architecture.md says what lives in each.
FLOORS = {
    "bkcore": (
        *("errors", "numba_internals", "kernel_cache", "jit", "intervals", "candles", "synthetic"),
        *("machine", "statistics", "sweeps", "ideas"),
    ),
    "bkapi": (
        *(
            "errors",
            "base",
            "events",
            "sinks",
            "statistics",
            "schemas",
            "market",
            "runs",
            "positions",
            "scheduling",
        ),
        *("reporting", "risk", "backtests", "guards", "sweeps", "ideas", "walkers", "process_reset", "cli"),
    ),
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in FLOORS
    for path in (ROOT / package).rglob("*.py")
}


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports: at its top, inside functions and for type checkers alike."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found & set(MODULES)


IMPORTS = {name: imports(path) - {name, *FLOORS} for name, path in MODULES.items()}


def floor_of(module: str) -> tuple[int, int]:
    """How high a module stands; a list of public names stands above all."""
    package, *rest = module.split(".")
    floors = FLOORS[package]
    return [*FLOORS].index(package), floors.index(rest[0]) if rest else len(floors)


def test_every_module_stands_on_a_floor_and_imports_from_its_room_or_from_below() -> None:
    for name, imported in IMPORTS.items():
        above = {other for other in imported if floor_of(other) > floor_of(name)}
        assert not above, f"{name} imports {above}"


def test_every_room_says_what_lives_in_it_and_where_to_begin() -> None:
    for package, floors in FLOORS.items():
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert rooms <= {*floors}
        for room in rooms:
            said = ast.get_docstring(ast.parse((ROOT / package / room / "__init__.py").read_text()))
            assert said and "Imports" in said and "Begin with" in said, f"{package}/{room}/__init__.py"


def test_no_imports_run_in_a_circle() -> None:
    tuple(TopologicalSorter(IMPORTS).static_order())  # raises CycleError and names the circle


def test_every_public_name_is_imported_from_the_module_that_the_list_names() -> None:
    assert len(bkapi._HOME_OF) > 500
    for name, home in bkapi._HOME_OF.items():
        assert getattr(bkapi, name) is getattr(importlib.import_module(home), name)
        assert not hasattr(sys.modules.get(f"bkapi.{name}"), "__file__"), (
            f"a module hides the public name {name}"
        )


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/overfitting.md",
        "docs/scale.md",
        "data/README.md",
    ],
)
def test_a_document_names_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"\b(?:bkcore|bkapi|tests|benchmarks|examples|docs)/[\w/.]*\w", text))
    named |= {f"{Path(document).parent}/{link}" for link in re.findall(r"\]\(([\w/.]+)\)", text)}
    missing = {name for name in named if not (ROOT / name).exists()}
    assert not missing


def test_what_a_reader_is_told_to_install_is_this_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*MODULES.values(), ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    told = {
        one for path in texts for one in re.findall(r'pip install "([\w-]+)\[([\w,]+)\]"', path.read_text())
    }
    assert {name for name, _ in told} == {project["name"]}
    assert {extra for _, extra in told} <= set(project["optional-dependencies"])

"""Imports go down, the two lists of public names agree, and the documents name files that exist."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bkapi

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in ("bkcore", "bkapi")
    for path in (ROOT / package).rglob("*.py")
}


def imports(path: Path, *, everywhere: bool) -> set[str]:
    """Modules of ours that a file imports: at its top, or also inside functions and for type checkers."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def test_bkcore_never_imports_bkapi() -> None:
    for name, path in MODULES.items():
        if name.startswith("bkcore."):
            above = {one for one in imports(path, everywhere=True) if one.split(".")[0] == "bkapi"}
            assert not above, f"{name} imports {above}"


def test_no_imports_run_in_a_circle() -> None:
    graph = {name: imports(path, everywhere=False) & set(MODULES) for name, path in MODULES.items()}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError and names the circle


def test_both_lists_of_public_names_agree_and_every_name_can_be_imported() -> None:
    stub = ast.parse((ROOT / "bkapi" / "__init__.pyi").read_text())
    typed = {
        name.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert typed == bkapi._HOME_OF
    for name, home in bkapi._HOME_OF.items():
        assert getattr(bkapi, name) is getattr(importlib.import_module(home), name)


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

"""Jitted functions of users: what an error shows them to write is what can be written."""

from __future__ import annotations

import textwrap

import pytest

from bkcore.machine.codes import Command
from bkcore.machine.hooks import KERNEL, MANAGE, HookForm, compile_hook


@pytest.mark.parametrize("form", [KERNEL, MANAGE])
def test_the_example_in_an_error_compiles(form: HookForm) -> None:
    namespace = {"Command": Command}
    exec(textwrap.dedent(form.example), namespace)
    assert compile_hook(namespace[form.name], form)

"""``python -m bkapi.cli`` is the ``bk`` command."""

from __future__ import annotations

from bkapi.cli.main import main

main()

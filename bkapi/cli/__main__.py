"""Makes ``python -m bkapi.cli`` the same as ``bk``."""

from __future__ import annotations

from bkapi.cli.main import main

main()

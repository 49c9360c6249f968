"""A run that nobody listens to is written up from its log: the same rows as when every event was told."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, strategies as st

import bkapi
from bkapi.reporting.documents.run_log import LOGGED
from bkapi.schemas.policy import Policy
from tests.property.playing import registered, signals_of
from tests.property.scenes import SYMBOL, Scene, policies, scenes
from tests.shares import share

#: What a run has survived stands in the line of conditions: in sum where nobody listened, else one by one.
_SURVIVED = re.compile(r"; [\d,]+ (?:signals refused|errors in)\b.*")

KEY = (SYMBOL, "plan", "memory", "scene", True)


def collected(scene: Scene, strategy: dict[str, Any], *, tell: bool) -> dict[str, list[Any]]:
    """The rows of every kind after a run, and its documents."""
    with registered(scene, **strategy) as context:
        bkapi.set_config(
            {name: 50 for name in bkapi.get_config() if name.endswith("_MARKDOWN_ROWS")}, unsafe=True
        )
        bkapi.Markdown.enable()
        if tell:
            for channel in bkapi.emitters.event_channels():
                channel.subscribe(lambda event: None)
        for _ in bkapi.Backtest.run(SYMBOL, context):
            pass
        found: dict[str, list[Any]] = {}
        for kind in LOGGED:
            service = bkapi.Markdown.services[kind]
            key = KEY[2:] if kind == "heat" else KEY
            data = service.get_data(*key)
            rows = data.symbols if kind == "heat" else service.kind.table(data)
            found[kind] = [row.to_dict() for row in rows]
            report = service.get_report(*(KEY[1:] if kind == "heat" else KEY))
            found[f"{kind} report"] = _SURVIVED.sub("", report).split("\n")
        return found


@given(st.one_of(scenes(busy=True), scenes(holes=True)), st.one_of(st.none(), policies()))
def test_rows_read_from_the_log_equal_rows_that_were_told(scene: Scene, policy: Policy | None) -> None:
    strategy = {**signals_of(scene), "policy": policy}
    silent, told = collected(scene, strategy, tell=False), collected(scene, strategy, tell=True)
    for kind in LOGGED:
        share(f"runs with rows of {kind}", bool(told[kind]), least=0.05)
    for kind, rows in told.items():
        assert silent[kind] == rows, kind

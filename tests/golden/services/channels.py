"""What a channel does: order, snapshots, removal and errors of listeners."""

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record


def play(api: ModuleType, case: Case) -> list[Any]:
    """The operations on one channel, in order."""
    return Stage(api).run(case.given["ops"])


class Stage:
    """A channel and its named listeners."""

    def __init__(self, api: ModuleType) -> None:
        self.channel = api.Channel()
        self.calls: list[str] = []
        self.subscriptions: dict[str, Callable[[], object]] = {}

    def run(self, ops: list[Record]) -> list[Any]:
        """One result per operation."""
        return [self.step(op) for op in ops]

    def step(self, op: Record) -> Any:
        """Null, or the calls and the error of an emission."""
        if op["op"] == "unsubscribe":
            self.remove(op["name"])
        elif op["op"] == "emit":
            self.calls = []
            try:
                self.channel.emit(op["value"])
            except Exception as error:
                return {"calls": self.calls, "error": str(error)}
            return {"calls": self.calls, "error": None}
        else:
            self.add(op["op"], op["listener"], op.get("modulo"))
        return None

    def add(self, how: str, listener: Record, modulo: int | None = None) -> None:
        """Attach a listener."""
        fn = self.listener(listener)
        if how == "filter":
            attached = self.channel.filter(lambda value: value % modulo == 0).connect(fn)
        else:
            attached = getattr(self.channel, how)(fn)
        self.subscriptions[listener["name"]] = attached

    def remove(self, name: str) -> None:
        """Detach a listener by name."""
        if name in self.subscriptions:
            self.subscriptions[name]()

    def listener(self, told: Record) -> Callable[[Any], Any]:
        """A listener that logs, does its list, then raises if told so."""

        def body() -> None:
            self.calls.append(told["name"])
            for deed in told["do"]:
                if "remove" in deed:
                    self.remove(deed["remove"])
                if "add" in deed and deed["add"]["name"] not in self.subscriptions:
                    self.add("subscribe", deed["add"])
            if any(deed.get("raise") for deed in told["do"]):
                raise RuntimeError(f"from {told['name']}")

        async def later(value: Any) -> None:
            await asyncio.sleep(0)
            body()

        return later if told["async"] else lambda value: body()

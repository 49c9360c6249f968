"""How do users turn reports on and off? By ``Markdown`` and ``Report`` (spec reports.md 2.3, 10, 11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from bkapi.base.forwarding import Forwarding, forwarded
from bkapi.errors import SchemaError
from bkapi.reporting.documents.services import MARKDOWN_SERVICES
from bkapi.reporting.documents.writer import MarkdownWriter, MarkdownWriterAdapter
from bkapi.reporting.journal.services import REPORT_SERVICES
from bkapi.reporting.journal.writer import ReportWriter, ReportWriterAdapter
from bkapi.reporting.kinds import FLAGS
from bkcore.errors import did_you_mean

R = TypeVar("R")
#: Which kinds: ``{"backtest": True, "heat": True}``; None stands for all.
Flags = Mapping[str, bool] | None


def _chosen(flags: Flags) -> list[str]:
    if flags is None:
        return [*FLAGS]
    for name in flags:
        if name not in FLAGS:
            raise SchemaError(
                "report",
                f"unknown kind {name!r}.",
                field=name,
                hint=did_you_mean(name, FLAGS) + f"known: {', '.join(FLAGS)}.",
            )
    return [name for name in FLAGS if flags.get(name)]


class _Switch:
    """Subscribes services of the thirteen kinds; single-shot while it is on."""

    def __init__(self, services: Mapping[str, Any]) -> None:
        self.services = services
        self._undo: Callable[[], None] | None = None

    def enable(self, flags: Flags = None) -> Callable[[], None]:
        """Turn on the flagged kinds, without flags all thirteen; the returned function turns them off again.

        While this is in force a second call changes nothing and returns the same function. Raises
        :class:`SchemaError` for an unknown kind.
        """
        if self._undo is None:
            chosen = [self.services[name] for name in _chosen(flags)]
            for service in chosen:
                service.subscribe()

            def undo() -> None:
                if self._undo is undo:
                    self._undo = None
                    for service in chosen:
                        service.unsubscribe()

            self._undo = undo
        return self._undo

    def disable(self, flags: Flags = None) -> None:
        """Undo an ``enable`` that is in force, all of it; otherwise turn off the flagged kinds (default: all)."""
        if self._undo is not None:
            self._undo()
            return
        for name in _chosen(flags):
            self.services[name].unsubscribe()

    def reset(self) -> None:
        """Turn everything off."""
        self.disable()
        for service in self.services.values():
            service.unsubscribe()


class MarkdownUtils(_Switch):
    """Documents of the thirteen kinds: which are collected."""

    def __init__(self) -> None:
        super().__init__({name: service() for name, service in MARKDOWN_SERVICES.items()})

    def clear(self, flags: Flags = None) -> None:
        """Drop what the flagged kinds have collected (default: all); they go on collecting."""
        for name in _chosen(flags):
            self.services[name].clear()


class MarkdownAdapter(MarkdownUtils, Forwarding):
    """``Markdown``: which documents are collected, and where ``dump`` writes them."""

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        return method(MarkdownWriter, **given)

    use_markdown_adapter = forwarded(MarkdownWriterAdapter.use_markdown_adapter)
    use_md = forwarded(MarkdownWriterAdapter.use_md)
    use_jsonl = forwarded(MarkdownWriterAdapter.use_jsonl)
    use_dummy = forwarded(MarkdownWriterAdapter.use_dummy)


class ReportUtils(_Switch):
    """Records of the thirteen kinds: which are written.

    A record is written when its event is told, so a run with records enabled tells its events as to any listener
    (documents, by contrast, are read from its log); ``disable`` waits until all of them are written.
    """

    def __init__(self) -> None:
        super().__init__({name: service() for name, service in REPORT_SERVICES.items()})


class ReportAdapter(ReportUtils, Forwarding):
    """``Report``: which records are written, and where."""

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        return method(ReportWriter, **given)

    use_report_adapter = forwarded(ReportWriterAdapter.use_report_adapter)
    use_jsonl = forwarded(ReportWriterAdapter.use_jsonl)
    use_sqlite = forwarded(ReportWriterAdapter.use_sqlite)
    use_parquet = forwarded(ReportWriterAdapter.use_parquet)
    use_dummy = forwarded(ReportWriterAdapter.use_dummy)
    clear = forwarded(ReportWriterAdapter.clear)


Markdown: Final = MarkdownAdapter()
Report: Final = ReportAdapter()


def reset_reports() -> None:
    """Everything off, empty, and back at the defaults."""
    from bkapi.reporting.documents.columns import reset_columns

    Markdown.reset()
    Report.reset()
    MarkdownWriter.use_md()
    MarkdownWriter.clear()
    ReportWriter.use_jsonl()
    ReportWriter.clear()
    reset_columns()

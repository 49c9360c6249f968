"""Where do documents go? To a folder of ``.md`` files, JSON Lines, nowhere, or what a user provides (spec 10)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from bkapi.base.context import get_context_timestamp
from bkapi.sinks.file_names import safe_file_name
from bkapi.sinks.line_file import WRITE_SECONDS, LineFile
from bkapi.sinks.writer import Factory, Options, SinkError, WriterAdapter, opening, tell_exit

_SEARCH: Final = ("symbol", "strategy_name", "exchange_name", "frame_name", "signal_id")


class MarkdownBase:
    """What a storage of documents looks like; ``take`` is ``dump`` without a coroutine."""

    def __init__(self, markdown_name: str) -> None:
        self.markdown_name = markdown_name

    async def wait_for_init(self, initial: bool = True) -> None:
        """Make ready; any number of times."""

    async def dump(self, content: str, options: Options) -> None:
        """Store a document."""
        self.take(content, options)

    def take(self, content: str, options: Options) -> None:
        """Store a document, at once."""
        raise NotImplementedError


class MarkdownFolderBase(MarkdownBase):
    """A file per document, ``options["path"]/options["file"]``, whole or not at all; an older one is replaced.

    A relative path is taken from the working directory of the moment. The file cannot leave its folder.
    """

    def take(self, content: str, options: Options) -> None:
        """Write the file: a neighbour, synced, renamed."""
        from bkcore.candles.files import replace_file

        folder = Path.cwd() / options["path"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / safe_file_name(options["file"]), content.encode())
        except OSError as error:
            raise SinkError(
                f"the report {options['file']!r} cannot be written into {str(folder)!r}: {error.strerror}.",
                hint="choose another folder: dump(..., path=...).",
            ) from None


class MarkdownFileBase(MarkdownBase):
    """A line per document in ``dump/markdown/<name>.jsonl`` below the working directory of its construction."""

    def __init__(self, markdown_name: str) -> None:
        super().__init__(markdown_name)
        self.path = Path.cwd() / "dump" / "markdown" / f"{safe_file_name(markdown_name)}.jsonl"
        self._lines: LineFile | None = None

    async def wait_for_init(self, initial: bool = True) -> None:
        """Open the file."""
        if self._lines is None:
            with opening(self.path):
                self._lines = LineFile(self.path, tell_exit)

    def take(self, content: str, options: Options) -> None:
        """Append a line. Raises :class:`SinkError` before ``wait_for_init`` and after 15 seconds."""
        if self._lines is None:
            raise SinkError(
                f"Stream not initialized for markdown {self.markdown_name}. Call wait_for_init() first."
            )
        record: dict[str, Any] = {"markdown_name": self.markdown_name, "data": content}
        record |= {name: options[name] for name in _SEARCH if options.get(name)}
        record["timestamp"] = get_context_timestamp()
        try:
            self._lines.put(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            self._lines.flush()
        except TimeoutError:
            raise SinkError(
                f"Timeout writing to markdown {self.markdown_name}",
                hint=f"a write may take {WRITE_SECONDS:g} seconds; is the disk still there?",
            ) from None

    def close(self) -> None:
        """Close the file; ``wait_for_init`` opens it again."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()


class MarkdownDummy(MarkdownBase):
    """Documents go nowhere."""

    def take(self, content: str, options: Options) -> None:
        """Drop the document."""


class MarkdownWriterAdapter(WriterAdapter[str]):
    """Writes documents; the singleton is ``MarkdownWriter``, the default a folder of ``.md`` files."""

    method = "dump"

    def __init__(self) -> None:
        super().__init__(MarkdownFolderBase)

    def get_markdown_storage(self, markdown_name: str) -> Any:
        """The storage of a kind."""
        return self.storage(markdown_name)

    def use_markdown_adapter(self, adapter: Factory) -> None:
        """Let new storages be made by ``adapter(markdown_name)``."""
        self._use(adapter)

    def use_md(self) -> None:
        """A file per document."""
        self._use(MarkdownFolderBase)

    def use_jsonl(self) -> None:
        """A line per document."""
        self._use(MarkdownFileBase)

    def use_dummy(self) -> None:
        """Write nothing."""
        self._use(MarkdownDummy)


MarkdownWriter: Final = MarkdownWriterAdapter()

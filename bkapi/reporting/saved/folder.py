"""The files of a saved run: written so that a reader sees the old run or the new one, and read without trust.

The manifest names the digest of every other file. New files are written beside the old ones, under names that carry
their digest; the renaming of the manifest makes them the run, and only then do they take their usual names. A reader
takes whichever of the two has the digest.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from bkapi.base.folder_lock import only_writer
from bkapi.errors import BkError
from bkcore.candles.files import replace_file

MANIFEST: Final = "manifest.json"
#: The other files that a run can have, and whether each has them.
FILES: Final = {"trades.parquet": True, "events.parquet": True, "strategy.py": False}

_MOST_BYTES: Final = {MANIFEST: 64 << 20, "strategy.py": 64 << 20}
_MOST_BYTES_OF_FRAMES: Final = 2 << 30
_READS: Final = 5  # a writer that commits during a read makes it begin anew
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_BESIDE: Final = re.compile(rf"\.{{1,2}}({'|'.join(map(re.escape, (MANIFEST, *FILES)))})\..*")


class SavedRunError(BkError):
    """Raised by ``load_run("nowhere")``: a folder that holds no run, or one that was changed."""


def write_files(folder: Path, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Make ``contents`` (by name in :data:`FILES`) and their manifest the run of ``folder``, all of it or nothing.

    Writers of one folder take turns. Raises :class:`SavedRunError`; the run that was there before is there then.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    text = orjson.dumps({**manifest, "files": digests}, option=orjson.OPT_INDENT_2, default=repr)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        busy = SavedRunError(
            f"{str(folder)!r}: another run is being saved there.", hint="try again when that is done."
        )
        with only_writer(folder, busy):
            try:
                for name, content in contents.items():
                    written.append(_beside(folder, name, digests[name]))
                    replace_file(written[-1], content)
                replace_file(folder / MANIFEST, text)
            except BaseException:
                for path in written:
                    with suppress(OSError):
                        path.unlink(missing_ok=True)
                raise
            _tidy(folder, digests)
    except (OSError, ValueError) as error:
        raise SavedRunError(
            f"the run cannot be written to {str(folder)!r}: {getattr(error, 'strerror', None) or error}.",
            hint="choose another folder, or make room; what was there before is unchanged.",
        ) from None


def _beside(folder: Path, name: str, digest: str) -> Path:
    return folder / f".{name}.{digest[:16]}"


def _tidy(folder: Path, digests: Mapping[str, str]) -> None:
    """Give the files of the run their usual names, and remove what earlier and killed writers have left."""
    with suppress(OSError):  # the run is complete without it
        for name in FILES:
            if name in digests:
                _beside(folder, name, digests[name]).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
        for path in folder.iterdir():
            if _BESIDE.fullmatch(path.name):
                path.unlink(missing_ok=True)


def read_files(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest of a run and its files by name, whose digests are right; raises :class:`SavedRunError`.

    Only the files of :data:`FILES` are read, and only where they are regular files: the folder may come from anybody.
    """
    before, wrong = b"", None
    for _ in range(_READS):
        text = _content(folder / MANIFEST, folder)
        if wrong is not None and text == before:
            break
        before, wrong = text, None
        manifest, contents = _manifest(text, folder), {}
        for name, digest in manifest["files"].items():
            try:
                contents[name] = _file(folder, name, digest)
            except SavedRunError as error:
                wrong = wrong or error
        if wrong is None:
            return manifest, contents
    assert wrong is not None
    raise wrong


def _file(folder: Path, name: str, digest: str) -> bytes:
    """The content of the file with that digest, under its usual name or beside it."""
    wrong: SavedRunError | None = None
    for path in (folder / name, _beside(folder, name, digest)):
        try:
            content = _content(path, folder)
        except SavedRunError as error:
            wrong = wrong or error
            continue
        if hashlib.sha256(content).hexdigest() == digest:
            return content
        wrong = wrong or SavedRunError(
            f"{str(path)!r} was changed after the run was saved.",
            hint="save the run again; bk report and bk repeat read unchanged folders.",
        )
    assert wrong is not None
    raise wrong


def _content(path: Path, folder: Path) -> bytes:
    """The content of a regular file of at most the bytes that such a file can have."""
    most = _MOST_BYTES.get(path.name, _MOST_BYTES_OF_FRAMES)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _incomplete(folder, f"{path.name} is no regular file")
        # Not to hang if it has become a pipe meanwhile.
        with os.fdopen(
            os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
        ) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise _incomplete(folder, f"{path.name} has {size:,} bytes, at most {most:,} are read")
            return file.read(most)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _incomplete(folder, f"{path.name}: {reason}") from None


def _manifest(text: bytes, folder: Path) -> dict[str, Any]:
    try:
        manifest = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _incomplete(folder, f"{MANIFEST} is no JSON: {error}") from None
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        raise _incomplete(folder, f"{MANIFEST} names no files")
    for name, digest in files.items():
        if name not in FILES:
            raise _incomplete(folder, f"{MANIFEST} names a file {name!r:.80}, which no run has")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise _incomplete(folder, f"{MANIFEST} has no digest of {name}")
    for name, is_needed in FILES.items():
        if is_needed and name not in files:
            raise _incomplete(folder, f"{MANIFEST} names no {name}")
    checked: dict[str, Any] = manifest
    return checked


def _incomplete(folder: Path, why: str) -> SavedRunError:
    return SavedRunError(
        f"{str(folder)!r} holds no complete run: {why}.", hint="bk backtest ... --save FOLDER writes one."
    )

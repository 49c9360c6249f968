"""Where compiled kernels lie, and what happens when they cannot be read or written.

They lie in ``NUMBA_CACHE_DIR`` or the user's cache folder, in a subfolder named after the sources of this package, so
an edited rule never meets a stale kernel. Loading a kernel runs code from that folder: it is private, and one that
others may write to is not used. Where there is no such folder, kernels lie in a private temporary one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs
from numba import __version__ as numba_version

from bkcore.numba_internals import CompileResultCacheImpl, FunctionCache, config, dumps

#: In the names of files, so that environments with different compilers share a folder in peace.
_COMPILER = f"numba{numba_version}"

_ANNOUNCEMENT = "bk: compiling the numeric core, once per version (10 to 30 seconds) ...\n"
_announced = False


def _source_digest(package: Path) -> str:
    """Sixteen hex digits over all sources of a package, in whatever folder they lie."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(package).as_posix(), path) for path in package.rglob("*.py")):
        digest.update(f"{name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


#: Names the state of the sources that compiled code depends on.
SOURCE_DIGEST: str = _source_digest(Path(__file__).parent)


def _holds_kernels(folder: Path) -> bool:
    return next(folder.glob(f"*-{_COMPILER}.*.nbi"), None) is not None


def _made_private(folder: Path) -> Path:
    """``folder``, made where it is missing; raises ``OSError`` when kernels may not or cannot lie there."""
    for missing in reversed([part for part in (folder, *folder.parents) if not part.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32":
        status, above = folder.lstat(), folder.parent.stat()
        is_ours = status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
        # Where everybody may write and nothing is sticky, a folder can be exchanged.
        if not is_ours or above.st_mode & 0o1002 == 0o0002:
            raise PermissionError(errno.EACCES, "others may write there")
    if not os.access(folder, os.W_OK | os.X_OK) and not _holds_kernels(folder):
        raise PermissionError(errno.EACCES, "it cannot be written to")
    return folder


def _wanted() -> Path:
    """The folder of all versions; raises ``OSError`` or ``RuntimeError`` when nobody knows where home is."""
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR).absolute()
    folder = platformdirs.user_cache_path("bk", appauthor=False) / "kernels"
    if not folder.is_absolute():  # so older versions of platformdirs say that there is no home
        raise FileNotFoundError(errno.ENOENT, "the home folder is unknown")
    return folder


def _temporary() -> Path:
    """A private folder that later processes find again, or else one of this process alone."""
    owner = "" if sys.platform == "win32" else f"{os.geteuid()}-"
    name = f"bk-kernels-{owner}{SOURCE_DIGEST}"
    try:
        return _made_private(Path(tempfile.gettempdir(), name))
    except OSError:
        return Path(tempfile.mkdtemp(prefix=f"{name}-"))


def _cache_folder() -> Path | None:
    """Where the kernels of these sources lie, None where nothing can be written; tells of a place that is not usual."""
    wanted: Path | None = None
    try:
        wanted = _wanted()
        return _made_private(wanted / SOURCE_DIGEST)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
    try:
        found = _temporary()
    except OSError:
        found = None
    sys.stderr.write(
        f"bk: compiled kernels cannot lie in {str(wanted or 'the cache folder of the user')!r} ({reason}); "
        + (f"they lie in {str(found)!r}. " if found else "every start compiles them anew. ")
        + "NUMBA_CACHE_DIR may name a folder of your own.\n"
    )
    return found


#: Where compiled kernels lie, one folder per source state; None where nothing can be written.
CACHE_FOLDER: Path | None = _cache_folder()

#: True when this process started without compiled kernels and so has to compile them.
COLD_START: bool = CACHE_FOLDER is None or not _holds_kernels(CACHE_FOLDER)


def _announce() -> None:
    global _announced
    if not _announced:
        _announced = True
        sys.stderr.write(_ANNOUNCEMENT)
        sys.stderr.flush()


class _Entry(CompileResultCacheImpl):  # type: ignore[misc]
    """One kernel on disk. It is its own locator: those of numba may choose ``__pycache__`` and see one file only."""

    def __init__(self, function: Callable[..., Any]) -> None:
        code = function.__code__
        self._locator, self._py_file, self._lineno = self, code.co_filename, code.co_firstlineno
        name = f"{function.__module__}.{function.__qualname__}"
        self._filename_base = self.get_filename_base(name, getattr(sys, "abiflags", ""))

    def get_cache_path(self) -> str:
        return str(CACHE_FOLDER or os.devnull)

    def ensure_cache_path(self) -> None:
        """The folder is there, or there is none."""

    def get_source_stamp(self) -> str:
        return SOURCE_DIGEST

    def get_disambiguator(self) -> str:
        return f"{self._lineno}-{_COMPILER}"

    def reduce(self, data: Any) -> tuple[int, bytes]:
        content = dumps(super().reduce(data))
        return zlib.crc32(content), content

    def rebuild(self, target_context: Any, payload: tuple[int, bytes]) -> Any:
        checksum, content = payload
        if zlib.crc32(content) != checksum:
            raise ValueError("the kernel is not what was written")
        return super().rebuild(target_context, pickle.loads(content))  # noqa: S301 - the folder is private


class KernelCache(FunctionCache):  # type: ignore[misc]
    """The kernels on disk: one that cannot be read is compiled anew, one that cannot be written serves this process."""

    _impl_class = _Entry

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled form of ``sig``; None when it is not there or damaged."""
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - a damaged file can raise nearly anything, and means one thing
            with suppress(OSError):
                self.flush()
        if found is None:
            _announce()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write a compiled form, if that is possible."""
        with suppress(Exception):  # a full disk, or a damaged index that cannot be replaced
            super().save_overload(sig, data)

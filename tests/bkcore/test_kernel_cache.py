"""Compiled kernels lie in a private folder, wherever that has to be, and what is damaged is compiled anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from bkcore.kernel_cache import SOURCE_DIGEST, _source_digest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders have owners and modes on POSIX")

#: Compiles or loads one kernel and tells which of both it did, and where kernels lie.
PROGRAM = """
from numba import types
from bkcore import kernel_cache
from bkcore.jit import kernel

@kernel(types.int64(types.int64))
def one_more(number):
    return number + 1

assert one_more(1) == 2
print(sum(one_more.stats.cache_hits.values()), kernel_cache.CACHE_FOLDER)
"""
NOBODY = """
import pwd
def unknown(uid): raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = unknown
"""
NO_TEMPORARY = "import tempfile\ntempfile._candidate_tempdir_list = list\n"
FULL = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"


class Place:
    """A computer of its own under ``root``: a home, a folder for temporary files, a working directory."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.temporary, self.work = root, root / "home", root / "tmp", root / "work"
        for folder in (self.home, self.temporary, self.work):
            folder.mkdir()
        self.kernels = self.home / ".cache/bk/kernels"
        self.told = ""

    def run(self, before: str = "", **environment: str | None) -> tuple[bool, Path | None]:
        """Whether the kernel was loaded, and the folder; what was told besides the announcement is ``told``."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
        given = {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        done = subprocess.run(
            [sys.executable, "-c", before + PROGRAM],
            env={k: v for k, v in {**inherited, **given}.items() if v is not None},
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = done.stderr.splitlines(keepends=True)
        self.told = "".join(line for line in told if not line.startswith("bk: compiling the numeric core"))
        loaded, folder = done.stdout.split(maxsplit=1)
        assert len(told) - len(self.told.splitlines()) == (loaded == "0"), "compiling is announced once"
        return loaded == "1", None if folder.strip() == "None" else Path(folder.strip())

    def is_temporary(self, folder: Path | None) -> bool:
        """Whether a folder is private, temporary, and named after the sources."""
        assert folder is not None
        assert folder.stat().st_mode & 0o777 == 0o700
        return folder.parent == self.temporary and SOURCE_DIGEST in folder.name


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_kernels_lie_in_the_cache_folder_of_the_user_and_every_folder_made_is_private(place: Place) -> None:
    assert place.run() == (False, place.kernels / SOURCE_DIGEST)
    assert place.run() == (True, place.kernels / SOURCE_DIGEST)
    assert place.told == ""
    for made in (place.kernels / SOURCE_DIGEST, place.kernels, place.kernels.parent, place.home / ".cache"):
        assert made.stat().st_mode & 0o777 == 0o700
    assert all(f"numba{numba.__version__}" in one.name for one in (place.kernels / SOURCE_DIGEST).iterdir())
    assert [*place.work.iterdir()] == [*place.temporary.iterdir()] == []


def test_the_environment_names_another_folder(place: Place) -> None:
    assert place.run(XDG_CACHE_HOME=str(place.root / "xdg")) == (
        False,
        place.root / "xdg/bk/kernels" / SOURCE_DIGEST,
    )
    assert place.run(NUMBA_CACHE_DIR=str(place.root / "numba")) == (
        False,
        place.root / "numba" / SOURCE_DIGEST,
    )


@pytest.mark.parametrize("named", ["", "relative"])
def test_a_cache_home_that_is_no_absolute_path_counts_as_none(place: Place, named: str) -> None:
    assert place.run(XDG_CACHE_HOME=named) == (False, place.kernels / SOURCE_DIGEST)
    assert place.told == ""


def test_who_has_no_home_keeps_kernels_in_a_temporary_folder(place: Place) -> None:
    loaded, folder = place.run(NOBODY, HOME=None)
    assert not loaded
    assert place.is_temporary(folder)
    assert place.told.count("bk: compiled kernels cannot lie in 'the cache folder of the user'") == 1
    assert str(folder) in place.told
    assert place.run(NOBODY, HOME=None) == (True, folder)


def test_a_cache_folder_that_cannot_be_made_is_told_with_its_reason(place: Place) -> None:
    (place.home / ".cache").write_text("a file stands here")
    assert place.is_temporary(place.run()[1])
    assert place.told.startswith(
        f"bk: compiled kernels cannot lie in {str(place.kernels)!r} (Not a directory); "
    )


@pytest.mark.parametrize("which", [SOURCE_DIGEST, ""])
def test_a_folder_that_others_may_write_to_is_not_used(place: Place, which: str) -> None:
    folder = place.kernels / which
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert place.is_temporary(place.run()[1])
    assert "(others may write there)" in place.told
    assert [*place.kernels.glob("**/*.nbi")] == []


def test_a_link_in_place_of_the_folder_is_not_followed(place: Place) -> None:
    place.kernels.mkdir(parents=True)
    (place.kernels / SOURCE_DIGEST).symlink_to(place.work)
    assert place.is_temporary(place.run()[1])
    assert [*place.work.iterdir()] == []


def test_a_temporary_folder_that_somebody_has_prepared_is_not_used(place: Place) -> None:
    (place.home / ".cache").write_text("a file stands here")
    prepared = place.temporary / f"bk-kernels-{os.geteuid()}-{SOURCE_DIGEST}"
    prepared.mkdir()
    prepared.chmod(0o777)
    _, folder = place.run()
    assert folder != prepared
    assert place.is_temporary(folder)
    assert [*prepared.iterdir()] == []


def test_without_any_folder_every_process_compiles(place: Place) -> None:
    for _ in range(2):
        assert place.run(NOBODY + NO_TEMPORARY, HOME=None) == (False, None)
        assert "every start compiles them anew" in place.told
    assert [*place.work.iterdir()] == []


def test_a_full_disk_costs_the_cache_only(place: Place) -> None:
    assert place.run(FULL) == (False, place.kernels / SOURCE_DIGEST)
    assert place.run() == (False, place.kernels / SOURCE_DIGEST)
    assert place.run() == (True, place.kernels / SOURCE_DIGEST)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of kernels with the one of ``PROGRAM``."""
    place = Place(tmp_path_factory.mktemp("compiled"))
    place.run()
    return place.kernels


@pytest.mark.parametrize("damage", ["nbi empty", "nbi cut", "nbc cut", "nbc zeros"])
def test_a_damaged_kernel_is_compiled_anew(place: Place, compiled: Path, damage: str) -> None:
    shutil.copytree(compiled, place.kernels)
    suffix, how = damage.split()
    (path,) = (place.kernels / SOURCE_DIGEST).glob(f"*.{suffix}")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if how == "zeros":
        content[middle : middle + 64] = bytes(64)
    path.write_bytes(content[: {"empty": 0, "cut": middle}.get(how)])
    assert place.run()[0] is False
    assert place.told == ""
    assert place.run()[0] is True


def test_the_digest_sees_every_source_in_whatever_folder_it_lies(tmp_path: Path) -> None:
    def write(name: str, source: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return _source_digest(tmp_path)

    states = [
        write("jit.py", ""),
        write("machine/codes.py", "LONG = 1\n"),
        write("machine/codes.py", "LONG = 2\n"),
        write("sweeps/codes.py", "LONG = 2\n"),
    ]
    (tmp_path / "machine/codes.py").rename(tmp_path / "sweeps/limits.py")
    states.append(_source_digest(tmp_path))
    assert len(set(states)) == len(states)

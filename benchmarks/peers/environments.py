"""A virtual environment per peer, made when it is first needed, with the versions of ``requirements-<peer>.txt``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
_SECONDS = 900


class AbsentError(Exception):
    """A peer that cannot take part, and why."""


def requirements(peer: str) -> Path:
    """The pinned versions of a peer."""
    return HERE / f"requirements-{peer}.txt"


def environment(peer: str, folder: Path) -> Path:
    """The interpreter that has ``peer``; raises :class:`AbsentError` where it cannot be installed."""
    place = folder / peer
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = requirements(peer).read_bytes() + sys.version.encode()
    digest = hashlib.sha256(wanted).hexdigest()
    stamp = place / "installed"
    if stamp.exists() and stamp.read_text() == digest:
        return python
    print(f"{peer}: installing into {place.name} ...", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    _call([sys.executable, "-m", "venv", str(place)])
    _call([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements(peer))])
    stamp.write_text(digest)
    return python


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["it failed without a word"]
        told = [line for line in lines if line.startswith("ERROR")] or lines
        raise AbsentError(f"it cannot be installed: {told[-1]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AbsentError(f"it cannot be installed: {error}") from None

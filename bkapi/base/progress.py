"""Shows a progress bar on stderr with rate and time left; shows nothing where stderr is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], object]


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A function ``(done, total)`` that moves the bar; it does nothing where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(description),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(description, total=None, rate="")

        def tell(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield tell


@contextmanager
def progress_of(
    progress: bool | Progress, total: int, description: str = "sweep"
) -> Iterator[Callable[[float], object]]:
    """A function that takes how much more is done; it moves the bar or calls the user's function."""
    done = 0.0
    if callable(progress):

        def tell(more: float) -> None:
            nonlocal done
            if more:
                done += more
                progress(min(total, round(done)), total)

        yield tell
        return
    if not progress:
        yield lambda more: None
        return
    with progress_bar(description) as show:

        def tell_bar(more: float) -> None:
            nonlocal done
            done += more
            show(min(total, round(done)), total)

        yield tell_bar

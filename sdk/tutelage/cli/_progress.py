"""Bytes on their way, for a person who watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def told_how_to_go_on() -> Iterator[None]:
    """Tells a person who leaves an upload that nothing is lost."""
    from tutelage.cli._output import say

    try:
        yield
    except KeyboardInterrupt:
        say("\nstopped; within a day the same command goes on where it stopped")
        raise


@contextmanager
def progress_of(name: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar on standard error while a person watches; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda done_bytes, size_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done_bytes, size_bytes: progress.update(task, completed=done_bytes, total=size_bytes)

"""Waiting on a fact, with a limit."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(fact: Callable[[], T], what: str = "", *, limit_s: float = 30.0, every_s: float = 0.01) -> T:
    """Returns what `fact` returns as soon as that is true. Fails with `what` after the limit."""
    deadline_s = time.monotonic() + limit_s
    while not (found := fact()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {limit_s:g} s: {what or fact}")
        time.sleep(every_s)
    return found

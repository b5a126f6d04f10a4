"""Where a page of a list that is ordered by time has ended, in a form that a page token can hold."""

import datetime
from collections.abc import Sequence
from typing import Any


def time_position(time: datetime.datetime, *, uid: str) -> tuple[str, str]:
    """Return the position of a thing."""
    return (time.isoformat(), uid)


def read_time_position(position: Sequence[Any] | None) -> tuple[datetime.datetime, str] | None:
    """Return the time and the id in a position."""
    return None if position is None else (datetime.datetime.fromisoformat(position[0]), position[1])

"""Pages of a list: how many, after which, in which order."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from services.domain.errors import InvalidField
from services.domain.limits import PAGE_BYTES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from services.domain.seals import Keys

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Which part of a list is wanted. `after` is the sort key of the last thing on the page before."""

    size: int
    after: tuple[Any, ...] | None = None
    descending: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageRequest:
    """A page as a caller asks for it."""

    size: int = 0
    token: str = ""


def page_size(size: int, *, default: int = PAGE_SIZE_DEFAULT) -> int:
    """Return the size to use: 0 means the default, too many means the most. Raises: InvalidField for a negative one."""
    if size < 0:
        raise InvalidField.of("page_size", f"must not be negative, got {size}")
    return min(size or default, PAGE_SIZE_MAX)


def cut_page(
    found: Sequence[T],
    *,
    size: int,
    position: Callable[[T], Sequence[Any]],
    keys: Keys,
    binding: Sequence[str],
) -> tuple[tuple[T, ...], str]:
    """Return the page, and the token of the next one if there is one: then `found` holds more than the page.

    A page whose things are long, such as jobs with templates, ends before it outgrows a message.
    """
    shown = tuple(found[: min(size, _fitting(found))])
    if len(found) == len(shown):
        return shown, ""
    return shown, keys.seal_page(position(shown[-1]), binding=binding)


def until_full(things: Iterable[T]) -> list[T]:
    """Return things until a message is full, and one that is beyond it: `cut_page` needs to know of no more.

    So of a page of long things no more are in memory than are shown.
    """
    left, found = PAGE_BYTES_MAX, list[T]()
    for each in things:
        found.append(each)
        left -= _bytes_of(each)
        if left < 0 and len(found) > 1:
            break
    return found


def _fitting(found: Sequence[Any]) -> int:
    """Return how many fit into one message, at least one."""
    left = PAGE_BYTES_MAX
    for place, each in enumerate(found):
        left -= _bytes_of(each)
        if left < 0:
            return max(place, 1)
    return len(found)


def _bytes_of(each: Any) -> int:
    """Return a size that is not below that of its message: what Python shows of a thing is longer."""
    return len(repr(each).encode(errors="replace"))

# Generated from tutelage/_async/pages.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Lists: pages are asked for as they are needed."""

from collections.abc import Iterator
from typing import Any

from tutelage._sync.transport import Transport


def walk_pages(
    transport: Transport, service: str, method: str, request: Any, *, timeout: float | None
) -> Iterator[Any]:
    """Yields the resources of all pages, one after the other; `timeout` is that of each page."""
    while True:
        answer = transport.call(service, method, request, timeout=timeout)
        items = next(field for field in answer.DESCRIPTOR.fields if field.is_repeated)
        for item in getattr(answer, items.name):
            yield item
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token

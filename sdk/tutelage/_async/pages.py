"""Lists: pages are asked for as they are needed."""

from collections.abc import AsyncIterator
from typing import Any

from tutelage._async.transport import AsyncTransport


async def walk_pages(
    transport: AsyncTransport, service: str, method: str, request: Any, *, timeout: float | None
) -> AsyncIterator[Any]:
    """Yields the resources of all pages, one after the other; `timeout` is that of each page."""
    while True:
        answer = await transport.call(service, method, request, timeout=timeout)
        items = next(field for field in answer.DESCRIPTOR.fields if field.is_repeated)
        for item in getattr(answer, items.name):
            yield item
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token

"""When the gateway leaves, streams are told at once, so that they go on elsewhere by their cursor."""

import asyncio

from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.refusals import unavailable


class Drain:
    """Knows the streams that would never end by themselves, and ends them."""

    def __init__(self) -> None:
        self._scopes: set[asyncio.Timeout] = set()
        self._draining = False

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Lets the call through; a server stream ends with UNAVAILABLE when the drain begins."""
        if call.ends_by_itself:
            await proceed(call)
            return
        scope = asyncio.timeout(0 if self._draining else None)
        try:
            async with scope:
                self._scopes.add(scope)
                await proceed(call)
        except TimeoutError:
            if not scope.expired():
                raise
            raise unavailable("This gateway is shutting down; resume the stream from its cursor.") from None
        finally:
            self._scopes.discard(scope)

    def begin(self) -> None:
        """Ends all server streams, and those that still come."""
        self._draining = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            scope.reschedule(now)

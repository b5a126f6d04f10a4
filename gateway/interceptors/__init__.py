"""What every call passes on its way in and out, one file a concern.

On the way in: request id, authenticate, authorize, rate limit, deadline, drain. On the way out, whatever happened:
status, metrics, access log. The last three stand around the others, so that refused calls are counted and logged too.
"""

import functools
from collections.abc import Awaitable, Callable, Sequence

from gateway.calls import Call

Proceed = Callable[[Call], Awaitable[None]]
Interceptor = Callable[[Call, Proceed], Awaitable[None]]


def compose(interceptors: Sequence[Interceptor], innermost: Proceed) -> Proceed:
    """Returns one function that runs the interceptors in order, each around the next, with the call at the end."""
    proceed = innermost
    for interceptor in reversed(interceptors):
        proceed = functools.partial(_around, interceptor, proceed)
    return proceed


def _around(interceptor: Interceptor, proceed: Proceed, call: Call) -> Awaitable[None]:
    return interceptor(call, proceed)

"""No call runs longer than its method allows, whatever deadline the client asks for."""

import asyncio

import grpc

from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.refusals import Refused


async def deadline(call: Call, proceed: Proceed) -> None:
    """Ends the call at the client's deadline or at its method's limit. Server streams have no limit of their own."""
    call.timeout_s = _timeout_s(call)
    scope = asyncio.timeout(call.timeout_s)
    try:
        async with scope:
            await proceed(call)
    except TimeoutError:
        if not scope.expired():
            raise
        raise Refused(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"The call took longer than {call.timeout_s:g} seconds."
        ) from None


def _timeout_s(call: Call) -> float | None:
    asked_s = call.client_timeout_s()
    limit_s = float(call.method.seconds_max) if call.ends_by_itself else None
    limits_s = [max(0.0, seconds) for seconds in (asked_s, limit_s) if seconds is not None]
    return min(limits_s, default=None)

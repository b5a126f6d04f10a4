"""However a call ends, it ends with a status: a refusal as it is, anything unexpected as INTERNAL with an id."""

import asyncio
import logging

import grpc

from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.refusals import Refused, internal

logger = logging.getLogger("gateway")


async def status(call: Call, proceed: Proceed) -> None:
    """Turns the end of the call into its status."""
    try:
        await proceed(call)
    except asyncio.CancelledError:
        call.code = _why_cancelled(call)
        raise
    except Refused as refusal:
        _end(call, refusal)
    except Exception:
        logger.exception("call failed", extra={"fields": {"request_id": call.request_id, "method": call.path}})
        _end(call, internal(call.request_id))
    else:
        call.code = grpc.StatusCode.OK
        _send_trailers(call)


def _why_cancelled(call: Call) -> grpc.StatusCode:
    left_s = call.client_timeout_s()
    late = left_s is not None and left_s <= 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


def _end(call: Call, refusal: Refused) -> None:
    call.code, call.refusal = refusal.code, refusal
    call.trailers = refusal.trailers
    if call.context is not None:
        call.context.set_code(refusal.code)
        call.context.set_details(refusal.message)
    _send_trailers(call)


def _send_trailers(call: Call) -> None:
    if call.context is not None:
        call.context.set_trailing_metadata((*call.trailers, ("x-request-id", call.request_id)))

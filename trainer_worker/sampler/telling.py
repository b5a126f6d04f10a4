"""How errors are told: each as one google.rpc.Status, unknown ones with the request id and nothing else."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc.aio
from grpc_status import rpc_status

from trainer_worker.sampler.errors import BrokenModel, NoPrincipal, SamplerError, internal_status, to_status

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = grpc.aio.ServicerContext


def principal_of(context: Context) -> bytes:
    """The signed principal of a call, unread. Raises: NoPrincipal."""
    value = _metadata(context).get("x-tutelage-principal-bin")
    if not isinstance(value, bytes) or not value:
        raise NoPrincipal("the call does not say whom it is for")
    return value


def request_id_of(context: Context) -> str:
    """What the call is named in logs."""
    return str(_metadata(context).get("x-request-id", ""))


@contextlib.asynccontextmanager
async def telling_errors(context: Context) -> AsyncIterator[None]:
    """Ends the call with a status if the body fails. A cancelled call is not told anything."""
    try:
        yield
    except (grpc.aio.AbortError, grpc.aio.UsageError):
        raise
    except Exception as error:
        await _abort(context, error)


async def _abort(context: Context, error: Exception) -> None:
    if isinstance(error, SamplerError) and not isinstance(error, BrokenModel):
        status = to_status(error)
    else:
        log.error("a call failed", exc_info=error, extra={"request_id": request_id_of(context)})
        status = internal_status(request_id_of(context))
    told = rpc_status.to_status(status)
    await context.abort(told.code, told.details, told.trailing_metadata)


def _metadata(context: Context) -> dict[str, str | bytes]:
    return dict(context.invocation_metadata() or ())

"""Services are asked, for each request, whether its caller may sample from the model and where its files are."""

from __future__ import annotations

from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_status import rpc_status

from trainer_worker.sampler.errors import Refused, Unavailable
from tutelage_internal.v1 import access_pb2, access_pb2_grpc

RESOLVE_TIMEOUT_S = 10.0


class Access:
    """Asks services. It believes nobody else: this process holds no database and checks no principal itself."""

    def __init__(self, channel: grpc.aio.Channel, *, secret: str) -> None:
        self._stub = access_pb2_grpc.AccessStub(channel)
        self._secret = secret

    async def resolve_model(self, name: str, *, principal: bytes, request_id: str) -> access_pb2.ResolveModelResponse:
        """Where the model is. Raises: Refused with what services said; Unavailable if they cannot be asked."""
        request = access_pb2.ResolveModelRequest(model=name)
        return await self._ask(self._stub.ResolveModel, request, principal=principal, request_id=request_id)

    async def resolve_checkpoint(
        self, job: str, *, step: int | None, principal: bytes, request_id: str
    ) -> access_pb2.ResolveCheckpointResponse:
        """What there is to look inside a step of a job. Raises: Refused, Unavailable."""
        request = access_pb2.ResolveCheckpointRequest(job=job, step=step)
        return await self._ask(self._stub.ResolveCheckpoint, request, principal=principal, request_id=request_id)

    async def _ask(self, method: Any, request: Message, *, principal: bytes, request_id: str) -> Any:
        metadata = (
            ("authorization", f"Bearer {self._secret}"),
            ("x-tutelage-principal-bin", principal),
            ("x-request-id", request_id),
        )
        try:
            return await method(request, metadata=metadata, timeout=RESOLVE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error


def _translated(error: grpc.aio.AioRpcError) -> Exception:
    status = rpc_status.from_call(cast(grpc.Call, error))  # it has all that is read of a call
    if status is not None:
        return Refused(status)
    # Without details it was not said by services, but by what lies between; its words may hold addresses.
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return Unavailable("services cannot be reached just now")
    return RuntimeError(f"services failed with {error.code()}: {error.details()}")

"""The servicer of Inspection: it has a checkpoint resolved, looks inside a step in a thread, and tells what it saw."""

from __future__ import annotations

import asyncio
import pathlib
import tempfile

import artifacts
from trainer_worker.sampler.access import Access
from trainer_worker.sampler.errors import InvalidRequest, QueueFull, Violation
from trainer_worker.sampler.looking import Place, look
from trainer_worker.sampler.telling import Context, principal_of, request_id_of, telling_errors
from tutelage.v1 import inspection_pb2, inspection_pb2_grpc

PREDICTIONS_DEFAULT = 5
PREDICTIONS_MAX = 20
TEXT_CHARACTERS_MAX = 20_000
# A look takes a model, its gradients and the state of its optimizer into memory: one after the other.
WAITING_MAX = 8


class Inspection(inspection_pb2_grpc.InspectionServicer):
    """Serves InspectStep, one call at a time."""

    def __init__(
        self, access: Access, *, store: artifacts.Store, scratch_dir: pathlib.Path, size_bytes_max: int
    ) -> None:
        """A run whose state is larger than `size_bytes_max` is refused."""
        self._access = access
        self._store = store
        self._scratch_dir = scratch_dir
        self._size_bytes_max = size_bytes_max
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def InspectStep(  # noqa: N802
        self, request: inspection_pb2.InspectStepRequest, context: Context
    ) -> inspection_pb2.InspectStepResponse:
        """See the proto."""
        async with telling_errors(context):
            resolved = await self._access.resolve_checkpoint(
                request.name,
                step=request.step if request.HasField("step") else None,
                principal=principal_of(context),
                request_id=request_id_of(context),
            )
            refuse_wrong_fields(request)
            if self._waiting >= WAITING_MAX:
                raise QueueFull(f"{self._waiting} calls wait to look inside a step; please try again soon")
            self._waiting += 1
            try:
                async with self._turn:
                    with tempfile.TemporaryDirectory(prefix="inspection-", dir=self._scratch_dir) as scratch:
                        return await asyncio.shield(
                            asyncio.to_thread(
                                look,
                                resolved,
                                place=Place(self._store, pathlib.Path(scratch)),
                                text=request.text,
                                predictions=request.predictions or PREDICTIONS_DEFAULT,
                                size_bytes_max=self._size_bytes_max,
                            )
                        )
            finally:
                self._waiting -= 1
        raise AssertionError("telling_errors ends the call")


def refuse_wrong_fields(request: inspection_pb2.InspectStepRequest) -> None:
    """Raises: InvalidRequest, naming every wrong field."""
    violations = []
    if request.HasField("step") and request.step < 0:
        violations.append(Violation("step", f"must be at least 0, got {request.step}"))
    if len(request.text) > TEXT_CHARACTERS_MAX:
        wrong = f"must be at most {TEXT_CHARACTERS_MAX} characters, got {len(request.text)}"
        violations.append(Violation("text", wrong))
    if request.HasField("predictions") and not 1 <= request.predictions <= PREDICTIONS_MAX:
        violations.append(Violation("predictions", f"must be 1 to {PREDICTIONS_MAX}, got {request.predictions}"))
    if violations:
        raise InvalidRequest(*violations)

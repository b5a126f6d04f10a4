"""Rehearsal rooms behind the gateway: services and a sampler that answer from a script, over real gRPC."""

import concurrent.futures
import dataclasses
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc
from grpc_status import rpc_status

from tutelage.v1 import (
    datasets_pb2,
    datasets_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    projects_pb2,
    sampling_pb2,
    sampling_pb2_grpc,
)
from tutelage_internal.v1 import access_pb2, access_pb2_grpc

PAYLOAD = "x" * 1024


def api_key(name: str) -> str:
    """Returns a well-formed key for a name."""
    return f"tut_{name[:12]:a<12}_{'5e' * 32}"


@dataclasses.dataclass
class Seen:
    """A call that a room has seen."""

    method: str
    metadata: dict[str, Any]
    time_left_s: float | None
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    messages: int = 0


class Rooms(
    jobs_pb2_grpc.JobsServicer,
    datasets_pb2_grpc.DatasetsServicer,
    sampling_pb2_grpc.SamplingServicer,
    access_pb2_grpc.AccessServicer,
):
    """All rooms in one object. The last part of a name is what the room is told to do."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.services_address = f"unix:{folder}/services.sock"
        self.internal_address = f"unix:{folder}/internal.sock"
        self.sampler_address = f"unix:{folder}/sampler.sock"
        self.callers: dict[str, access_pb2.AuthenticateResponse] = {}
        self.seen: list[Seen] = []
        self.questions: list[dict[str, Any]] = []
        self.answer_after = threading.Event()
        self.answer_after.set()
        self.told = threading.Event()
        self._health = health.HealthServicer()
        self._servers: list[grpc.Server] = []

    def admit(self, name: str, *, permissions: list[str], rate: float = 1000, streams: int = 100) -> str:
        """Makes a key of a project of the same name, and returns it."""
        key = api_key(name)
        self.callers[key] = access_pb2.AuthenticateResponse(
            key_id=key.split("_")[1],
            project_id=f"project-{name}",
            role=projects_pb2.ROLE_TRAINER,
            permissions=permissions,
            requests_per_second=rate,
            streams_max=streams,
        )
        return key

    def start(self) -> None:
        """Opens all rooms."""
        self._serve(
            self.services_address,
            jobs_pb2_grpc.add_JobsServicer_to_server,
            datasets_pb2_grpc.add_DatasetsServicer_to_server,
        )
        self._serve(self.internal_address, access_pb2_grpc.add_AccessServicer_to_server)
        self._serve(self.sampler_address, sampling_pb2_grpc.add_SamplingServicer_to_server)

    def stop(self) -> None:
        """Closes all rooms at once."""
        for server in self._servers:
            server.stop(0).wait()
        self._servers.clear()

    def stop_sampler(self) -> None:
        """Closes the sampler only."""
        self._servers.pop().stop(0).wait()

    def last(self, method: str) -> Seen:
        """Returns the last call of a method."""
        return [seen for seen in self.seen if seen.method.endswith(method)][-1]

    def _serve(self, address: str, *adders: Callable[[Any, grpc.Server], None]) -> None:
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=40))
        for add in (*adders, lambda _, to: health_pb2_grpc.add_HealthServicer_to_server(self._health, to)):
            add(self, server)
        server.add_insecure_port(address)
        server.start()
        self._servers.append(server)

    def _see(self, method: str, context: grpc.ServicerContext) -> Seen:
        seen = Seen(method, dict(context.invocation_metadata()), context.time_remaining())
        if not context.add_callback(seen.ended.set):  # it was over before it was seen
            seen.ended.set()
        self.seen.append(seen)
        return seen

    # Access

    def Authenticate(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.questions.append(dict(context.invocation_metadata()))
        self.answer_after.wait(10)
        if request.api_key not in self.callers:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
        return self.callers[request.api_key]

    # Jobs

    def GetJob(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        seen = self._see("GetJob", context)
        order = request.name.rpartition("/")[2]
        if order == "missing":
            context.abort_with_status(rpc_status.to_status(_not_found()))
        if order == "broken":
            raise RuntimeError("a secret path /etc/shadow")
        if order == "wait":
            seen.ended.wait(60)
        if order == "until-told":
            self.told.wait(60)
        context.send_initial_metadata((("x-room", "services"),))
        context.set_trailing_metadata((("x-said-last", "goodbye"), ("x-data-bin", b"\x00\xff")))
        return jobs_pb2.Job(name=request.name, state=jobs_pb2.JOB_STATE_RUNNING)

    def WatchJob(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        seen = self._see("WatchJob", context)
        order = request.name.rpartition("/")[2]
        yield jobs_pb2.JobEvent(cursor=1, note=jobs_pb2.Note(message="first"))
        if order == "forever":
            while not seen.ended.is_set():
                seen.messages += 1
                yield jobs_pb2.JobEvent(cursor=seen.messages, note=jobs_pb2.Note(message=PAYLOAD))
        if order == "idle":
            seen.ended.wait(60)
        if order == "missing":
            context.abort_with_status(rpc_status.to_status(_not_found()))
        yield jobs_pb2.JobEvent(cursor=2, note=jobs_pb2.Note(message="last"))

    # Datasets

    def WriteUpload(self, request_iterator: Iterator[Any], context: grpc.ServicerContext) -> Any:  # noqa: N802
        seen = self._see("WriteUpload", context)
        received_bytes = 0
        for message in request_iterator:
            seen.messages += 1
            received_bytes += len(message.data)
            if message.name == "refuse":
                context.abort(grpc.StatusCode.OUT_OF_RANGE, "elsewhere")
            if message.name == "stall":
                seen.ended.wait(60)
        return datasets_pb2.Upload(received_bytes=received_bytes)

    # Sampling

    def Sample(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._see("Sample", context)
        return sampling_pb2.SampleResponse(samples=[sampling_pb2.Sample(text="to be")])


def _not_found() -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="tutelage")
    status = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="there is no such job")
    status.details.add().Pack(info)
    return status

"""The methods of both languages, read from their descriptors: what is not said there is not served."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tutelage.v1 import (
    cluster_pb2,
    datasets_pb2,
    duels_pb2,
    feedback_pb2,
    jobs_pb2,
    models_pb2,
    options_pb2,
    projects_pb2,
    reviews_pb2,
)
from tutelage_internal.v1 import access_pb2, workers_pb2
from tutelage_internal.v1 import options_pb2 as internal_options_pb2

_SLOW_SECONDS = 30
PUBLIC_FILES = (
    jobs_pb2,
    datasets_pb2,
    models_pb2,
    projects_pb2,
    cluster_pb2,
    duels_pb2,
    feedback_pb2,
    reviews_pb2,
)
INTERNAL_FILES = (access_pb2, workers_pb2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """One method. `path` is how gRPC calls it, `name` how the audit record does."""

    service: str
    rpc: str
    request: type[Message]
    client_streams: bool
    server_streams: bool
    permission: str
    room: int
    seconds_max: int

    @property
    def name(self) -> str:
        """Such as `tutelage.v1.Jobs/CancelJob`."""
        return f"{self.service}/{self.rpc}"

    @property
    def path(self) -> str:
        """Such as `/tutelage.v1.Jobs/CancelJob`."""
        return f"/{self.name}"

    @property
    def verb(self) -> str:
        """Such as `cancel_job`, the name of the servicer's method."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.rpc).lower()

    @property
    def slow(self) -> bool:
        """Whether one call may take so long that it must not hold the threads of the others."""
        return self.seconds_max > _SLOW_SECONDS


def methods_of(modules: tuple[Any, ...]) -> Iterator[Method]:
    """Yield every method of the services in these generated modules."""
    for module in modules:
        file: FileDescriptor = module.DESCRIPTOR
        for service in file.services_by_name.values():
            for method in service.methods:
                yield _method(method)


def _method(method: MethodDescriptor) -> Method:
    options = method.GetOptions()
    return Method(
        service=method.containing_service.full_name,
        rpc=method.name,
        request=GetMessageClass(method.input_type),
        client_streams=method.client_streaming,
        server_streams=method.server_streaming,
        permission=options.Extensions[options_pb2.permission],
        room=options.Extensions[internal_options_pb2.room],
        seconds_max=options.Extensions[options_pb2.seconds_max],
    )

"""Reflection: whoever has a key may ask for the schema, and gets the public language only."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from gateway.calls import Call
from gateway.interceptors.authorize import ANY_KEY
from gateway.methods import Kind, Method, Owner

# v1 differs from v1alpha by its name only; the messages are the same on the wire.
SERVICES = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")


def reflection_methods() -> list[Method]:
    """Returns the methods of reflection, for the table."""
    return [
        Method(
            service=service,
            name="ServerReflectionInfo",
            kind=Kind.BIDI_STREAM,
            owner=Owner.GATEWAY,
            permission=ANY_KEY,
        )
        for service in SERVICES
    ]


class Reflection:
    """Answers questions about the schema from a pool that holds the public files only."""

    def __init__(self, files: Iterable[FileDescriptor]) -> None:
        files = [*files, health_pb2.DESCRIPTOR]
        names = [service.full_name for file in files for service in file.services_by_name.values()]
        self._servicer = cast(Any, reflection).aio.ReflectionServicer((*names, *SERVICES), pool=_pool(files))

    async def __call__(self, call: Call) -> None:
        """Answers one stream of questions."""
        async for answer in self._servicer.ServerReflectionInfo(_questions(call), None):
            await call.write(answer.SerializeToString())


async def _questions(call: Call) -> AsyncIterator[Any]:
    while (message := await call.read()) is not None:
        yield reflection_pb2.ServerReflectionRequest.FromString(message)


def _pool(files: Iterable[FileDescriptor]) -> DescriptorPool:
    pool = DescriptorPool()
    known: set[str] = set()
    for file in (*files, reflection_pb2.DESCRIPTOR):
        _add(pool, file, known)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, known: set[str]) -> None:
    if file.name in known:
        return
    known.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, known)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    pool.Add(proto)

"""The table of methods, read from the descriptors of the public language."""

import dataclasses
import enum
import importlib
import pkgutil
from collections.abc import Iterable, Mapping

from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

import tutelage.v1
from gateway import limits
from tutelage.v1 import options_pb2

SAMPLER_SERVICES = frozenset({"tutelage.v1.Sampling", "tutelage.v1.Inspection"})


class Kind(enum.Enum):
    """How many messages go each way; the values are the labels that gRPC metrics use."""

    UNARY = "unary"
    CLIENT_STREAM = "client_stream"
    SERVER_STREAM = "server_stream"
    BIDI_STREAM = "bidi_stream"


class Owner(enum.Enum):
    """Who answers a method."""

    SERVICES = "services"
    SAMPLER = "sampler"
    GATEWAY = "gateway"


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """One method: who answers it, who may call it, and for how long."""

    service: str
    name: str
    kind: Kind
    owner: Owner
    permission: str
    seconds_max: int = limits.CALL_SECONDS_DEFAULT
    reads_only: bool = False
    input: Descriptor | None = None
    output: Descriptor | None = None

    @property
    def path(self) -> str:
        """As gRPC names it: `/tutelage.v1.Jobs/GetJob`."""
        return f"/{self.service}/{self.name}"


# Stands for every path that is not in the table, so that metrics and logs stay bounded.
UNKNOWN = Method(service="unknown", name="unknown", kind=Kind.BIDI_STREAM, owner=Owner.GATEWAY, permission="")


def public_files() -> list[FileDescriptor]:
    """Returns the descriptors of all files of `tutelage.v1`."""
    names = sorted(module.name for module in pkgutil.iter_modules(tutelage.v1.__path__))
    modules = [importlib.import_module(f"tutelage.v1.{name}") for name in names if name.endswith("_pb2")]
    return [module.DESCRIPTOR for module in modules]


def method_table(files: Iterable[FileDescriptor]) -> Mapping[str, Method]:
    """Returns the methods of the files, by path."""
    services = [service for file in files for service in file.services_by_name.values()]
    methods = [_method(descriptor) for service in services for descriptor in service.methods]
    return {method.path: method for method in methods}


def _method(descriptor: MethodDescriptor) -> Method:
    options = descriptor.GetOptions()
    service = descriptor.containing_service.full_name
    return Method(
        service=service,
        name=descriptor.name,
        kind=_kind(descriptor),
        owner=Owner.SAMPLER if service in SAMPLER_SERVICES else Owner.SERVICES,
        permission=options.Extensions[options_pb2.permission],
        seconds_max=options.Extensions[options_pb2.seconds_max] or limits.CALL_SECONDS_DEFAULT,
        reads_only=options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        input=descriptor.input_type,
        output=descriptor.output_type,
    )


def _kind(descriptor: MethodDescriptor) -> Kind:
    kinds = {
        (False, False): Kind.UNARY,
        (True, False): Kind.CLIENT_STREAM,
        (False, True): Kind.SERVER_STREAM,
        (True, True): Kind.BIDI_STREAM,
    }
    return kinds[bool(descriptor.client_streaming), bool(descriptor.server_streaming)]

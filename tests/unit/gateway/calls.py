"""Calls for tests of interceptors, without a wire."""

from gateway.calls import Call
from gateway.methods import Kind, Method, Owner
from gateway.refusals import Metadata
from tutelage_internal.v1 import access_pb2


def a_method(kind: Kind = Kind.UNARY, *, permission: str = "jobs.read", seconds_max: int = 30) -> Method:
    """Returns a method."""
    return Method(
        service="tutelage.v1.Jobs",
        name="GetJob",
        kind=kind,
        owner=Owner.SERVICES,
        permission=permission,
        seconds_max=seconds_max,
    )


def a_call(
    *, method: Method | None = None, metadata: Metadata = (), permissions: tuple[str, ...] = ("jobs.read",)
) -> Call:
    """Returns a call of an authenticated caller."""
    caller = access_pb2.AuthenticateResponse(
        key_id="key", project_id="project", permissions=permissions, requests_per_second=2, streams_max=1
    )
    method = method or a_method()
    return Call(method=method, path=method.path, metadata=metadata, peer="10.0.0.1", caller=caller)


async def arrive(_call: Call) -> None:
    """Stands for the rest of the way."""


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now_s

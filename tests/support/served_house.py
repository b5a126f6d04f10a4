"""The house behind its two real gRPC servers, in this process, and a gateway's pen to sign calls with."""

import asyncio
import contextlib
import datetime
import hashlib
import hmac
import pathlib
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import artifacts
from services.api.guards import Secrets
from services.api.server import Api, Bounds, Listen
from services.domain.projects import NewApiKey, Role
from services.domain.seals import Keys
from services.ports import Chance, Clock, Dispatcher, House, Leases
from services.projects.create_project import create_project
from services.storage.tables import metadata
from services.storage.unit_of_work import SqlStorage
from tutelage_internal.v1 import options_pb2
from tutelage_internal.v1.principal_pb2 import Principal, SignedPrincipal

SECRETS = Secrets(
    principal=b"p" * 32,
    rooms={
        options_pb2.ROOM_GATEWAY: b"g" * 32,
        options_pb2.ROOM_WORKER: b"w" * 32,
        options_pb2.ROOM_SAMPLER: b"s" * 32,
    },
)
ROOM_NAMES = {"gateway": b"g" * 32, "worker": b"w" * 32, "sampler": b"s" * 32}


class NoBell(Dispatcher):
    """Nobody listens."""

    def ring(self, job_uid: str) -> None:
        """Ring for nobody."""


class HostClock(Clock):
    """The clock of this host."""

    def now(self) -> datetime.datetime:
        """Return the time."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic_s(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()


class HostChance(Chance):
    """What is new and random, from this host."""

    def uid(self) -> str:
        """Return a new UUID."""
        return str(uuid.uuid4())

    def seed(self) -> int:
        """Return a number of 32 bits."""
        return random.getrandbits(32)

    def jitter(self) -> float:
        """Return a number from -1 to 1."""
        return random.uniform(-1, 1)


def made_house(url: str, *, artifacts_dir: pathlib.Path) -> House:
    """Return a house on an empty database."""
    storage = SqlStorage.at(url)
    metadata.create_all(storage.engine)
    return House(
        storage=storage,
        dispatcher=NoBell(),
        store=artifacts.open_store(artifacts_dir.as_uri()),
        clock=HostClock(),
        chance=HostChance(),
        keys=Keys(b"k" * 32),
        leases=Leases(),
        version="0.0.0",
    )


class ServedHouse:
    """A house that is called over the wire. `house` is there for tests that look behind the counter."""

    def __init__(self, house: House, api: Api, loop: asyncio.AbstractEventLoop, folder: pathlib.Path) -> None:
        self.house = house
        self.api = api
        self.loop = loop
        self.public = grpc.insecure_channel(f"unix:{folder}/public.sock")
        self.internal = grpc.insecure_channel(f"unix:{folder}/internal.sock")
        self.admin = create_project(house, project_id="own").api_key
        self.stranger = create_project(house, project_id="foreign").api_key

    def signed(self, method: str, *, key: Any = None, request_id: str = "test") -> tuple[tuple[str, Any], ...]:
        """Return the metadata with which the gateway forwards a call of a key."""
        key = key or self.admin
        principal = Principal(key_id=key.id, project_id=key.project_id, method=method, request_id=request_id)
        principal.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30))
        return (("x-tutelage-principal-bin", sealed(principal)),)

    def call(self, path: str, request: Message | bytes, *, key: Any = None, answer: Any = None, **options: Any) -> Any:
        """Make one unary call of the public language, as a key."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        multi = self.public.unary_unary(path, response_deserializer=answer and answer.FromString)
        metadata = options.pop("metadata", None) or self.signed(path, key=key)
        return multi(data, metadata=metadata, timeout=10, **options)

    def stub(self, kind: type, *, key: Any = None) -> Any:
        """Return a stub of the public language whose calls are signed."""
        return kind(grpc.intercept_channel(self.public, _Metadata(lambda method: self.signed(method, key=key))))

    def room_stub(self, kind: type, *, room: str) -> Any:
        """Return a stub of the internal language for a room."""
        badge = ("authorization", f"Bearer {ROOM_NAMES[room].hex()}")
        return kind(grpc.intercept_channel(self.internal, _Metadata(lambda _method: (badge,))))


def sealed(principal: Principal, *, secret: bytes = SECRETS.principal) -> bytes:
    """Return a principal with its proof."""
    data = principal.SerializeToString()
    return SignedPrincipal(principal=data, mac=hmac.new(secret, data, hashlib.sha256).digest()).SerializeToString()


class _Metadata(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
):
    """Adds to each call what `proof` makes of its method."""

    def __init__(self, proof: Callable[[str], tuple[tuple[str, Any], ...]]) -> None:
        self._proof = proof

    def _go_on(self, continuation: Any, details: Any, request: Any) -> Any:
        method = details.method if isinstance(details.method, str) else details.method.decode()
        extended = (*(details.metadata or ()), *self._proof(method))
        return continuation(details._replace(metadata=extended), request)

    intercept_unary_unary = _go_on
    intercept_unary_stream = _go_on
    intercept_stream_unary = _go_on


@contextlib.contextmanager
def served_house(house: House, folder: pathlib.Path, *, bounds: Bounds | None = None) -> Iterator[ServedHouse]:
    """Yield a house that listens on two sockets in a folder."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="api", daemon=True)
    thread.start()

    async def start() -> Api:
        listen = Listen(public=f"unix:{folder}/public.sock", internal=f"unix:{folder}/internal.sock")
        api = Api(house, secrets=SECRETS, listen=listen, bounds=bounds)
        await api.start()
        return api

    api = asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=10)
    served = ServedHouse(house, api, loop, folder)
    try:
        yield served
    finally:
        served.public.close()
        served.internal.close()
        asyncio.run_coroutine_threadsafe(api.drain(grace_s=0.2), loop).result(timeout=15)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        loop.close()


def reason_of(error: grpc.RpcError) -> str:
    """Return the reason in the ErrorInfo of a refused call."""
    return str(info_of(error).reason)


def info_of(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """Return the ErrorInfo of a refused call."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    assert status is not None and status.details[0].Unpack(info), error
    return info


def fields_of(error: grpc.RpcError) -> list[str]:
    """Return the paths of the fields that a refused call names."""
    request = error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    assert status is not None
    for detail in status.details:
        detail.Unpack(request)
    return [violation.field for violation in request.field_violations]


def keys_of_roles(served: ServedHouse) -> dict[Role, Any]:
    """Return a working key of each role in the own project."""
    from services.domain.projects import Caller
    from services.domain.requests import NO_REQUEST_KEY
    from services.projects.create_api_key import ApiKeyDraft, create_api_key

    caller = Caller(key=served.admin, method="test")

    def made(role: Role) -> NewApiKey:
        draft = ApiKeyDraft(role=role)
        return create_api_key(served.house, caller=caller, parent="projects/-", draft=draft, request=NO_REQUEST_KEY)

    return {role: made(role).api_key for role in Role}

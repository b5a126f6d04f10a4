"""The parts of the gateway, put together: the composition root of this process."""

import asyncio
import pathlib
import secrets
import tempfile
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2_grpc
from prometheus_client import start_http_server

from gateway.backends import Backend
from gateway.callers import Callers
from gateway.calls import Call
from gateway.forward import Forward
from gateway.health import Health
from gateway.http.app import new_app
from gateway.http.connect import ConnectDoor
from gateway.http.listener import HttpListener, address_of, bind
from gateway.interceptors import Interceptor, compose
from gateway.interceptors.access_log import AccessLog
from gateway.interceptors.authenticate import Authenticate
from gateway.interceptors.authorize import authorize
from gateway.interceptors.deadline import deadline
from gateway.interceptors.drain import Drain
from gateway.interceptors.metrics import CountCalls
from gateway.interceptors.rate_limit import RateLimit
from gateway.interceptors.request_id import request_id
from gateway.interceptors.status import status
from gateway.lag import measure_lag
from gateway.methods import Owner, method_table, public_files
from gateway.metrics import Metrics
from gateway.principals import Signer
from gateway.reflection import Reflection, reflection_methods
from gateway.refusals import Refused, unknown_method
from gateway.server import AnyMethod, new_server
from gateway.settings import BadSettingsError, Settings, is_local, taken_is_told
from tutelage_internal.v1 import access_pb2_grpc


class Gateway:
    """The running front door."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._drain = Drain()
        self._door_token = secrets.token_hex(16)
        self._folder = tempfile.TemporaryDirectory(prefix="tutelage-gateway-")
        self._backends = {
            Owner.SERVICES: Backend(settings.services_address),
            Owner.SAMPLER: Backend(settings.sampler_address),
        }
        self._internal = Backend(settings.services_internal_address)
        self._files = public_files()
        self._methods = method_table(self._files)
        self._health = Health(self._backends, self._methods.values())
        self._record: list[Interceptor] = [request_id, AccessLog(), CountCalls(self._metrics), status]
        access = access_pb2_grpc.AccessStub(self._internal.channel)
        callers = Callers(access, room_secret=settings.gateway_secret)
        self._admit: list[Interceptor] = [Authenticate(callers), authorize]
        self._rate_limit = RateLimit()
        self._server = self._new_server()
        self._http: HttpListener | None = None
        self._own_port = Backend(f"unix:{self._folder.name}/door.sock")
        self._metrics.ready.set_function(lambda: float(self._health.ready))
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> dict[str, str]:
        """Opens the ports and returns where they are. Raises BadSettingsError for one that cannot be had."""
        try:
            return await self._start()
        except BadSettingsError:
            await self._server.stop(None)
            raise

    async def _start(self) -> dict[str, str]:
        listening = {"grpc": self._bind_grpc()}
        await self._server.start()
        await self._health.look()
        self._watching = [
            asyncio.create_task(self._health.watch()),
            asyncio.create_task(measure_lag(self._metrics.lag)),
        ]
        if self._settings.http_listen:
            listening["http"] = await self._start_http(grpc_address=listening["grpc"])
        if self._settings.metrics_listen:
            host, _, port = self._settings.metrics_listen.rpartition(":")
            with taken_is_told(self._settings.metrics_listen, setting="TUTELAGE_GATEWAY_METRICS_LISTEN"):
                start_http_server(int(port), addr=host.strip("[]"), registry=self._metrics.registry)
            listening["metrics"] = self._settings.metrics_listen
        return listening

    async def stop(self) -> None:
        """Says NOT_SERVING, waits for the news to spread, ends streams, lets calls finish, and closes."""
        await self._health.drain()
        await asyncio.sleep(self._settings.drain_wait_s)
        self._drain.begin()
        # Both ports at the same time: one after the other would take the grace twice.
        await asyncio.gather(
            self._server.stop(self._settings.stop_grace_s), *([self._http.stop()] if self._http else [])
        )
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for closing in (*self._backends.values(), self._internal, self._own_port):
            await closing.close()
        self._folder.cleanup()

    def _new_server(self) -> aio.Server:
        guards: list[Interceptor] = [*self._admit, self._rate_limit, deadline, self._drain]
        around = [*self._record, *guards]
        forward = Forward(self._backends, signer=Signer(self._settings.principal_secret))
        reflection = Reflection(self._files)
        answer = compose(around, forward)
        reflect = compose(around, reflection)
        routes = {path: (method, answer) for path, method in self._methods.items()}
        routes |= {method.path: (method, reflect) for method in reflection_methods()}
        server = new_server()
        refuse = compose(self._record, _refuse_unknown)
        handler: Any = AnyMethod(routes, refuse_unknown=refuse, door_token=self._door_token)
        server.add_generic_rpc_handlers((handler,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        return server

    def _bind_grpc(self) -> str:
        listen, tls = self._settings.listen, self._tls()
        with taken_is_told(listen, setting="TUTELAGE_GATEWAY_LISTEN"):
            if tls is None:
                port = self._server.add_insecure_port(listen)
            else:
                pair = (tls[1].read_bytes(), tls[0].read_bytes())
                port = self._server.add_secure_port(listen, grpc.ssl_server_credentials([pair]))
        self._server.add_insecure_port(self._own_port.address)
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    async def _start_http(self, *, grpc_address: str) -> str:
        settings = self._settings
        admit = compose([request_id, *self._admit], _nothing)
        door = ConnectDoor(
            self._methods, self._own_port, admit=admit, record=self._record_refusal, door_token=self._door_token
        )
        app = new_app(
            door,
            self._methods,
            health=self._health,
            # On a network the numbers are for the operator only, on a port of their own.
            metrics=self._metrics if is_local(settings.http_listen) else None,
            grpc_address=grpc_address,
            hosts=settings.http_hosts,
            origins=settings.http_origins,
        )
        with taken_is_told(settings.http_listen, setting="TUTELAGE_GATEWAY_HTTP_LISTEN"):
            bound = bind(settings.http_listen)
        self._http = HttpListener(bound, app, tls=self._tls(), stop_grace_s=settings.stop_grace_s)
        await self._http.start()
        return address_of(bound)

    async def _record_refusal(self, call: Call, refusal: Refused) -> Refused:
        async def refuse(_call: Call) -> None:
            raise refusal

        # A request that was let in and turned out to be bad costs the project as much as a good one.
        charged = [self._rate_limit] if call.caller else []
        await compose([*self._record, *charged], refuse)(call)
        return call.refusal or refusal

    def _tls(self) -> tuple[pathlib.Path, pathlib.Path] | None:
        settings = self._settings
        return (settings.tls_cert, settings.tls_key) if settings.tls_cert and settings.tls_key else None


async def _refuse_unknown(call: Call) -> None:
    raise unknown_method(call.path)


async def _nothing(_call: Call) -> None:
    pass

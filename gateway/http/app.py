"""All routes of the HTTP door."""

from collections.abc import Mapping, Set

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from gateway.health import Health
from gateway.http.connect import ConnectDoor
from gateway.http.guard import Guard
from gateway.http.pages import alive, front_page, measurements, ready
from gateway.methods import Method
from gateway.metrics import Metrics

LOCAL_NAMES = frozenset({"localhost"})


def new_app(
    door: ConnectDoor,
    methods: Mapping[str, Method],
    *,
    health: Health,
    metrics: Metrics | None,
    grpc_address: str,
    hosts: Set[str],
    origins: Set[str],
) -> Starlette:
    """Returns the app. Without `metrics` there is no page for them."""
    routes = [
        Route("/", front_page(methods.values(), grpc_address=grpc_address), methods=["GET"]),
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", ready(health), methods=["GET"]),
        Route("/{service}/{method}", door.answer, methods=["GET", "POST"]),
    ]
    if metrics is not None:
        routes.append(Route("/metrics", measurements(metrics), methods=["GET"]))
    guard = Middleware(Guard, hosts=hosts | LOCAL_NAMES, origins=origins)
    return Starlette(routes=routes, middleware=[guard])

"""The few pages beside the calls: what this is, whether it lives, what it measures."""

from collections.abc import Awaitable, Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.health import Health
from gateway.methods import Kind, Method
from gateway.metrics import Metrics

Page = Callable[[Request], Awaitable[Response]]

FRONT_PAGE = """\
Tutelage: training as a service.

This port speaks JSON over HTTP (and the Connect protocol); gRPC is at {grpc}. Every call needs a key:

  export TUTELAGE_API_KEY=tut_...

Who am I, and what may I do?

  curl -H "authorization: Bearer $TUTELAGE_API_KEY" -H "content-type: application/json" \\
       -d '{{}}' {url}/tutelage.v1.Projects/GetCaller

Which jobs are there?

  curl -H "authorization: Bearer $TUTELAGE_API_KEY" -H "content-type: application/json" \\
       -d '{{"parent": "projects/-"}}' {url}/tutelage.v1.Jobs/ListJobs

Follow one, an event a line, until it is over:

  curl -N -H "authorization: Bearer $TUTELAGE_API_KEY" -H "content-type: application/json" \\
       -d '{{"name": "projects/-/jobs/JOB"}}' {url}/tutelage.v1.Jobs/WatchJob

Methods (POST, and GET for those that change nothing; the comments in protos/tutelage/v1 are the reference):

{methods}
Other pages: /healthz (alive), /readyz (takes calls), /metrics (Prometheus).
"""

REMARKS = {
    Kind.UNARY: "",
    Kind.SERVER_STREAM: "   stream",
    Kind.CLIENT_STREAM: "   gRPC only: takes a stream of messages",
    Kind.BIDI_STREAM: "   gRPC only: takes a stream of messages",
}


def front_page(methods: Iterable[Method], *, grpc_address: str) -> Page:
    """Returns the page that says what this is and how to begin."""
    lines = "".join(f"  {method.path}{REMARKS[method.kind]}\n" for method in methods)

    async def page(request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        return PlainTextResponse(FRONT_PAGE.format(grpc=grpc_address, url=url, methods=lines))

    return page


async def alive(_request: Request) -> Response:
    """Answers as long as the loop turns."""
    return JSONResponse({"status": "alive"})


def ready(health: Health) -> Page:
    """Returns the page that says whether calls can be served."""

    async def page(_request: Request) -> Response:
        serving = health.ready
        return JSONResponse({"status": "SERVING" if serving else "NOT_SERVING"}, 200 if serving else 503)

    return page


def measurements(metrics: Metrics) -> Page:
    """Returns the page for Prometheus."""

    async def page(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return page

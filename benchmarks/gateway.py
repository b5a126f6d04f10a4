"""What the front door costs: calls and events straight to a room, and the same through the gateway.

Run with `python -m benchmarks.gateway`. The room answers from memory, so the difference is the gateway alone; client,
gateway and room are processes that share the cores of this machine.
"""

import argparse
import asyncio
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psutil
from grpc import aio

from benchmarks.machine import print_machine
from tests.support.front_door import front_door_before
from tests.support.rooms import Rooms, api_key
from tutelage.v1 import jobs_pb2, jobs_pb2_grpc
from tutelage_internal.v1 import access_pb2, access_pb2_grpc

KEY = api_key("bench")
METADATA = (("authorization", f"Bearer {KEY}"),)
REQUEST = jobs_pb2.GetJobRequest(name="projects/p/jobs/a")
EVENTS = 20_000


class Room(jobs_pb2_grpc.JobsServicer, access_pb2_grpc.AccessServicer):
    """A room that answers at once."""

    async def Authenticate(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Knows everybody."""
        return access_pb2.AuthenticateResponse(
            key_id="bench", project_id="p", permissions=["jobs.read"], requests_per_second=1e9, streams_max=100
        )

    async def GetJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns a job with a name."""
        return jobs_pb2.Job(name=request.name, state=jobs_pb2.JOB_STATE_RUNNING)

    async def WatchJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Sends many events."""
        for number in range(EVENTS):
            await context.write(jobs_pb2.JobEvent(cursor=number, metric_logged=jobs_pb2.MetricLogged(step=number)))


async def serve_room(folder: pathlib.Path) -> None:
    """Serves until killed."""
    rooms = Rooms(folder)
    server = aio.server()
    jobs_pb2_grpc.add_JobsServicer_to_server(Room(), server)
    access_pb2_grpc.add_AccessServicer_to_server(Room(), server)
    for address in (rooms.services_address, rooms.internal_address, rooms.sampler_address):
        server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


def main() -> None:
    """Prints every measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000, help="calls in one measurement (default 5000)")
    parser.add_argument("--room", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.room:
        asyncio.run(serve_room(arguments.room))
        return
    print_machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        command = [sys.executable, "-m", "benchmarks.gateway", "--room", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as room:
            try:
                assert room.stdout is not None and room.stdout.readline()
                with front_door_before(Rooms(folder), folder) as door:
                    asyncio.run(measure(door, calls=arguments.calls))
            finally:
                room.kill()


async def measure(door: Any, *, calls: int) -> None:
    """Measures unary calls, a stream, and HTTP."""
    process = psutil.Process(door.process.pid)
    room, gateway = aio.insecure_channel(door.rooms.services_address), aio.insecure_channel(door.listening["grpc"])
    async with room as direct, gateway as through:
        for at_once in (1, 32):
            bare = await unary(direct, calls=calls, at_once=at_once, where="direct")
            before_s = sum(process.cpu_times()[:2])
            behind = await unary(through, calls=calls, at_once=at_once, where="through the gateway")
            cpu_ms = (sum(process.cpu_times()[:2]) - before_s) / calls * 1000
            print(f"  ratio {behind / bare:.2f}; {cpu_ms:.2f} ms of processor time in the gateway for a call")
        bare = await stream(direct, where="direct")
        behind = await stream(through, where="through the gateway")
        print(f"  ratio {behind / bare:.2f}")
    await over_http(door, calls=calls // 5)


async def unary(channel: aio.Channel, *, calls: int, at_once: int, where: str) -> float:
    """Prints and returns calls a second."""
    get_job: Any = jobs_pb2_grpc.JobsStub(channel).GetJob

    async def call() -> None:
        await get_job(REQUEST, metadata=METADATA, timeout=20)

    return await timed(call, calls=calls, at_once=at_once, what=f"GetJob, {at_once} at once, {where}")


async def over_http(door: Any, *, calls: int) -> None:
    """Prints calls a second in JSON over HTTP."""
    async with httpx.AsyncClient(base_url=door.url, headers=dict(METADATA), timeout=20) as client:

        async def call() -> None:
            answer = await client.post("/tutelage.v1.Jobs/GetJob", json={"name": REQUEST.name})
            answer.raise_for_status()

        await timed(call, calls=calls, at_once=1, what="GetJob, 1 at once, JSON over HTTP")


async def timed(call: Callable[[], Awaitable[None]], *, calls: int, at_once: int, what: str) -> float:
    """Makes the calls, prints rate and latencies, and returns calls a second."""
    seconds: list[float] = []

    async def caller() -> None:
        for _ in range(calls // at_once):
            began = time.perf_counter()
            await call()
            seconds.append(time.perf_counter() - began)

    await call()
    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    rate = len(seconds) / (time.perf_counter() - began)
    seconds.sort()
    p50, p99 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
    print(f"{what}: {rate:,.0f} calls/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return rate


async def stream(channel: aio.Channel, *, where: str) -> float:
    """Prints and returns events a second of one stream."""
    watch: Any = jobs_pb2_grpc.JobsStub(channel).WatchJob
    began = time.perf_counter()
    count = 0
    async for _ in watch(jobs_pb2.WatchJobRequest(name="a"), metadata=METADATA):
        count += 1
    rate = count / (time.perf_counter() - began)
    print(f"WatchJob, one stream, {where}: {rate:,.0f} events/s")
    return rate


if __name__ == "__main__":
    main()

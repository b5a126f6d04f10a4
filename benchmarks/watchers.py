"""What watchers cost the house: memory and delay of many who follow one job, and how fast single calls are answered.

Run with `python -m benchmarks.watchers`. The house is a process of its own; a worker reports facts to it, and the
watchers are in this process, so both share the cores of this machine.
"""

import argparse
import asyncio
import datetime
import os
import pathlib
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil
from grpc import aio

from benchmarks.machine import print_machine
from tests.support.served_house import sealed
from tutelage.v1 import datasets_pb2, datasets_pb2_grpc, jobs_pb2, jobs_pb2_grpc, training_pb2
from tutelage_internal.v1 import facts_pb2, workers_pb2, workers_pb2_grpc
from tutelage_internal.v1.principal_pb2 import Principal

TEXT = b"a line of text that nobody reads\n" * 1000
INTERVAL_S = 0.125
STEPS = 100


class Bench:
    """A house in a folder, with a job that a worker holds."""

    def __init__(self, folder: pathlib.Path, *, key: str) -> None:
        self.folder = folder
        self.key_id = key.split("_")[1]
        self.public = aio.insecure_channel(
            f"unix:{folder}/public.sock", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self.jobs = jobs_pb2_grpc.JobsStub(self.public)
        badge = (("authorization", f"Bearer {(folder / 'secrets' / 'worker').read_text()}"),)
        self.badge = {"metadata": badge}
        self.workers = workers_pb2_grpc.WorkersStub(aio.insecure_channel(f"unix:{folder}/internal.sock"))

    def signed(self, method: str) -> dict[str, Any]:
        """Return the metadata of a call."""
        principal = Principal(key_id=self.key_id, project_id="bench", method=f"/tutelage.v1.{method}")
        principal.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60))
        secret = bytes.fromhex((self.folder / "secrets" / "principal").read_text())
        return {"metadata": (("x-tutelage-principal-bin", sealed(principal, secret=secret)),)}

    async def start(self) -> None:
        """Upload a text, submit a job and claim it."""
        datasets = datasets_pb2_grpc.DatasetsStub(self.public)
        asked = datasets_pb2.StartUploadRequest(parent="projects/-", dataset_id="text", size_bytes=len(TEXT))
        upload = await datasets.StartUpload(asked, wait_for_ready=True, **self.signed("Datasets/StartUpload"))
        data = datasets_pb2.WriteUploadRequest(name=upload.name, data=TEXT)
        await datasets.WriteUpload(iter([data]), **self.signed("Datasets/WriteUpload"))
        done = datasets_pb2.FinishUploadRequest(name=upload.name)
        await datasets.FinishUpload(done, **self.signed("Datasets/FinishUpload"))
        spec = training_pb2.TrainSpec(dataset="projects/-/datasets/text", steps=1_000_000)
        request = jobs_pb2.TrainRequest(parent="projects/-", spec=spec)
        self.job = await self.jobs.Train(request, **self.signed("Jobs/Train"))
        info = workers_pb2.WorkerInfo(worker_id="bench", slots=1)
        claimed = await self.workers.ClaimJob(workers_pb2.ClaimJobRequest(worker=info, claim_id="bench"), **self.badge)
        self.attempt = claimed.assignment.attempt

    async def report(self, steps: range) -> None:
        """Report steps, each with the time at which it was told."""
        facts = [
            facts_pb2.Fact(seq=step, metric_logged=jobs_pb2.MetricLogged(step=step, values={"told": time.monotonic()}))
            for step in steps
        ]
        request = workers_pb2.ReportFactsRequest(attempt=self.attempt, facts=facts)
        await self.workers.ReportFacts(request, **self.badge)

    async def watch(self, *, until_step: int, ready: asyncio.Semaphore) -> list[float]:
        """Return the delay of every step, in seconds; say when the history so far was read."""
        delays: list[float] = []
        known_step = until_step - STEPS
        request = jobs_pb2.WatchJobRequest(name=self.job.name)
        async for event in self.jobs.WatchJob(request, **self.signed("Jobs/WatchJob")):
            if event.cursor == 1 + known_step:
                ready.release()
            if event.HasField("metric_logged"):
                delays.append(time.monotonic() - event.metric_logged.values["told"])
                if event.metric_logged.step >= until_step:
                    break
        return delays


def main() -> None:
    """Print every measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=500, help="watchers of one job (default 500)")
    parser.add_argument("--calls", type=int, default=3000, help="single calls in one measurement (default 3000)")
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        process = start_house(folder)
        try:
            asyncio.run(measure(folder, process, watchers=arguments.watchers, calls=arguments.calls))
        finally:
            process.terminate()
            process.wait(timeout=40)


def start_house(folder: pathlib.Path) -> subprocess.Popen[bytes]:
    """Start the services on an empty SQLite database."""
    (folder / "secrets").mkdir()
    for name in ("gateway", "worker", "sampler", "principal", "services"):
        (folder / "secrets" / name).write_text(secrets.token_hex(32))
    settings = {
        "DATABASE_URL": f"sqlite:///{folder}/house.db",
        "ARTIFACTS_URL": (folder / "artifacts").as_uri(),
        "SECRETS_DIR": str(folder / "secrets"),
        "SERVICES_LISTEN": f"unix:{folder}/public.sock",
        "SERVICES_INTERNAL_LISTEN": f"unix:{folder}/internal.sock",
        "LEASE_SECONDS": "600",
    }
    environment = {**os.environ, **{f"TUTELAGE_{key}": value for key, value in settings.items()}}
    command = [sys.executable, "-m", "services"]
    subprocess.run([*command, "migrate"], env=environment, check=True)
    making = ["create-project", "bench", "--admin-key-file", str(folder / "key")]
    subprocess.run([*command, *making], env=environment, check=True)
    return subprocess.Popen([*command, "serve"], env=environment)


async def measure(folder: pathlib.Path, process: subprocess.Popen[bytes], *, watchers: int, calls: int) -> None:
    """Print what one house answers and feeds."""
    bench = Bench(folder, key=(folder / "key").read_text())
    await bench.start()
    house = psutil.Process(process.pid)
    for in_flight in (1, 32):
        await measure_calls(bench, calls=calls, in_flight=in_flight)
    before = house.memory_info().rss
    for count in (1, watchers):
        first = 1 if count == 1 else STEPS + 1
        await measure_watchers(bench, count=count, first=first)
    grown = (house.memory_info().rss - before) / watchers / 1024
    print(f"memory of the house: {house.memory_info().rss / 1024**2:.0f} MiB, {grown:.0f} KiB more for each watcher")


async def measure_calls(bench: Bench, *, calls: int, in_flight: int) -> None:
    """Print the rate and the time of GetJob."""
    times: list[float] = []

    async def call_on() -> None:
        while len(times) < calls:
            began = time.monotonic()
            await bench.jobs.GetJob(jobs_pb2.GetJobRequest(name=bench.job.name), **bench.signed("Jobs/GetJob"))
            times.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*(call_on() for _ in range(in_flight)))
    rate = len(times) / (time.monotonic() - began)
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    print(f"GetJob, {in_flight} in flight: {rate:.0f}/s, p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")


async def measure_watchers(bench: Bench, *, count: int, first: int) -> None:
    """Print how late the steps of a hundred reports arrive, one step a report, as a small run would tell them."""
    last, ready = first + STEPS - 1, asyncio.Semaphore(0)
    watching = [asyncio.create_task(bench.watch(until_step=last, ready=ready)) for _ in range(count)]
    for _ in range(count):
        await ready.acquire()
    for step in range(first, last + 1):
        await bench.report(range(step, step + 1))
        await asyncio.sleep(INTERVAL_S)
    delays = [delay for each in await asyncio.gather(*watching) for delay in each[-STEPS:]]
    p50, p99 = statistics.median(delays), statistics.quantiles(delays, n=100)[98]
    print(f"{count} watchers, {len(delays)} events: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms behind the report")


if __name__ == "__main__":
    main()

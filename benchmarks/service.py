"""The whole house under a clock: submit to first step, events to watchers, many watchers on one job.

Run with `python -m benchmarks.service`. Starts a house of its own with everyday lease times, and leaves nothing behind.
"""

import argparse
import asyncio
import pathlib
import statistics
import tempfile
import time

import psutil

from benchmarks.machine import print_machine
from tests.support.runs import TINY, client_of, submit, upload_text
from tests.support.stack import Stack, running_stack
from tutelage import AsyncClient, Client

EVERYDAY = {
    "TUTELAGE_LEASE_SECONDS": "30",
    "TUTELAGE_HEARTBEAT_SECONDS": "5",
    "TUTELAGE_RERING_SECONDS": "15",
    "TUTELAGE_SWEEP_SECONDS": "5",
    "TUTELAGE_POLL_SECONDS": "10",
}


def main() -> None:
    """Prints every measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=500, help="watchers on one job (default 500)")
    parser.add_argument("--steps", type=int, default=3000, help="steps of the watched job (default 3000)")
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder, running_stack(pathlib.Path(folder), environment=EVERYDAY) as stack:
        client = client_of(stack)
        upload_text(client)
        measure_start(client)
        alone = asyncio.run(measure_watchers(stack, watchers=1, steps=arguments.steps))
        crowd = asyncio.run(measure_watchers(stack, watchers=arguments.watchers, steps=arguments.steps))
        print(f"p50 of the delay, {arguments.watchers} watchers against 1: {crowd / alone:.1f} x")


def measure_start(client: Client) -> None:
    """Prints the seconds from submit to the first step that a client sees, for several jobs one after the other."""
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        job = submit(client, steps=10)
        for event in job.watch():
            if event.metric_logged:
                seconds.append(time.perf_counter() - began)
                break
        job.wait(timeout=60)
    warm = statistics.median(seconds[1:])
    print(
        f"submit to first step seen: first job {seconds[0]:.2f} s, later ones {warm:.2f} s ({warm / seconds[0]:.2f} x)"
    )


async def measure_watchers(stack: Stack, *, watchers: int, steps: int) -> float:
    """Prints events a second, delays and memory with many watchers of one job; returns the median delay in seconds."""
    clients = [AsyncClient(address=stack.address, api_key=stack.api_key) for _ in range((watchers + 79) // 80)]
    job = await clients[0].train("text", **{**TINY, "steps": steps})
    before = memory_of(stack)
    began = time.perf_counter()
    tasks = [asyncio.create_task(watch(clients[index // 80], job.name)) for index in range(watchers)]
    results = await asyncio.gather(*tasks)
    seconds = time.perf_counter() - began
    growth = {name: after - before[name] for name, after in memory_of(stack).items() if name in before}
    delays = sorted(delay for _, found in results for delay in found)
    counts = {count for count, _ in results}
    assert len(counts) == 1, f"watchers saw different numbers of events: {counts}"
    events = counts.pop()
    p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    print(
        f"{watchers} watchers, {events} events each: {events * watchers / seconds:,.0f} events/s delivered, "
        f"delay from SQL to watcher p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms; "
        f"memory grew by {growth['gateway'] / watchers / 1024:.0f} KiB (gateway) and "
        f"{growth['services'] / watchers / 1024:.0f} KiB (services) a watcher"
    )
    for client in clients:
        await client.close()
    return p50


async def watch(client: AsyncClient, name: str) -> tuple[int, list[float]]:
    """Returns the number of events and the delays, in seconds, of those recorded after the watch began."""
    began, delays, count = time.time(), [], 0
    async for event in client.jobs.watch(name):
        count += 1
        recorded = event.time.timestamp() if event.time else 0.0
        if recorded > began:
            delays.append(time.time() - recorded)
    return count, delays


def memory_of(stack: Stack) -> dict[str, int]:
    """Returns the resident bytes of each part."""
    return {name: psutil.Process(pid).memory_info().rss for name, pid in stack.pids().items()}


if __name__ == "__main__":
    main()

"""Follows every job of the project at the same time and prints what happens, as it happens.

python examples/follow_many.py
"""

import asyncio

import tutelage


async def main() -> None:
    """Watches all jobs that are not over; each stream resumes by itself when the line drops."""
    async with tutelage.AsyncClient() as client, asyncio.TaskGroup() as group:
        async for job in client.jobs.list():
            if not job.state.is_final:
                group.create_task(follow(job))


async def follow(job: tutelage.AsyncJob) -> None:
    """Prints the state changes of one job, and every hundredth step."""
    async for event in job.watch():
        if event.state_changed is not None:
            print(f"{job.name}: {event.state_changed.to} {event.state_changed.message}")
        elif event.metric_logged is not None and event.metric_logged.step % 100 == 0:
            print(f"{job.name}: step {event.metric_logged.step}, loss {event.metric_logged.values['train/loss']:.3f}")


if __name__ == "__main__":
    asyncio.run(main())

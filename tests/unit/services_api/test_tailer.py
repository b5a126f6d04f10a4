"""One reader for all watchers: what it costs, and that nobody misses anything."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from services.api.tailer import BEHIND_MAX, Encoded, Follower, Tailer
from services.domain.errors import DomainError, SlowReader, Unavailable


class History:
    """The events of jobs, and how often somebody asked for them."""

    def __init__(self) -> None:
        self.events: dict[str, list[Encoded]] = {}
        self.reads = 0
        self.questions = 0
        self.broken = False

    def happen(self, job: str, count: int, *, final: bool = False) -> None:
        known = self.events.setdefault(job, [])
        for index in range(count):
            cursor = len(known) + 1
            known.append(Encoded(cursor, f"{job}{cursor}".encode(), final=final and index == count - 1))

    def read(self, job: str, after: int, count_max: int) -> Sequence[Encoded]:
        self.reads += 1
        if self.broken:
            raise Unavailable("no database")
        return self.events.get(job, [])[after : after + count_max]

    def heads(self, jobs: Collection[str]) -> Mapping[str, int]:
        self.questions += 1
        if self.broken:
            raise Unavailable("no database")
        return {job: len(self.events.get(job, [])) for job in jobs}

    def tailer(self, **times: float) -> Tailer:
        return Tailer(read_events=self.read, read_heads=self.heads, **{"poll_s": 0.02, "alive_s": 5.0, **times})


async def everything(tailer: Tailer, job: str, *, after: int, last: int) -> list[int]:
    follower = Follower(cursor=after, end=lambda error: None)
    return [event.cursor async for event in tailer.follow(job, follower=follower, last_cursor=last) if event]


def test_five_hundred_watchers_cost_one_read_a_tick():
    async def scenario() -> None:
        history = History()
        history.happen("job", 10)
        tailer = history.tailer(poll_s=10.0)
        running = asyncio.create_task(tailer.run())
        watching = [asyncio.create_task(everything(tailer, "job", after=10, last=10)) for _ in range(500)]
        await asyncio.sleep(0.05)
        history.reads = 0
        for tick in range(5):
            history.happen("job", 20, final=tick == 4)
            tailer.wake("job")
            await asyncio.sleep(0.1)
        answers = await asyncio.gather(*watching)
        running.cancel()
        assert all(cursors == list(range(11, 111)) for cursors in answers)
        assert history.reads <= 6 and history.questions <= 2

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_nobody_watches_and_nothing_is_asked():
    async def scenario() -> None:
        history = History()
        running = asyncio.create_task(history.tailer().run())
        await asyncio.sleep(0.2)
        running.cancel()
        assert (history.reads, history.questions) == (0, 0)

    asyncio.run(scenario())


def test_what_others_write_is_found_by_the_poll():
    async def scenario() -> None:
        history = History()
        history.happen("job", 3)
        tailer = history.tailer()
        running = asyncio.create_task(tailer.run())
        watching = asyncio.create_task(everything(tailer, "job", after=0, last=3))
        await asyncio.sleep(0.05)
        history.happen("job", 5000, final=True)
        assert await watching == list(range(1, 5004))
        running.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_an_outage_of_the_database_delays_and_loses_nothing():
    async def scenario() -> None:
        history = History()
        history.happen("job", 1)
        tailer = history.tailer()
        running = asyncio.create_task(tailer.run())
        watching = asyncio.create_task(everything(tailer, "job", after=1, last=1))
        await asyncio.sleep(0.05)
        history.broken = True
        history.happen("job", 10, final=True)
        await asyncio.sleep(0.1)
        assert not watching.done()
        history.broken = False
        assert await watching == list(range(2, 12))
        running.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_quiet_job_gives_signs_of_life():
    async def scenario() -> None:
        history = History()
        history.happen("job", 1)
        tailer = history.tailer(alive_s=0.02)
        events = tailer.follow("job", follower=Follower(cursor=1, end=lambda error: None), last_cursor=1)
        assert [await anext(events) for _ in range(3)] == [None, None, None]
        await events.aclose()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_only_who_stands_still_and_is_far_behind_is_ended():
    async def scenario() -> None:
        history = History()
        history.happen("job", 2)
        tailer = history.tailer(standstill_s=0.05)
        running = asyncio.create_task(tailer.run())
        ended: list[DomainError] = []
        standing = tailer.follow("job", follower=Follower(cursor=0, end=ended.append), last_cursor=2)
        await anext(standing)
        await asyncio.sleep(0.15)
        assert ended == [], "two events behind is not far"
        history.happen("job", BEHIND_MAX + 10)
        while not ended:
            await asyncio.sleep(0.01)
        assert isinstance(ended[0], SlowReader) and ended[0].metadata == {"cursor": "0"}
        running.cancel()
        await standing.aclose()

    asyncio.run(asyncio.wait_for(scenario(), 20))

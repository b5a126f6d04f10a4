"""Where drawn tokens wait for their reader."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from trainer_worker.sampler.outlet import Outlet
from trainer_worker.sampler.row import Drawn
from tutelage.v1 import sampling_pb2

LETTER = Drawn(65, b"A", "A")
LAST = Drawn(66, b"B", "B", finish=sampling_pb2.FINISH_REASON_LENGTH)


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def inside() -> None:
        await asyncio.wait_for(body(), 10)

    asyncio.run(inside())


def test_what_was_delivered_by_a_thread_is_read_in_order_until_every_sample_ends() -> None:
    async def body() -> None:
        outlet = Outlet(2, backlog_tokens_max=None)

        def deliver() -> None:
            for index, drawn in ((0, LETTER), (1, LETTER), (1, LAST), (0, LETTER), (0, LAST)):
                outlet.deliver(index, drawn)

        thread = threading.Thread(target=deliver)
        thread.start()
        samples: list[list[Drawn]] = [[], []]
        while (new := await outlet.read()) is not None:
            for sample, drawn in zip(samples, new, strict=True):
                sample.extend(drawn)
        thread.join()
        assert samples == [[LETTER, LETTER, LAST], [LETTER, LAST]]

    run(body)


def test_a_reader_that_is_behind_makes_drawing_wait_until_it_has_read() -> None:
    async def body() -> None:
        outlet = Outlet(1, backlog_tokens_max=2)
        outlet.deliver(0, LETTER)
        assert not outlet.backlogged
        outlet.deliver(0, LETTER)
        assert outlet.backlogged
        await outlet.read()
        assert not outlet.backlogged

    run(body)


def test_a_failure_is_raised_after_what_was_drawn_before_it() -> None:
    async def body() -> None:
        outlet = Outlet(1, backlog_tokens_max=None)
        outlet.deliver(0, LETTER)
        outlet.fail(ValueError("no more"))
        assert await outlet.read() == [[LETTER]]
        with pytest.raises(ValueError, match="no more"):
            await outlet.read()

    run(body)

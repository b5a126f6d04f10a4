"""The threads of the verbs: bounded, and honest when they are full."""

import asyncio
import threading

import pytest

from services.api.pool import VerbPool
from services.domain.errors import Unavailable


def test_a_full_pool_refuses_at_once_and_says_when_to_come_back():
    async def scenario() -> None:
        pool, gate = VerbPool(name="test", threads=1, waiting_max=1), threading.Event()
        running = [asyncio.ensure_future(pool.run(gate.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as caught:
            await pool.run(gate.wait)
        assert caught.value.retry_after_s
        gate.set()
        await asyncio.gather(*running)
        assert await pool.run(lambda: "free again") == "free again"
        pool.close()

    asyncio.run(scenario())


def test_a_cancelled_call_keeps_its_place_until_its_verb_is_done():
    async def scenario() -> None:
        pool, gate = VerbPool(name="test", threads=1, waiting_max=0), threading.Event()
        running = asyncio.ensure_future(pool.run(gate.wait, 10))
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(Unavailable):
            await pool.run(gate.wait)
        gate.set()
        pool.close()
        assert pool.taken() == 0

    asyncio.run(scenario())

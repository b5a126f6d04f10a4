"""Answers about keys are believed for seconds, asked for once, and bounded."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc import aio

from gateway import callers as callers_module
from gateway import limits
from gateway.callers import Callers
from gateway.refusals import Refused
from tests.unit.gateway.calls import Clock
from tutelage_internal.v1 import access_pb2


class Access:
    """Services as far as keys are concerned."""

    def __init__(self, *, code: grpc.StatusCode = grpc.StatusCode.UNAUTHENTICATED) -> None:
        self.known: set[str] = set()
        self.asked: list[str] = []
        self.code = code

    async def Authenticate(self, request: Any, *, metadata: Any, timeout: float) -> Any:  # noqa: N802, ASYNC109
        """Answers like services."""
        self.asked.append(request.api_key)
        await asyncio.sleep(0)
        if request.api_key not in self.known:
            raise aio.AioRpcError(self.code, aio.Metadata(), aio.Metadata(), "", "")
        return access_pb2.AuthenticateResponse(key_id=request.api_key)


def wired(**values: Any) -> tuple[Access, Callers, Clock]:
    """Returns services, what asks them, and the clock."""
    access, clock = Access(**values), Clock()
    return access, Callers(access, room_secret="s", clock=clock), clock


async def outcome(callers: Callers, key: str, *, peer: str = "10.0.0.1") -> Any:
    """Returns the id of the caller, or the code of the refusal."""
    try:
        return (await callers.find(key, peer=peer)).key_id
    except Refused as refusal:
        return refusal.code


def test_a_good_answer_is_believed_for_seconds_and_a_revoked_key_is_forgotten() -> None:
    access, callers, clock = wired()
    access.known.add("a")

    async def walk() -> None:
        assert await outcome(callers, "a") == await outcome(callers, "a") == "a"
        assert access.asked == ["a"]
        access.known.clear()
        clock.now_s += limits.KEY_ACCEPTED_S
        assert await outcome(callers, "a") is grpc.StatusCode.UNAUTHENTICATED

    asyncio.run(walk())


def test_a_refusal_is_believed_for_seconds_too() -> None:
    access, callers, clock = wired()

    async def walk() -> None:
        assert await outcome(callers, "a") is await outcome(callers, "a") is grpc.StatusCode.UNAUTHENTICATED
        assert access.asked == ["a"]
        access.known.add("a")
        clock.now_s += limits.KEY_REFUSED_S
        assert await outcome(callers, "a") == "a"

    asyncio.run(walk())


def test_many_who_wait_ask_once_and_one_may_leave() -> None:
    access, callers, _ = wired()
    access.known.add("a")

    async def walk() -> None:
        waiting = [asyncio.create_task(outcome(callers, "a")) for _ in range(10)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert await asyncio.gather(*waiting[1:]) == ["a"] * 9
        assert access.asked == ["a"]

    asyncio.run(walk())


def test_an_outage_is_not_taken_for_a_refusal() -> None:
    access, callers, _ = wired(code=grpc.StatusCode.DEADLINE_EXCEEDED)

    async def walk() -> None:
        assert await outcome(callers, "a") is grpc.StatusCode.UNAVAILABLE
        access.known.add("a")
        assert await outcome(callers, "a") == "a"

    asyncio.run(walk())


def test_an_address_with_many_wrong_keys_is_slowed_down_others_and_known_keys_are_not() -> None:
    access, callers, clock = wired()
    access.known |= {"good", "other"}

    async def walk() -> None:
        assert await outcome(callers, "good") == "good"
        codes = [await outcome(callers, f"wrong-{number}") for number in range(limits.UNKNOWN_KEYS_BURST + 1)]
        assert codes[-2:] == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert await outcome(callers, "other", peer="10.0.0.2") == "other"
        clock.now_s += limits.KEY_ACCEPTED_S + 0.1
        for _ in range(limits.UNKNOWN_KEYS_BURST):
            await outcome(callers, f"more-{_}")
        assert await outcome(callers, "stranger") is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await outcome(callers, "good") == "good"

    asyncio.run(walk())


def test_an_address_cannot_ask_about_many_unknown_keys_at_the_same_time() -> None:
    access, callers, _ = wired()
    keys = [f"wrong-{number}" for number in range(3 * limits.UNKNOWN_KEYS_BURST)]

    async def walk() -> None:
        codes = await asyncio.gather(*(outcome(callers, key) for key in keys))
        assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 2 * limits.UNKNOWN_KEYS_BURST
        assert len(access.asked) == limits.UNKNOWN_KEYS_BURST

    asyncio.run(walk())


def test_an_outage_uses_up_no_patience_with_strangers() -> None:
    access, callers, _ = wired(code=grpc.StatusCode.DEADLINE_EXCEEDED)

    async def walk() -> None:
        for number in range(2 * limits.UNKNOWN_KEYS_BURST):
            assert await outcome(callers, f"k{number}") is grpc.StatusCode.UNAVAILABLE
        access.known.add("good")
        assert await outcome(callers, "good") == "good"

    asyncio.run(walk())


def test_good_keys_never_use_up_the_patience_with_strangers() -> None:
    access, callers, _ = wired()
    access.known |= {f"k{number}" for number in range(100)}

    async def walk() -> None:
        assert [await outcome(callers, f"k{number}") for number in range(100)] == [f"k{n}" for n in range(100)]

    asyncio.run(walk())


def test_the_memory_is_bounded_and_wrong_keys_cannot_push_good_ones_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEYS_REMEMBERED_MAX", 3)
    access, callers, _ = wired()
    access.known.add("good")

    async def walk() -> None:
        await outcome(callers, "good")
        for number in range(10):
            await outcome(callers, f"wrong-{number}")
        await outcome(callers, "good")
        assert access.asked.count("good") == 1
        assert len(callers._refused._answers) == 3

    asyncio.run(walk())
    assert callers_module.STRANGERS["burst"] == limits.UNKNOWN_KEYS_BURST

"""Whom a key belongs to: asked of services, and remembered for a few seconds."""

import asyncio
import collections
import dataclasses
import hashlib
import time
from collections.abc import Callable
from typing import Any

import grpc
from grpc import aio

from gateway import limits
from gateway.buckets import Buckets
from gateway.refusals import invalid_key, rate_limited, unavailable
from tutelage_internal.v1 import access_pb2

Caller = access_pb2.AuthenticateResponse

STRANGERS = {"rate": float(limits.UNKNOWN_KEYS_PER_SECOND), "burst": float(limits.UNKNOWN_KEYS_BURST)}


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    caller: Caller | None
    believed_until_s: float


class _Memory:
    """Answers by the hash of the key; the key itself is not kept. The answer used least recently goes first."""

    def __init__(self) -> None:
        self._answers: collections.OrderedDict[bytes, _Answer] = collections.OrderedDict()

    def get(self, digest: bytes) -> _Answer | None:
        if digest in self._answers:
            self._answers.move_to_end(digest)
        return self._answers.get(digest)

    def put(self, digest: bytes, answer: _Answer) -> None:
        self._answers[digest] = answer
        self._answers.move_to_end(digest)
        if len(self._answers) > limits.KEYS_REMEMBERED_MAX:
            self._answers.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        self._answers.pop(digest, None)


class Callers:
    """Asks services about keys: once for all who wait, and not at every whim of a stranger."""

    def __init__(self, access: Any, *, room_secret: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._metadata = (("authorization", f"Bearer {room_secret}"),)
        self._clock = clock
        # Apart, so that a flood of wrong keys cannot push the right ones out.
        self._accepted = _Memory()
        self._refused = _Memory()
        self._questions: dict[bytes, asyncio.Task[Caller]] = {}
        self._strangers = Buckets(limits.ADDRESSES_REMEMBERED_MAX, clock=clock)

    async def find(self, key: str, *, peer: str) -> Caller:
        """Returns the caller. Raises Refused for a key that services do not know, and while they cannot be asked."""
        digest = hashlib.sha256(key.encode()).digest()
        for memory in (self._accepted, self._refused):
            answer = memory.get(digest)
            if answer is not None and self._clock() < answer.believed_until_s:
                return _caller_or_refusal(answer.caller)
        return await self._ask_once(digest, key, peer=peer)

    async def _ask_once(self, digest: bytes, key: str, *, peer: str) -> Caller:
        question = self._questions.get(digest)
        if question is None:
            # A key that was good a moment ago is no stranger, even where strangers share its address.
            is_stranger = self._accepted.get(digest) is None
            if is_stranger:
                self._admit_stranger(peer)
            question = asyncio.create_task(self._ask(digest, key, peer=peer, is_stranger=is_stranger))
            self._questions[digest] = question
            question.add_done_callback(lambda task: self._forget_question(digest, task))
        # Shielded: one of those who wait may leave without ending the question for the others.
        return await asyncio.shield(question)

    def _admit_stranger(self, peer: str) -> None:
        # Taken before the answer is here, or all who ask at the same time would pass; given back unless it is bad.
        wait_s = self._strangers.take(peer, **STRANGERS)
        if wait_s > 0:
            raise rate_limited("Too many unknown keys came from this address.", retry_after_s=wait_s)

    def _forget_question(self, digest: bytes, task: "asyncio.Task[Caller]") -> None:
        del self._questions[digest]
        if not task.cancelled():
            task.exception()  # Seen by whoever waited, or by nobody if all of them left.

    async def _ask(self, digest: bytes, key: str, *, peer: str, is_stranger: bool) -> Caller:
        try:
            caller = await self._answer(key)
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                if is_stranger:
                    self._strangers.give_back(peer, **STRANGERS)
                raise unavailable("API keys cannot be checked just now.") from error
            if not is_stranger:
                self._strangers.take(peer, **STRANGERS)
            self._accepted.forget(digest)
            self._refused.put(digest, _Answer(None, self._clock() + limits.KEY_REFUSED_S))
            raise invalid_key() from None
        if is_stranger:
            self._strangers.give_back(peer, **STRANGERS)
        self._refused.forget(digest)
        self._accepted.put(digest, _Answer(caller, self._clock() + limits.KEY_ACCEPTED_S))
        return caller

    async def _answer(self, key: str) -> Caller:
        request = access_pb2.AuthenticateRequest(api_key=key)
        answer: Caller = await self._access.Authenticate(
            request, metadata=self._metadata, timeout=limits.AUTHENTICATE_S
        )
        return answer


def _caller_or_refusal(caller: Caller | None) -> Caller:
    if caller is None:
        raise invalid_key()
    return caller

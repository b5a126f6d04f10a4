"""A crowd of reviewers on one queue: programs that vote as fast as they are let, over lines that break."""

import asyncio
import collections
import dataclasses
import random

from tests.support.stack import Stack
from tutelage import AsyncClient, FailedPrecondition, Seat, Unavailable

PAUSE_S = 0.3  # between two looks at a queue that has nothing just now


@dataclasses.dataclass
class Crowd:
    """What the members of a crowd were told."""

    acknowledged: dict[str, str] = dataclasses.field(default_factory=dict)
    """The vote behind each seat that was acknowledged."""
    held: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """How many reviewers were ever given a seat, which should be one."""
    lost: int = 0
    undone: int = 0


async def review_all(stack: Stack, keys: list[str], *, review: str) -> Crowd:
    """Lets a reviewer with each of the keys vote until nothing is left for anybody."""
    crowd = Crowd()
    await asyncio.gather(*(one_reviewer(stack, key, number, review, crowd) for number, key in enumerate(keys)))
    return crowd


async def one_reviewer(stack: Stack, key: str, number: int, review: str, crowd: Crowd) -> None:
    """Votes on what comes, takes every tenth vote back, and goes on when a line broke."""
    chance = random.Random(number)
    mine: set[str] = set()
    async with AsyncClient(address=stack.address, api_key=key) as client:
        while True:
            try:
                taken = await client.reviews.take_seats(review, seats=3, timeout=20)
                if not taken.seats and not taken.items_left:
                    return
                for seat in taken.seats:
                    if seat.name not in mine:
                        mine.add(seat.name)
                        crowd.held[seat.name] += 1
                    await vote(client, seat, chance, crowd)
                if not taken.seats:
                    await asyncio.sleep(PAUSE_S)
            except (Unavailable, TimeoutError):
                await asyncio.sleep(PAUSE_S)  # the client has tried again for a while; so does a person


async def vote(client: AsyncClient, seat: Seat, chance: random.Random, crowd: Crowd) -> None:
    """Votes, and takes back a vote in ten; its seat is then the reviewer's again."""
    try:
        given = await client.reviews.submit_vote(seat, preferred=chance.randrange(2), scripted=True, timeout=20)
    except FailedPrecondition:
        crowd.lost += 1
        return
    crowd.acknowledged[given.name] = seat.name
    if chance.random() < 0.1:
        await client.reviews.undo_vote(given, timeout=20)
        crowd.undone += 1
        del crowd.acknowledged[given.name]

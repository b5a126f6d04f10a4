"""Many reviewers on one queue while parts of the house are killed: nothing is lost, nothing is counted twice."""

import asyncio
import collections
from collections.abc import Iterator

import pytest

from tests.support.crowds import Crowd, review_all
from tests.support.runs import client_of, submit, upload_text, wait_until_answered
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for
from tutelage import Client

pytestmark = pytest.mark.timeout(600)

OVERLAP = 3
PROMPTS = [f"number {number} is" for number in range(40)]
# The whole crowd asks at the same moment; how much a project may ask is tested elsewhere.
NO_RATE = {"TUTELAGE_LEASE_SECONDS": "6"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house on each database, with a model in it."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    with running_stack(tmp_path_factory.mktemp("house"), database_url=url, environment=NO_RATE) as stack:
        client = client_of(stack)
        upload_text(client)
        submit(client, steps=5).wait(timeout=120)
        yield stack


def opened(client: Client, name: str) -> str:
    """Returns a review whose answers are all drawn."""
    client.reviews.create("text-tiny", prompts=PROMPTS, name=name, pairs=1, overlap=OVERLAP, max_tokens=4, seed=3)
    wait_for(lambda: str(client.reviews.get(name).state) == "OPEN", limit_s=120, what="the answers are drawn")
    return name


def keys_for(client: Client, count: int) -> list[str]:
    return [client.keys.create("reviewer").secret for _ in range(count)]


async def with_kills(stack: Stack, keys: list[str], *, review: str, names: tuple[str, ...]) -> Crowd:
    """Lets the crowd vote while parts are killed, one after the other, each when votes have come since the last."""
    client = client_of(stack)
    working = asyncio.create_task(review_all(stack, keys, review=review))
    for number, name in enumerate(names, 1):
        enough = len(PROMPTS) * OVERLAP * number // (len(names) + 2)
        await asyncio.to_thread(wait_for_votes, client, review, enough)
        old = stack.kill(name)
        await asyncio.to_thread(stack.wait_for_new_pid, name, old)
        await asyncio.to_thread(wait_until_answered, client)
    return await working


def wait_for_votes(client: Client, review: str, count: int) -> None:
    def enough() -> bool:
        progress = client.reviews.get(review).progress
        return progress is not None and progress.votes >= count

    wait_for(enough, limit_s=120, what=f"{count} votes")


def check(stack: Stack, crowd: Crowd, review: str) -> None:
    """What holds after any crowd: the ledger, the seats and the frozen set say what the reviewers were told."""
    client = client_of(stack)
    votes = list(client.feedback.list(review=review, page_size=1000))
    counted = {vote.name: vote for vote in votes if str(vote.state) == "SUBMITTED"}
    assert set(crowd.acknowledged) <= set(counted), "an acknowledged vote is missing"
    items = list(client.reviews.items(review, page_size=1000))
    by_item = collections.Counter(vote.item for vote in counted.values())
    assert by_item == {item.name: item.votes for item in items}
    assert set(by_item.values()) == {OVERLAP}, "each item has as many votes as were wanted, and none more"
    by_reviewer = collections.Counter((vote.item, vote.reviewer) for vote in counted.values())
    assert set(by_reviewer.values()) == {1}, "nobody votes twice on an item"
    assert len(counted) == len(items) * OVERLAP
    frozen = client.feedback.freeze(review, name=f"{review}-set")
    assert frozen.votes == len(counted)
    assert frozen.scripted_votes == len(counted)
    again = client.feedback.freeze(review, name=f"{review}-again")
    assert again.sha256 == frozen.sha256
    rows = list(client.feedback.rows(frozen.name, format="votes"))
    assert {row["vote"] for row in rows} == {name.rpartition("/")[2] for name in counted}
    assert set(crowd.held.values()) == {1}, "a seat belongs to one reviewer"


def test_a_crowd_loses_nothing_while_the_house_is_killed(house: Stack) -> None:
    client = client_of(house)
    review = opened(client, "crowd")
    crowd = asyncio.run(with_kills(house, keys_for(client, 24), review=review, names=("services", "gateway")))
    check(house, crowd, review)


@pytest.mark.slow
def test_two_hundred_reviewers_lose_nothing(house: Stack) -> None:
    client = client_of(house)
    review = opened(client, "large-crowd")
    names = ("services", "gateway", "services", "gateway")
    crowd = asyncio.run(with_kills(house, keys_for(client, 200), review=review, names=names))
    check(house, crowd, review)

"""Freezing, retracting and voting at the same time, and a freeze that is killed."""

import concurrent.futures
import pathlib
import random
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa

from services.datasets.expire_uploads import collect_dataset_files, expire_uploads
from services.domain.errors import DomainError, Unavailable
from services.domain.feedback_sets import FeedbackSet
from services.domain.reviews import Vote
from services.feedback.retract_vote import Retraction
from services.storage.feedback_sets import FeedbackSets
from services.storage.tables.datasets import dataset, upload
from services.storage.tables.feedback import feedback_set
from services.storage.unit_of_work import SqlStorage
from tests.support.feedback import FeedbackBench, a_request
from tests.support.houses import A_TIME, make_bench
from tests.support.reviews import make_review_bench

VOTES, SETS = 40, 6

KILLED = """
import os, pathlib, signal, sys
import artifacts
from services.domain.feedback_sets import FreezeSettings, Scope
from services.domain.projects import ApiKey, Caller, Role
from services.domain.requests import NO_REQUEST_KEY
from services.domain.seals import Keys
from services.feedback.freezing import SetDraft, freeze
from services.ports import House, Leases
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import A_TIME, CountingChance, HandClock, RingRecorder

url, folder = sys.argv[1:]
store = artifacts.open_store(pathlib.Path(folder).as_uri())
put = store.put

def put_and_die(key, data):
    put(key, data)
    os.kill(os.getpid(), signal.SIGKILL)

store.put = put_and_die
house = House(
    storage=SqlStorage.at(url), dispatcher=RingRecorder(), store=store, clock=HandClock(),
    chance=CountingChance(start=2**31), keys=Keys(b"k" * 32), leases=Leases(), version="0.0.0",
)
key = ApiKey(id="keyown000000", project_id="own", role=Role.ADMIN, create_time=A_TIME)
draft = SetDraft(id="killed", scope=Scope(sources=("app",)), settings=FreezeSettings(), sources=("app",))
freeze(house, caller=Caller(key=key, method="FreezeFeedback"), draft=draft, request=NO_REQUEST_KEY)
"""


def attempt(feedback: FeedbackBench, number: int) -> FeedbackSet | None:
    try:
        return feedback.freeze(f"set-{number}")
    except Unavailable:  # too many retractions, or SQLite's one writer: the caller tries again
        return None


def persistent(feedback: FeedbackBench, vote: Vote) -> Retraction:
    for _ in range(20):
        try:
            return feedback.retract(vote)
        except Unavailable:
            continue
    raise AssertionError("a retraction never came through")


def test_who_retracts_is_told_of_every_set_that_holds_the_vote(feedback: FeedbackBench) -> None:
    """Whatever came first: a set has the vote, and the retraction names the set; or it does not have it."""
    votes = [feedback.prefer(number) for number in range(VOTES)]
    order = random.Random(7).sample(votes, VOTES // 2)
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        sets = [pool.submit(attempt, feedback, number) for number in range(SETS)]
        told = dict(
            zip([each.uid for each in order], pool.map(lambda each: persistent(feedback, each), order), strict=True)
        )
        made = [each.result() for each in sets]
    frozen = [each for each in made if each is not None] or [feedback.freeze("last")]
    by_seq = {each.seq: each.uid for each in votes}
    for of in frozen:
        for uid in (by_seq[seq] for seq in feedback.members(of)):
            assert uid not in told or of.name in told[uid].feedback_sets
    for uid, retraction in told.items():
        holding = {of.name for of in frozen if uid in {by_seq[seq] for seq in feedback.members(of)}}
        assert set(retraction.feedback_sets) <= holding


def test_votes_that_come_meanwhile_are_in_the_set_or_not_and_its_hash_is_that_of_its_bytes(
    feedback: FeedbackBench,
) -> None:
    for number in range(20):
        feedback.prefer(number)

    def vote(number: int) -> None:
        while True:
            try:
                feedback.prefer(100 + number)
                return
            except DomainError:
                continue

    with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
        coming = [pool.submit(vote, number) for number in range(20)]
        frozen = [each for each in (attempt(feedback, number) for number in range(SETS)) if each is not None]
        for each in coming:
            each.result()
    assert frozen
    last = feedback.freeze("last")
    for of in [*frozen, last]:
        rows = feedback.rows(of)
        assert len(rows) == of.votes == len(feedback.members(of))
        assert feedback.dataset(of).sha256 == of.sha256
    assert last.votes == 40


def test_a_freeze_that_is_killed_leaves_what_is_collected_later(
    feedback: FeedbackBench, tmp_path: pathlib.Path
) -> None:
    feedback.prefer(1)
    before = sorted(feedback.house.store.keys("datasets/"))
    url = feedback.bench.storage.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", KILLED, url, str(tmp_path / "artifacts")]
    done = subprocess.run(command, cwd=pathlib.Path(__file__).parents[3], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with feedback.bench.storage.engine.begin() as connection:
        count = sa.select(sa.func.count())
        assert connection.execute(count.select_from(feedback_set)).scalar_one() == 0
        assert connection.execute(sa.select(upload.c.finished)).scalars().all() == [False]
        assert connection.execute(count.select_from(dataset)).scalar_one() == len(before)
        connection.execute(sa.update(upload).values(expire_time=A_TIME))
    assert len(list(feedback.house.store.keys("datasets/"))) == len(before) + 1
    expire_uploads(feedback.house)
    collect_dataset_files(feedback.house)
    assert sorted(feedback.house.store.keys("datasets/")) == before
    assert feedback.freeze("killed").votes == 1


def test_a_retraction_waits_for_the_set_that_is_being_committed(
    feedback: FeedbackBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its votes were looked at for the last time: were it not to wait, it would not name the set."""
    votes = [feedback.prefer(number) for number in range(3)]
    looked, waiting = FeedbackSets.changed_in, list[concurrent.futures.Future[Retraction]]()
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:

        def look_and_retract(keeper: FeedbackSets, uid: str) -> int:
            found = looked(keeper, uid)
            waiting.append(pool.submit(persistent, feedback, votes[0]))
            with pytest.raises(concurrent.futures.TimeoutError):
                waiting[0].result(timeout=0.5)
            return found

        monkeypatch.setattr(FeedbackSets, "changed_in", look_and_retract)
        made = feedback.freeze()
        assert waiting[0].result().feedback_sets == (made.name,)


def test_a_call_that_is_remembered_but_not_committed_stands_in_nobodys_way(
    postgresql_storage: SqlStorage, tmp_path: pathlib.Path
) -> None:
    """It holds the key of the project: two retractions, or two sets, would wait for each other until one is killed."""
    feedback = FeedbackBench(make_review_bench(make_bench(postgresql_storage, artifacts_dir=tmp_path / "artifacts")))
    vote = feedback.prefer(1)
    feedback.prefer(2)
    with feedback.house.storage.write() as uow:
        uow.requests.remember(feedback.caller("SubmitFeedback"), a_request(), resource="x", time=uow.now())
        assert feedback.freeze(request=a_request()).votes == 2
        assert feedback.retract(vote, request=a_request()).feedback_sets

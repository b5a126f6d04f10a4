"""Caretakers: bells are rung at least once, silent workers lose their jobs, and outages cost nobody anything."""

import dataclasses
import datetime
import pathlib
import threading

import pytest
import sqlalchemy as sa

from services.domain.errors import Unavailable
from services.domain.job_states import JobState
from services.domain.jobs import AttemptEnd
from services.housekeeping.measures import HouseCollector
from services.housekeeping.reclaim_leases import LeaseReclaimer
from services.housekeeping.relay_outbox import relay_outbox
from services.housekeeping.ring_again import ring_again
from services.housekeeping.rounds import Caretaker, Housekeeping
from services.housekeeping.tidy_up import CheckpointCollector, forget_workers
from services.ports import Leases
from services.storage.tables.workers import outbox, worker
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import A_TIME, Bench


def bells_left(bench: Bench) -> int:
    with bench.house.storage.read() as uow:
        return uow.outbox.count()


def reclaimer(bench: Bench) -> LeaseReclaimer:
    """Return one that has been at work for longer than a lease."""
    made = LeaseReclaimer(bench.house, sweep_s=5.0)
    assert made.run() == 0
    bench.clock.seconds += 31
    made._last = None  # the clock of the database did not go along
    return made


def test_the_relay_rings_what_was_written_down_once(bench: Bench) -> None:
    uids = [bench.submit().uid for _ in range(3)]
    assert relay_outbox(bench.house) == 3
    assert bench.bells.rung == uids
    assert relay_outbox(bench.house) == 0


def test_a_bell_waits_until_it_is_due(bench: Bench) -> None:
    assignment = bench.started()
    relay_outbox(bench.house)
    bench.finish(assignment, AttemptEnd.INTERRUPTED)
    assert relay_outbox(bench.house) == 0
    assert bells_left(bench) == 1


def test_no_bell_is_forgotten_while_the_broker_is_away(bench: Bench) -> None:
    bench.submit()
    bench.bells.broken = True
    with pytest.raises(Unavailable):
        relay_outbox(bench.house)
    bench.bells.broken = False
    assert relay_outbox(bench.house) == 1


def test_bells_of_a_long_outage_do_not_pile_up(bench: Bench) -> None:
    bench.submit()
    with bench.storage.engine.begin() as connection:
        connection.execute(sa.update(outbox).values(due_time=A_TIME))
    bench.bells.broken = True
    with pytest.raises(Unavailable):
        relay_outbox(bench.house)
    assert bells_left(bench) == 0


def test_a_job_that_waits_is_rung_for_again(bench: Bench) -> None:
    job = bench.submit()
    assert ring_again(bench.house, waiting_s=15) == 0
    assert ring_again(bench.house, waiting_s=-1) == 1
    assert bench.bells.rung == [job.uid]


def test_nobody_rings_for_what_cannot_be_claimed(bench: Bench) -> None:
    bench.finish(bench.started(), AttemptEnd.INTERRUPTED)
    bench.started()
    assert ring_again(bench.house, waiting_s=-1) == 0


def test_a_silent_worker_loses_its_job(bench: Bench) -> None:
    caretaker = reclaimer(bench)
    assignment = bench.started()
    assert caretaker.run() == 0
    bench.expire_lease(assignment.job.uid)
    assert caretaker.run() == 1
    assert bench.job(assignment.job.uid).state is JobState.BACKOFF


def test_nothing_is_reclaimed_for_one_lease_after_the_start(bench: Bench) -> None:
    assignment = bench.started()
    bench.expire_lease(assignment.job.uid)
    caretaker = LeaseReclaimer(bench.house, sweep_s=5.0)
    assert caretaker.run() == 0
    bench.clock.seconds += 29
    caretaker._last = None
    assert caretaker.run() == 0
    bench.clock.seconds += 2
    caretaker._last = None
    assert caretaker.run() == 1


def test_a_jump_of_the_clock_costs_nobody_a_job(bench: Bench) -> None:
    caretaker = reclaimer(bench)
    assert caretaker.run() == 0
    assignment = bench.started()
    bench.expire_lease(assignment.job.uid)
    last = caretaker._last
    caretaker._last = dataclasses.replace(last, database=last.database - datetime.timedelta(hours=1))
    assert caretaker.run() == 0


def test_a_round_that_comes_late_costs_nobody_a_job(bench: Bench) -> None:
    caretaker = reclaimer(bench)
    assert caretaker.run() == 0
    assignment = bench.started()
    bench.expire_lease(assignment.job.uid)
    bench.clock.seconds += 3600
    last = caretaker._last
    caretaker._last = dataclasses.replace(last, database=last.database - datetime.timedelta(hours=1))
    assert caretaker.run() == 0


@pytest.mark.parametrize(
    ("leases", "sweep_s"), [(Leases(), 5.0), (Leases(lease_s=4, heartbeat_s=0.5), 0.5)], ids=["as it is", "short"]
)
def test_a_freeze_that_leaves_no_time_to_prolong_is_late_and_a_slow_round_is_not(
    bench: Bench, leases: Leases, sweep_s: float
) -> None:
    caretaker = LeaseReclaimer(dataclasses.replace(bench.house, leases=leases), sweep_s=sweep_s)
    bench.clock.seconds += leases.lease_s
    for after_s, reclaimed in [(2 * sweep_s, 1), (leases.lease_s - 2 * leases.heartbeat_s, 0)]:
        caretaker._last = None
        caretaker.run()
        bench.expire_lease(bench.started().job.uid)
        bench.clock.seconds += after_s
        last = caretaker._last
        assert last is not None
        caretaker._last = dataclasses.replace(last, database=last.database - datetime.timedelta(seconds=after_s))
        assert caretaker.run() == reclaimed


def test_an_outage_of_the_database_costs_nobody_a_job(bench: Bench) -> None:
    caretaker = reclaimer(bench)
    assignment = bench.started()
    bench.expire_lease(assignment.job.uid)
    house, away = caretaker._house, SqlStorage.at("postgresql+psycopg://nobody@/nothing?host=/nonexistent")
    caretaker._house = dataclasses.replace(house, storage=away)
    with pytest.raises(Unavailable):
        caretaker.run()
    caretaker._house = house
    assert caretaker.run() == 0
    assert bench.job(assignment.job.uid).state is JobState.STARTING


def test_checkpoints_are_collected_by_the_caretaker(bench: Bench) -> None:
    assignment = bench.started()
    for step in range(5):
        bench.commit(assignment, bench.written(assignment, step=step, content=b"%d" % step))
    caretaker = CheckpointCollector(bench.house)
    assert (caretaker.run(), caretaker.run()) == (2, 0)


def test_workers_are_forgotten_after_a_day(bench: Bench) -> None:
    bench.claim()
    assert forget_workers(bench.house) == 0
    with bench.storage.engine.begin() as connection:
        connection.execute(sa.update(worker).values(heartbeat_time=A_TIME))
    assert forget_workers(bench.house) == 1


def test_the_measures_are_told(bench: Bench) -> None:
    bench.submit()
    told = {family.name: family.samples[0].value for family in HouseCollector(bench.house).collect()}
    assert told["tutelage_jobs_waiting"] == 1
    assert told["tutelage_outbox_bells"] == 1


def test_a_caretaker_in_trouble_goes_on_and_holds_up_nobody(tmp_path: pathlib.Path) -> None:
    rounds, other = threading.Semaphore(0), threading.Event()

    def troubled() -> None:
        rounds.release()
        raise RuntimeError("trouble")

    work = Housekeeping(
        [
            Caretaker(name="troubled", interval_s=0.01, deed=troubled),
            Caretaker(name="other", interval_s=0.01, deed=other.set),
        ]
    )
    work.start()
    assert all(rounds.acquire(timeout=10) for _ in range(3))
    assert other.wait(timeout=10)
    work.stop()

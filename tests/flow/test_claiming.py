"""The loop that claims outlives whatever becomes of a job that it has claimed."""

import contextlib
import pathlib
import tempfile
import threading
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_for
from tests.support.workers_double import SECRET, WorkersDouble, address_in
from trainer_worker.supervisor.claiming import Claiming
from trainer_worker.supervisor.clock import LastHeard
from trainer_worker.supervisor.services_line import ServicesLine
from trainer_worker.supervisor.slots import Slots
from trainer_worker.supervisor.wishes import Wishes
from tutelage_internal.v1 import workers_pb2


@pytest.fixture
def services() -> Iterator[WorkersDouble]:
    with tempfile.TemporaryDirectory() as folder:
        double = WorkersDouble(address_in(pathlib.Path(folder)))
        double.start()
        yield double
        double.stop()


def test_a_job_that_cannot_be_begun_does_not_end_the_claiming(services: WorkersDouble) -> None:
    begun: list[str] = []

    def begin(assignment: workers_pb2.Assignment) -> None:
        begun.append(assignment.attempt.job_uid)
        if len(begun) == 1:
            raise RuntimeError("can't start new thread")

    wake, draining = threading.Event(), threading.Event()
    line = ServicesLine(services.address, secret=SECRET)
    claiming = Claiming(
        slots=Slots(1, changed=wake),
        wishes=Wishes(rung=wake),
        line=line,
        last_heard=LastHeard(),
        describe=lambda: workers_pb2.WorkerInfo(worker_id="w", slots=1),
        begin=begin,
        listen=lambda _wanted: None,
        wake=wake,
        draining=draining,
        given_up=threading.Event(),
        poll_s=0.1,
    )
    jobs = [services.submit(), services.submit()]
    thread = threading.Thread(target=claiming.run, daemon=True)
    thread.start()
    with contextlib.closing(line):
        wait_for(lambda: len(begun) == 2, "the second job is claimed too")
        draining.set()
        wake.set()
        thread.join(10)
    assert begun == [job.uid for job in jobs] and not thread.is_alive()

"""How long a start took is counted from when somebody waited for it: the birth of the trainer, or its job."""

import os
import select
from collections.abc import Iterator

import pytest

from trainer_worker.trainer.__main__ import heard_launch
from trainer_worker.trainer.pipe import Reader, SupervisorGone
from trainer_worker.trainer.starting import Start
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import pipe_pb2

LAUNCH = pipe_pb2.Launch(artifacts_url="file:///a")
TO_THE_FIRST_STEP = (pipe_pb2.SECTION_LOAD, pipe_pb2.SECTION_FIRST_STEP, pipe_pb2.SECTION_STEP)


class LateReader(Reader):
    """A pipe into which the launch comes only when it is read."""

    def __init__(self, descriptor: int, write_end: int) -> None:
        super().__init__(descriptor)
        self.write_end = write_end

    def read(self) -> pipe_pb2.ToTrainer:
        assert not select.select([self.descriptor], [], [], 0)[0]
        tell(self.write_end)
        return super().read()


def tell(write_end: int) -> None:
    body = pipe_pb2.ToTrainer(launch=LAUNCH).SerializeToString()
    os.write(write_end, len(body).to_bytes(4, "big") + body)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    os.close(ends[0])


def note_after(start: Start) -> jobs_pb2.Note:
    """What is told once the first step is done."""
    told = [word for section in TO_THE_FIRST_STEP for word in start.watch(pipe_pb2.Progress(section=section))]
    [note] = told
    assert isinstance(note, jobs_pb2.Note)
    return note


def test_a_launch_that_was_there_is_counted_from_the_birth(pipe: tuple[int, int]) -> None:
    start = Start()
    start.mark("import")
    tell(pipe[1])
    assert heard_launch(Reader(pipe[0]), start) == LAUNCH
    note = note_after(start)
    os.close(pipe[1])
    assert {"python_seconds", "import_seconds", "launch_seconds"} < set(note.details)
    assert note.message.endswith("after the trainer was started.")


def test_what_was_done_before_there_was_a_job_is_not_counted(pipe: tuple[int, int]) -> None:
    start = Start()
    start.mark("import")
    assert heard_launch(LateReader(*pipe), start) == LAUNCH
    note = note_after(start)
    os.close(pipe[1])
    assert set(note.details) == {"preparation_seconds", "first_step_seconds", "total_seconds"}
    assert note.message.endswith("after a trainer that was started in advance got its job.")


def test_a_supervisor_that_goes_before_it_has_a_job_ends_the_waiting(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    with pytest.raises(SupervisorGone):
        heard_launch(Reader(pipe[0]), Start())

"""The thread that draws for one model works while there is something to draw, and rests otherwise."""

import threading

from tests.support.waiting import wait_for
from tests.training.sampler.models import opinionated
from tests.training.sampler.test_batch import Ear, rows_of
from trainer_worker.sampler.batch import Batch
from trainer_worker.sampler.drawing import Drawing


class CountingBatch(Batch):
    """A batch that counts the steps in which there was nothing to do."""

    in_vain = 0
    busy = threading.Event()

    def step(self) -> bool:
        progressed = super().step()
        self.in_vain += not progressed
        if self.in_vain > 100:
            self.busy.set()
        return progressed


def ended(ear: Ear) -> bool:
    return bool(ear.heard.get(0)) and ear.heard[0][-1].finish is not None


def test_the_thread_rests_while_its_only_reader_is_slow_although_others_wait_for_the_seat() -> None:
    batch = CountingBatch(opinionated(), seats=1, sizes=(1,))
    drawing = Drawing(batch, name="test", waiting_rows_max=8)
    slow, slow_ear = rows_of(b"slow", tokens=30)
    other, other_ear = rows_of(b"other", tokens=3)
    slow_ear.backlogged = True
    drawing.start()
    drawing.enter(slow)
    wait_for(lambda: slow_ear.heard.get(0), "its first token is drawn with its prompt")
    drawing.enter(other)
    assert not batch.busy.wait(0.3)
    slow_ear.backlogged = False
    drawing.wake()
    wait_for(lambda: ended(slow_ear) and ended(other_ear), "both are drawn")
    drawing.stop()

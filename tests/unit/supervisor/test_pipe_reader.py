"""What one trainer tells goes into the spool whole, up to what one call can carry."""

import os
import pathlib
import threading

from trainer_worker.supervisor.orders import Order, Orders
from trainer_worker.supervisor.pipe import frame
from trainer_worker.supervisor.pipe_reader import PipeReader
from trainer_worker.supervisor.spool import FactSpool
from trainer_worker.supervisor.watchdog import SectionLimits, Watchdog
from tutelage.v1 import feedback_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2, workers_pb2

CALL_BYTES_MAX = 4 * 1024 * 1024
VERSION = f"projects/{'p' * 63}/models/{'m' * 63}/versions/1000"


def drawn(*, answers: int, bytes_each: int, prompt_bytes: int = 1000) -> facts_pb2.Fact:
    said = [
        feedback_pb2.Candidate(
            text="x" * bytes_each, model_version=VERSION, seed=2**32 - 1, tokens=4096, logprob=-1.5, score=0.5
        )
        for _ in range(answers)
    ]
    prompt = feedback_pb2.Prompt(text="x" * prompt_bytes)
    return facts_pb2.Fact(answers_drawn=facts_pb2.AnswersDrawn(prompt_number=1, prompt=prompt, answers=said))


def heard(fact: facts_pb2.Fact, folder: pathlib.Path) -> tuple[FactSpool, Orders]:
    """Return the spool and the orders after a trainer has told a fact and gone."""
    read, write = os.pipe()
    spool, orders = FactSpool(folder / "spool", file_bytes_max=64 * 1024 * 1024), Orders()
    reader = PipeReader(read, spool=spool, watchdog=Watchdog(SectionLimits(), now_s=0.0), orders=orders)

    def tell() -> None:
        left = memoryview(frame(pipe_pb2.FromTrainer(fact=fact)))
        while left:
            left = left[os.write(write, left) :]
        os.close(write)

    teller = threading.Thread(target=tell)
    teller.start()
    teller.join(10.0)
    assert reader.finish(limit_s=10.0)
    return spool, orders


def test_all_answers_that_may_be_asked_for_go_as_one_fact_in_one_call(tmp_path: pathlib.Path) -> None:
    told = drawn(answers=16 * 8, bytes_each=4096 * 6, prompt_bytes=100_000)  # of 4096 tokens, six bytes each
    spool, orders = heard(told, tmp_path)
    (fact,) = spool.batch(facts_max=200, bytes_max=1024 * 1024)
    assert len(fact.answers_drawn.answers) == 128 and orders.highest() is None
    attempt = workers_pb2.Attempt(job_uid="u" * 36, epoch=2**60, token=b"t" * 64)
    assert workers_pb2.ReportFactsRequest(attempt=attempt, facts=[fact]).ByteSize() < CALL_BYTES_MAX
    spool.close()


def test_a_fact_that_no_call_can_carry_ends_the_attempt(tmp_path: pathlib.Path) -> None:
    spool, orders = heard(drawn(answers=1, bytes_each=CALL_BYTES_MAX - 20_000), tmp_path)
    assert (spool.pending(), orders.highest()) == (0, Order.BROKEN)
    spool.close()

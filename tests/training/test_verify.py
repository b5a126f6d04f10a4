"""Steps that are computed again come out the same, or the first that does not is named."""

import json
import random

import pytest

from tests.training.runs import Bench, Story, bench_with, resume_from, tiny_spec
from trainer_worker.trainer.engine.errors import UnusableData
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

Recorded = list[workers_pb2.RecordedStep]


def later(story: Story, step: int) -> Recorded:
    return [recorded for recorded in story.recorded if recorded.step > step]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Story]:
    bench = bench_with(tmp_path_factory.mktemp("verified"))
    return bench, bench.run(tiny_spec())


def report(bench: Bench, story: Story) -> dict[str, object]:
    return json.loads((bench.files(story.complete) / "report.json").read_text())


def test_steps_that_come_out_the_same_are_verified(whole: tuple[Bench, Story]) -> None:
    bench, first = whole
    again = bench.verify(tiny_spec(), later(first, 4), epoch=2, resume=resume_from(first.checkpoints[4]), first_step=6)
    assert again.ending == pipe_pb2.ENDING_COMPLETE
    [note] = again.notes("verified")
    assert (note.details["first_step"], note.details["last_step"]) == ("6", "12")
    written = report(bench, again)
    assert (written["outcome"], written["first_difference"], written["last_step"]) == ("verified", None, 12)
    assert again.complete.step == 12
    assert again.chains == {step: chains for step, chains in first.chains.items() if step > 4}


def test_a_run_of_another_seed_differs_in_its_data(whole: tuple[Bench, Story]) -> None:
    bench, first = whole
    other = bench_with(bench.folder / "other").run(tiny_spec(seed=8))
    again = bench.verify(tiny_spec(), later(other, 4), epoch=3, resume=resume_from(first.checkpoints[4]))
    [note] = again.notes("differs")
    assert (note.details["step"], note.details["what"]) == ("5", "data")
    assert note.level == jobs_pb2.NOTE_LEVEL_WARNING
    assert report(bench, again)["outcome"] == "differs"


def test_a_planted_difference_is_found_at_its_step(whole: tuple[Bench, Story]) -> None:
    bench, first = whole
    planted = random.Random(0).randrange(7, 11)
    recorded = later(first, 4)
    for step in recorded[planted - 5 :]:
        step.loss_chain = step.loss_chain[::-1]
    again = bench.verify(tiny_spec(), recorded, epoch=4, resume=resume_from(first.checkpoints[4]))
    [note] = again.notes("differs")
    assert (note.details["step"], note.details["what"]) == (str(planted), "loss")
    assert again.complete.step == planted


def test_another_learning_rate_differs_from_the_second_step_on(whole: tuple[Bench, Story]) -> None:
    """The loss of the first step is that of the checkpoint's weights, whatever is done with it."""
    bench, first = whole
    faster = tiny_spec(learning_rate=1.1e-2)
    again = bench.verify(faster, later(first, 4), epoch=5, resume=resume_from(first.checkpoints[4]))
    assert again.notes("differs")[0].details["step"] == "6"


def test_nothing_recorded_is_nothing_to_verify(whole: tuple[Bench, Story]) -> None:
    bench, first = whole
    with pytest.raises(UnusableData, match="no recorded step"):
        bench.verify(tiny_spec(), [], epoch=6, resume=resume_from(first.checkpoints[4]))

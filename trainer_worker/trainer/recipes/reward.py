"""Reward models: a decoder learns to score texts, so that the chosen of two answers scores higher than the rejected.

P pairs of a batch   2 a pair: chosen, rejected   A answers of all of them
"""

import functools
from collections.abc import Generator

import numpy as np
from torch import Tensor

from trainer_worker.trainer import comparing
from trainer_worker.trainer.answer_runs import prepare_run
from trainer_worker.trainer.comparing import Compared, Tally, reward_measures
from trainer_worker.trainer.engine.answers import Lesson, Part
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.engine.preference_loss import reward_loss
from trainer_worker.trainer.engine.reward_model import RewardModel, with_reward_head
from trainer_worker.trainer.preparation import Place
from trainer_worker.trainer.recipes import reward  # itself: a method is a module
from trainer_worker.trainer.resuming import checkpoint_of
from trainer_worker.trainer.run import Found, Run
from trainer_worker.trainer.telling import Told
from tutelage_internal.v1 import workers_pb2


def prepare(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Run]:
    """Reads the pairs, and the base with a head that scores. Raises: UnusableData, BadCheckpoint."""
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    change = functools.partial(with_reward_head, seed=assignment.fine_tune.seed)
    return (
        yield from prepare_run(assignment, place, checkpoint, method=reward, wanted="pair", whole=True, change=change)
    )


def next_batch(run: Run) -> Generator[Told, None, tuple[Lesson, np.ndarray]]:
    return (yield from comparing.next_lesson(run))


def forward_and_backward(run: Run, lesson: Lesson) -> Found:
    """Leaves in each weight the gradient of the batch's mean loss. Returns the loss of every pair, (P,) float32."""
    tally = Tally(lesson)
    for part in lesson.parts(run.state.micro_batch_size):
        # Forward and compare: what does each of the two answers score, and is the chosen one ahead?
        moved = part.to(run.device)
        with autocast(run.state.precision, device=run.device):
            compared = compare(run, moved, lesson, None)

        # Backward: how should each weight have been, for it to be further ahead?
        run.scaler.scaled(compared.total(lesson, moved)).backward()
        tally.add(moved, compared)
    return tally.found()


def compare(run: Run, part: Part, lesson: Lesson, reference: Tensor | None) -> Compared:
    """The loss and the measures of the pairs of a part. There is no reference: a score compares with nothing."""
    del lesson, reference
    scores_P2 = scores(run, part).view(-1, 2)
    return Compared(reward_loss(scores_P2), reward_measures(scores_P2.detach()))


def scores(run: Run, part: Part) -> Tensor:
    """What each text scores where it ends. Shape (A,), float32."""
    assert isinstance(run.model, RewardModel)
    hidden_BTD = run.predict(part.batch)
    return run.model.scores(hidden_BTD.flatten(0, 1)[part.end_A])


def evaluate(run: Run) -> Generator[Told, None, Evaluation | None]:
    return (yield from comparing.evaluate_rows(run, compare))

"""Preferences: of two answers, the chosen one becomes likelier than the rejected one. DPO, IPO, SimPO and ORPO.

P pairs of a batch   2 a pair: chosen, rejected
"""

from collections.abc import Generator

import numpy as np
from torch import Tensor

from trainer_worker.trainer import comparing
from trainer_worker.trainer.answer_runs import prepare_run
from trainer_worker.trainer.comparing import (
    Compared,
    Settings,
    Tally,
    answer_logprobs,
    known,
    pair_measures,
    settings_of,
    tuning,
)
from trainer_worker.trainer.engine import preference_loss
from trainer_worker.trainer.engine.answers import Lesson, Part
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.preparation import Place
from trainer_worker.trainer.recipes import preferences  # itself: a method is a module
from trainer_worker.trainer.reference import take_reference
from trainer_worker.trainer.resuming import checkpoint_of
from trainer_worker.trainer.run import Found, Run
from trainer_worker.trainer.telling import Told
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import workers_pb2

WITH_REFERENCE = (training_pb2.METHOD_DPO, training_pb2.METHOD_IPO)


def prepare(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Run]:
    """Reads the base and the pairs, and what the base makes of these. Raises: UnusableData, BadCheckpoint."""
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    run = yield from prepare_run(assignment, place, checkpoint, method=preferences, wanted="pair")
    if assignment.fine_tune.method in WITH_REFERENCE:
        yield from take_reference(run, assignment, place, checkpoint)
    return run


def next_batch(run: Run) -> Generator[Told, None, tuple[Lesson, np.ndarray]]:
    return (yield from comparing.next_lesson(run))


def forward_and_backward(run: Run, lesson: Lesson) -> Found:
    """Leaves in each weight the gradient of the batch's mean loss. Returns the loss of every pair, (P,) float32.

    The batch is computed in parts that fit into memory, pairs of about the same length together.
    """
    tally, reference = Tally(lesson), None if run.reference is None else run.reference.training
    for part in lesson.parts(run.state.micro_batch_size):
        # Forward and compare: how likely is each of the two answers, and is the right one ahead?
        moved = part.to(run.device)
        with autocast(run.state.precision, device=run.device):
            compared = compare(run, moved, lesson, known(reference, lesson, moved))

        # Backward: how should each weight have been, for the chosen one to be further ahead?
        run.scaler.scaled(compared.total(lesson, moved)).backward()
        tally.add(moved, compared)
    return tally.found()


def compare(run: Run, part: Part, lesson: Lesson, reference_P2: Tensor | None) -> Compared:
    """The loss and the measures of the pairs of a part."""
    spec = tuning(run)
    settings = settings_of(spec)
    policy_P2, sizes_P2 = answer_logprobs(run, part).view(-1, 2), part.sizes_A.view(-1, 2)
    if reference_P2 is None:
        rewards_P2 = settings.beta * policy_P2 / sizes_P2
        losses_P = loss_without_reference(spec.method, policy_P2, sizes_P2, settings)
    else:
        rewards_P2 = settings.beta * (policy_P2 - reference_P2)
        losses_P = loss_with_reference(spec.method, policy_P2, reference_P2, sizes_P2, settings)
    return Compared(losses_P, pair_measures(policy_P2, rewards_P2))


def loss_with_reference(
    method: "training_pb2.Method.ValueType",
    policy_P2: Tensor,
    reference_P2: Tensor,
    sizes_P2: Tensor,
    settings: Settings,
) -> Tensor:
    if method == training_pb2.METHOD_DPO:
        smoothing = settings.label_smoothing
        losses_P = preference_loss.dpo_loss(policy_P2, reference_P2, beta=settings.beta, label_smoothing=smoothing)
    else:
        losses_P = preference_loss.ipo_loss(policy_P2, reference_P2, sizes_P2, beta=settings.beta)
    if not settings.sft_weight:
        return losses_P
    return losses_P + settings.sft_weight * preference_loss.chosen_loss(policy_P2, sizes_P2)


def loss_without_reference(
    method: "training_pb2.Method.ValueType", policy_P2: Tensor, sizes_P2: Tensor, settings: Settings
) -> Tensor:
    if method == training_pb2.METHOD_SIMPO:
        return preference_loss.simpo_loss(policy_P2, sizes_P2, beta=settings.beta, margin=settings.margin)
    return preference_loss.orpo_loss(policy_P2, sizes_P2, beta=settings.beta)


def evaluate(run: Run) -> Generator[Told, None, Evaluation | None]:
    return (yield from comparing.evaluate_rows(run, compare))

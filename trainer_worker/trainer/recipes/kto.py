"""Kahneman-Tversky optimization: answers labelled good become likelier, and those labelled bad less likely.

Likelier than what? Than other answers have become on the whole: the divergence of the model from its base.

P rows of a batch   2 answers of a row: its own, and one to another prompt
"""

import dataclasses
import functools
from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer import comparing
from trainer_worker.trainer.answer_runs import prepare_run
from trainer_worker.trainer.comparing import (
    Compared,
    Tally,
    answer_logprobs,
    known,
    lesson_logprobs,
    settings_of,
    tuning,
)
from trainer_worker.trainer.engine.answers import Lesson, Part
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.engine.preference_loss import divergence_of, kto_loss
from trainer_worker.trainer.preparation import Place
from trainer_worker.trainer.recipes import kto  # itself: a method is a module
from trainer_worker.trainer.reference import take_reference
from trainer_worker.trainer.resuming import checkpoint_of
from trainer_worker.trainer.run import Found, Run
from trainer_worker.trainer.telling import Told, progress
from tutelage_internal.v1 import pipe_pb2, workers_pb2

OWN, STRANGE = 0, 1


def prepare(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Run]:
    """Reads the base and the answers, and what the base makes of these. Raises: UnusableData, BadCheckpoint."""
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    run = yield from prepare_run(assignment, place, checkpoint, method=kto, wanted="label", strange_answers=True)
    yield from take_reference(run, assignment, place, checkpoint)
    return run


def next_batch(run: Run) -> Generator[Told, None, tuple[Lesson, np.ndarray]]:
    return (yield from comparing.next_lesson(run))


def forward_and_backward(run: Run, lesson: Lesson) -> Found:
    """Leaves in each weight the gradient of the batch's mean loss. Returns the loss of every row, (P,) float32."""
    assert run.reference is not None
    # How far from the base: answers to other prompts have become likelier by so much, without anyone's wish.
    reference = run.reference.training
    divergence = divergence_in(run, lesson, reference)

    own = lesson.only(OWN)
    tally = Tally(own)
    for part in own.parts(run.state.micro_batch_size):
        # Forward and compare: is the answer likelier than that, if it is good, or less likely, if it is bad?
        moved = part.to(run.device)
        with autocast(run.state.precision, device=run.device):
            compared = compare(run, moved, own, known(reference, own, moved), divergence=divergence)

        # Backward: how should each weight have been, for it to be so?
        run.scaler.scaled(compared.total(own, moved)).backward()
        tally.add(moved, compared)
    return tally.found(kl=divergence)


def divergence_in(run: Run, lesson: Lesson, reference: Tensor) -> Tensor:
    """How far the model is from its base, in nats: a scalar, on the device."""
    policy_P = lesson_logprobs(run, run.model, lesson.only(STRANGE)).squeeze(1)
    return divergence_of(policy_P, reference[lesson.indices_P, STRANGE]).to(run.device)


def divergence_held_out(run: Run, rows: np.ndarray, reference: Tensor) -> Generator[Told, None, Tensor]:
    """The same for these rows of the validation part, with a sign of progress after each few."""
    found, size = [], run.state.micro_batch_size
    for begin in range(0, len(rows), size):
        yield progress(pipe_pb2.SECTION_EVALUATE, step=run.state.step)
        lesson = run.validation.read(rows[begin : begin + size]).only(STRANGE)
        found.append(lesson_logprobs(run, run.model, lesson).squeeze(1))
    return divergence_of(torch.cat(found), reference[rows, STRANGE]).to(run.device)


def compare(run: Run, part: Part, lesson: Lesson, reference_P2: Tensor | None, *, divergence: Tensor) -> Compared:
    """The loss and the measures of the rows of a part."""
    assert reference_P2 is not None
    settings, good_P = settings_of(tuning(run)), lesson.labels[part.places].to(run.device)
    policy_P, reference_P = answer_logprobs(run, part), reference_P2[:, OWN]
    losses_P = kto_loss(
        policy_P,
        reference_P,
        good_P,
        divergence,
        beta=settings.beta,
        desirable_weight=settings.desirable_weight,
        undesirable_weight=settings.undesirable_weight,
    )
    logprobs_P = policy_P.detach()
    rewards_P = settings.beta * (logprobs_P - reference_P)
    nothing_P = torch.full_like(logprobs_P, torch.nan)
    measures = {
        "chosen_logprob": torch.where(good_P, logprobs_P, nothing_P),
        "rejected_logprob": torch.where(good_P, nothing_P, logprobs_P),
        "chosen_reward": torch.where(good_P, rewards_P, nothing_P),
        "rejected_reward": torch.where(good_P, nothing_P, rewards_P),
    }
    return Compared(losses_P, measures)


def evaluate(run: Run) -> Generator[Told, None, Evaluation | None]:
    assert run.reference is not None
    rows = run.validation.spread(run.spec.evaluation.sequences)
    if not len(rows):
        return None
    divergence = yield from divergence_held_out(run, rows, run.reference.validation)
    found = yield from comparing.evaluate_rows(run, functools.partial(compare, divergence=divergence), answers=(OWN,))
    return found and dataclasses.replace(found, others=dict(found.others) | {"kl": divergence.item()})

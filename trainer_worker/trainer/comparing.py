"""What methods that compare answers have in common: their settings, log-probabilities, measures, and evaluation.

P rows   A answers of all of them
"""

import dataclasses
from collections.abc import Callable, Generator, Mapping

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.engine.answers import Lesson, Part
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.engine.preference_data import Answered
from trainer_worker.trainer.engine.samples import Samples
from trainer_worker.trainer.run import Found, Run
from trainer_worker.trainer.telling import Told, progress
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2

BETA, SIMPO_BETA, SIMPO_MARGIN = 0.1, 2.0, 0.5


@dataclasses.dataclass(frozen=True)
class Settings:
    """Those of `PreferenceSpec`, every default filled in."""

    beta: float
    label_smoothing: float
    margin: float
    sft_weight: float
    desirable_weight: float
    undesirable_weight: float


def settings_of(spec: training_pb2.FineTuneSpec) -> Settings:
    """Raises: UnusableData if next tokens are to be smoothed, which nothing here predicts."""
    if spec.regularization.label_smoothing:
        message = "regularization.label_smoothing is for the next token; preferences know preference.label_smoothing"
        raise UnusableData(message)
    given, simpo = spec.preference, spec.method == training_pb2.METHOD_SIMPO
    return Settings(
        beta=given.beta if given.HasField("beta") else (SIMPO_BETA if simpo else BETA),
        label_smoothing=given.label_smoothing,
        margin=given.margin if given.HasField("margin") else SIMPO_MARGIN,
        sft_weight=given.sft_weight,
        desirable_weight=given.desirable_weight if given.HasField("desirable_weight") else 1.0,
        undesirable_weight=given.undesirable_weight if given.HasField("undesirable_weight") else 1.0,
    )


def tuning(run: Run) -> training_pb2.FineTuneSpec:
    assert isinstance(run.spec, training_pb2.FineTuneSpec)  # nothing else learns from answers
    return run.spec


def answered(samples: Samples) -> Answered:
    assert isinstance(samples, Answered)
    return samples


def next_lesson(run: Run) -> Generator[Told, None, tuple[Lesson, np.ndarray]]:
    """The rows of the next step, and their numbers (P,): a function of seed and place in the data alone."""
    state = run.state
    samples = np.arange(state.samples, state.samples + state.batch_size)
    rows_P = run.training.order(samples, seed=state.seed)
    if run.reference is not None and bool(torch.isnan(run.reference.training[rows_P]).any()):
        yield from run.reference.complete(rows_P)
    return run.training.read(rows_P), rows_P


def answer_logprobs(run: Run, part: Part) -> Tensor:
    """How likely each answer of a part is, in nats. Shape (A,), float32; gradients flow."""
    hidden_BTD = run.predict(part.batch)
    return part.logprobs(hidden_BTD, run.model.output_weight, soft_cap=run.model.config.logit_soft_cap)


def lesson_logprobs(run: Run, model: Decoder, lesson: Lesson) -> Tensor:
    """The same for all answers of a lesson under any model, as it is used. Shape (P, A of a row), on the CPU."""
    found, training = [], model.training
    places: list[np.ndarray] = []
    model.eval()
    with torch.inference_mode(), autocast(run.state.precision, device=run.device):
        for part in lesson.parts(run.state.micro_batch_size):
            moved = part.to(run.device)
            hidden_BTD = model.hidden(moved.batch.tokens_BT, **moved.batch.places)
            sums_A = moved.logprobs(hidden_BTD, model.output_weight, soft_cap=model.config.logit_soft_cap)
            found.append(sums_A.view(len(part.places), -1).cpu())
            places.append(part.places)
    model.train(training)
    whole = torch.empty_like(torch.cat(found))
    whole[np.concatenate(places)] = torch.cat(found)
    return whole.clone()


@dataclasses.dataclass(frozen=True)
class Compared:
    """What came out for the rows of a part, (P,) each: the loss, and what people want to see, NaN where it is not of a
    row. Those that are told as metrics of a step are means over the rows."""

    losses_P: Tensor
    measures: Mapping[str, Tensor]

    def total(self, lesson: Lesson, part: Part) -> Tensor:
        """What the part adds to the mean loss of the lesson: rows count by their weights."""
        weights_P = lesson.weights[part.places].to(self.losses_P.device)
        return (self.losses_P * weights_P).sum() / len(lesson)


def pair_measures(logprobs_P2: Tensor, rewards_P2: Tensor) -> dict[str, Tensor]:
    """Those of pairs. Shapes: (P, 2); rewards without a gradient."""
    logprobs_P2, rewards_P2 = logprobs_P2.detach(), rewards_P2.detach()
    return {
        "chosen_logprob": logprobs_P2[:, 0],
        "rejected_logprob": logprobs_P2[:, 1],
        **reward_measures(rewards_P2),
    }


def reward_measures(rewards_P2: Tensor) -> dict[str, Tensor]:
    margins_P = rewards_P2[:, 0] - rewards_P2[:, 1]
    return {
        "chosen_reward": rewards_P2[:, 0],
        "rejected_reward": rewards_P2[:, 1],
        "margin": margins_P,
        "accuracy": (margins_P > 0).float(),
    }


class Tally:
    """Collects what came out for the parts of a lesson, and puts the rows back into their order."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson
        self.places: list[np.ndarray] = []
        self.parts: list[Compared] = []

    def add(self, part: Part, compared: Compared) -> None:
        self.places.append(part.places)
        self.parts.append(compared)

    def losses(self) -> Tensor:
        """The loss of each row, in their order. Shape (P,)."""
        losses_P = torch.cat([part.losses_P.detach() for part in self.parts])
        return torch.empty_like(losses_P).index_copy(0, self.order(losses_P.device), losses_P)

    def order(self, device: torch.device) -> Tensor:
        return torch.from_numpy(np.concatenate(self.places)).to(device)

    def means(self) -> dict[str, Tensor]:
        """The mean of each measure over the rows that have it; NaN if none has."""
        names = self.parts[0].measures
        return {name: torch.cat([part.measures[name] for part in self.parts]).nanmean() for name in names}

    def found(self, **others: Tensor) -> Found:
        """All of it, for the loop; `others` are metrics of the step besides."""
        losses_P = self.losses()
        weights_P = self.lesson.weights.to(losses_P.device)
        metrics = {f"train/{name}": value for name, value in (self.means() | others).items()}
        return Found(loss=(losses_P * weights_P).mean(), losses=losses_P, metrics=metrics)


Compare = Callable[[Run, Part, Lesson, Tensor | None], Compared]


def known(reference: Tensor | None, lesson: Lesson, part: Part) -> Tensor | None:
    """What the reference makes of the rows of a part. Shape (P, A of a row)."""
    return None if reference is None else reference[lesson.indices_P[part.places]].to(part.sizes_A.device)


def evaluate_rows(
    run: Run, compare: Compare, *, answers: tuple[int, ...] | None = None
) -> Generator[Told, None, Evaluation | None]:
    """Compares held-out rows, or some of their answers, as they would be in a step; None if there are none.

    The accuracy, where rows have one, is what early stopping and the best weights go by.
    """
    rows = run.validation.spread(run.spec.evaluation.sequences)
    if not len(rows):
        return None
    lesson = dataclasses.replace(run.validation.read(rows), chosen=answers)
    tally, training = Tally(lesson), run.model.training
    reference = None if run.reference is None else run.reference.validation
    run.model.eval()
    for part in lesson.parts(run.state.micro_batch_size):
        yield progress(pipe_pb2.SECTION_EVALUATE, step=run.state.step)
        with torch.inference_mode(), autocast(run.state.precision, device=run.device):
            moved = part.to(run.device)
            tally.add(part, compare(run, moved, lesson, known(reference, lesson, moved)))
    run.model.train(training)
    found = tally.found()
    others = {name.removeprefix("train/"): value.item() for name, value in found.metrics.items()}
    return Evaluation(loss=found.loss.item(), accuracy=others.pop("accuracy", None), others=others)

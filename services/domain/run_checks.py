"""How long a run may be, what is looked at on the way, and when it ends."""

import math
from collections.abc import Iterator

from services.domain import limits
from services.domain.errors import FieldViolation
from services.domain.fine_tuning import FineTuneDraft, FineTuneSpec
from services.domain.inputs import Inputs
from services.domain.ranges import not_shares, outside
from services.domain.run_settings import GPU_PRECISIONS, RegularizationDraft, SamplesSpec
from services.domain.training import TrainDraft, TrainSpec

Spec = TrainSpec | FineTuneSpec
Draft = TrainDraft | FineTuneDraft


def run_violations(spec: Spec, *, draft: Draft, inputs: Inputs) -> Iterator[FieldViolation]:
    """Yield every wrong field."""
    yield from outside(spec, "spec", {"steps": (1, limits.STEPS_MAX), "seed": (0, limits.SEED_MAX)})
    interval = (0, limits.STEPS_MAX)
    sequences = (1, limits.EVALUATION_SEQUENCES_MAX)
    yield from outside(spec.evaluation, "spec.evaluation", {"interval_steps": interval, "sequences": sequences})
    yield from outside(spec.checkpoints, "spec.checkpoints", {"interval_steps": (1, limits.STEPS_MAX)})
    yield from _samples(spec.samples)
    yield from _regularization(spec)
    yield from _looks(spec, draft=draft)
    if spec.precision in GPU_PRECISIONS and inputs.has_gpu is False:
        description = f"PRECISION_{spec.precision.name} needs a GPU, and no worker of this cluster has one"
        yield FieldViolation("spec.precision", f"{description}; leave it out, or set PRECISION_BF16")


def _samples(samples: SamplesSpec) -> Iterator[FieldViolation]:
    path, prompt = "spec.samples", samples.prompt or ""
    ranges = {"interval_steps": (0, limits.STEPS_MAX), "tokens": (1, limits.SAMPLE_TOKENS_MAX)}
    yield from outside(samples, path, ranges)
    if len(prompt) > limits.SAMPLE_PROMPT_CHARACTERS_MAX:
        most = limits.SAMPLE_PROMPT_CHARACTERS_MAX
        yield FieldViolation(f"{path}.prompt", f"must be at most {most} characters, got {len(prompt)}")
    if "\x00" in prompt:
        yield FieldViolation(f"{path}.prompt", f"must not hold a NUL character, got one at {prompt.index(chr(0))}")


def _regularization(spec: Spec) -> Iterator[FieldViolation]:
    path, part = "spec.regularization", spec.regularization
    shares = ("residual_dropout", "attention_dropout", "embedding_dropout", "label_smoothing")
    yield from not_shares(part, path, shares)
    ranges = {
        "patience": (0, limits.EARLY_STOPPING_PATIENCE_MAX),
        "min_delta": (0, limits.EARLY_STOPPING_MIN_DELTA_MAX),
    }
    yield from outside(part.early_stopping, f"{path}.early_stopping", ranges)


def _looks(spec: Spec, *, draft: Draft) -> Iterator[FieldViolation]:
    """What hangs on evaluations does nothing without them."""
    stopping, path = spec.regularization.early_stopping, "spec.regularization.early_stopping"
    if _asked_delta(draft.regularization) and stopping.patience == 0:
        yield FieldViolation(f"{path}.min_delta", "has no effect without early stopping; set patience to 1 or more")
    interval = spec.evaluation.interval_steps
    if interval < 0 or spec.steps < 1:
        return
    evaluations = spec.steps // interval if interval else 1
    if 0 < stopping.patience <= limits.EARLY_STOPPING_PATIENCE_MAX and stopping.patience >= evaluations:
        each = f"one every {interval} of {spec.steps} steps" if interval else "the one at the end"
        description = (
            f"must be below the number of evaluations, which is {evaluations} ({each}), got {stopping.patience}"
        )
        yield FieldViolation(f"{path}.patience", f"{description}; lower evaluation.interval_steps")
    elif spec.checkpoints.publish_best and evaluations < 2:
        description = "has nothing to choose from: there is one evaluation, at the end; lower evaluation.interval_steps"
        yield FieldViolation("spec.checkpoints.publish_best", description)


def _asked_delta(draft: RegularizationDraft) -> bool:
    asked = draft.early_stopping.min_delta
    return asked is not None and math.isfinite(asked) and asked > 0

"""Saying what a run would take: sizes from the shapes, times from what this cluster has measured."""

import dataclasses
import heapq
import statistics
from collections.abc import Iterator, Sequence

from services.domain import memory
from services.domain.advice import advice_on
from services.domain.fine_tuning import FineTuneSpec
from services.domain.forecast import Forecast
from services.domain.inputs import Inputs
from services.domain.limits import BYTE_VOCABULARY_SIZE, CHECKPOINTS_KEPT
from services.domain.memory import load_of
from services.domain.methods import WITH_REFERENCE, Method
from services.domain.speeds import MeasuredSpeed, memory_share, similar_speeds
from services.domain.training import TrainSpec

__all__ = ["expected_wait_s", "forecast", "similar_speeds"]

EPOCHS_MANY = 40.0
EPOCHS_MANY_TUNING = 10.0
BYTES_PER_TOKEN = 3.5  # a usual value for English with some thousand tokens


def forecast(
    spec: TrainSpec | FineTuneSpec,
    *,
    inputs: Inputs,
    speeds: Sequence[MeasuredSpeed],
    queue_s: float | None,
    free_bytes: int | None,
) -> Forecast:
    """Return what the run would take."""
    tokens = spec.steps * spec.tokens_per_step
    sized = Forecast(
        parameters=spec.parameters,
        flops=spec.steps * spec.flops_per_step + _flops_before(spec, inputs=inputs),
        tokens=tokens,
        epochs=_epochs(spec, inputs=inputs, tokens=tokens),
        memory_bytes=_memory_bytes(spec, inputs=inputs, speeds=speeds),
        checkpoint_bytes=memory.checkpoint_bytes(load_of(spec)),
        queue_s=queue_s,
    )
    speeds_like_it = similar_speeds(
        speeds, parameters=spec.parameters, kind=spec.kind, tokens_per_step=spec.tokens_per_step
    )
    timed = _timed(sized, speeds_like_it)
    warnings = [*_warnings(timed, spec=spec, free_bytes=free_bytes), *advice_on(spec, inputs=inputs)]
    return dataclasses.replace(timed, warnings=tuple(warnings))


def expected_wait_s(*, slots: int, held_s: Sequence[float | None], ahead_s: Sequence[float | None]) -> float | None:
    """Return when a slot is free for one more job: jobs end as forecast, and those ahead take the slots first.

    None if there is no slot, or if it depends on a job whose time is not known.
    """
    if slots < 1:
        return None
    free_at = [0.0] * (slots - len(held_s))
    running = [*held_s]
    if len(free_at) > len(ahead_s):
        return 0.0
    if any(time_s is None for time_s in (*running, *ahead_s)):
        return None
    ends = [*free_at, *(time_s or 0.0 for time_s in running)]
    heapq.heapify(ends)
    for time_s in ahead_s:
        heapq.heappush(ends, heapq.heappop(ends) + (time_s or 0.0))
    return heapq.heappop(ends)


def _flops_before(spec: TrainSpec | FineTuneSpec, *, inputs: Inputs) -> float:
    """Return what is computed before the first step: the base looks once at every answer that will be seen."""
    if not isinstance(spec, FineTuneSpec) or spec.method not in WITH_REFERENCE:
        return 0.0
    seen = min(spec.steps * spec.optimization.batch_size, sum(each.split.train_rows for each in inputs.datasets))
    return seen * spec.sequences_per_row * spec.context_length * spec.forward_flops


def _epochs(spec: TrainSpec | FineTuneSpec, *, inputs: Inputs, tokens: int) -> float:
    """Return how often the run goes through the training part: of rows that are never packed, so many a step."""
    if isinstance(spec, FineTuneSpec) and spec.method is not Method.SFT:
        rows = max(1, sum(each.split.train_rows for each in inputs.datasets))
        return spec.steps * spec.rows_per_step / rows
    return tokens / _train_tokens(spec, inputs)


def _memory_bytes(spec: TrainSpec | FineTuneSpec, *, inputs: Inputs, speeds: Sequence[MeasuredSpeed]) -> int:
    """Return the peak that the shape lets one expect, put right by what runs of nearly its size have taken here."""
    share = memory_share(speeds, parameters=spec.parameters, kind=spec.kind)
    if share is not None:
        return round(memory.peak_bytes(load_of(spec)) * share)
    text_bytes = inputs.dataset.split.train_bytes
    reward = inputs.reward_parameters
    load = load_of(spec, on_gpu=inputs.has_gpu is True, text_bytes=text_bytes, reward_parameters=reward)
    return memory.peak_bytes(load)


def _timed(sized: Forecast, speeds: list[float]) -> Forecast:
    if not speeds:
        return dataclasses.replace(
            sized, basis="No run was measured on this cluster yet, so nothing is said about time."
        )
    low, middle, high = _quartiles(speeds)
    runs = "one attempt" if len(speeds) == 1 else f"the newest {len(speeds)} attempts"
    return dataclasses.replace(
        sized,
        duration_s=sized.flops / middle,
        duration_low_s=sized.flops / high,
        duration_high_s=sized.flops / low,
        basis=f"Measured: {runs} of this cluster reached {middle / 1e9:.3g} GFLOP/s in the middle "
        f"({low / 1e9:.3g} to {high / 1e9:.3g} for the middle half).",
    )


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _train_tokens(spec: TrainSpec | FineTuneSpec, inputs: Inputs) -> float:
    """Return about how many tokens the training parts hold. Of a mixture, each part by its share."""
    weights = [1.0, *(part.weight for part in spec.mixture)]
    # The first part is through when the run has seen its tokens as often as the whole mixture is larger than its share.
    first = inputs.dataset.split.train_bytes / _bytes_per_token(spec)
    return max(1.0, first * sum(weights))


def _bytes_per_token(spec: TrainSpec | FineTuneSpec) -> float:
    return 1.0 if _is_bytes(spec) else BYTES_PER_TOKEN


def _is_bytes(spec: TrainSpec | FineTuneSpec) -> bool:
    return spec.vocabulary_size == BYTE_VOCABULARY_SIZE


def _warnings(said: Forecast, *, spec: TrainSpec | FineTuneSpec, free_bytes: int | None) -> Iterator[str]:
    many = EPOCHS_MANY_TUNING if isinstance(spec, FineTuneSpec) else EPOCHS_MANY
    if said.epochs > many:
        part = "first dataset" if spec.mixture else "training part"
        yield f"The run goes through the {part} {said.epochs:.0f} times: it will learn the text by heart."
    needed = (CHECKPOINTS_KEPT + 1) * said.checkpoint_bytes  # those that are kept while the next one is written
    if free_bytes is not None and needed > free_bytes:
        yield f"Checkpoints need {needed:,} bytes, and the artifact store has {free_bytes:,} left."
    if not _is_bytes(spec):
        yield f"Epochs assume {BYTES_PER_TOKEN} bytes a token; the trainer counts the tokens when it starts."

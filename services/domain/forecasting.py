"""Saying what a run would take: sizes from the shapes, times from what this cluster has measured."""

import dataclasses
import heapq
import statistics
from collections.abc import Sequence

from services.domain.datasets import Dataset
from services.domain.forecast import Forecast
from services.domain.speeds import MeasuredSpeed
from services.domain.training import TokenizerKind, TrainSpec

BYTES_PER_PARAMETER = 16  # fp32 weight, gradient and two moments of AdamW
CHECKPOINT_BYTES_PER_PARAMETER = 12  # fp32 weight and two moments
ACTIVATION_NUMBERS = 16  # kept a layer, position and unit of width, for SwiGLU blocks without recomputation
PROCESS_BYTES = 400_000_000  # Python, torch and its buffers
SIMILAR_SIZE = 10.0
SIMILAR_RUNS_MIN = 3
EPOCHS_MANY = 40.0
BYTES_PER_BPE_TOKEN = 3.5  # a usual value for English with some thousand tokens


def forecast(
    spec: TrainSpec,
    *,
    dataset: Dataset,
    speeds: Sequence[MeasuredSpeed],
    queue_s: float | None,
    free_bytes: int | None,
) -> Forecast:
    """Return what the run would take."""
    tokens = spec.steps * spec.tokens_per_step
    flops = spec.steps * spec.flops_per_step
    sized = Forecast(
        parameters=spec.parameters,
        flops=flops,
        tokens=tokens,
        epochs=tokens / _train_tokens(spec, dataset),
        memory_bytes=_memory_bytes(spec),
        checkpoint_bytes=CHECKPOINT_BYTES_PER_PARAMETER * spec.parameters,
        queue_s=queue_s,
    )
    timed = _timed(sized, similar_speeds(speeds, parameters=spec.parameters))
    return dataclasses.replace(timed, warnings=tuple(_warnings(timed, spec=spec, free_bytes=free_bytes)))


def similar_speeds(speeds: Sequence[MeasuredSpeed], *, parameters: int) -> list[float]:
    """Return FLOP/s of runs of a similar size, or of all runs if few were similar."""
    near = [each for each in speeds if 1 / SIMILAR_SIZE <= each.parameters / parameters <= SIMILAR_SIZE]
    return [each.flops_per_second for each in (near if len(near) >= SIMILAR_RUNS_MIN else speeds)]


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


def _train_tokens(spec: TrainSpec, dataset: Dataset) -> float:
    bytes_per_token = 1.0 if spec.tokenizer.kind is TokenizerKind.BYTES else BYTES_PER_BPE_TOKEN
    return max(1.0, dataset.split.train_bytes / bytes_per_token)


def _memory_bytes(spec: TrainSpec) -> int:
    shape = spec.architecture
    positions = spec.optimization.micro_batch_size * shape.context_length
    block = ACTIVATION_NUMBERS * shape.width + 3 * shape.feed_forward_width
    logits = 3 * spec.tokenizer.vocabulary_size  # the logits, their softmax and its gradient
    return BYTES_PER_PARAMETER * spec.parameters + 4 * positions * (shape.layers * block + logits) + PROCESS_BYTES


def _warnings(said: Forecast, *, spec: TrainSpec, free_bytes: int | None) -> list[str]:
    found = []
    if said.epochs > EPOCHS_MANY:
        found.append(
            f"The run goes through the training part {said.epochs:.0f} times: it will learn the text by heart."
        )
    needed = 4 * said.checkpoint_bytes  # three are kept while the next one is written
    if free_bytes is not None and needed > free_bytes:
        found.append(f"Checkpoints need {needed:,} bytes, and the artifact store has {free_bytes:,} left.")
    if spec.tokenizer.kind is TokenizerKind.BPE:
        found.append(
            f"Epochs assume {BYTES_PER_BPE_TOKEN} bytes a token; the trainer counts the tokens when it starts."
        )
    return found

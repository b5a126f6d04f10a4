"""Saying what drawing would take, from the sizes of the models and the most that may be drawn."""

from collections.abc import Sequence

from services.domain.forecast import Forecast
from services.domain.memory import FP32, PROCESS_BYTES
from services.domain.work import DrawSpec

COPIES = 2  # the files of a model as they are read, beside the model that takes them up
ANSWER_BYTES_PER_TOKEN = 40  # of a line of answers.jsonl: the text, the number of the token and its log-probability
BASIS = "The most that may be drawn: answers that end by themselves take less. Nothing is said about time."


def forecast_drawing(spec: DrawSpec, *, parameters: Sequence[int], queue_s: float | None) -> Forecast:
    """Return what the drawing would take at most.

    `parameters` are the numbers of weights of the models, and of the reward model if there is one: it reads each answer
    once. A token takes two operations a weight (Kaplan et al. 2020, arXiv 2001.08361, table 1).
    """
    writers, scorers = parameters[: len(spec.models)], parameters[len(spec.models) :]
    of_each = spec.steps * spec.samples * spec.options.max_tokens
    tokens = of_each * len(writers)
    held = sum(parameters) + (COPIES - 1) * max(parameters)
    return Forecast(
        parameters=max(writers),
        flops=2.0 * of_each * sum(writers) + 2.0 * tokens * sum(scorers),
        tokens=tokens,
        epochs=0.0,
        memory_bytes=PROCESS_BYTES + held * FP32,
        checkpoint_bytes=tokens * ANSWER_BYTES_PER_TOKEN,
        queue_s=queue_s,
        basis=BASIS,
    )

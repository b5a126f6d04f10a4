"""Scores of answers, by a checker or by a reward model."""

import pathlib
from collections.abc import Callable, Generator, Sequence

import torch

from artifacts import Store
from trainer_worker.trainer.engine.checkers import checker_of
from trainer_worker.trainer.engine.prompts import Prompt
from trainer_worker.trainer.telling import Told, progress
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

Scoring = Generator[None, None, list[float]]  # yields nothing now and then, a sign of life
Scorer = Callable[[Sequence[Prompt], Sequence[str]], Scoring]


def scorer_of(
    checker: training_pb2.Checker | None,
    reward_model: workers_pb2.ModelArtifact | None,
    *,
    store: Store,
    scratch: pathlib.Path,
    device: torch.device,
) -> Scorer | None:
    """What gives each answer to a prompt its score, the higher the better; None if nothing does.

    Raises: UnusableData for a checker that there is not, or a reward model that is none.
    """
    if checker is not None:
        return checking(checker)
    if reward_model is not None:
        return rewarding(reward_model, store=store, scratch=scratch, device=device)
    return None


def checking(checker: training_pb2.Checker) -> Scorer:
    check = checker_of(checker.name, checker.argument)

    def score(prompts: Sequence[Prompt], answers: Sequence[str]) -> Scoring:
        found = []
        for prompt, answer in zip(prompts, answers, strict=True):
            found.append(check(answer, prompt.text))
            yield
        return found

    return score


def rewarding(
    artifact: workers_pb2.ModelArtifact, *, store: Store, scratch: pathlib.Path, device: torch.device
) -> Scorer:
    from trainer_worker.trainer.engine.model_artifact import reward_model  # few jobs have one
    from trainer_worker.trainer.engine.reward_model import score_texts

    model, tokenizer = reward_model(artifact, store=store, scratch=scratch)
    model.to(device).eval().requires_grad_(False)

    def score(prompts: Sequence[Prompt], answers: Sequence[str]) -> Scoring:
        found: list[float] = (yield from score_texts(model, tokenizer, prompts, answers)).tolist()
        return found

    return score


def with_signs(scoring: Scoring, *, step: int) -> Generator[Told, None, list[float]]:
    """Scores with signs of progress: a program or a large model may take a second for each answer."""
    while True:
        try:
            next(scoring)
        except StopIteration as end:
            found: list[float] = end.value
            return found
        yield progress(pipe_pb2.SECTION_EVALUATE, step=step)

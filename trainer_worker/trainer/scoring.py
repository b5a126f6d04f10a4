"""Scores of answers, by a checker or by a reward model."""

import pathlib
from collections.abc import Callable, Sequence

import torch

from artifacts import Store
from trainer_worker.trainer.engine.checkers import checker_of
from trainer_worker.trainer.engine.prompts import Prompt
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import workers_pb2

Scorer = Callable[[Sequence[Prompt], Sequence[str]], list[float]]


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

    def score(prompts: Sequence[Prompt], answers: Sequence[str]) -> list[float]:
        return [check(answer, prompt.text) for prompt, answer in zip(prompts, answers, strict=True)]

    return score


def rewarding(
    artifact: workers_pb2.ModelArtifact, *, store: Store, scratch: pathlib.Path, device: torch.device
) -> Scorer:
    from trainer_worker.trainer.engine.model_artifact import reward_model  # few jobs have one
    from trainer_worker.trainer.engine.reward_model import score_texts

    model, tokenizer = reward_model(artifact, store=store, scratch=scratch)
    model.to(device).eval().requires_grad_(False)

    def score(prompts: Sequence[Prompt], answers: Sequence[str]) -> list[float]:
        asked = [prompt.messages or prompt.text for prompt in prompts]
        found: list[float] = score_texts(model, tokenizer, asked, answers).tolist()
        return found

    return score

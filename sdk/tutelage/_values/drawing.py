"""How answers are drawn and scored, and how models are measured."""

import dataclasses

from tutelage._values.value import Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checker(Value):
    """A program that scores an answer from 0 to 1; nothing of the answer is run."""

    name: str
    """`python-parses` (share of lines in the longest beginning that parses as Python), `json-parses`, `contains`,
    `excludes`, `length-at-most` (characters).
    """
    argument: str
    """What to look for, or the longest length; at most 1,000 characters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawOptions(Value):
    """How answers are drawn."""

    max_tokens: int | None
    """Most tokens of an answer; 1 to 4096. Default 100."""
    temperature: float | None
    """How freely to draw; 0 to 10. Default 0.8."""
    top_k: int | None
    """Draw from the k likeliest tokens only; 0 means all. Default 0."""
    top_p: float | None
    """Draw from the likeliest tokens that together have this probability; above 0, at most 1. Default 1."""
    seed: int | None
    """Seed of the first answer to the first prompt; every further answer of a model has the next one, and all models
    have the same seeds. Default: chosen by the service, and shown.
    """
    stop: tuple[str, ...]
    """Stop before the first of these texts that is complete; at most 8, each of 1 to 100 characters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawSpec(Value):
    """Drawing answers to many prompts: each of the models answers each prompt `samples` times.

    The answers are files of the job, `answers.jsonl`, with every token and its log-probability.
    """

    models: tuple[str, ...]
    """Models, versions or aliases; 1 to 8. The job shows the exact versions."""
    prompts: str
    """The dataset of prompts, `projects/{project}/datasets/{dataset}`; of other rows the prompts are taken."""
    samples: int | None
    """Answers of each model to each prompt; 1 to 16. Default 2, with several models 1."""
    options: DrawOptions | None
    """How they are drawn."""
    prompts_max: int | None
    """Prompts to answer, from the first one; at least 1. Default: all, at most 100,000."""
    checker: Checker | None
    """A checker that scores each answer."""
    reward_model: str
    """A reward model that scores each answer: a model, a version or an alias."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSpec(Value):
    """Measuring a model.

    With rows to predict: loss, perplexity and bits per byte. With rows of checks (`prompt` and `checks`): the share of
    checks that hold. The numbers are metrics of the job; `report.json` among its files has every row.
    """

    model: str
    """A model, a version or an alias. The job shows the exact version."""
    dataset: str
    """The dataset, `projects/{project}/datasets/{dataset}`."""
    all_rows: bool | None
    """Whether all rows are measured, or those kept for validation. Default: all rows of checks; of others those kept
    for validation, if there are any.
    """
    options: DrawOptions | None
    """How answers to prompts with checks are drawn. Default: at temperature 0."""

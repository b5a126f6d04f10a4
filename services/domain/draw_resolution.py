"""From what a caller asks for to what is drawn or measured: every default filled in, every wrong field named."""

import math
from collections.abc import Iterator, Sequence

from services.domain import limits
from services.domain.checkers import checker_violations
from services.domain.datasets import TRAINABLE, Dataset, RowKind
from services.domain.drawing import DrawDraft, DrawOptions, DrawOptionsDraft, EvaluateDraft
from services.domain.errors import FieldViolation, InvalidField
from services.domain.filling import either
from services.domain.ranges import outside
from services.domain.work import DrawSpec, EvaluateSpec

WITH_PROMPTS = frozenset(RowKind) - {RowKind.TEXT}
"""Rows that begin with a prompt, or are nothing else."""


def resolve_draw(
    draft: DrawDraft, *, models: Sequence[str], dataset: Dataset, reward_model: str, seed: int, path: str
) -> DrawSpec:
    """Return the specification that is used; `models` and `reward_model` are the exact versions.

    Raises: InvalidField with every wrong field, each below `path`.
    """
    asked = either(draft.prompts_max, limits.DRAW_PROMPTS_MAX)
    spec = DrawSpec(
        models=tuple(models),
        prompts=dataset.name,
        samples=either(draft.samples, 2 if len(models) == 1 else 1),
        options=fill_options(draft.options, temperature=limits.DRAW_TEMPERATURE_DEFAULT, seed=seed),
        prompts_max=min(asked, dataset.rows),
        checker=draft.checker,
        reward_model=reward_model,
    )
    violations = [*_draw_violations(spec, asked=asked, path=path)]
    if violations:
        raise InvalidField.of_all(violations)
    return spec


def resolve_evaluate(draft: EvaluateDraft, *, model: str, dataset: Dataset, seed: int) -> EvaluateSpec:
    """Return the specification that is used; `model` is the exact version. Raises: InvalidField.

    Prompts with checks are there to be measured on: all of them are, unless asked otherwise.
    """
    kept = dataset.split.validation_bytes > 0
    spec = EvaluateSpec(
        model=model,
        dataset=dataset.name,
        all_rows=either(draft.all_rows, not kept or dataset.row_kind is RowKind.CHECKS),
        options=fill_options(draft.options, temperature=0.0, seed=seed),
    )
    violations = [*options_violations(spec.options, "spec.options")]
    if dataset.row_kind is not RowKind.CHECKS and draft.options != DrawOptionsDraft():
        words = f"must be left out: nothing is drawn for {dataset.name}, whose rows hold no checks"
        violations.append(FieldViolation("spec.options", words))
    if not spec.all_rows and not kept:
        words = f"must be true or left out: {dataset.name} has no rows that are kept for validation"
        violations.append(FieldViolation("spec.all_rows", words))
    if violations:
        raise InvalidField.of_all(violations)
    return spec


def fill_options(draft: DrawOptionsDraft, *, temperature: float, seed: int) -> DrawOptions:
    """Return how answers are drawn; `temperature` and `seed` are what is taken where none was asked for."""
    return DrawOptions(
        max_tokens=either(draft.max_tokens, limits.DRAW_TOKENS_DEFAULT),
        temperature=either(draft.temperature, temperature),
        top_k=either(draft.top_k, 0),
        top_p=either(draft.top_p, 1.0),
        seed=either(draft.seed, seed),
        stop=draft.stop,
    )


def options_violations(options: DrawOptions, path: str) -> Iterator[FieldViolation]:
    """Name the options of drawing that are wrong."""
    ranges: dict[str, tuple[float, float]] = {
        "max_tokens": (1, limits.DRAW_TOKENS_MAX),
        "temperature": (0, limits.DRAW_TEMPERATURE_MAX),
        "top_k": (0, limits.DRAW_TOP_K_MAX),
        "seed": (0, limits.SEED_MAX),
    }
    yield from outside(options, path, ranges)
    if not 0 < options.top_p <= 1:
        yield FieldViolation(f"{path}.top_p", f"must be above 0 and at most 1, got {options.top_p}")
    if len(options.stop) > limits.DRAW_STOPS_MAX:
        yield FieldViolation(f"{path}.stop", f"must be at most {limits.DRAW_STOPS_MAX} texts, got {len(options.stop)}")
    for index, stop in enumerate(options.stop):
        if not 1 <= len(stop) <= limits.DRAW_STOP_CHARACTERS_MAX:
            description = f"must have 1 to {limits.DRAW_STOP_CHARACTERS_MAX} characters, got {len(stop)}"
            yield FieldViolation(f"{path}.stop[{index}]", description)


def models_violations(models: Sequence[str], path: str) -> Iterator[FieldViolation]:
    """Name what is wrong with the number of models, before any of them is looked for."""
    if not 1 <= len(models) <= limits.DRAW_MODELS_MAX:
        yield FieldViolation(path, f"must be 1 to {limits.DRAW_MODELS_MAX} models, got {len(models)}")


def holds_prompts(dataset: Dataset) -> bool:
    """Whether a dataset has rows that can be answered."""
    return dataset.format in TRAINABLE and dataset.row_kind in WITH_PROMPTS


def _draw_violations(spec: DrawSpec, *, asked: int, path: str) -> Iterator[FieldViolation]:
    yield from outside(spec, path, {"samples": (1, limits.DRAW_SAMPLES_MAX)})
    if not 1 <= asked <= limits.DRAW_PROMPTS_MAX:
        yield FieldViolation(f"{path}.prompts_max", f"must be 1 to {limits.DRAW_PROMPTS_MAX:,}, got {asked:,}")
    for index, model in enumerate(spec.models):
        if model in spec.models[:index]:
            words = f"names {model} a second time; raise samples for more answers of it"
            yield FieldViolation(f"{path}.models[{index}]", words)
    yield from options_violations(spec.options, f"{path}.options")
    if spec.samples > 1 and spec.options.temperature == 0:
        words = "draws the same answer each time at temperature 0; ask for 1, or raise options.temperature"
        yield FieldViolation(f"{path}.samples", words)
    if spec.checker is not None:
        yield from checker_violations(spec.checker, f"{path}.checker")
    if spec.checker is not None and spec.reward_model:
        words = "must be left out where a reward model scores: an answer has one score"
        yield FieldViolation(f"{path}.checker", words)


def finite(number: float | None) -> float | None:
    """Return a number that can be compared and kept; None for one that cannot."""
    return number if number is not None and math.isfinite(number) else None

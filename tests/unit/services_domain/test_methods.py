"""Methods of fine-tuning: what each reads, what it learns from, what it costs, and what is refused."""

import dataclasses
import math
from typing import Any

import pytest

from services.domain.datasets import Dataset, RowKind, SignalCounts
from services.domain.drawing import Checker
from services.domain.errors import InvalidField
from services.domain.fine_tuning import FineTuneDraft, FineTuneSpec, LoraDraft
from services.domain.forecasting import forecast
from services.domain.memory import load_of, peak_bytes
from services.domain.methods import GrpoDraft, Method, PreferenceDraft, PreferenceSpec
from services.domain.optimization import OptimizationDraft
from services.domain.resolution import resolve_fine_tune
from services.domain.run_settings import (
    EarlyStoppingDraft,
    LossOn,
    MixturePartDraft,
    RegularizationDraft,
    RowsDraft,
    RowsSpec,
    SamplesDraft,
)
from tests.unit.services_domain.test_fine_tuning import BASE, DRAFT, FOUND
from tests.unit.services_domain.test_resolution import dataset, inputs, rows

CHECKER = Checker(name="json-parses")
FEEDBACK = SignalCounts(pairs=3, labels=2, examples=1)
ROWS = {
    Method.SFT: RowKind.MESSAGES,
    Method.KTO: RowKind.LABELLED,
    Method.GRPO: RowKind.PROMPT,
    **dict.fromkeys([Method.DPO, Method.IPO, Method.SIMPO, Method.ORPO, Method.REWARD], RowKind.PREFERENCE),
}


def rows_of(kind: RowKind, *, signals: SignalCounts | None = None, count: int = 90) -> Dataset:
    found = rows(kind)
    assert found.row_statistics is not None
    statistics = dataclasses.replace(found.row_statistics, train_signals=signals)
    return dataclasses.replace(
        found, row_statistics=statistics, split=dataclasses.replace(found.split, train_rows=count, validation_rows=10)
    )


def tune(method: Method | None, of: Dataset | None = None, *, reward_model: str = "", **draft: Any) -> FineTuneSpec:
    scored = {"grpo": GrpoDraft(checker=CHECKER)} if method is Method.GRPO else {}
    asked: FineTuneDraft = dataclasses.replace(DRAFT, method=method, **{**scored, **draft})
    mixed = tuple(rows_of(RowKind.LABELLED) for _ in asked.mixture)
    mixed = tuple(dataclasses.replace(each, id="other") for each in mixed)
    given = inputs(of or rows_of(ROWS[method or Method.SFT]), mixture=mixed, reward_model=reward_model)
    return resolve_fine_tune(asked, given, base=BASE, model="m", found=FOUND)


def complaints(method: Method | None, of: Dataset | None = None, **draft: Any) -> dict[str, str]:
    with pytest.raises(InvalidField) as caught:
        tune(method, of, **draft)
    return {each.field: each.description for each in caught.value.violations}


@pytest.mark.parametrize(
    ("method", "whole", "adapters"),
    [
        (Method.SFT, 1e-4, 2e-4),
        (Method.DPO, 1e-6, 1e-5),
        (Method.IPO, 1e-6, 1e-5),
        (Method.KTO, 1e-6, 1e-5),
        (Method.SIMPO, 1e-6, 1e-5),
        (Method.ORPO, 8e-6, 8e-5),
        (Method.REWARD, 1e-5, 1e-4),
        (Method.GRPO, 1e-6, 1e-5),
    ],
)
def test_the_learning_rate_is_that_of_the_method(method: Method, whole: float, adapters: float) -> None:
    assert tune(method).optimization.learning_rate == whole
    assert tune(method, lora=LoraDraft(rank=2)).optimization.learning_rate == adapters
    assert tune(method, optimization=OptimizationDraft(learning_rate=3e-3)).optimization.learning_rate == 3e-3


DEFAULTS = {
    Method.SFT: None,
    Method.DPO: PreferenceSpec(beta=0.1, label_smoothing=0.0, sft_weight=0.0),
    Method.IPO: PreferenceSpec(beta=0.1, sft_weight=0.0),
    Method.KTO: PreferenceSpec(beta=0.1, desirable_weight=1.0, undesirable_weight=1.0),
    Method.SIMPO: PreferenceSpec(beta=2.0, margin=0.5),
    Method.ORPO: PreferenceSpec(beta=0.1),
    Method.REWARD: None,
    Method.GRPO: None,
}


SETTINGS: dict[str, float] = {
    "beta": 0.2,
    "label_smoothing": 0.1,
    "margin": 1.0,
    "sft_weight": 0.5,
    "desirable_weight": 2.0,
    "undesirable_weight": 2.0,
}


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_another_method_is_refused(method: Method, name: str) -> None:
    draft = PreferenceDraft(**{name: SETTINGS[name]})
    own = DEFAULTS[method]
    if own is not None and getattr(own, name) is not None:
        found = tune(method, preference=draft).preference
        assert found == dataclasses.replace(own, **{name: SETTINGS[name]})  # type: ignore[arg-type]
        return
    said = complaints(method, preference=draft)
    assert list(said) == [f"spec.preference.{name}"]
    assert said[f"spec.preference.{name}"].startswith(f"is not of METHOD_{method.name}; METHOD_")


def test_who_would_read_a_setting_is_said() -> None:
    said = complaints(Method.SFT, preference=PreferenceDraft(beta=0.1, margin=1.0))
    readers = "METHOD_DPO, METHOD_IPO, METHOD_KTO, METHOD_SIMPO and METHOD_ORPO"
    assert said == {
        "spec.preference.beta": f"is not of METHOD_SFT; {readers} would read it",
        "spec.preference.margin": "is not of METHOD_SFT; METHOD_SIMPO would read it",
    }


def test_settings_of_grpo_are_refused_for_all_others() -> None:
    draft = GrpoDraft(group_size=4, checker=CHECKER, reward_model="projects/own/models/judge")
    said = complaints(Method.DPO, grpo=draft)
    assert sorted(said) == ["spec.grpo.checker", "spec.grpo.group_size", "spec.grpo.reward_model"]
    assert set(said.values()) == {"is not of METHOD_DPO; METHOD_GRPO would read it"}


@pytest.mark.parametrize(
    ("method", "draft", "words"),
    [
        (Method.DPO, {"beta": 0.0}, "must be above 0 and at most 100, got 0.0"),
        (Method.DPO, {"beta": math.nan}, "must be above 0 and at most 100, got nan"),
        (Method.DPO, {"label_smoothing": 0.5}, "must be at least 0 and below 0.5, got 0.5"),
        (Method.DPO, {"sft_weight": -1.0}, "must be 0 to 100, got -1.0"),
        (Method.SIMPO, {"margin": 101.0}, "must be 0 to 100, got 101.0"),
        (Method.KTO, {"undesirable_weight": 0.0}, "must be above 0 and at most 100, got 0.0"),
    ],
)
def test_settings_out_of_their_range_are_refused(method: Method, draft: dict[str, float], words: str) -> None:
    (name,) = draft
    assert complaints(method, preference=PreferenceDraft(**draft)) == {f"spec.preference.{name}": words}


@pytest.mark.parametrize(
    ("draft", "field", "words"),
    [
        ({"group_size": 1}, "group_size", "must be 2 to 64, got 1"),
        ({"updates": 17}, "updates", "must be 1 to 16, got 17"),
        ({"kl_weight": -0.1}, "kl_weight", "must be 0 to 100, got -0.1"),
        ({"temperature": 0.0}, "temperature", "must be above 0 and at most 10, got 0.0"),
        ({"clip_ratio": 1.0}, "clip_ratio", "must be above 0 and below 1, got 1.0"),
        ({"max_tokens": 2048}, "max_tokens", "must be below context_length = 2048, or no prompt fits, got 2048"),
        ({"checker": None}, "checker", "is required, or reward_model: something has to score the answers"),
        ({"checker": Checker(name="contain", argument="x")}, "checker.name", "did you mean 'contains'?"),
        ({"reward_model": "projects/own/models/judge"}, "checker", "must be left out where a reward model scores"),
    ],
)
def test_settings_of_grpo_out_of_their_range_are_refused(draft: dict[str, Any], field: str, words: str) -> None:
    asked = GrpoDraft(**{"checker": CHECKER, "max_tokens": 4, **draft})
    said = complaints(Method.GRPO, grpo=asked, reward_model=asked.reward_model)
    assert list(said) == [f"spec.grpo.{field}"] and words in said[f"spec.grpo.{field}"]


@pytest.mark.parametrize(
    ("draft", "field", "words"),
    [
        ({"rows": RowsDraft(packing=True)}, "spec.rows.packing", "each of its rows is looked at alone"),
        ({"rows": RowsDraft(loss_on=LossOn.ALL)}, "spec.rows.loss_on", "learns from answers only"),
        (
            {"regularization": RegularizationDraft(label_smoothing=0.1)},
            "spec.regularization.label_smoothing",
            "preference.label_smoothing is for pairs the wrong way round",
        ),
    ],
)
def test_what_is_of_examples_only_is_refused(draft: dict[str, Any], field: str, words: str) -> None:
    said = complaints(Method.DPO, **draft)
    assert list(said) == [field] and said[field].startswith("is not of METHOD_DPO") and words in said[field]
    tune(Method.DPO, rows=RowsDraft(packing=False, deduplicate=False))


def test_a_reward_model_draws_no_samples() -> None:
    assert tune(Method.REWARD).samples.interval_steps == 0
    assert tune(Method.DPO).samples.interval_steps == 20
    assert list(complaints(Method.REWARD, samples=SamplesDraft(interval_steps=5))) == ["spec.samples"]


FITTING = {
    Method.SFT: {RowKind.TEXT, RowKind.PROMPT_COMPLETION, RowKind.MESSAGES, RowKind.FEEDBACK},
    Method.KTO: {RowKind.LABELLED, RowKind.FEEDBACK},
    Method.GRPO: set(RowKind) - {RowKind.TEXT},
    **dict.fromkeys(
        [Method.DPO, Method.IPO, Method.SIMPO, Method.ORPO, Method.REWARD], {RowKind.PREFERENCE, RowKind.FEEDBACK}
    ),
}


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("kind", RowKind)
def test_each_method_learns_from_its_own_rows(method: Method, kind: RowKind) -> None:
    of = rows_of(kind, signals=FEEDBACK if kind is RowKind.FEEDBACK else None)
    if kind in FITTING[method]:
        assert tune(method, of).method is method
    else:
        said = complaints(method, of)
        assert list(said) == ["spec.dataset"] and f"METHOD_{method.name} learns from" in said["spec.dataset"]


def test_what_a_dataset_holds_and_what_it_is_for_is_said() -> None:
    wanted = "pairs: rows with `prompt`, `chosen` and `rejected`, or a feedback set that has pairs"
    said = complaints(Method.DPO, rows_of(RowKind.LABELLED))["spec.dataset"]
    held = "holds 90 rows of labelled answers to train on"
    assert said == f"{held}, and METHOD_DPO learns from {wanted}; it is for METHOD_KTO, METHOD_GRPO"
    said = complaints(Method.DPO, dataset())["spec.dataset"]
    assert said == f"holds plain text, and METHOD_DPO learns from {wanted}; it is for METHOD_SFT"


@pytest.mark.parametrize(
    ("method", "counts", "held"),
    [
        (Method.DPO, SignalCounts(labels=12, examples=1), "0 pairs, 12 labels and 1 example"),
        (Method.REWARD, SignalCounts(labels=12), "0 pairs, 12 labels and 0 examples"),
        (Method.KTO, SignalCounts(pairs=1, examples=3), "1 pair, 0 labels and 3 examples"),
        (Method.SFT, SignalCounts(pairs=2, labels=2), "2 pairs, 2 labels and 0 examples"),
    ],
)
def test_a_feedback_set_without_rows_for_the_method_is_refused_with_its_counts(
    method: Method, counts: SignalCounts, held: str
) -> None:
    said = complaints(method, rows_of(RowKind.FEEDBACK, signals=counts))["spec.dataset"]
    assert said.startswith(f"holds {held} to train on, and METHOD_{method.name} learns from ")


def test_a_feedback_set_whose_rows_nobody_has_counted_is_refused() -> None:
    assert complaints(Method.DPO, rows_of(RowKind.FEEDBACK))["spec.dataset"].startswith("holds 0 pairs, 0 labels and 0")


def test_every_part_of_a_mixture_must_fit() -> None:
    part = MixturePartDraft(dataset="projects/p/datasets/other")
    assert list(complaints(Method.DPO, mixture=(part,))) == ["spec.mixture[0].dataset"]
    assert tune(Method.KTO, mixture=(part,)).mixture[0].dataset == "projects/p/datasets/other"


def said_of(method: Method, *, rows: int = 90, reward_parameters: int = 0, **draft: Any) -> Any:
    of = rows_of(ROWS[method], count=rows)
    spec = tune(method, of, **draft)
    given = inputs(of, reward_parameters=reward_parameters)
    return forecast(spec, inputs=given, speeds=(), queue_s=None, free_bytes=None)


def test_a_pair_is_two_sequences_and_a_batch_of_grpo_counts_answers() -> None:
    sequences = tune(Method.SFT).tokens_per_step
    assert tune(Method.DPO).tokens_per_step == tune(Method.REWARD).tokens_per_step == 2 * sequences
    assert tune(Method.KTO).tokens_per_step == sequences
    spec = tune(Method.GRPO, grpo=GrpoDraft(checker=CHECKER, group_size=4))
    assert (spec.optimization.batch_size, spec.optimization.micro_batch_size, spec.rows_per_step) == (32, 4, 8)
    assert spec.tokens_per_step == 4 * sequences
    own = tune(Method.GRPO, optimization=OptimizationDraft(batch_size=16))
    assert (own.optimization.micro_batch_size, own.rows_per_step) == (8, 2)
    assert complaints(Method.GRPO, optimization=OptimizationDraft(batch_size=12))["spec.optimization.batch_size"] == (
        "counts answers and must be a multiple of grpo.group_size = 8, got 12; 16 would be right"
    )


def test_what_is_looked_at_without_learning_is_counted() -> None:
    learning = tune(Method.SFT).flops_per_step / tune(Method.SFT).tokens_per_step
    kto = tune(Method.KTO)
    attention = 2 * 2 * 64 * 2048
    forward = 2 * FOUND.parameters + attention
    assert kto.flops_per_step == (learning + forward) * kto.tokens_per_step
    near, free = (GrpoDraft(checker=CHECKER, updates=3, kl_weight=weight) for weight in (0.1, 0.0))
    for draft, looks in ((near, 2), (free, 1)):
        spec = tune(Method.GRPO, grpo=draft)
        assert spec.flops_per_step == (3 * learning + looks * forward) * spec.tokens_per_step


def test_the_base_looks_once_at_every_answer_that_will_be_seen() -> None:
    spec = tune(Method.DPO, steps=5)
    forward = 2 * FOUND.parameters + 2 * 2 * 64 * 2048
    few = said_of(Method.DPO, steps=5, rows=1000)
    assert few.flops == 5 * spec.flops_per_step + 5 * 8 * 2 * 2048 * forward
    again = said_of(Method.DPO, steps=5, rows=10)
    assert again.flops == 5 * spec.flops_per_step + 10 * 2 * 2048 * forward
    assert said_of(Method.SIMPO, steps=5).flops == 5 * tune(Method.SIMPO, steps=5).flops_per_step


def test_epochs_are_those_of_rows() -> None:
    assert said_of(Method.DPO, steps=45, rows=90).epochs == 45 * 8 / 90
    assert said_of(Method.GRPO, steps=45, rows=90).epochs == 45 * 8 / 90
    assert any("will learn the text by heart" in each for each in said_of(Method.DPO, steps=200, rows=90).warnings)


def test_memory_holds_both_answers_of_a_pair_and_the_models_beside() -> None:
    one, two = tune(Method.KTO), tune(Method.DPO)
    assert load_of(two).positions == 2 * load_of(one).positions
    near, free = (tune(Method.GRPO, grpo=GrpoDraft(checker=CHECKER, kl_weight=weight)) for weight in (0.1, 0.0))
    base = 4 * FOUND.parameters
    assert peak_bytes(load_of(near)) - peak_bytes(load_of(free)) == base
    adapted = tune(Method.GRPO, grpo=GrpoDraft(checker=CHECKER), lora=LoraDraft(rank=2))
    assert load_of(adapted).kept_parameters == 0
    scored = said_of(Method.GRPO, reward_parameters=1_000_000).memory_bytes
    assert scored - said_of(Method.GRPO).memory_bytes == 4_000_000


def test_what_was_kept_before_there_were_methods_is_learning_from_examples() -> None:
    spec = tune(Method.SFT)
    plain = spec.to_json()
    assert FineTuneSpec.from_json(plain) == spec
    for name in ("method", "preference", "grpo"):
        del plain[name]
    assert FineTuneSpec.from_json(plain) == spec
    preferring = tune(Method.DPO)
    assert FineTuneSpec.from_json(preferring.to_json()) == preferring
    scored = tune(Method.GRPO)
    assert FineTuneSpec.from_json(scored.to_json()) == scored


def test_a_batch_is_no_larger_than_all_that_was_judged() -> None:
    few = rows_of(RowKind.FEEDBACK, signals=FEEDBACK)
    assert tune(Method.DPO, few).optimization.batch_size == 3
    assert tune(Method.KTO, few).optimization.batch_size == 2
    assert tune(Method.SFT, few).optimization.batch_size == 8
    assert complaints(Method.DPO, few, optimization=OptimizationDraft(batch_size=4)) == {
        "spec.optimization.batch_size": "must be at most 3, the rows that METHOD_DPO can learn from, got 4"
    }


def test_what_was_judged_need_not_be_held_out_unless_the_run_waits_for_it() -> None:
    none = rows_of(RowKind.PREFERENCE)
    none = dataclasses.replace(none, split=dataclasses.replace(none.split, validation_rows=0))
    assert tune(Method.DPO, none).method is Method.DPO
    patient = RegularizationDraft(early_stopping=EarlyStoppingDraft(patience=2))
    assert tune(Method.DPO, regularization=patient).regularization.early_stopping.patience == 2
    said = complaints(Method.DPO, none, regularization=patient)
    assert list(said) == ["spec.regularization.early_stopping.patience"]
    # A feedback set may hold out rows of another kind only.
    said = complaints(Method.DPO, rows_of(RowKind.FEEDBACK, signals=FEEDBACK), regularization=patient)
    words = "needs rows to validate on, and METHOD_DPO has none; hold some out"
    assert said == {"spec.regularization.early_stopping.patience": words}
    talks = dataclasses.replace(none, row_statistics=rows(RowKind.MESSAGES).row_statistics)
    assert "no rows to validate on" in complaints(Method.SFT, talks)["spec.dataset"]
    assert tune(Method.GRPO, talks).method is Method.GRPO
    assert list(complaints(Method.GRPO, talks, regularization=patient)) == list(said)


def test_conversations_are_rendered_wherever_rows_may_have_some() -> None:
    template = RowsDraft(chat_template="{{ messages }}")
    for method in (Method.DPO, Method.KTO, Method.GRPO):
        assert tune(method, rows=template).rows == RowsSpec(packing=False, chat_template="{{ messages }}")
    said = complaints(Method.SFT, rows_of(RowKind.PROMPT_COMPLETION), rows=template)
    assert said == {"spec.rows.chat_template": "renders `messages`, and the rows are prompts and completions"}

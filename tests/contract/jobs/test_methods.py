"""Methods of fine-tuning: each has its rows, its settings and its defaults, and leaves the others alone."""

from typing import Any

import pytest

from services.api.jobs import Jobs
from services.domain.datasets import RowKind, SignalCounts
from services.domain.drawing import Checker
from services.domain.errors import InvalidField, NotFound, WrongState
from services.domain.fine_tuning import FineTuneDraft, FineTuneSpec
from services.domain.jobs import Job
from services.domain.methods import GrpoDraft, GrpoSpec, Method, PreferenceSpec
from services.domain.models import ModelVersion
from services.domain.optimization import OptimizationDraft
from services.domain.run_settings import (
    MixturePartDraft,
)
from services.domain.work import ExportFormat
from services.jobs.fine_tune import fine_tune
from services.jobs.get_job import get_job
from services.jobs.resolve_checkpoint import resolve_checkpoint
from services.jobs.train import train
from services.jobs.verify_job import verify_job
from tests.support.houses import Bench, small_draft
from tests.support.works import (
    add_files,
    add_rows,
    chained,
    claimed,
    exporting,
    importing,
    latest,
    published,
    reward_model,
    tuned,
)
from tutelage.v1 import jobs_pb2, training_pb2

NOVEL = "projects/own/models/novel"
CHECKER = Checker(name="json-parses")
ROWS = {
    Method.SFT: RowKind.MESSAGES,
    Method.KTO: RowKind.LABELLED,
    Method.GRPO: RowKind.PROMPT,
    **dict.fromkeys([Method.DPO, Method.IPO, Method.SIMPO, Method.ORPO, Method.REWARD], RowKind.PREFERENCE),
}


@pytest.fixture(autouse=True)
def version(bench: Bench) -> ModelVersion:
    """A version to begin with, and rows of every kind."""
    for kind in RowKind:
        counts = SignalCounts(pairs=3, labels=2, examples=1) if kind is RowKind.FEEDBACK else None
        add_rows(bench.house, "own", id=kind.value.lower().replace("_", "-"), kind=kind, signals=counts)
    return published(bench)


def rows_for(method: Method) -> str:
    return f"projects/own/datasets/{ROWS[method].value.lower().replace('_', '-')}"


def tune(bench: Bench, method: Method | None, *, base: str = NOVEL, validate_only: bool = False, **draft: Any) -> Job:
    scored = {"grpo": GrpoDraft(checker=CHECKER, max_tokens=4, group_size=4)} if method is Method.GRPO else {}
    given = {"dataset": rows_for(method or Method.SFT), "optimization": OptimizationDraft(batch_size=4), **scored}
    asked = FineTuneDraft(base=base, method=method, **{**given, **draft})
    caller = bench.calling("FineTune")
    return fine_tune(bench.house, caller=caller, parent="projects/-", draft=asked, validate_only=validate_only)


def spec_of(job: Job) -> FineTuneSpec:
    assert isinstance(job.spec, FineTuneSpec)
    return job.spec


def violations_of(bench: Bench, method: Method | None, **draft: Any) -> dict[str, str]:
    with pytest.raises(InvalidField) as caught:
        tune(bench, method, **draft)
    return {each.field: each.description for each in caught.value.violations}


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


@pytest.mark.parametrize("method", Method)
def test_a_job_shows_every_setting_that_its_method_reads_and_no_other(bench: Bench, method: Method) -> None:
    job = tune(bench, method)
    spec = spec_of(job)
    assert (spec.method, spec.preference) == (method, DEFAULTS[method])
    assert (spec.grpo is not None) == (method is Method.GRPO)
    assert spec.rows is not None and spec.rows.packing == (method is Method.SFT)
    assert get_job(bench.house, caller=bench.caller, name=job.name) == job
    assert claimed(bench, job).reward_model is None


def test_without_a_method_it_is_learning_from_examples(bench: Bench) -> None:
    assert spec_of(tune(bench, None)).method is Method.SFT


def test_grpo_shows_every_setting(bench: Bench) -> None:
    spec = spec_of(tune(bench, Method.GRPO, grpo=GrpoDraft(checker=CHECKER, group_size=4, max_tokens=5)))
    assert spec.grpo == GrpoSpec(
        group_size=4, max_tokens=5, temperature=1.0, kl_weight=0.04, clip_ratio=0.2, updates=1, checker=CHECKER
    )


def test_every_part_of_a_mixture_must_fit(bench: Bench) -> None:
    part = MixturePartDraft(dataset="projects/own/datasets/labelled")
    assert list(violations_of(bench, Method.DPO, mixture=(part,))) == ["spec.mixture[0].dataset"]
    feedback = MixturePartDraft(dataset="projects/own/datasets/feedback", weight=2.0)
    assert spec_of(tune(bench, Method.DPO, mixture=(feedback,))).mixture[0].weight == 2.0


def test_rows_of_judged_answers_are_not_pretrained_on(bench: Bench) -> None:
    for kind in ("prompt", "preference", "labelled", "feedback", "checks"):
        draft = small_draft(f"projects/own/datasets/{kind}")
        with pytest.raises(InvalidField, match=r"spec.dataset: holds .* to train on, and pretraining learns from rows"):
            train(bench.house, caller=bench.calling("Train"), parent="projects/-", draft=draft)


def test_what_comes_out_of_reward_scores_and_does_not_write(bench: Bench, version: ModelVersion) -> None:
    judge = reward_model(bench)
    assert (judge.reward_model, version.reward_model) == (True, False)
    with pytest.raises(WrongState, match="judge/versions/1 is a reward model: it scores texts and cannot write any"):
        tune(bench, Method.DPO, base="projects/own/models/judge")
    with pytest.raises(WrongState, match="judge/versions/1 is a reward model"):
        exporting(bench, "projects/own/models/judge", format=ExportFormat.GGUF)
    add_files(bench.house, "own", id="weights")
    with pytest.raises(WrongState, match="judge/versions/1 is a reward model"):
        importing(bench, base="projects/own/models/judge")
    with pytest.raises(WrongState, match="makes a reward model, which predicts no text"):
        resolve_checkpoint(bench.house, caller=bench.caller, name=f"projects/own/jobs/{judge.job_id}")


def test_a_checkpoint_of_a_reward_model_is_one_too(bench: Bench) -> None:
    job = tune(bench, Method.REWARD, model="judge")
    at = claimed(bench, job)
    bench.commit(at, bench.written(at, step=0))
    with pytest.raises(WrongState, match="checkpoints/0 is a reward model"):
        tune(bench, Method.SFT, base=f"{job.name}/checkpoints/0")


def test_grpo_learns_from_the_exact_version_of_a_reward_model(bench: Bench) -> None:
    judge = reward_model(bench)
    job = tune(bench, Method.GRPO, grpo=GrpoDraft(reward_model="projects/-/models/judge", max_tokens=4, group_size=4))
    spec = spec_of(job)
    assert spec.grpo is not None and spec.grpo.reward_model == judge.name
    assert claimed(bench, job).reward_model == judge.files
    with pytest.raises(WrongState, match="novel/versions/1 writes text, and a reward model is wanted here"):
        tune(bench, Method.GRPO, grpo=GrpoDraft(reward_model=NOVEL))
    with pytest.raises(NotFound):
        tune(bench, Method.GRPO, grpo=GrpoDraft(reward_model="projects/own/models/nobody"))


def test_steps_of_grpo_are_computed_again_with_its_reward_model(bench: Bench) -> None:
    judge = reward_model(bench)
    job = tune(bench, Method.GRPO, grpo=GrpoDraft(reward_model=judge.name, max_tokens=4, group_size=4), steps=10)
    at = claimed(bench, job)
    bench.commit(at, bench.written(at, step=0))
    bench.report(at, *chained(1, 10))
    bench.commit(at, bench.written(at, step=10, complete=True), through_seq=10)
    again = claimed(bench, verify_job(bench.house, caller=bench.calling("VerifyJob"), name=job.name, steps=2))
    assert again.verification is not None and again.reward_model == judge.files


def test_what_was_tuned_with_preferences_is_a_version_like_any_other(bench: Bench) -> None:
    better = tuned(bench, base=NOVEL, dataset=rows_for(Method.DPO), method=Method.DPO)
    assert (better.name, better.reward_model) == (f"{NOVEL}/versions/2", False)
    assert better.fine_tune is not None and better.fine_tune.method is Method.DPO
    assert latest(bench, "novel") == better
    tune(bench, Method.SFT)


def test_the_servicer_answers_with_every_value_that_is_used(bench: Bench) -> None:
    jobs = Jobs(house=bench.house, pool=None, tailer=None)  # type: ignore[arg-type] # nobody streams
    spec = training_pb2.FineTuneSpec(
        base=NOVEL,
        dataset=rows_for(Method.DPO),
        method=training_pb2.METHOD_DPO,
        preference=training_pb2.PreferenceSpec(label_smoothing=0.0),
        optimization=training_pb2.OptimizationSpec(batch_size=4),
    )
    job = jobs.fine_tune(bench.calling("FineTune"), jobs_pb2.FineTuneRequest(parent="projects/-", spec=spec))
    said = job.fine_tune
    assert (said.method, said.preference.beta, said.preference.HasField("label_smoothing")) == (
        training_pb2.METHOD_DPO,
        0.1,
        True,
    )
    assert not said.preference.HasField("margin") and not said.HasField("grpo")
    assert said.optimization.learning_rate == 1e-6

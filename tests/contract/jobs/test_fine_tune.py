"""Fine-tuning is submitted like training, and begins with exactly one thing: a version or a checkpoint."""

import dataclasses
import datetime
import json
import pathlib
from typing import Any

import pytest

from services.api.jobs import Jobs
from services.domain.architecture import Architecture
from services.domain.datasets import Dataset, DatasetFormat, RowKind, RowStatistics
from services.domain.errors import InvalidField, NotFound, RequestIdReused, WrongState
from services.domain.fine_tuning import FineTuneDraft, LoraDraft
from services.domain.jobs import AttemptEnd, Checkpoint, CheckpointState, Job, checkpoint_prefix
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.training import MixturePartDraft, OptimizationDraft
from services.domain.work import ImportModelSpec
from services.jobs.collect_checkpoints import collect_checkpoints
from services.jobs.fine_tune import fine_tune
from services.jobs.get_job import get_job
from tests.contract.jobs.test_train import request_key, row_counts
from tests.support.houses import A_TIME, Bench, add_dataset, add_project, steps
from tutelage.v1 import jobs_pb2, training_pb2

MODEL = "projects/own/models/novel"
ROWS = b'{"text": "To be, or not to be."}\n' * 100


def add_rows(bench: Bench, *, id: str = "talks", kind: RowKind = RowKind.TEXT) -> Dataset:
    """A dataset of rows, as an upload would make it."""
    text = add_dataset(bench.house, "own", id=f"{id}-text", text=ROWS)
    said = {"duplicate_rows": 0, "duplicate_examples": (), "bytes_min": 1, "bytes_median": 1, "bytes_p95": 1}
    statistics = RowStatistics(kind=kind, bytes_max=1, **said)  # type: ignore[arg-type]
    dataset = dataclasses.replace(
        text, id=id, uid=bench.house.chance.uid(), format=DatasetFormat.JSONL, row_statistics=statistics
    )
    bench.house.store.put(dataset.artifact_key, ROWS)
    with bench.house.storage.write() as uow:
        uow.datasets.add(dataset)
        uow.commit()
    return dataset


def tune(bench: Bench, *, base: str = MODEL, request: RequestKey = NO_REQUEST_KEY, **draft: Any) -> Job:
    given = {"dataset": "projects/own/datasets/plays", "optimization": OptimizationDraft(batch_size=4), **draft}
    return fine_tune(
        bench.house,
        caller=bench.calling("FineTune"),
        parent="projects/-",
        draft=FineTuneDraft(base=base, **given),
        request=request,
    )


def published(bench: Bench, job_id: str = "first") -> Job:
    at = bench.started(job_id=job_id, model="novel")
    bench.complete(at)
    return bench.job(at.job.uid)


def with_checkpoints(bench: Bench, *, count: int, **submit: Any) -> Job:
    """A paused job with a checkpoint after each of its first steps."""
    at = bench.started(**submit)
    bench.report(at, *steps(1, count))
    for step in range(1, count + 1):
        bench.commit(at, bench.written(at, step=step, content=str(step).encode()), through_seq=step)
    bench.finish(at, AttemptEnd.DRAINED, through_seq=count)
    return bench.job(at.job.uid)


def test_the_newest_version_of_a_model_is_what_it_begins_with(bench: Bench) -> None:
    published(bench, "first")
    second = published(bench, "second")
    job = tune(bench)
    assert job.spec.base == second.model_version == f"{MODEL}/versions/2"
    assert job.spec.model == "novel"
    assert job.spec.base_model.architecture == second.spec.architecture
    assert job.base is not None
    with bench.house.storage.read() as uow:
        version = uow.models.find_version("own", "novel", 2)
    assert version is not None
    assert (job.base.artifact_prefix, job.base.manifest_sha256) == (version.artifact_prefix, version.manifest_sha256)
    assert get_job(bench.house, caller=bench.calling("GetJob"), name=job.name) == job
    assert job.id.startswith("tune-")


@pytest.mark.parametrize("word", ["versions/1", "versions/latest"])
def test_a_version_can_be_named(bench: Bench, word: str) -> None:
    published(bench)
    assert tune(bench, base=f"{MODEL}/{word}").spec.base == f"{MODEL}/versions/1"


def test_what_comes_out_is_the_next_version_with_its_parent(bench: Bench) -> None:
    published(bench)
    job = tune(bench, lora=LoraDraft(rank=2))
    at = bench.claim(wished=job.uid)
    assert at is not None
    bench.complete(at)
    with bench.house.storage.read() as uow:
        version = uow.models.find_version("own", "novel", 2)
    assert version is not None
    assert version.parent_version == f"{MODEL}/versions/1"
    assert version.fine_tune == job.spec


def test_a_checkpoint_can_be_begun_with(bench: Bench) -> None:
    trained = with_checkpoints(bench, count=3, job_id="trained", model="novel")
    job = tune(bench, base=f"{trained.name}/checkpoints/2")
    assert (job.spec.base, job.spec.model) == (f"{trained.name}/checkpoints/2", "novel")
    assert job.base is not None
    assert job.base.artifact_prefix == f"{checkpoint_prefix(trained.uid, epoch=1)}/step-2"
    assert job.base.base is None


def test_adapters_on_the_way_need_what_they_were_tuned_from(bench: Bench) -> None:
    published(bench)
    first = tune(bench, lora=LoraDraft(rank=2))
    at = bench.claim(wished=first.uid)
    assert at is not None
    bench.report(at, *steps(1, 5))
    bench.commit(at, bench.written(at, step=5), through_seq=5)
    job = tune(bench, base=f"{first.name}/checkpoints/5")
    assert job.base is not None
    assert job.base.base == first.base
    assert job.spec.parameters == first.spec.parameters


def test_what_is_begun_with_is_kept(bench: Bench) -> None:
    trained = with_checkpoints(bench, count=6, job_id="trained")
    tune(bench, base=f"{trained.name}/checkpoints/1")
    collect_checkpoints(bench.house, since=A_TIME - datetime.timedelta(days=9999))
    prefixes = [f"{checkpoint_prefix(trained.uid, epoch=1)}/step-{step}" for step in (1, 2)]
    with bench.house.storage.read() as uow:
        states = uow.checkpoints.states(prefixes)
    assert states == {prefixes[0]: CheckpointState.COMMITTED, prefixes[1]: CheckpointState.COLLECTED}


def test_a_checkpoint_that_was_collected_is_refused_with_one_that_is_there(bench: Bench) -> None:
    trained = with_checkpoints(bench, count=6, job_id="trained")
    collect_checkpoints(bench.house, since=A_TIME - datetime.timedelta(days=9999))
    with pytest.raises(NotFound, match="checkpoints/1 is gone: its files were removed .* newest .* step 6"):
        tune(bench, base=f"{trained.name}/checkpoints/1")


def test_a_checkpoint_that_goes_between_the_look_and_the_commit_is_noticed(bench: Bench) -> None:
    trained = with_checkpoints(bench, count=2, job_id="trained")
    before = row_counts(bench)

    class Interrupted(type(bench.house.chance)):  # type: ignore[misc]
        """Between the forecast and the commit a uid is drawn: here somebody else comes in."""

        def uid(self) -> str:
            with bench.house.storage.write() as uow:
                checkpoint = uow.checkpoints.find(trained.uid, step=1)
                if checkpoint is not None:
                    uow.checkpoints.set_state(checkpoint.uid, CheckpointState.COLLECTED)
                uow.commit()
            return super().uid()

    house = dataclasses.replace(bench.house, chance=Interrupted(start=10**6))
    with pytest.raises(NotFound, match="jobs/trained/checkpoints/1 was removed just now; begin with a newer"):
        tune(dataclasses.replace(bench, house=house), base=f"{trained.name}/checkpoints/1")
    assert row_counts(bench) == before


@pytest.mark.parametrize(
    "base",
    [
        "projects/own/models/navel",
        f"{MODEL}/versions/2",
        "projects/own/jobs/none/checkpoints/1",
        "projects/own/jobs/first/checkpoints/7",
        "projects/other/models/novel",
        "projects/other/jobs/first/checkpoints/10",
    ],
)
def test_missing_and_foreign_bases_are_not_found_alike(bench: Bench, base: str) -> None:
    published(bench)
    add_project(bench.house, "other")
    before = row_counts(bench)
    with pytest.raises(NotFound):
        tune(bench, base=base)
    assert row_counts(bench) == before


@pytest.mark.parametrize(
    "base",
    ["", "novel", "projects/own/datasets/plays", f"{MODEL}/versions/first", "projects/own/jobs/first/checkpoints/-1"],
)
def test_a_name_of_another_shape_is_refused_with_its_field(bench: Bench, base: str) -> None:
    published(bench)
    with pytest.raises(InvalidField) as caught:
        tune(bench, base=base)
    assert [violation.field for violation in caught.value.violations] == ["spec.base"]


def test_the_nearest_model_is_named(bench: Bench) -> None:
    published(bench)
    with pytest.raises(NotFound, match=r"^spec.base: .* does not exist in your project; did you mean 'novel'"):
        tune(bench, base="projects/own/models/navel")


def test_the_same_request_is_the_same_job(bench: Bench) -> None:
    published(bench)
    key = request_key()
    first, again = tune(bench, request=key), tune(bench, request=key)
    assert first.uid == again.uid
    with pytest.raises(RequestIdReused):
        tune(bench, request=dataclasses.replace(key, body_sha256="b" * 64))


def test_validating_writes_nothing_and_forecasts(bench: Bench) -> None:
    published(bench)
    before = row_counts(bench)
    said = fine_tune(
        bench.house,
        caller=bench.caller,
        parent="projects/own",
        draft=FineTuneDraft(
            base=MODEL, dataset="projects/own/datasets/plays", optimization=OptimizationDraft(batch_size=4)
        ),
        validate_only=True,
    )
    assert row_counts(bench) == before
    assert (said.name, said.forecast.parameters) == ("", said.spec.parameters)
    assert said.forecast.memory_bytes > 0


def test_all_violations_come_in_one_answer(bench: Bench) -> None:
    published(bench)
    with pytest.raises(InvalidField) as caught:
        fine_tune(
            bench.house,
            caller=bench.caller,
            parent="projects/-",
            job_id="No Way",
            draft=FineTuneDraft(
                base=MODEL,
                dataset="projects/own/datasets/plays",
                steps=0,
                lora=LoraDraft(targets=("qeury",)),
                optimization=OptimizationDraft(batch_size=4, momentum=0.9),
            ),
        )
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {"job_id", "spec.steps", "spec.lora.targets[0]", "spec.optimization.momentum"}


def test_rows_bring_no_prompt_since_the_trainer_renders_them(bench: Bench) -> None:
    published(bench)
    add_rows(bench)
    mixture = (MixturePartDraft(dataset="projects/-/datasets/plays"),)
    job = tune(bench, dataset="projects/own/datasets/talks", mixture=mixture)
    assert job.spec.samples.prompt is None
    assert job.spec.mixture[0].dataset == "projects/own/datasets/plays"
    assert job.mixture_uids == (bench.dataset.uid,)
    assert job.spec.rows is not None


def test_an_imported_model_says_its_shape_itself(bench: Bench) -> None:
    shape = Architecture(
        layers=2, width=32, heads=4, key_value_heads=2, feed_forward_width=64, context_length=32, tied_head=False
    )
    imported = with_import(bench, {"architecture": dataclasses.asdict(shape), "vocabulary_size": 300})
    job = tune(bench, base=imported)
    assert job.spec.base_model.architecture == shape
    assert (job.spec.base_model.vocabulary_size, job.spec.context_length) == (300, 32)


def test_an_imported_model_that_does_not_say_it_is_refused(bench: Bench) -> None:
    with pytest.raises(WrongState, match=r"config\.json of projects/own/models/llama/versions/1 cannot be read"):
        tune(bench, base=with_import(bench, {"architecture": {}}))


def with_import(bench: Bench, config: dict[str, Any]) -> str:
    """Publish a version as an import would; return its name."""
    published(bench)
    with bench.house.storage.read() as uow:
        template = uow.models.find_version("own", "novel", 1)
    assert template is not None
    prefix = f"{checkpoint_prefix(template.job_uid, epoch=9)}/step-1"

    def fill(folder: pathlib.Path) -> None:
        (folder / "config.json").write_text(json.dumps(config))

    stored = bench.house.store.write_file_set(prefix, fill)
    other = bench.submit(job_id="import")
    version = dataclasses.replace(
        template,
        uid=bench.house.chance.uid(),
        model_id="llama",
        version=0,
        job_uid=other.uid,
        job_id=other.id,
        spec=ImportModelSpec(dataset="projects/own/datasets/plays", model="llama"),
        artifact_prefix=prefix,
        manifest_sha256=stored.manifest_sha256,
    )
    checkpoint = Checkpoint(
        uid=bench.house.chance.uid(),
        job_uid=other.uid,
        lineage=1,
        step=1,
        epoch=9,
        state=CheckpointState.COMMITTED,
        artifact_prefix=prefix,
        manifest_sha256=stored.manifest_sha256,
        size_bytes=stored.size_bytes,
        create_time=A_TIME,
        complete=True,
    )
    with bench.house.storage.write() as uow:
        uow.checkpoints.add(checkpoint)
        name = uow.models.publish(version).name
        uow.commit()
    return name


def test_the_servicer_answers_with_every_value_that_is_used(bench: Bench) -> None:
    published(bench)
    servicer: Any = Jobs(house=bench.house, pool=None, tailer=None)  # type: ignore[arg-type]
    spec = training_pb2.FineTuneSpec(
        base=MODEL,
        dataset="projects/-/datasets/plays",
        lora=training_pb2.LoraSpec(rank=4, targets=["query", "value"]),
        optimization=training_pb2.OptimizationSpec(batch_size=4),
    )
    request = jobs_pb2.FineTuneRequest(parent="projects/-", job_id="tuned", spec=spec)
    answer = servicer.fine_tune(bench.calling("FineTune"), request)
    assert (answer.name, answer.WhichOneof("spec")) == ("projects/own/jobs/tuned", "fine_tune")
    assert (answer.fine_tune.base, answer.fine_tune.model) == (f"{MODEL}/versions/1", "novel")
    assert (answer.fine_tune.lora.alpha, answer.fine_tune.steps, answer.fine_tune.context_length) == (8.0, 200, 16)
    assert answer.forecast.parameters > 0
    with pytest.raises(InvalidField, match="spec: is required"):
        servicer.fine_tune(bench.calling("FineTune"), jobs_pb2.FineTuneRequest(parent="projects/-"))

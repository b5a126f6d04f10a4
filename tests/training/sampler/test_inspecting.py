"""InspectStep over the real process: a run's own checkpoints, looked into."""

import pathlib
from collections.abc import Iterator

import grpc
import pytest

from tests.training.runs import Bench, Story, bench_with, tiny_spec
from tests.training.sampler.house import METADATA, House, error_info, fields
from tutelage.v1 import inspection_pb2, inspection_pb2_grpc, training_pb2
from tutelage_internal.v1 import access_pb2, facts_pb2, workers_pb2

JOB = "projects/p/jobs/plays"
SPEC = tiny_spec(steps=6, checkpoint_interval=3)
SPEC.samples.prompt = "def decode(self, s)"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_with(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def story(bench: Bench) -> Story:
    return bench.run(SPEC)


@pytest.fixture(scope="module")
def house(bench: Bench, story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("inspection")
    (folder / "artifacts").symlink_to(bench.folder / "store")
    with House(folder, models_bytes=64 << 20) as running:
        for step, written in story.checkpoints.items():
            running.access.checkpoints[JOB, step] = resolved(written, SPEC, first=story.checkpoints[0])
        yield running


def artifact(written: facts_pb2.CheckpointWritten) -> workers_pb2.CheckpointArtifact:
    return workers_pb2.CheckpointArtifact(
        step=written.step, artifact_prefix=written.artifact_prefix, manifest_sha256=written.manifest_sha256
    )


def resolved(
    written: facts_pb2.CheckpointWritten, spec: training_pb2.TrainSpec, *, first: facts_pb2.CheckpointWritten
) -> access_pb2.ResolveCheckpointResponse:
    return access_pb2.ResolveCheckpointResponse(
        job=JOB, checkpoint=artifact(written), train=spec, first=artifact(first)
    )


def inspect(house: House, **fields: object) -> inspection_pb2.InspectStepResponse:
    request = inspection_pb2.InspectStepRequest(name=JOB, **fields)
    return inspection_pb2_grpc.InspectionStub(house.channel).InspectStep(request, metadata=METADATA, timeout=60)


def test_a_step_is_told_from_the_predictions_to_the_weights(house: House) -> None:
    answer = inspect(house, step=3, text="def decode(self)", predictions=4)
    assert answer.step == 3
    assert "".join(token.text for token in answer.tokens) == "def decode(self)"
    assert not answer.tokens[0].HasField("loss")
    assert all(len(token.predictions) == 4 for token in answer.tokens[1:])
    assert {part.layer for part in answer.parts if part.HasField("layer")} == {0, 1}
    assert all(part.gradient_norm > 0 and part.update_ratio > 0 for part in answer.parts)
    assert answer.trainable_weights == answer.weights == sum(part.weights for part in answer.parts)
    assert answer.adjusted_steps == 3
    assert answer.adjustments == 3 * answer.weights
    assert 0 < answer.changed_weights <= answer.weights


def test_looking_changes_nothing(house: House) -> None:
    assert inspect(house, step=3, text="class") == inspect(house, step=3, text="class")


def test_the_first_checkpoint_has_changed_nothing_and_the_last_predicts_better(house: House) -> None:
    first, last = (inspect(house, step=step, text="        return self.decode(s)\n") for step in (0, 6))
    assert not first.HasField("changed_weights")
    assert first.adjustments == 0
    assert last.loss < first.loss


def test_without_a_text_the_prompt_of_the_run_is_taken(house: House) -> None:
    assert "".join(token.text for token in inspect(house, step=3).tokens) == SPEC.samples.prompt[:17]


@pytest.mark.parametrize(
    ("fields_", "wrong"),
    [
        ({"step": 3, "text": "x"}, ["text"]),
        ({"step": 3, "text": "y" * 20_001, "predictions": 21}, ["text", "predictions"]),
        ({"step": 3, "predictions": 0}, ["predictions"]),
    ],
)
def test_wrong_fields_are_named(house: House, fields_: dict[str, object], wrong: list[str]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        inspect(house, **fields_)
    assert fields(caught.value) == wrong


def test_services_decide_who_may_look(house: House) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        inspect(house, step=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert error_info(caught.value).metadata["hint"] == "plays"


def test_a_run_that_is_too_large_is_refused(house: House, story: Story, tmp_path: pathlib.Path) -> None:
    (tmp_path / "artifacts").symlink_to(house.folder / "artifacts")
    with House(tmp_path, models_bytes=1000) as small:
        small.access.checkpoints[JOB, 3] = house.access.checkpoints[JOB, 3]
        with pytest.raises(grpc.RpcError) as caught:
            inspect(small, step=3)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_damaged_files_are_a_fault_of_ours_and_told_as_such(house: House, story: Story) -> None:
    broken = access_pb2.ResolveCheckpointResponse()
    broken.CopyFrom(house.access.checkpoints[JOB, 3])
    broken.checkpoint.manifest_sha256 = "0" * 64
    house.access.checkpoints[JOB, 4] = broken
    with pytest.raises(grpc.RpcError) as caught:
        inspect(house, step=4)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "request-1" in caught.value.details()

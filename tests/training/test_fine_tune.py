"""A model that is there goes on learning: all of it, or adapters beside it."""

import json
import pathlib
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.runs import resume_from, same_tensors
from tests.training.test_resume import later
from tests.training.tuning import BASE, Workshop, model_artifact, tuning_spec, with_text, workshop
from trainer_worker.trainer.engine.adapter_files import read_adapters
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.stored_model import load_model
from tutelage.v1 import training_pb2
from tutelage.v1.training_pb2 import LoraSpec
from tutelage_internal.v1 import pipe_pb2, workers_pb2

LORA = LoraSpec(rank=4, alpha=8.0)
KINDS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": {"lora": LoraSpec(rank=4, alpha=8.0, dropout=0.2)},
    "lora_bf16": {"lora": LORA, "precision": training_pb2.PRECISION_BF16},
    "lora_muon": {"lora": LORA, "optimizer": training_pb2.OPTIMIZER_MUON},
}


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> Workshop:
    return workshop(tmp_path)


def spec_of(kind: str, **changes: Any) -> training_pb2.FineTuneSpec:
    fields = dict(KINDS[kind])
    optimizer = fields.pop("optimizer", training_pb2.OPTIMIZER_UNSPECIFIED)
    spec = tuning_spec(**fields, **changes)
    spec.optimization.optimizer = optimizer
    return spec


def base_weights(shop: Workshop) -> dict[str, torch.Tensor]:
    return load_file(files(shop, shop.base) / "model.safetensors")


def files(shop: Workshop, named: workers_pb2.ModelArtifact | workers_pb2.CheckpointArtifact) -> pathlib.Path:
    return shop.bench.store.read_file_set(
        named.artifact_prefix, manifest_sha256=named.manifest_sha256, scratch=shop.bench.scratch
    )


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_from_every_step_gives_the_same_metrics_samples_and_weights(shop: Workshop, kind: str) -> None:
    spec = spec_of(kind, checkpoint_interval=1)
    whole = shop.run(spec)
    weights = shop.bench.weights_sha256(whole.complete)
    for step in range(spec.steps):
        again = shop.run(spec, resume=resume_from(whole.checkpoints[step]), epoch=2 + step, recorded_step=step)
        assert again.curve == later(whole, step)
        assert again.samples == {at: text for at, text in whole.samples.items() if at > step}
        assert shop.bench.weights_sha256(again.complete) == weights


@pytest.fixture(scope="module")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A base that has learnt enough for adapters to find something to turn, and another text."""
    folder = tmp_path_factory.mktemp("schooled")
    shop = workshop(folder, base_steps=150, width=32, batch_size=8, micro_batch_size=8)
    return with_text(shop, b"to be or not to be, that is the question; " * 60)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_tuning_on_another_text_lowers_its_held_out_loss(schooled: Workshop, kind: str) -> None:
    spec = spec_of(kind, steps=20, evaluation_interval=1, samples_interval=0, learning_rate=0.02)
    losses = [values["eval/loss"] for values in schooled.run(spec, epoch=1 + (kind == "lora")).curve.values()]
    assert losses[-1] < losses[0] - 0.2


def test_checkpoints_of_adapters_hold_nothing_of_the_base(shop: Workshop) -> None:
    story = shop.run(spec_of("lora"))
    names = {
        step: {path.name for path in shop.bench.files(written).iterdir()} for step, written in story.checkpoints.items()
    }
    both = {"manifest.json", "config.json", "state.json", "optimizer.safetensors", "adapter.safetensors"}
    assert names[3] == both | {"adapter_config.json"}
    assert names[6] == names[3] | {"model.safetensors"}


def test_the_base_stays_and_the_merged_model_is_published(shop: Workshop) -> None:
    before = base_weights(shop)
    story = shop.run(spec_of("lora"))
    assert same_tensors(base_weights(shop), before)
    folder = shop.bench.files(story.complete)
    published, base = load_model(folder), load_model(files(shop, shop.base))
    read_adapters(folder).put_onto(base.model)
    tokens_BT = torch.arange(12).view(1, 12)
    with torch.no_grad():
        torch.testing.assert_close(published.model(tokens_BT), base.model.eval()(tokens_BT), rtol=1e-4, atol=1e-5)
    changed = {name for name, tensor in published.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith("blocks.") and "norm" not in name}


def test_other_work_can_begin_with_a_checkpoint_of_adapters(shop: Workshop) -> None:
    story = shop.run(spec_of("lora", checkpoint_interval=1))
    named = model_artifact(story.checkpoints[6], name="projects/p/jobs/tuning/checkpoints/6", base=shop.base)
    kept = model_artifact(story.checkpoints[5], name="projects/p/jobs/tuning/checkpoints/5", base=shop.base)
    last, before = (
        base_model(artifact, store=shop.bench.store, scratch=shop.bench.scratch) for artifact in (named, kept)
    )
    published = load_file(shop.bench.files(story.complete) / "model.safetensors")
    assert same_tensors(dict(last.model.state_dict()), published)
    assert not same_tensors(dict(before.model.state_dict()), published)
    again = shop.run(spec_of("full", steps=1), base=kept, epoch=2)
    assert again.ending == pipe_pb2.ENDING_COMPLETE


def test_adapters_without_their_base_are_refused(shop: Workshop) -> None:
    story = shop.run(spec_of("lora"))
    alone = model_artifact(story.checkpoints[3], name="projects/p/jobs/tuning/checkpoints/3")
    with pytest.raises(UnusableData, match="checkpoints/3 cannot be used: it holds adapters only"):
        shop.run(spec_of("full"), base=alone, epoch=2)


def test_a_damaged_base_is_refused_by_name(shop: Workshop) -> None:
    path = files(shop, shop.base) / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(UnusableData, match=BASE):
        shop.run(spec_of("full"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.update(rank=5), r"adapter\.safetensors"),
        (lambda values: values.update(format=2), "format"),
        (lambda values: values.update(targets=["query", "sideways"]), "sideways"),
        (lambda values: values.update(rank="4"), "adapter_config"),
        (lambda values: values.pop("alpha"), "adapter_config.json must hold exactly"),
    ],
)
def test_adapters_whose_config_is_wrong_are_refused(
    shop: Workshop, tmp_path: pathlib.Path, change: Any, words: str
) -> None:
    story = shop.run(spec_of("lora"))
    folder = tmp_path / "adapters"
    folder.mkdir()
    for path in shop.bench.files(story.complete).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    values = json.loads((folder / "adapter_config.json").read_text())
    change(values)
    (folder / "adapter_config.json").write_text(json.dumps(values))
    with pytest.raises(BadCheckpoint, match=words):
        read_adapters(folder).put_onto(load_model(files(shop, shop.base)).model)


def test_a_checkpoint_of_other_adapters_is_refused(shop: Workshop) -> None:
    story = shop.run(spec_of("lora"))
    other = spec_of("lora")
    other.lora.rank = 5
    with pytest.raises(BadCheckpoint, match=r"adapter\.safetensors"):
        shop.run(other, resume=resume_from(story.checkpoints[3]), epoch=2)


def test_an_unknown_target_is_refused_before_anything_is_read(shop: Workshop) -> None:
    spec = spec_of("lora")
    spec.lora.targets.append("q_proj")
    with pytest.raises(UnusableData, match="q_proj"):
        shop.run(spec)


def test_sequences_longer_than_the_base_sees_are_refused(shop: Workshop) -> None:
    spec = spec_of("lora")
    spec.context_length = 17
    with pytest.raises(UnusableData, match="sees 16 tokens"):
        shop.run(spec)

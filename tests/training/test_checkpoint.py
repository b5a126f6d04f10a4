"""What a checkpoint must be before anything is computed with it."""

import json
import pathlib
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.runs import Bench, tiny_spec, writable_copy
from trainer_worker.trainer.engine.checkpoint import TrainingState, read_checkpoint, restore
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.optimizers import make_optimizers
from trainer_worker.trainer.engine.stored_model import load_model

Damage = Callable[[pathlib.Path], object]


def weights(change: Callable[[dict[str, torch.Tensor]], object], name: str = "model.safetensors") -> Damage:
    def damage(folder: pathlib.Path) -> None:
        tensors = load_file(folder / name)
        change(tensors)
        save_file(tensors, folder / name)

    return damage


def without(weight: str, name: str = "model.safetensors") -> Damage:
    return weights(lambda tensors: tensors.__delitem__(weight), name)


def config(**changes: object) -> Damage:
    def damage(folder: pathlib.Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(values | changes))

    return damage


def state(**changes: object) -> Damage:
    def damage(folder: pathlib.Path) -> None:
        values = json.loads((folder / "state.json").read_text())
        values["training"] |= changes
        (folder / "state.json").write_text(json.dumps(values))

    return damage


DAMAGES: dict[str, tuple[Damage, str]] = {
    "weight missing": (without("final_norm.weight"), "are missing: final_norm.weight"),
    "weight unknown": (weights(lambda tensors: tensors.update(surprise=torch.zeros(1))), "are unknown: surprise"),
    "weight of another shape": (
        weights(lambda tensors: tensors.update({"final_norm.weight": torch.zeros(3)})),
        r"final_norm.weight is \(3,\)",
    ),
    "weight of another type": (
        weights(lambda tensors: tensors.update({"final_norm.weight": torch.zeros(16).half()})),
        "float16",
    ),
    "weight not a number": (weights(lambda tensors: tensors["final_norm.weight"].fill_(float("nan"))), "not finite"),
    "weights cut short": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 20),
        "model.safetensors cannot be read",
    ),
    "weights gone": (lambda folder: (folder / "model.safetensors").unlink(), "cannot be read"),
    "config of another format": (config(format=99), "format 99"),
    "config with more in it": (config(surprise=1), "must hold exactly"),
    "config with another vocabulary": (config(vocabulary_size=300), "the tokenizer has 257 tokens"),
    "config with another tokenizer": (config(tokenizer={"kind": "words"}), "unknown tokenizer"),
    "config that is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    "moments not a number": (
        weights(lambda tensors: tensors["exp_avg.final_norm.weight"].fill_(float("inf")), "optimizer.safetensors"),
        "not finite",
    ),
    "moments missing": (without("step.final_norm.weight", "optimizer.safetensors"), "not for these weights"),
    "state with more in it": (state(surprise=1), "must describe the training"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_checkpoint_with_this_damage_is_refused(bench: Bench, tmp_path: pathlib.Path, name: str) -> None:
    """The manifest fits here: these are faults that hashes do not find."""
    damage, message = DAMAGES[name]
    spec = tiny_spec(steps=2)
    folder = writable_copy(bench.files(bench.run(spec).complete), tmp_path / "damaged")
    (folder / "manifest.json").unlink(missing_ok=True)
    damage(folder)

    def fill(target: pathlib.Path) -> None:
        for path in folder.iterdir():
            (target / path.name).write_bytes(path.read_bytes())

    files = bench.store.write_file_set("checkpoints/job/e9/step-2", fill)
    with pytest.raises(BadCheckpoint, match=message):
        checkpoint = read_checkpoint(
            bench.store, files.prefix, manifest_sha256=files.manifest_sha256, scratch=bench.scratch
        )
        model = load_model(checkpoint.folder).model
        restore(checkpoint, make_optimizers(model.named_parameters(), spec.optimization))


def test_a_model_can_be_read_without_its_training_state(bench: Bench, tmp_path: pathlib.Path) -> None:
    folder = writable_copy(bench.files(bench.run(tiny_spec(steps=2)).complete), tmp_path / "model")
    for name in ("optimizer.safetensors", "state.json"):
        (folder / name).unlink()
    stored = load_model(folder)
    assert stored.tokenizer.kind == "bytes"
    assert stored.model.config.vocabulary_size == 257


def test_a_checkpoint_holds_no_pickle(bench: Bench) -> None:
    files = bench.files(bench.run(tiny_spec(steps=1)).complete)
    assert {path.suffix for path in files.iterdir()} == {".json", ".safetensors"}


def test_a_new_state_is_at_the_beginning() -> None:
    beginning = TrainingState(
        seed=1, lineage=1, precision="fp32", batch_size=4, micro_batch_size=4, threads=1, dataset_sha256="", versions={}
    )
    assert (beginning.step, beginning.samples, beginning.metrics) == (0, 0, {})

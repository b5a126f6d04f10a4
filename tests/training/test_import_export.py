"""Recipes that bring a model from elsewhere, and write one for others."""

import io
import json
import pathlib
import tarfile
from typing import Any

import pytest
import torch

from artifacts import NoSpace
from tests.training.family_models import logits_of, peer, peers_folder, tokens
from tests.training.runs import Bench, Story
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.stored_model import load_model
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.recipes.export_model import export_model
from trainer_worker.trainer.recipes.import_model import import_model
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2, workers_pb2

transformers = pytest.importorskip("transformers")


def told_by(recipe: Any) -> Story:
    story = Story()
    while True:
        try:
            story.told.append(next(recipe))
        except StopIteration as end:
            story.ending = end.value
            return story


def archive_of(folder: pathlib.Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname="model")
    return buffer.getvalue()


def imported(bench: Bench, archive: bytes, **fields: Any) -> Story:
    stored = bench.store.put("datasets/model/files", archive)
    assignment = workers_pb2.Assignment(
        job="projects/p/jobs/j",
        import_model=training_pb2.ImportModelSpec(dataset="projects/p/datasets/model", model="m"),
        dataset=workers_pb2.DatasetArtifact(key=stored.key, sha256=stored.sha256, size_bytes=stored.size_bytes),
        **{"checkpoint_prefix": "checkpoints/job/e1"} | fields,
    )
    return told_by(import_model(assignment, store=bench.store, scratch=bench.scratch))


def artifact(written: facts_pb2.CheckpointWritten) -> workers_pb2.ModelArtifact:
    return workers_pb2.ModelArtifact(
        name="projects/p/models/m/versions/1",
        artifact_prefix=written.artifact_prefix,
        manifest_sha256=written.manifest_sha256,
    )


def exported(bench: Bench, base: facts_pb2.CheckpointWritten, format_: int) -> Story:
    assignment = workers_pb2.Assignment(
        job="projects/p/jobs/k",
        export_model=training_pb2.ExportModelSpec(model="projects/p/models/m/versions/1", format=format_),
        base=artifact(base),
        checkpoint_prefix="checkpoints/other/e1",
    )
    return told_by(export_model(assignment, store=bench.store, scratch=bench.scratch))


def test_a_model_comes_in_and_goes_out_as_it_was(bench: Bench, tmp_path: pathlib.Path) -> None:
    model = peer("qwen 2")
    (tmp_path / "theirs").mkdir()
    story = imported(bench, archive_of(peers_folder(model, tmp_path / "theirs")))
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    written = story.complete
    assert (written.step, written.parameters) == (1, sum(weight.numel() for weight in model.parameters()))
    [note] = story.notes("imported")
    assert note.details["architecture"] == "Qwen2ForCausalLM" and "Qwen2ForCausalLM" in note.message
    stored = load_model(bench.files(written))
    torch.testing.assert_close(logits_of(stored.model, tokens()), logits_of(model, tokens()), rtol=1e-4, atol=2e-5)

    out = exported(bench, written, training_pb2.EXPORT_FORMAT_HUGGING_FACE)
    assert out.ending == pipe_pb2.ENDING_COMPLETE and out.notes("exported")
    folder = bench.files(out.complete)
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits_of(loaded, tokens()), logits_of(model, tokens()), rtol=1e-4, atol=2e-5)
    assert transformers.AutoTokenizer.from_pretrained(folder)("ab")["input_ids"] == [97, 98]


def test_every_piece_of_work_gives_a_sign_before_it_is_told(bench: Bench, tmp_path: pathlib.Path) -> None:
    story = imported(bench, archive_of(peers_folder(peer("llama"), tmp_path)))
    sections = [told.section for told in story.of(pipe_pb2.Progress)]
    assert sections.count(pipe_pb2.SECTION_LOAD) > 20 and sections[-1] == pipe_pb2.SECTION_CHECKPOINT
    assert isinstance(story.told[-1], facts_pb2.CheckpointWritten)
    assert story.of(jobs_pb2.Usage)[0].peak_memory_bytes > 1 << 20


def test_what_is_wrong_is_named_and_nothing_is_kept(bench: Bench, tmp_path: pathlib.Path) -> None:
    folder = peers_folder(peer("llama"), tmp_path)
    (folder / "extra.bin").write_bytes(b"x")
    with pytest.raises(UnusableData, match="could run code when they are read: extra.bin"):
        imported(bench, archive_of(folder))
    assert not list(bench.store.keys("checkpoints"))


def test_an_adapter_needs_its_base_and_a_model_needs_none(bench: Bench, tmp_path: pathlib.Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(UnusableData, match="an adapter without the model that it belongs to"):
        imported(bench, archive_of(tmp_path / "adapter"))
    (tmp_path / "model").mkdir()
    with pytest.raises(UnusableData, match="a whole model, and projects/p/models/b is named as the base"):
        archive = archive_of(peers_folder(peer("llama"), tmp_path / "model"))
        bench.store.delete("datasets/model/files")
        imported(bench, archive, base=workers_pb2.ModelArtifact(name="projects/p/models/b"))


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # told by peft of transformers
def test_an_adapter_of_peft_is_merged_into_its_base(bench: Bench, tmp_path: pathlib.Path) -> None:
    peft = pytest.importorskip("peft")
    for name in ("model", "adapter"):
        (tmp_path / name).mkdir()
    base = imported(bench, archive_of(peers_folder(peer("llama"), tmp_path / "model"))).complete
    settings = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted = peft.get_peft_model(peer("llama"), settings)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            weight.normal_(0, 0.2) if "lora_" in name else None
    adapted.save_pretrained(tmp_path / "adapter")
    bench.store.delete("datasets/model/files")
    story = imported(
        bench, archive_of(tmp_path / "adapter"), base=artifact(base), checkpoint_prefix="checkpoints/job/e2"
    )
    merged = load_model(bench.files(story.complete)).model
    torch.testing.assert_close(logits_of(merged, tokens()), logits_of(adapted, tokens()), rtol=1e-4, atol=2e-5)


def test_a_version_without_adapters_is_not_exported_for_peft(bench: Bench, tmp_path: pathlib.Path) -> None:
    base = imported(bench, archive_of(peers_folder(peer("llama"), tmp_path))).complete
    with pytest.raises(UnusableData, match="projects/p/models/m/versions/1 holds no adapters"):
        exported(bench, base, training_pb2.EXPORT_FORMAT_PEFT)


def test_a_version_of_another_kind_of_files_is_refused(bench: Bench, tmp_path: pathlib.Path) -> None:
    base = imported(bench, archive_of(peers_folder(peer("llama"), tmp_path))).complete
    out = exported(bench, base, training_pb2.EXPORT_FORMAT_HUGGING_FACE).complete
    with pytest.raises(UnusableData, match="cannot be used: config.json must hold exactly"):
        exported(bench, out, training_pb2.EXPORT_FORMAT_GGUF)


def test_no_room_ends_the_work_for_good(bench: Bench, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise NoSpace("full")

    archive = archive_of(peers_folder(peer("llama"), tmp_path))
    monkeypatch.setattr(type(bench.store), "write_file_set", full)
    with pytest.raises(TrainingFailed) as told:
        imported(bench, archive)
    assert told.value.failure.reason == jobs_pb2.FAILURE_REASON_NO_SPACE

"""Fine-tuning, verifying, receipts, looks inside steps, imports and exports through both clients."""

import pathlib
from typing import Any

import pytest

import tutelage
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import ServiceDouble
from tutelage.v1 import datasets_pb2, jobs_pb2, training_pb2

JOB = "plays-tiny-x7k2"
CHAT = "projects/-/models/chat"


def note(kind: str, message: str) -> jobs_pb2.JobEvent:
    return jobs_pb2.JobEvent(note=jobs_pb2.Note(kind=kind, message=message, details={"step": "13"}))


def test_fine_tuning_is_submitted_with_what_was_given(client: Any, service: ServiceDouble) -> None:
    job = client.fine_tune(
        base="chat", dataset="talks", lora=tutelage.Lora(rank=8), mixture={"plays": 0.5}, steps=100, labels={"a": "b"}
    )
    assert job.info.kind == "fine_tune"
    (request,) = service.requests("FineTune")
    wanted = training_pb2.FineTuneSpec(base=CHAT, dataset="projects/-/datasets/talks", steps=100)
    wanted.lora.rank = 8
    wanted.mixture.add(dataset="projects/-/datasets/plays", weight=0.5)
    assert request.spec == wanted
    assert request.labels == {"a": "b"}
    assert len(request.request_id) == 36
    assert not request.validate_only


def test_fine_tuning_goes_on_from_a_version_or_a_checkpoint(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    client.fine_tune(client.models.version("plays-tiny"), "talks")
    checkpoint = next(iter(client.jobs.checkpoints(JOB)))
    client.fine_tune(checkpoint, "talks")
    bases = [request.spec.base for request in service.requests("FineTune")]
    assert bases == ["projects/p/models/plays-tiny/versions/1", checkpoint.name]
    assert checkpoint.name.endswith("/checkpoints/20")
    assert name


def test_a_dry_run_of_fine_tuning_stores_nothing(client: Any, service: ServiceDouble) -> None:
    info = client.validate_fine_tune("chat", "talks", lora=True)
    assert info.forecast.warnings == ("50 rows are few",)
    assert service.requests("FineTune")[0].validate_only
    assert service.jobs == {}


def test_a_wrong_hyperparameter_is_refused_before_anything_is_sent(client: Any, service: ServiceDouble) -> None:
    with pytest.raises(tutelage.InvalidArgument, match="did you mean 'learning_rate'"):
        client.fine_tune("chat", "talks", learning_rat=1)
    assert service.calls == []


@pytest.mark.parametrize("targets", [[], "", ()])
def test_adapters_without_a_target_are_refused(client: Any, service: ServiceDouble, targets: Any) -> None:
    """On the wire no targets mean all of them."""
    with pytest.raises(tutelage.InvalidArgument, match="name at least one target, or leave them out for all"):
        client.fine_tune("chat", "talks", lora={"targets": targets})
    assert service.calls == []


@pytest.mark.parametrize("kind", ["verified", "differs"])
def test_verifying_ends_with_a_verdict(client: Any, service: ServiceDouble, kind: str) -> None:
    add_job(service)
    verifying = client.jobs.verify(JOB, first_step=11, steps=5)
    assert verifying.info.verify.first_step == 11
    (request,) = service.requests("VerifyJob")
    assert (request.name, request.first_step, request.steps) == (f"projects/-/jobs/{JOB}", 11, 5)
    service.events = [note("environment", "torch"), note(kind, "5 steps")]
    service.jobs[verifying.name].state = jobs_pb2.JOB_STATE_SUCCEEDED
    verdict = verifying.verdict()
    assert (verdict.kind, verdict.message, verdict.details["step"]) == (kind, "5 steps", "13")


def test_a_job_is_verified_from_its_handle(client: Any, service: ServiceDouble) -> None:
    add_job(service)
    assert client.jobs.get(JOB).verify().info.kind == "verify"
    (request,) = service.requests("VerifyJob")
    assert not request.HasField("first_step")
    assert request.request_id


def test_a_job_that_compared_nothing_has_no_verdict(client: Any, service: ServiceDouble) -> None:
    add_job(service)
    with pytest.raises(tutelage.TutelageError, match="has no verdict"):
        client.jobs.get(JOB).verdict()


def test_a_verification_that_failed_is_an_error(client: Any, service: ServiceDouble) -> None:
    add_job(service, state=jobs_pb2.JOB_STATE_FAILED)
    with pytest.raises(tutelage.JobFailed, match="DIVERGED"):
        client.jobs.get(JOB).verdict()


def test_a_receipt_names_seeds_hashes_and_versions(client: Any, service: ServiceDouble) -> None:
    add_job(service)
    receipt = client.jobs.receipt(JOB)
    assert (receipt.seed, receipt.step, receipt.lineage) == (7, 20, 2)
    assert receipt.dataset_sha256s == ("cd" * 32,)
    assert receipt.environment["torch"].startswith("2.13")
    assert client.jobs.get(JOB).receipt().data_chain == receipt.data_chain


def test_a_look_inside_a_step_prints_as_a_page(client: Any, service: ServiceDouble) -> None:
    add_job(service)
    inside = client.jobs.inspect_step(JOB, step=10, text="To be", predictions=2)
    (request,) = service.requests("InspectStep")
    assert (request.step, request.text, request.predictions) == (10, "To be", 2)
    assert inside.tokens[0].loss is None
    page = str(inside)
    assert "step 10: loss 2.5000" in page
    assert "' be'  loss 0.100 (90.0%)  expected 'x0' 10.0%, 'x1' 10.0%" in page
    assert "\x1b" not in page
    assert "blocks.0.attention.qkv  gradient norm 0.7, update ratio 0.5" in page
    assert "900 of 1,000 weights are trained" in page
    assert "890 differ" in page
    assert client.jobs.get(JOB).inspect_step().step == 20
    assert not service.requests("InspectStep")[1].HasField("step")


def model_folder(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "smol"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights" * 500)
    return folder


def test_a_folder_is_imported_by_way_of_a_dataset(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    folder = model_folder(tmp_path)
    job = client.models.import_model(folder, name="smol", labels={"from": "hub"})
    assert job.info.kind == "import_model"
    (start,) = service.requests("StartUpload")
    assert start.format == datasets_pb2.DATASET_FORMAT_MODEL_FILES
    assert start.dataset_id == f"smol-{start.sha256[:8]}"
    (request,) = service.requests("ImportModel")
    assert request.spec == training_pb2.ImportModelSpec(dataset=f"projects/p/datasets/{start.dataset_id}", model="smol")
    client.models.import_model(folder, name="smol")
    assert len(service.datasets) == 1, "the same files are uploaded once"


def test_adapters_are_imported_for_their_base(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "adapters"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    client.models.import_model(folder, name="poet", base="smol/versions/1")
    assert service.requests("ImportModel")[0].spec.base == "projects/-/models/smol/versions/1"


def test_files_that_were_uploaded_are_imported_without_another_upload(
    client: Any, service: ServiceDouble, tmp_path: pathlib.Path
) -> None:
    dataset = client.datasets.upload(model_folder(tmp_path), name="files")
    assert dataset.format is tutelage.DatasetFormat.MODEL_FILES
    client.models.import_model(dataset, name="smol")
    assert len(service.requests("StartUpload")) == 1
    assert service.requests("ImportModel")[0].spec.dataset == "projects/p/datasets/files"


def test_a_long_name_still_makes_a_dataset(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    client.models.import_model(model_folder(tmp_path), name="m" * 63)
    assert len(service.requests("StartUpload")[0].dataset_id) == 63


def test_what_is_no_model_is_not_imported(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    for source in (tmp_path, tmp_path / "model.bin"):
        with pytest.raises(tutelage.InvalidArgument):
            client.models.import_model(source, name="smol")
    with pytest.raises(FileNotFoundError):
        client.models.import_model(tmp_path / "absent", name="smol")
    assert service.calls == []


def test_an_export_is_a_job(client: Any, service: ServiceDouble) -> None:
    job = client.models.export("chat", format="gguf")
    (request,) = service.requests("ExportModel")
    assert request.spec.model == f"{CHAT}/versions/latest"
    assert request.spec.format == training_pb2.EXPORT_FORMAT_GGUF
    with pytest.raises(tutelage.TutelageError, match="published no model"):
        job.result()


def test_an_export_comes_home(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.files = {"config.json": b"{}", "model.safetensors": b"weights" * 1000}
    job = client.models.export("chat/versions/2", to=tmp_path / "out")
    assert job.state == "SUCCEEDED"
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == b"weights" * 1000
    assert service.requests("ExportModel")[0].spec.model == f"{CHAT}/versions/2"


def test_a_form_that_does_not_exist_is_refused(client: Any, service: ServiceDouble) -> None:
    with pytest.raises(tutelage.InvalidArgument, match="hugging-face, peft, gguf"):
        client.models.export("chat", format="onnx")
    assert service.calls == []

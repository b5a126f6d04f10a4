"""Nouns and messages tell the same, field by field."""

import dataclasses
import datetime
import inspect

import pytest
from google.protobuf.message import Message

import artifacts
from services.api.translation import from_message, to_message
from services.cluster import get_server_info
from services.datasets.start_upload import UploadDraft
from services.domain import (
    datasets,
    explanation,
    forecast,
    job_events,
    job_states,
    jobs,
    metrics,
    models,
    presets,
    projects,
    training,
    work,
    workers,
)
from services.domain.projects import PERMISSIONS, ApiKey, Caller, Role
from services.domain.training import ArchitectureDraft, Precision, TokenizerKind, TrainDraft
from services.domain.work import KINDS
from services.jobs import export_model, get_receipt, heartbeat, import_model, resolve_checkpoint
from services.projects.create_api_key import ApiKeyDraft
from tutelage.v1 import cluster_pb2, datasets_pb2, jobs_pb2, models_pb2, projects_pb2, training_pb2
from tutelage_internal.v1 import access_pb2, facts_pb2, workers_pb2

SAID_BY_SERVICERS = {
    (jobs.Job, jobs_pb2.Job): {*KINDS, "progress", "attempts", "worker", "retry_time"},
    (jobs.Job, jobs_pb2.JobProgress): {"step", "steps_total", "remaining_seconds"},
    (job_events.JobEvent, jobs_pb2.JobEvent): {
        "cursor",
        "state_changed",
        "metric_logged",
        "sample_drawn",
        "checkpoint_committed",
        "note",
        "rows_blamed",
        "rolled_back",
    },
    (job_events.StateChanged, jobs_pb2.StateChanged): {"from", "to"},
    (jobs.Checkpoint, jobs_pb2.Checkpoint): {"name"},
    (workers.Worker, cluster_pb2.Worker): {"slots", "slots_used", "device", "version"},
    (datasets.Dataset, workers_pb2.DatasetArtifact): {"key", "train_bytes", "train_rows", "weight"},
    (jobs.Verification, workers_pb2.Verification): {"train", "fine_tune"},
    (resolve_checkpoint.ResolvedCheckpoint, access_pb2.ResolveCheckpointResponse): {"train", "fine_tune", "base"},
    (artifacts.StoredFile, jobs_pb2.JobFile): {"filename"},
    (presets.Preset, training_pb2.Preset): {"optimization"},
    (heartbeat.AttemptOrder, workers_pb2.AttemptOrder): {"desire"},
}
TOLD = [
    *SAID_BY_SERVICERS,
    (jobs.Checkpoint, workers_pb2.CheckpointArtifact),
    (jobs.JobFailure, jobs_pb2.JobFailure),
    (job_events.MetricLogged, jobs_pb2.MetricLogged),
    (job_events.SampleDrawn, jobs_pb2.SampleDrawn),
    (job_events.CheckpointCommitted, jobs_pb2.CheckpointCommitted),
    (job_events.Note, jobs_pb2.Note),
    (job_events.RowsBlamed, jobs_pb2.RowsBlamed),
    (job_events.BlamedRow, jobs_pb2.BlamedRow),
    (job_events.RolledBack, jobs_pb2.RolledBack),
    (jobs.Usage, jobs_pb2.Usage),
    (jobs.RecordedStep, workers_pb2.RecordedStep),
    (models.ModelFiles, workers_pb2.ModelArtifact),
    (work.ImportModelSpec, training_pb2.ImportModelSpec),
    (work.ExportModelSpec, training_pb2.ExportModelSpec),
    (work.VerifySpec, training_pb2.VerifySpec),
    (get_receipt.Receipt, jobs_pb2.Receipt),
    (datasets.RowStatistics, datasets_pb2.RowStatistics),
    (metrics.MetricSeries, jobs_pb2.MetricSeries),
    (explanation.Explanation, jobs_pb2.ExplainJobResponse),
    (explanation.Finding, jobs_pb2.Finding),
    (datasets.Dataset, datasets_pb2.Dataset),
    (datasets.DatasetSplit, datasets_pb2.DatasetSplit),
    (datasets.Upload, datasets_pb2.Upload),
    (models.Model, models_pb2.Model),
    (models.ModelVersion, models_pb2.ModelVersion),
    (projects.Project, projects_pb2.Project),
    (projects.ApiKey, projects_pb2.ApiKey),
    (projects.NewApiKey, projects_pb2.CreateApiKeyResponse),
    (projects.Caller, projects_pb2.Caller),
    (projects.AuditEntry, projects_pb2.AuditEntry),
    (workers.Queue, cluster_pb2.Queue),
    (get_server_info.ServerInfo, cluster_pb2.ServerInfo),
    (forecast.Forecast, training_pb2.Forecast),
    (training.TrainSpec, training_pb2.TrainSpec),
    (training.Architecture, training_pb2.Architecture),
    (training.TokenizerSpec, training_pb2.TokenizerSpec),
    (training.OptimizationSpec, training_pb2.OptimizationSpec),
    (training.EvaluationSpec, training_pb2.EvaluationSpec),
    (training.SamplesSpec, training_pb2.SamplesSpec),
    (training.CheckpointsSpec, training_pb2.CheckpointsSpec),
]
READ = [
    (training.TrainDraft, training_pb2.TrainSpec),
    (training.ArchitectureDraft, training_pb2.Architecture),
    (training.TokenizerDraft, training_pb2.TokenizerSpec),
    (training.OptimizationDraft, training_pb2.OptimizationSpec),
    (training.EvaluationDraft, training_pb2.EvaluationSpec),
    (training.SamplesDraft, training_pb2.SamplesSpec),
    (training.CheckpointsDraft, training_pb2.CheckpointsSpec),
    (job_events.CheckpointWritten, facts_pb2.CheckpointWritten),
    (job_events.MetricLogged, jobs_pb2.MetricLogged),
    (job_events.SampleDrawn, jobs_pb2.SampleDrawn),
    (job_events.Note, jobs_pb2.Note),
    (job_events.RowsBlamed, jobs_pb2.RowsBlamed),
    (job_events.BlamedRow, jobs_pb2.BlamedRow),
    (job_events.RolledBack, jobs_pb2.RolledBack),
    (jobs.JobFailure, jobs_pb2.JobFailure),
    (import_model.ImportModelDraft, training_pb2.ImportModelSpec),
    (export_model.ExportModelDraft, training_pb2.ExportModelSpec),
]
ENUMS = [
    (job_states.JobState, jobs_pb2.JobState),
    (jobs.FailureReason, jobs_pb2.FailureReason),
    (jobs.CheckpointState, jobs_pb2.CheckpointState),
    (job_events.NoteLevel, jobs_pb2.NoteLevel),
    (datasets.DatasetFormat, datasets_pb2.DatasetFormat),
    (datasets.DatasetState, datasets_pb2.DatasetState),
    (datasets.RowKind, datasets_pb2.RowKind),
    (work.ExportFormat, training_pb2.ExportFormat),
    (workers.WorkerState, cluster_pb2.WorkerState),
    (training.Precision, training_pb2.Precision),
    (training.TokenizerKind, training_pb2.TokenizerKind),
    (Role, projects_pb2.Role),
    (heartbeat.Order, workers_pb2.Desire),
]
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def test_a_noun_becomes_its_message():
    key = ApiKey(id="k1", project_id="p", role=Role.TRAINER, create_time=NOON, expire_time=None)
    message = to_message(key, projects_pb2.ApiKey)
    assert (message.name, message.role) == ("projects/p/apiKeys/k1", projects_pb2.ROLE_TRAINER)
    assert message.create_time.ToDatetime(tzinfo=datetime.UTC) == NOON
    assert not message.HasField("expire_time")


def test_lists_and_properties_are_told_too():
    key = ApiKey(id="k1", project_id="p", role=Role.VIEWER, create_time=NOON)
    message = to_message(Caller(key=key, method="m"), projects_pb2.Caller)
    assert (message.api_key, message.project) == ("projects/p/apiKeys/k1", "projects/p")
    assert set(message.permissions) == PERMISSIONS[Role.VIEWER]


def test_a_draft_keeps_what_is_unset_apart_from_what_is_zero():
    request = datasets_pb2.StartUploadRequest(parent="projects/-", dataset_id="plays", size_bytes=7)
    assert from_message(request, UploadDraft).validation_fraction is None
    request.validation_fraction = 0.0
    assert from_message(request, UploadDraft).validation_fraction == 0.0


def test_nested_drafts_and_enums_are_read():
    spec = training_pb2.TrainSpec(
        dataset="d",
        precision=training_pb2.PRECISION_BF16,
        architecture=training_pb2.Architecture(layers=2),
        tokenizer=training_pb2.TokenizerSpec(kind=training_pb2.TOKENIZER_KIND_BPE),
    )
    draft = from_message(spec, TrainDraft)
    assert draft.architecture == ArchitectureDraft(layers=2)
    assert (draft.precision, draft.tokenizer.kind, draft.steps) == (Precision.BF16, TokenizerKind.BPE, None)
    assert from_message(training_pb2.TrainSpec(dataset="d"), TrainDraft) == TrainDraft(dataset="d")


def test_times_are_read_in_utc():
    message = projects_pb2.ApiKey(role=projects_pb2.ROLE_ADMIN)
    message.expire_time.FromDatetime(NOON)
    assert from_message(message, ApiKeyDraft) == ApiKeyDraft(role=Role.ADMIN, expire_time=NOON)


def attributes(noun: type) -> set[str]:
    """What can be asked of a noun: its fields, its properties, and seconds under their wire name."""
    names = {field.name for field in dataclasses.fields(noun)}
    names |= {name for name, value in inspect.getmembers(noun) if isinstance(value, property)}
    return names | {f"{name}econds" for name in names if name.endswith("_s")}


@pytest.mark.parametrize(("noun", "message"), TOLD, ids=lambda kind: kind.__name__)
def test_every_field_of_a_message_is_told_by_its_noun_or_by_the_servicer(noun: type, message: type[Message]) -> None:
    fields = {field.name for field in message.DESCRIPTOR.fields}
    assert fields - attributes(noun) - SAID_BY_SERVICERS.get((noun, message), set()) == set()


@pytest.mark.parametrize(("noun", "message"), READ, ids=lambda kind: kind.__name__)
def test_every_field_of_a_request_has_its_place_in_the_draft(noun: type, message: type[Message]) -> None:
    assert {field.name for field in message.DESCRIPTOR.fields} == {field.name for field in dataclasses.fields(noun)}


@pytest.mark.parametrize(("members", "numbers"), ENUMS, ids=lambda kind: getattr(kind, "__name__", ""))
def test_an_enum_has_the_same_words_on_both_sides(members: type, numbers: type) -> None:
    words = {name.partition(f"{_prefix(numbers)}_")[2] for name in numbers.DESCRIPTOR.values_by_name}
    ours = {"UNSPECIFIED" if member.name == "AUTO" else member.name for member in members}
    assert words - {"UNSPECIFIED"} == ours - {"UNSPECIFIED"}


def _prefix(numbers: type) -> str:
    unspecified = next(iter(numbers.DESCRIPTOR.values_by_name))
    return unspecified.removesuffix("_UNSPECIFIED")

"""Tutelage: train, sample and improve language models through a remote API.

    import tutelage

    client = tutelage.Client()
    job = client.train(dataset="plays", preset="tiny", steps=500)
    print(job.result().sample("To be", max_tokens=100).text)

Importing this package loads nothing: every stub below `tutelage.v1` runs this file first, and so does
`tutelage --help`. A public name is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from tutelage._homes import HOMES

if TYPE_CHECKING:
    from tutelage._async.client import AsyncClient
    from tutelage._async.job import AsyncJob
    from tutelage._async.model_version import AsyncModelVersion
    from tutelage._connection import Connection
    from tutelage._errors import (
        Aborted,
        AlreadyExists,
        Cancelled,
        DataLoss,
        DeadlineExceeded,
        FailedPrecondition,
        FieldViolation,
        Internal,
        InvalidArgument,
        JobCancelled,
        JobFailed,
        NotConfigured,
        NotFound,
        OutOfRange,
        PermissionDenied,
        ResourceExhausted,
        TutelageError,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        Unknown,
        WaitTimeout,
    )
    from tutelage._hyperparameters import Hyperparameters, TuningHyperparameters
    from tutelage._sync.client import Client
    from tutelage._sync.job import Job
    from tutelage._sync.model_version import ModelVersion
    from tutelage._tuning import Lora
    from tutelage._values.cluster import Queue, ServerInfo, Worker, WorkerState
    from tutelage._values.datasets import (
        Dataset,
        DatasetFormat,
        DatasetSplit,
        DatasetState,
        RowKind,
        RowStatistics,
        Upload,
    )
    from tutelage._values.drawing import Checker, DrawOptions, DrawSpec, EvaluateSpec
    from tutelage._values.duels import Duel, DuelJudge, DuelResult, DuelVerdict
    from tutelage._values.feedback import (
        Candidate,
        ChatMessage,
        Correction,
        DiscardReason,
        Judgement,
        Prompt,
        RetractVoteResponse,
        Thumb,
        Verdict,
        Vote,
        VoteState,
    )
    from tutelage._values.feedback_sets import ConflictPolicy, FeedbackFormat, FeedbackSet, SignalCounts
    from tutelage._values.inspection import InspectedPart, InspectedToken, InspectStepResponse, Prediction
    from tutelage._values.job_events import (
        BlamedRow,
        CheckpointCommitted,
        JobEvent,
        MetricLogged,
        MetricSeries,
        Note,
        NoteLevel,
        RolledBack,
        RowsBlamed,
        SampleDrawn,
        StateChanged,
    )
    from tutelage._values.jobs import (
        Checkpoint,
        CheckpointState,
        ExplainJobResponse,
        FailureReason,
        Finding,
        JobFailure,
        JobFile,
        JobInfo,
        JobProgress,
        JobState,
        Receipt,
        Usage,
    )
    from tutelage._values.lineage import Lineage, LineageEdge, LineageKind, LineageNode
    from tutelage._values.models import Alias, AliasMove, Model, ModelVersionInfo
    from tutelage._values.optimization import (
        Compilation,
        ComputeSpec,
        EarlyStoppingSpec,
        OptimizationSpec,
        Optimizer,
        RegularizationSpec,
        Schedule,
    )
    from tutelage._values.preferences import GrpoSpec, Method, PreferenceSpec
    from tutelage._values.projects import ApiKey, AuditEntry, Caller, CreateApiKeyResponse, Project, Role
    from tutelage._values.review_stats import Estimate, ReviewerStats, ReviewStats, VersionScore
    from tutelage._values.reviews import (
        OpenReview,
        Review,
        ReviewItem,
        ReviewKind,
        ReviewProgress,
        ReviewState,
        RubricQuestion,
        Seat,
        TakeSeatsResponse,
    )
    from tutelage._values.sampling import (
        FinishReason,
        Sample,
        SampledToken,
        SampleResponse,
        SamplingUsage,
        StreamSampleResponse,
        TokenLogprob,
    )
    from tutelage._values.training import (
        Architecture,
        CheckpointsSpec,
        EvaluationSpec,
        ExportFormat,
        ExportModelSpec,
        FineTuneSpec,
        Forecast,
        ImportModelSpec,
        LoraSpec,
        LossOn,
        MixturePart,
        Precision,
        Preset,
        RowsSpec,
        SamplesSpec,
        TokenizerKind,
        TokenizerSpec,
        TrainSpec,
        VerifySpec,
    )
    from tutelage._values.value import Value
    from tutelage._version import __version__

_MODULES = {name: module for module, names in HOMES.items() for name in names.split()}

__all__ = [
    "Aborted",
    "Alias",
    "AliasMove",
    "AlreadyExists",
    "ApiKey",
    "Architecture",
    "AsyncClient",
    "AsyncJob",
    "AsyncModelVersion",
    "AuditEntry",
    "BlamedRow",
    "Caller",
    "Cancelled",
    "Candidate",
    "ChatMessage",
    "Checker",
    "Checkpoint",
    "CheckpointCommitted",
    "CheckpointState",
    "CheckpointsSpec",
    "Client",
    "Compilation",
    "ComputeSpec",
    "ConflictPolicy",
    "Connection",
    "Correction",
    "CreateApiKeyResponse",
    "DataLoss",
    "Dataset",
    "DatasetFormat",
    "DatasetSplit",
    "DatasetState",
    "DeadlineExceeded",
    "DiscardReason",
    "DrawOptions",
    "DrawSpec",
    "Duel",
    "DuelJudge",
    "DuelResult",
    "DuelVerdict",
    "EarlyStoppingSpec",
    "Estimate",
    "EvaluateSpec",
    "EvaluationSpec",
    "ExplainJobResponse",
    "ExportFormat",
    "ExportModelSpec",
    "FailedPrecondition",
    "FailureReason",
    "FeedbackFormat",
    "FeedbackSet",
    "FieldViolation",
    "Finding",
    "FineTuneSpec",
    "FinishReason",
    "Forecast",
    "GrpoSpec",
    "Hyperparameters",
    "ImportModelSpec",
    "InspectStepResponse",
    "InspectedPart",
    "InspectedToken",
    "Internal",
    "InvalidArgument",
    "Job",
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobFailure",
    "JobFile",
    "JobInfo",
    "JobProgress",
    "JobState",
    "Judgement",
    "Lineage",
    "LineageEdge",
    "LineageKind",
    "LineageNode",
    "Lora",
    "LoraSpec",
    "LossOn",
    "Method",
    "MetricLogged",
    "MetricSeries",
    "MixturePart",
    "Model",
    "ModelVersion",
    "ModelVersionInfo",
    "NotConfigured",
    "NotFound",
    "Note",
    "NoteLevel",
    "OpenReview",
    "OptimizationSpec",
    "Optimizer",
    "OutOfRange",
    "PermissionDenied",
    "Precision",
    "Prediction",
    "PreferenceSpec",
    "Preset",
    "Project",
    "Prompt",
    "Queue",
    "Receipt",
    "RegularizationSpec",
    "ResourceExhausted",
    "RetractVoteResponse",
    "Review",
    "ReviewItem",
    "ReviewKind",
    "ReviewProgress",
    "ReviewState",
    "ReviewStats",
    "ReviewerStats",
    "Role",
    "RolledBack",
    "RowKind",
    "RowStatistics",
    "RowsBlamed",
    "RowsSpec",
    "RubricQuestion",
    "Sample",
    "SampleDrawn",
    "SampleResponse",
    "SampledToken",
    "SamplesSpec",
    "SamplingUsage",
    "Schedule",
    "Seat",
    "ServerInfo",
    "SignalCounts",
    "StateChanged",
    "StreamSampleResponse",
    "TakeSeatsResponse",
    "Thumb",
    "TokenLogprob",
    "TokenizerKind",
    "TokenizerSpec",
    "TrainSpec",
    "TuningHyperparameters",
    "TutelageError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "Upload",
    "Usage",
    "Value",
    "Verdict",
    "VerifySpec",
    "VersionScore",
    "Vote",
    "VoteState",
    "WaitTimeout",
    "Worker",
    "WorkerState",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names what there is, loaded or not."""
    return __all__

"""Where each public name of the package lives: read before anything else is loaded."""

HOMES = {
    "_async.client": "AsyncClient",
    "_async.job": "AsyncJob",
    "_async.model_version": "AsyncModelVersion",
    "_connection": "Connection",
    "_errors": (
        "Aborted AlreadyExists Cancelled DataLoss DeadlineExceeded FailedPrecondition FieldViolation Internal "
        "InvalidArgument JobCancelled JobFailed NotConfigured NotFound OutOfRange PermissionDenied "
        "ResourceExhausted TutelageError Unauthenticated Unavailable Unimplemented Unknown WaitTimeout"
    ),
    "_hyperparameters": "Hyperparameters TuningHyperparameters",
    "_sync.client": "Client",
    "_sync.job": "Job",
    "_sync.model_version": "ModelVersion",
    "_tuning": "Lora",
    "_values.cluster": "Queue ServerInfo Worker WorkerState",
    "_values.datasets": "Dataset DatasetFormat DatasetSplit DatasetState RowKind RowStatistics Upload",
    "_values.drawing": "Checker DrawOptions DrawSpec EvaluateSpec",
    "_values.duels": "Duel DuelJudge DuelResult DuelVerdict",
    "_values.feedback": (
        "Candidate ChatMessage Correction DiscardReason Judgement Prompt RetractVoteResponse Thumb Verdict Vote "
        "VoteState"
    ),
    "_values.feedback_sets": "ConflictPolicy FeedbackFormat FeedbackSet SignalCounts",
    "_values.inspection": "InspectStepResponse InspectedPart InspectedToken Prediction",
    "_values.job_events": (
        "BlamedRow CheckpointCommitted JobEvent MetricLogged MetricSeries Note NoteLevel RolledBack RowsBlamed "
        "SampleDrawn StateChanged"
    ),
    "_values.jobs": (
        "Checkpoint CheckpointState ExplainJobResponse FailureReason Finding JobFailure JobFile JobInfo "
        "JobProgress JobState Receipt Usage"
    ),
    "_values.lineage": "Lineage LineageEdge LineageKind LineageNode",
    "_values.models": "Alias AliasMove Model ModelVersionInfo",
    "_values.optimization": (
        "Compilation ComputeSpec EarlyStoppingSpec OptimizationSpec Optimizer RegularizationSpec Schedule"
    ),
    "_values.preferences": "GrpoSpec Method PreferenceSpec",
    "_values.projects": "ApiKey AuditEntry Caller CreateApiKeyResponse Project Role",
    "_values.review_stats": "Estimate ReviewStats ReviewerStats VersionScore",
    "_values.reviews": (
        "OpenReview Review ReviewItem ReviewKind ReviewProgress ReviewState RubricQuestion Seat TakeSeatsResponse"
    ),
    "_values.sampling": (
        "FinishReason Sample SampleResponse SampledToken SamplingUsage StreamSampleResponse TokenLogprob"
    ),
    "_values.training": (
        "Architecture CheckpointsSpec EvaluationSpec ExportFormat ExportModelSpec FineTuneSpec Forecast "
        "ImportModelSpec LoraSpec LossOn MixturePart Precision Preset RowsSpec SamplesSpec TokenizerKind "
        "TokenizerSpec TrainSpec VerifySpec"
    ),
    "_values.value": "Value",
    "_version": "__version__",
}

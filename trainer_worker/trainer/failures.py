"""Why training cannot go on, in the words of a job's failure."""

from tutelage.v1 import jobs_pb2


class TrainingFailed(Exception):
    """Another attempt would fail alike. `failure` says why, for the job."""

    def __init__(self, reason: "jobs_pb2.FailureReason.ValueType", message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.failure = jobs_pb2.JobFailure(reason=reason, message=message, help=help)


def diverged(message: str) -> TrainingFailed:
    help = "Lower the learning rate, lengthen warm-up, set clip_norm, or train in fp32. The last checkpoint is kept."
    return TrainingFailed(jobs_pb2.FAILURE_REASON_DIVERGED, message, help=help)

# Generated from tutelage/_async/client.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""The client: one object a connection, one member a subject of the service."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Self, Unpack

from tutelage._connection import find_connection
from tutelage._hyperparameters import (
    Hyperparameters,
    TuningHyperparameters,
    build_fine_tune_spec,
    build_train_spec,
)
from tutelage._names import model_version_name
from tutelage._retry import RETRY_S
from tutelage._sampling_options import SamplingOptions
from tutelage._sync.cluster import Cluster
from tutelage._sync.datasets import Datasets
from tutelage._sync.duels import Duels
from tutelage._sync.feedback import Feedback
from tutelage._sync.job import Job
from tutelage._sync.jobs import Jobs
from tutelage._sync.keys import Keys
from tutelage._sync.models import Models
from tutelage._sync.pages import walk_pages
from tutelage._sync.reviews import Reviews
from tutelage._sync.sampling import sample_model, stream_model
from tutelage._sync.transport import TIMEOUT_S, Transport
from tutelage._tuning import Lora
from tutelage._values.feedback_sets import FeedbackSet
from tutelage._values.jobs import Checkpoint, JobInfo
from tutelage._values.models import ModelVersionInfo
from tutelage._values.projects import AuditEntry, Caller, Project
from tutelage._values.sampling import SampleResponse, StreamSampleResponse
from tutelage._values.training import Forecast
from tutelage.v1 import jobs_pb2, projects_pb2, training_pb2

# The gateway lets a call to RetrainModel run for so long: it freezes a feedback set.
RETRAIN_S = 300.0


class Client:
    """A connection to a Tutelage service.

    Arguments left out come from the environment (TUTELAGE_ADDRESS, TUTELAGE_API_KEY, TUTELAGE_PROFILE), from a profile
    that `tutelage login` stored, or from the local stack of `tutelage up`. Nothing is sent before the first call.
    `timeout_s` is the deadline of a call in seconds; every method takes its own as `timeout`. `retry_s` is how long a
    call is repeated while the service cannot be reached; no call is ever carried out twice.

    Raises: NotConfigured if no address or no key is found.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        api_key: str | None = None,
        profile: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self.connection = find_connection(address=address, api_key=api_key, profile=profile)
        self._transport = Transport(self.connection, timeout_s=timeout_s, retry_s=retry_s)
        self.jobs = Jobs(self._transport)
        self.datasets = Datasets(self._transport)
        self.models = Models(self._transport)
        self.reviews = Reviews(self._transport)
        self.feedback = Feedback(self._transport)
        self.duels = Duels(self._transport)
        self.keys = Keys(self._transport)
        self.cluster = Cluster(self._transport)

    def train(
        self,
        dataset: str,
        *,
        job_id: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        **hyperparameters: Unpack[Hyperparameters],
    ) -> Job:
        """Submits a job that pretrains a model on a dataset, and returns it as soon as it is accepted.

        `request_id` makes repeating the call safe across processes; by default each call makes one of its own.
        Raises: InvalidArgument with each wrong field, NotFound for the dataset, AlreadyExists for `job_id`,
        ResourceExhausted when too many jobs wait.
        """
        request = jobs_pb2.TrainRequest(
            parent="projects/-",
            job_id=job_id,
            spec=build_train_spec(dataset, hyperparameters=hyperparameters),
            labels=labels or {},
            request_id=request_id or str(uuid.uuid4()),
        )
        answer = self._transport.call("Jobs", "Train", request, timeout=timeout)
        return Job(self._transport, JobInfo.from_message(answer))

    def validate(
        self,
        dataset: str,
        *,
        job_id: str = "",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **hyperparameters: Unpack[Hyperparameters],
    ) -> JobInfo:
        """Checks everything that `train` would, stores nothing, and returns the job as it would be accepted.

        Its `train` holds every default filled in, its `forecast` what the run would take. Raises: what `train` raises.
        """
        request = jobs_pb2.TrainRequest(
            parent="projects/-",
            job_id=job_id,
            spec=build_train_spec(dataset, hyperparameters=hyperparameters),
            labels=labels or {},
            validate_only=True,
        )
        return JobInfo.from_message(self._transport.call("Jobs", "Train", request, timeout=timeout))

    def fine_tune(
        self,
        base: str | ModelVersionInfo | Checkpoint | None = None,
        dataset: str | None = None,
        *,
        feedback: str | FeedbackSet | None = None,
        lora: Lora | Mapping[str, Any] | bool | None = None,
        job_id: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        **hyperparameters: Unpack[TuningHyperparameters],
    ) -> Job:
        """Submits a job that trains a model further on a dataset or a feedback set, and returns it once it is accepted.

        `base` is a model (`chat`), a version of it (`chat@v2`), an alias (`chat@prod`), or a checkpoint of a job
        (`JOB/checkpoints/200`); left out, it is `model`. `method` says what is learnt: `sft` (default), `dpo`, `ipo`,
        `simpo`, `orpo`, `kto`, `reward` or `grpo`. `lora`, such as `Lora(rank=16)` or `{"rank": 16}`, trains small
        matrices beside the weights instead of the weights. Raises: what `train` raises; NotFound also for the base;
        FailedPrecondition for rows that the method cannot learn from, with how many there are of which kind.
        """
        request = jobs_pb2.FineTuneRequest(
            parent="projects/-",
            job_id=job_id,
            spec=build_fine_tune_spec(base, dataset, feedback=feedback, lora=lora, hyperparameters=hyperparameters),
            labels=labels or {},
            request_id=request_id or str(uuid.uuid4()),
        )
        answer = self._transport.call("Jobs", "FineTune", request, timeout=timeout)
        return Job(self._transport, JobInfo.from_message(answer))

    def validate_fine_tune(
        self,
        base: str | ModelVersionInfo | Checkpoint | None = None,
        dataset: str | None = None,
        *,
        feedback: str | FeedbackSet | None = None,
        lora: Lora | Mapping[str, Any] | bool | None = None,
        job_id: str = "",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **hyperparameters: Unpack[TuningHyperparameters],
    ) -> JobInfo:
        """Checks everything that `fine_tune` would, stores nothing, and returns the job as it would be accepted."""
        request = jobs_pb2.FineTuneRequest(
            parent="projects/-",
            job_id=job_id,
            spec=build_fine_tune_spec(base, dataset, feedback=feedback, lora=lora, hyperparameters=hyperparameters),
            labels=labels or {},
            validate_only=True,
        )
        return JobInfo.from_message(self._transport.call("Jobs", "FineTune", request, timeout=timeout))

    def retrain(
        self,
        model: str | ModelVersionInfo,
        *,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Tunes again what a version was tuned with, without the votes that were retracted since; returns the job.

        Its feedback set is frozen anew, and the same specification is submitted on it. Raises: NotFound,
        FailedPrecondition if no vote of the version is retracted, or if it was not tuned on a feedback set.
        """
        name = model if isinstance(model, str) else model.name
        request = jobs_pb2.RetrainModelRequest(
            name=model_version_name(name, version=None), labels=labels or {}, request_id=request_id or str(uuid.uuid4())
        )
        limit_s = RETRAIN_S if timeout is None else timeout
        answer = self._transport.call("Jobs", "RetrainModel", request, timeout=limit_s)
        return Job(self._transport, JobInfo.from_message(answer))

    def forecast(
        self, dataset: str, *, timeout: float | None = None, **hyperparameters: Unpack[Hyperparameters]
    ) -> Forecast:
        """Returns what a run would take: weights, operations, memory in bytes, time in seconds. Nothing is stored."""
        info = self.validate(dataset, timeout=timeout, **hyperparameters)
        return info.forecast or Forecast.from_message(training_pb2.Forecast())

    def sample(
        self, model: str, prompt: str = "", *, timeout: float | None = None, **options: Unpack[SamplingOptions]
    ) -> SampleResponse:
        """Draws texts from a model, `plays-tiny`, or one version of it, `plays-tiny/versions/2`.

        The same `seed` draws the same text. Raises: NotFound for the model, InvalidArgument for a prompt longer than
        the context, ResourceExhausted when too many requests wait.
        """
        return sample_model(self._transport, model, prompt, options=options, timeout=timeout)

    def stream(
        self, model: str, prompt: str = "", *, timeout: float | None = None, **options: Unpack[SamplingOptions]
    ) -> Iterator[StreamSampleResponse]:
        """Yields text as it is drawn. Arguments and errors are those of `sample`."""
        return stream_model(self._transport, model, prompt, options=options, timeout=timeout)

    def caller(self, *, timeout: float | None = None) -> Caller:
        """Returns who the key is: its role, permissions and project."""
        request = projects_pb2.GetCallerRequest()
        return Caller.from_message(self._transport.call("Projects", "GetCaller", request, timeout=timeout))

    def project(self, *, timeout: float | None = None) -> Project:
        """Returns the project of the key, with its quotas."""
        request = projects_pb2.GetProjectRequest(name="projects/-")
        return Project.from_message(self._transport.call("Projects", "GetProject", request, timeout=timeout))

    def audit(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[AuditEntry]:
        """Yields what was done in the project, newest first. Raises: PermissionDenied without the admin role."""
        request = projects_pb2.ListAuditEntriesRequest(parent="projects/-", page_size=page_size)
        pages = walk_pages(self._transport, "Projects", "ListAuditEntries", request, timeout=timeout)
        for entry in pages:
            yield AuditEntry.from_message(entry)

    def close(self) -> None:
        """Closes the connection; open streams end."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

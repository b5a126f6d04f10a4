"""Values: a faithful copy of every message that the service answers with."""

import dataclasses
import datetime
import importlib
import inspect
import typing
from typing import Any

import pytest

import tutelage
from tutelage._values.value import Value, WireEnum, hints_of, plain_type
from tutelage.v1 import jobs_pb2, training_pb2

SUBJECTS = (
    "training",
    "jobs",
    "datasets",
    "models",
    "sampling",
    "projects",
    "cluster",
    "inspection",
    "feedback",
    "reviews",
    "duels",
    "lineage",
)
RENAMED = {"Job": "JobInfo", "ModelVersion": "ModelVersionInfo"}
UNWRAPPED = {"QueryMetricsResponse", "ReadJobFileResponse", "ExportFeedbackSetResponse", "SkipSeatResponse"}


def answers() -> dict[str, Any]:
    """Returns the descriptor of each message that a user gets, by the name of its value."""
    found = {}
    for subject in SUBJECTS:
        module = importlib.import_module(f"tutelage.v1.{subject}_pb2")
        for name, descriptor in module.DESCRIPTOR.message_types_by_name.items():
            page = name.startswith("List") and name.endswith("Response")
            if not name.endswith("Request") and not page and name not in UNWRAPPED:
                found[RENAMED.get(name, name)] = descriptor
    return found


def enums() -> dict[str, Any]:
    found = {}
    for subject in SUBJECTS:
        module = importlib.import_module(f"tutelage.v1.{subject}_pb2")
        found.update(module.DESCRIPTOR.enum_types_by_name)
    return found


@pytest.mark.parametrize("name", sorted(answers()))
def test_a_value_has_exactly_the_fields_of_its_message(name: str) -> None:
    fields = {field.removesuffix("_") for field in hints_of(getattr(tutelage, name))}
    assert fields == {field.name for field in answers()[name].fields}


@pytest.mark.parametrize("name", sorted(enums()))
def test_an_enum_has_exactly_the_members_of_the_protos(name: str) -> None:
    descriptor = enums()[name]
    kind = getattr(tutelage, name)
    for value in descriptor.values:
        assert f"{name_prefix(descriptor)}{kind.from_wire(value.number, descriptor)}" == value.name
    assert len(kind.__members__) == len(descriptor.values)


def name_prefix(descriptor: Any) -> str:
    return str(descriptor.values[0].name).removesuffix("UNSPECIFIED")


@pytest.mark.parametrize("name", sorted(answers()))
def test_an_empty_message_becomes_a_value(name: str) -> None:
    descriptor = answers()[name]
    message = importlib.import_module(descriptor.file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
    original = getattr(message, descriptor.name)()
    value = getattr(tutelage, name).from_message(original)
    assert isinstance(value.to_dict(), dict)
    for field, hint in hints_of(type(value)).items():
        content = getattr(value, field)
        kind = typing.get_origin(plain_type(hint)) or plain_type(hint)
        assert content is None or isinstance(content, kind)


@pytest.mark.parametrize("name", sorted(answers()))
def test_every_field_of_a_value_is_described(name: str) -> None:
    source = inspect.getsource(getattr(tutelage, name))
    fields = hints_of(getattr(tutelage, name))
    assert source.count('"""') >= 2 * (len(fields) + 1), "a docstring for the class and one for each field"


def test_a_full_message_arrives_with_its_types() -> None:
    job = jobs_pb2.Job(name="projects/p/jobs/j", state=jobs_pb2.JOB_STATE_RUNNING, labels={"team": "search"})
    job.create_time.FromDatetime(datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC))
    job.train.steps, job.train.optimization.learning_rate = 500, 0.001
    job.train.tokenizer.kind = training_pb2.TOKENIZER_KIND_BPE
    job.progress.step, job.progress.loss = 3, 2.5
    info = tutelage.JobInfo.from_message(job)
    assert info.state is tutelage.JobState.RUNNING
    assert info.state == "RUNNING"
    assert info.create_time == datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC)
    assert info.labels == {"team": "search"}
    assert info.train is not None and info.train.optimization is not None and info.train.tokenizer is not None
    assert info.train.optimization.learning_rate == 0.001
    assert info.train.optimization.beta1 is None
    assert info.train.tokenizer.kind is tutelage.TokenizerKind.BPE
    assert info.progress is not None
    assert (info.progress.loss, info.progress.validation_loss) == (2.5, None)
    assert info.failure is None


def test_values_cannot_be_changed() -> None:
    info = tutelage.JobInfo.from_message(jobs_pb2.Job(labels={"a": "b"}))
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.state = tutelage.JobState.FAILED  # type: ignore[misc]
    with pytest.raises(TypeError):
        info.labels["a"] = "c"  # type: ignore[index]


def test_json_has_the_names_of_the_protos() -> None:
    job = jobs_pb2.Job(name="n", state=jobs_pb2.JOB_STATE_QUEUED)
    content = tutelage.JobInfo.from_message(job).to_dict()
    assert content["state"] == "JOB_STATE_QUEUED"
    assert content["model_version"] == ""
    assert "create_time" not in content


def test_a_name_that_python_keeps_for_itself_gets_an_underscore() -> None:
    change = jobs_pb2.StateChanged(to=jobs_pb2.JOB_STATE_RUNNING)
    setattr(change, "from", jobs_pb2.JOB_STATE_QUEUED)
    value = tutelage.StateChanged.from_message(change)
    assert (value.from_, value.to) == ("QUEUED", "RUNNING")


def test_an_enum_value_that_only_a_newer_service_knows_is_unspecified() -> None:
    job = jobs_pb2.Job()
    job.ParseFromString(b"\x18\x63")  # field 3, state, with the number 99
    assert job.state == 99
    assert tutelage.JobInfo.from_message(job).state is tutelage.JobState.UNSPECIFIED


def test_a_field_that_only_a_newer_service_knows_is_passed_over() -> None:
    job = jobs_pb2.Job()
    job.ParseFromString(b"\xf2\x3f\x03new")  # field 1022
    assert tutelage.JobInfo.from_message(job).name == ""


def test_final_and_waiting_states_are_known() -> None:
    assert {state for state in tutelage.JobState if state.is_final} == {"SUCCEEDED", "CANCELLED", "FAILED"}
    assert {state for state in tutelage.JobState if state.is_waiting} == {"QUEUED", "BACKOFF"}


@pytest.mark.parametrize("kind", [field.name for field in jobs_pb2.JobEvent.DESCRIPTOR.oneofs[0].fields])
def test_an_event_says_what_it_is(kind: str) -> None:
    event = jobs_pb2.JobEvent(cursor=7)
    getattr(event, kind).SetInParent()
    value = tutelage.JobEvent.from_message(event)
    assert value.kind == kind
    assert str(value).startswith("7 ")


def test_values_with_the_same_content_are_equal() -> None:
    first, second = (tutelage.Finding.from_message(jobs_pb2.Finding(fact="a")) for _ in range(2))
    assert first == second
    assert issubclass(tutelage.Finding, Value)
    assert issubclass(tutelage.JobState, WireEnum)


@pytest.mark.parametrize("kind", [field.name for field in jobs_pb2.Job.DESCRIPTOR.oneofs[0].fields])
def test_a_job_says_what_it_is(kind: str) -> None:
    job = jobs_pb2.Job()
    getattr(job, kind).SetInParent()
    assert tutelage.JobInfo.from_message(job).kind == kind


def test_a_job_knows_the_model_that_it_works_for() -> None:
    job = jobs_pb2.Job(fine_tune=training_pb2.FineTuneSpec(model="chat"))
    assert tutelage.JobInfo.from_message(job).model == "chat"
    job.model_version = "projects/p/models/chat/versions/2"
    assert tutelage.JobInfo.from_message(job).model == job.model_version
    job = jobs_pb2.Job(verify=training_pb2.VerifySpec(job="projects/p/jobs/x"))
    assert tutelage.JobInfo.from_message(job).model == ""
    assert tutelage.JobInfo.from_message(jobs_pb2.Job()).kind == ""

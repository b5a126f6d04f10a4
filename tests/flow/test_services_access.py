"""Who may call what: every method of both languages, every role, over real gRPC."""

import datetime
import pathlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from services.api.methods import INTERNAL_FILES, PUBLIC_FILES, Method, methods_of
from services.api.server import check_guarded
from services.domain.projects import PERMISSIONS, Caller, Role
from services.domain.requests import NO_REQUEST_KEY
from services.projects.revoke_api_key import revoke_api_key
from tests.support.served_house import (
    ServedHouse,
    fields_of,
    info_of,
    keys_of_roles,
    made_house,
    reason_of,
    sealed,
    served_house,
)
from tutelage.v1 import (
    datasets_pb2,
    duels_pb2,
    feedback_pb2,
    jobs_pb2,
    models_pb2,
    projects_pb2,
    reviews_pb2,
    training_pb2,
)
from tutelage_internal.v1 import access_pb2, access_pb2_grpc
from tutelage_internal.v1.principal_pb2 import Principal

PUBLIC = list(methods_of(PUBLIC_FILES))
INTERNAL = list(methods_of(INTERNAL_FILES))
UNKNOWN_FIELD = b"\xf8\x3e\x01"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    folder = tmp_path_factory.mktemp("house")
    house = made_house(f"sqlite:///{folder}/house.db", artifacts_dir=folder / "artifacts")
    with served_house(house, folder) as served:
        yield served


@pytest.fixture(scope="module")
def keys(served: ServedHouse) -> dict[Role, Any]:
    return keys_of_roles(served)


def call(served: ServedHouse, method: Method, data: bytes = b"", *, metadata: Any = ()) -> grpc.RpcError | None:
    """Make a call of whatever kind and return its refusal, or None."""
    kinds = {
        (False, False): served.public.unary_unary,
        (False, True): served.public.unary_stream,
        (True, False): served.public.stream_unary,
    }
    multi = kinds[method.client_streams, method.server_streams](method.path)
    try:
        answer = multi(iter([data]) if method.client_streams else data, metadata=metadata, timeout=10)
        if method.server_streams:
            next(answer)
    except grpc.RpcError as error:
        return error
    return None


def ids(method: Any) -> str:
    return method.name.rpartition(".")[2] if isinstance(method, Method) else getattr(method, "value", str(method))


def test_every_method_of_the_public_language_names_a_permission_that_some_role_holds():
    known = frozenset().union(*PERMISSIONS.values())
    assert {method.permission for method in PUBLIC} <= known
    assert all(method.permission for method in PUBLIC)


def test_a_method_that_names_nobody_stops_the_start():
    method = PUBLIC[0]
    with pytest.raises(RuntimeError, match=method.name):
        check_guarded(method, by="")


@pytest.mark.parametrize("role", list(Role), ids=ids)
@pytest.mark.parametrize("method", PUBLIC, ids=ids)
def test_a_role_may_call_what_its_permissions_say_and_nothing_else(served, keys, method, role):
    refused = call(served, method, UNKNOWN_FIELD, metadata=served.signed(method.path, key=keys[role]))
    assert refused is not None, "the request is never valid"
    if method.permission in PERMISSIONS[role]:
        assert (refused.code(), reason_of(refused)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert fields_of(refused) == ["1007"]
    else:
        assert (refused.code(), reason_of(refused)) == (grpc.StatusCode.PERMISSION_DENIED, "MISSING_PERMISSION")
        assert info_of(refused).metadata["permission"] == method.permission


@pytest.mark.parametrize("method", PUBLIC, ids=ids)
def test_without_a_principal_nothing_is_served(served, method):
    refused = call(served, method)
    assert (refused.code(), reason_of(refused)) == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_KEY")


@pytest.mark.parametrize("method", PUBLIC, ids=ids)
def test_a_principal_for_another_method_is_refused(served, method):
    other = next(each for each in PUBLIC if each != method)
    refused = call(served, method, metadata=served.signed(other.path))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


def principal(served: ServedHouse, *, seconds: float = 30, secret: bytes | None = None, **values: str) -> Any:
    said = {"key_id": served.admin.id, "project_id": "own", "method": "/tutelage.v1.Projects/GetCaller", **values}
    statement = Principal(**said)
    statement.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds))
    value = sealed(statement) if secret is None else sealed(statement, secret=secret)
    return (("x-tutelage-principal-bin", value),)


GET_CALLER = next(method for method in PUBLIC if method.rpc == "GetCaller")


def test_a_principal_that_is_right_is_served(served):
    assert call(served, GET_CALLER, metadata=principal(served)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": b"x" * 32},
        {"seconds": -1},
        {"seconds": 600},
        {"key_id": "aaaaaaaaaaaa"},
        {"project_id": "foreign"},
        {"key_id": "' OR 1=1--"},
        {"key_id": ""},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_a_principal_that_is_wrong_is_refused_alike(served, wrong):
    refused = call(served, GET_CALLER, metadata=principal(served, **wrong))
    assert (refused.code(), reason_of(refused)) == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_KEY")


def test_the_role_is_that_of_the_key_and_not_what_the_principal_says(served, keys):
    statement = Principal(
        key_id=keys[Role.REVIEWER].id,
        project_id="own",
        method="/tutelage.v1.Datasets/ListDatasets",
        role=projects_pb2.ROLE_ADMIN,
    )
    statement.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30))
    method = next(each for each in PUBLIC if each.rpc == "ListDatasets")
    refused = call(served, method, metadata=(("x-tutelage-principal-bin", sealed(statement)),))
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_revoked_key_is_dead_at_once_whatever_was_signed_before(served):
    key = keys_of_roles(served)[Role.ADMIN]
    signed = served.signed(GET_CALLER.path, key=key)
    assert call(served, GET_CALLER, metadata=signed) is None
    caller = Caller(key=served.admin, method="test")
    revoke_api_key(served.house, caller=caller, name=key.name, request=NO_REQUEST_KEY)
    assert reason_of(call(served, GET_CALLER, metadata=signed)) == "INVALID_KEY"


# What a request must hold beside its name to be looked at.
FILLED = {
    jobs_pb2.DrawAnswersRequest: jobs_pb2.DrawAnswersRequest(
        spec=training_pb2.DrawSpec(models=["projects/-/models/m"], prompts="projects/-/datasets/d")
    ),
    jobs_pb2.EvaluateModelRequest: jobs_pb2.EvaluateModelRequest(
        spec=training_pb2.EvaluateSpec(model="projects/-/models/m", dataset="projects/-/datasets/d")
    ),
    models_pb2.PromoteModelRequest: models_pb2.PromoteModelRequest(alias="prod"),
    duels_pb2.CreateDuelRequest: duels_pb2.CreateDuelRequest(
        duel=duels_pb2.Duel(
            champion="projects/-/models/m",
            challenger="projects/-/models/n",
            prompts="projects/-/datasets/d",
            judge=duels_pb2.DUEL_JUDGE_REVIEWERS,
        )
    ),
    feedback_pb2.SubmitFeedbackRequest: feedback_pb2.SubmitFeedbackRequest(
        prompt=feedback_pb2.Prompt(text="a"),
        candidates=[feedback_pb2.Candidate(text="b")],
        judgement=feedback_pb2.Judgement(rating=9),
    ),
    feedback_pb2.RetractVoteRequest: feedback_pb2.RetractVoteRequest(reason="spam"),
    reviews_pb2.CreateReviewRequest: reviews_pb2.CreateReviewRequest(
        review=reviews_pb2.Review(
            draw=training_pb2.DrawSpec(models=["projects/-/models/m"], prompts="projects/-/datasets/d")
        )
    ),
    reviews_pb2.SubmitVoteRequest: reviews_pb2.SubmitVoteRequest(judgement=feedback_pb2.Judgement(rating=9)),
}


def named(method: Method, name: str) -> bytes:
    """A request of a method in which every field that holds a name holds this one."""
    request = method.request()
    if method.request in FILLED:
        request.CopyFrom(FILLED[method.request])
    for field in ("name", "parent"):
        if field in method.request.DESCRIPTOR.fields_by_name:
            setattr(request, field, name)
    fill = {
        jobs_pb2.TrainRequest: lambda: request.spec.CopyFrom(training_pb2.TrainSpec(dataset="projects/-/datasets/d")),
        jobs_pb2.FineTuneRequest: lambda: request.spec.CopyFrom(
            training_pb2.FineTuneSpec(base="projects/-/models/m", dataset="projects/-/datasets/d")
        ),
        models_pb2.ImportModelRequest: lambda: request.spec.CopyFrom(
            training_pb2.ImportModelSpec(dataset="projects/-/datasets/d")
        ),
        models_pb2.ExportModelRequest: lambda: request.spec.CopyFrom(
            training_pb2.ExportModelSpec(model="projects/-/models/m")
        ),
        projects_pb2.CreateApiKeyRequest: lambda: request.api_key.CopyFrom(projects_pb2.ApiKey(role=1)),
        datasets_pb2.StartUploadRequest: lambda: request.MergeFrom(
            datasets_pb2.StartUploadRequest(dataset_id="d", size_bytes=5)
        ),
    }.get(method.request)
    if fill:
        fill()
    return request.SerializeToString()


OF_VOTES = ("UndoVote", "GetVote", "RetractVote", "TraceVote")
SUFFIXES = {
    **dict.fromkeys(("GetModelVersion", "PromoteModel", "GetLineage"), "/versions/1"),
    "GetAlias": "/aliases/prod",
    "RollBackAlias": "/aliases/prod",
    "SetGoldAnswer": "/items/1",
    **dict.fromkeys(("SaveDraft", "SubmitVote", "SkipSeat"), "/seats/1"),
}


def shape_of_name(method: Method) -> str:
    """The shape of the name in a request, from what a wrong one is told."""
    service = method.service.rpartition(".")[2]
    if "parent" in method.request.DESCRIPTOR.fields_by_name:
        jobs = dict.fromkeys(("ListJobEvents", "ListCheckpoints", "ListJobFiles"), "jobs")
        reviews = dict.fromkeys(("ListReviewItems", "ListOwnVotes"), "reviews")
        shapes = {**jobs, **reviews, **dict.fromkeys(("ListModelVersions", "ListAliases"), "models")}
        return f"/{shapes[method.rpc]}/thing" if method.rpc in shapes else ""
    if method.rpc == "GetProject":
        return ""
    kinds = {
        "Jobs": "jobs",
        "Datasets": "datasets",
        "Models": "models",
        "Projects": "apiKeys",
        "Reviews": "reviews",
        "Feedback": "feedbackSets",
        "Duels": "duels",
    }
    odd = {**dict.fromkeys(OF_VOTES, "votes"), "RetrainModel": "models"}
    kind = "uploads" if method.rpc.endswith("Upload") else odd.get(method.rpc, kinds[service])
    suffix = SUFFIXES.get(method.rpc, "")
    return f"/{kind}/thing{suffix}"


NAMED = [
    method
    for method in PUBLIC
    if {"name", "parent"} & set(method.request.DESCRIPTOR.fields_by_name) and method.rpc != "GetServerInfo"
]


@pytest.mark.parametrize("method", NAMED, ids=ids)
def test_a_foreign_project_and_a_missing_thing_get_the_same_answer(served, method):
    shape = shape_of_name(method)
    answers = []
    for project in ("foreign", "missing", *(("own",) if shape else ())):
        name = f"projects/{project}{shape}"
        refused = call(served, method, named(method, name), metadata=served.signed(method.path))
        assert refused is not None and refused.code() is grpc.StatusCode.NOT_FOUND, (name, refused)
        details = refused.details().replace(f"projects/{project}", "projects/X")
        answers.append((details, reason_of(refused)))
    assert len(set(answers)) == 1


@pytest.mark.parametrize("method", NAMED, ids=ids)
@pytest.mark.parametrize(
    "name", ["", "../x", "projects", "projects/own/", "projects/own/jobs/../x", "projects/A/b/c", "\r\n"]
)
def test_a_name_of_another_shape_is_refused_with_the_right_shape(served, method, name):
    refused = call(served, method, named(method, name), metadata=served.signed(method.path))
    assert (refused.code(), reason_of(refused)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert fields_of(refused)[0] in ("name", "parent")


def test_nul_is_refused_with_its_path(served):
    request = jobs_pb2.GetJobRequest(name="projects/own/jobs/a\0b")
    method = next(each for each in PUBLIC if each.rpc == "GetJob")
    refused = call(served, method, request.SerializeToString(), metadata=served.signed(method.path))
    assert fields_of(refused) == ["name"]


@pytest.mark.parametrize("room", ["gateway", "worker", "sampler"])
@pytest.mark.parametrize("method", INTERNAL, ids=ids)
def test_a_room_may_call_its_own_methods_and_nothing_else(served, method, room):
    from tests.support.served_house import ROOM_NAMES, SECRETS

    metadata = (("authorization", f"Bearer {ROOM_NAMES[room].hex()}"),)
    multi = served.internal.unary_unary(method.path)
    with pytest.raises(grpc.RpcError) as caught:
        multi(UNKNOWN_FIELD, metadata=metadata, timeout=10)
    own = SECRETS.rooms[method.room] == ROOM_NAMES[room]
    expected = grpc.StatusCode.INVALID_ARGUMENT if own else grpc.StatusCode.UNAUTHENTICATED
    assert caught.value.code() is expected


@pytest.mark.parametrize("method", INTERNAL, ids=ids)
def test_a_stranger_may_call_nothing_inside_the_house(served, method):
    with pytest.raises(grpc.RpcError) as caught:
        served.internal.unary_unary(method.path)(b"", metadata=served.signed(method.path), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", [*INTERNAL, *PUBLIC], ids=ids)
def test_neither_port_speaks_the_other_language(served, method):
    other = served.public if method in INTERNAL else served.internal
    with pytest.raises(grpc.RpcError) as caught:
        other.unary_unary(method.path)(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_health_answers_without_a_key(served):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    for channel in (served.public, served.internal):
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="tutelage.v1.Jobs"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_gateway_learns_whom_a_key_belongs_to(served):
    from services.projects.create_project import create_project

    made = create_project(served.house, project_id="own")
    access = served.room_stub(access_pb2_grpc.AccessStub, room="gateway")
    answer = access.Authenticate(access_pb2.AuthenticateRequest(api_key=made.secret))
    assert (answer.key_id, answer.project_id, answer.role) == (made.api_key.id, "own", projects_pb2.ROLE_ADMIN)
    assert set(answer.permissions) == PERMISSIONS[Role.ADMIN]


@pytest.mark.parametrize("change", ["secret", "id", "shape", "empty"])
def test_the_gateway_learns_nothing_from_a_wrong_key(served, change):
    from services.projects.create_project import create_project

    made = create_project(served.house, project_id="own")
    _, key_id, secret = made.secret.split("_")
    wrong = {
        "secret": f"tut_{key_id}_{'0' * 64}",
        "id": f"tut_{'z' * 12}_{secret}",
        "shape": made.secret.upper(),
        "empty": "",
    }[change]
    access = served.room_stub(access_pb2_grpc.AccessStub, room="gateway")
    with pytest.raises(grpc.RpcError) as caught:
        access.Authenticate(access_pb2.AuthenticateRequest(api_key=wrong))
    assert caught.value.details() == "the API key is not known, has expired or was revoked"


def test_the_sampler_needs_a_principal_for_sampling(served):
    badge = (("authorization", f"Bearer {(b's' * 32).hex()}"),)
    path = "/tutelage_internal.v1.Access/ResolveModel"
    request = access_pb2.ResolveModelRequest(model="projects/own/models/m").SerializeToString()
    codes = []
    for signed in ((), served.signed("/tutelage.v1.Models/GetModel"), served.signed("/tutelage.v1.Sampling/Sample")):
        with pytest.raises(grpc.RpcError) as caught:
            served.internal.unary_unary(path)(request, metadata=(*badge, *signed), timeout=10)
        codes.append(caught.value.code())
    assert codes == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.NOT_FOUND]


def test_looking_into_a_step_needs_a_principal_for_that_and_no_right_to_sample(served, keys):
    badge = (("authorization", f"Bearer {(b's' * 32).hex()}"),)
    path = "/tutelage_internal.v1.Access/ResolveCheckpoint"
    request = access_pb2.ResolveCheckpointRequest(job="projects/own/jobs/none").SerializeToString()
    wrong = [(), served.signed("/tutelage.v1.Sampling/Sample"), served.signed("/tutelage.v1.Jobs/GetJob")]
    right = served.signed("/tutelage.v1.Inspection/InspectStep", key=keys[Role.VIEWER])
    codes = []
    for signed in (*wrong, right):
        with pytest.raises(grpc.RpcError) as caught:
            served.internal.unary_unary(path)(request, metadata=(*badge, *signed), timeout=10)
        codes.append(caught.value.code())
    assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 3 + [grpc.StatusCode.NOT_FOUND]


def test_a_reviewer_may_not_sample(served, keys):
    signed = served.signed("/tutelage.v1.Sampling/Sample", key=keys[Role.REVIEWER])
    badge = (("authorization", f"Bearer {(b's' * 32).hex()}"),)
    request = access_pb2.ResolveModelRequest(model="projects/own/models/m").SerializeToString()
    path = "/tutelage_internal.v1.Access/ResolveModel"
    with pytest.raises(grpc.RpcError) as caught:
        served.internal.unary_unary(path)(request, metadata=(*badge, *signed), timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_fault_tells_the_request_id_and_nothing_else(served, tmp_path: pathlib.Path):
    house = made_house(f"sqlite:///{tmp_path}/empty.db", artifacts_dir=tmp_path / "artifacts")
    with served_house(house, tmp_path) as broken:
        from services.storage.tables import metadata

        signed = broken.signed("/tutelage.v1.Jobs/ListJobs", request_id="fault-1")
        metadata.tables["job"].drop(house.storage.engine)
        request = jobs_pb2.ListJobsRequest(parent="projects/-").SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            broken.public.unary_unary("/tutelage.v1.Jobs/ListJobs")(request, metadata=signed, timeout=10)
    error = caught.value
    assert info_of(error).reason in ("INTERNAL", "UNAVAILABLE")
    assert "job" not in error.details() and "SQL" not in error.details() and str(tmp_path) not in error.details()

"""The front door before the real services: what was decided at the door and what is decided inside agree."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from gateway.methods import Kind, Method, Owner, method_table, public_files
from tests.flow.test_gateway_calls import details
from tests.support.front_door import GATEWAY_SECRET, PRINCIPAL_SECRET, FrontDoor, front_door_before
from tests.support.rooms import Rooms
from tests.support.waiting import wait_for
from tutelage.v1 import datasets_pb2, datasets_pb2_grpc

METHODS = [method for method in method_table(public_files()).values() if method.owner is Owner.SERVICES]
ROLES = ["ROLE_ADMIN", "ROLE_TRAINER", "ROLE_REVIEWER", "ROLE_VIEWER"]
TEXT = "".join(f"line {number} of a text that is long enough to train on\n" for number in range(500)).encode()


@dataclasses.dataclass
class House:
    """A gateway before real services, and keys for it."""

    door: FrontDoor
    admin_key: str
    services: "subprocess.Popen[bytes]"

    def post(self, method: str, *, key: str = "", **body: Any) -> httpx.Response:
        """Calls a method over HTTP."""
        headers = {"authorization": f"Bearer {key or self.admin_key}"}
        return httpx.post(f"{self.door.url}/tutelage.v1.{method}", json=body, headers=headers, timeout=20)

    def new_key(self, role: str, **fields: Any) -> dict[str, Any]:
        """Makes a key and returns it with its secret."""
        body = {"parent": "projects/-", "apiKey": {"displayName": role, "role": role, **fields}}
        answer = self.post("Projects/CreateApiKey", **body, requestId=str(uuid.uuid4()))
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for the tests of this module."""
    folder = tmp_path_factory.mktemp("h")
    rooms = Rooms(folder)
    write_secrets(folder)
    environment = services_environment(folder, rooms)
    key_file = folder / "admin"
    for arguments in (["migrate"], ["create-project", "plays", "--admin-key-file", str(key_file)]):
        subprocess.run([sys.executable, "-m", "services", *arguments], env=environment, check=True, capture_output=True)
    with running_services(environment) as services, front_door_before(rooms, folder) as door:
        wait_for(lambda: httpx.get(f"{door.url}/readyz").status_code == 200, limit_s=20)
        yield House(door, key_file.read_text().strip(), services)


def write_secrets(folder: pathlib.Path) -> None:
    """Writes the secrets of services beside those of the gateway."""
    secrets = folder / "secrets"
    secrets.mkdir()
    known = {"gateway": GATEWAY_SECRET, "principal": PRINCIPAL_SECRET}
    for name in ("gateway", "principal", "services", "worker", "sampler"):
        (secrets / name).write_text(known.get(name, hashlib.sha256(name.encode()).hexdigest()))
        (secrets / name).chmod(0o600)


def services_environment(folder: pathlib.Path, rooms: Rooms) -> dict[str, str]:
    """Returns the environment of services in a folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}
    return {
        **clean,
        "TUTELAGE_SERVICES_LISTEN": rooms.services_address,
        "TUTELAGE_SERVICES_INTERNAL_LISTEN": rooms.internal_address,
        "TUTELAGE_DATABASE_URL": f"sqlite:///{folder}/house.db",
        "TUTELAGE_ARTIFACTS_URL": f"file://{folder}/artifacts",
        "TUTELAGE_SECRETS_DIR": str(folder / "secrets"),
    }


@contextlib.contextmanager
def running_services(environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Yields a running services process."""
    process = subprocess.Popen([sys.executable, "-m", "services", "serve"], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def test_the_caller_is_who_the_key_says(house: House) -> None:
    caller = house.post("Projects/GetCaller").json()
    assert (caller["project"], caller["role"]) == ("projects/plays", "ROLE_ADMIN")


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_through_the_door_to_what_it_may_do_and_to_nothing_else(house: House, role: str) -> None:
    key = house.new_key(role)["secret"]
    permissions = set(house.post("Projects/GetCaller", key=key).json().get("permissions", []))
    with house.door.channel() as channel:
        for method in METHODS:
            error = patient_call(channel, method, key)
            code = error.code() if error else grpc.StatusCode.OK
            if method.permission in permissions:
                assert code not in REFUSALS_AT_THE_DOOR, (method.path, error)
            else:
                assert code is grpc.StatusCode.PERMISSION_DENIED, (method.path, error)
                assert error and details(error)["ErrorInfo"].metadata["permission"] == method.permission


REFUSALS_AT_THE_DOOR = (
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
)


def patient_call(channel: grpc.Channel, method: Method, key: str) -> Any:
    """Makes an empty call, again while the project calls too often, and returns the error, if there is one."""
    ended: list[Any] = []

    def is_admitted() -> bool:
        ended.append(empty_call(channel, method, key))
        return ended[-1] is None or ended[-1].code() is not grpc.StatusCode.RESOURCE_EXHAUSTED

    wait_for(is_admitted, limit_s=20)
    return ended[-1]


def empty_call(channel: grpc.Channel, method: Method, key: str) -> Any:
    """Calls a method with an empty request and returns the error, if it is one."""
    metadata = [("authorization", f"Bearer {key}")]
    try:
        if method.kind is Kind.SERVER_STREAM:
            list(channel.unary_stream(method.path)(b"", metadata=metadata, timeout=10))
        elif method.kind is Kind.CLIENT_STREAM:
            channel.stream_unary(method.path)(iter([b""]), metadata=metadata, timeout=10)
        else:
            channel.unary_unary(method.path)(b"", metadata=metadata, timeout=10)
    except grpc.RpcError as error:
        return error
    return None


def test_a_wrong_an_expired_and_a_revoked_key_get_the_same_answer(house: House) -> None:
    revoked = house.new_key("ROLE_VIEWER")
    assert house.post("Jobs/ListJobs", key=revoked["secret"], parent="projects/-").status_code == 200
    assert house.post("Projects/RevokeApiKey", name=revoked["apiKey"]["name"]).status_code == 200
    wrong = house.admin_key[:-1] + ("0" if house.admin_key[-1] != "0" else "1")
    answers = [house.post("Jobs/ListJobs", key=key, parent="projects/-") for key in (revoked["secret"], wrong)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert [answer.json()["details"][0]["debug"]["reason"] for answer in answers] == ["INVALID_KEY"] * 2


def test_an_upload_in_pieces_becomes_a_dataset(house: House) -> None:
    assert upload(house, "plays")["state"] == "DATASET_STATE_READY"


def upload(house: House, name: str) -> dict[str, Any]:
    """Uploads a text through the gateway and returns the dataset."""
    started = house.post("Datasets/StartUpload", parent="projects/-", datasetId=name, sizeBytes=str(len(TEXT))).json()
    pieces = [datasets_pb2.WriteUploadRequest(name=started["name"], data=TEXT[:1000])]
    pieces += [datasets_pb2.WriteUploadRequest(data=TEXT[1000:])]
    with house.door.channel() as channel:
        write = datasets_pb2_grpc.DatasetsStub(channel).WriteUpload
        arrived = write(iter(pieces), metadata=[("authorization", f"Bearer {house.admin_key}")], timeout=20)
    assert arrived.received_bytes == len(TEXT)
    return dict(house.post("Datasets/FinishUpload", name=started["name"]).json())


def test_a_revoked_key_ends_its_open_stream_within_seconds(house: House) -> None:
    upload(house, "watched")
    spec = {"dataset": "projects/-/datasets/watched", "preset": "tiny", "steps": 10}
    job = house.post("Jobs/Train", parent="projects/-", spec=spec).json()
    viewer = house.new_key("ROLE_VIEWER")
    headers = {"authorization": f"Bearer {viewer['secret']}"}
    url = f"{house.door.url}/tutelage.v1.Jobs/WatchJob"
    with httpx.stream("POST", url, json={"name": job["name"]}, headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["cursor"] == "1"
        house.post("Projects/RevokeApiKey", name=viewer["apiKey"]["name"])
        assert json.loads(list(lines)[-1])["error"]["code"] == "unauthenticated"


def test_services_that_were_killed_and_come_back_are_found_again(house: House) -> None:
    house.services.kill()
    house.services.wait(10)
    answer = house.post("Jobs/ListJobs", parent="projects/-")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    folder = pathlib.Path(house.door.rooms.services_address.removeprefix("unix:")).parent
    with running_services(services_environment(folder, house.door.rooms)):
        wait_for(lambda: house.post("Jobs/ListJobs", parent="projects/-").status_code == 200, limit_s=20)

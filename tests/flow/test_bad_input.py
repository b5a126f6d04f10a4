"""Bad input gets a precise error and leaves nothing behind."""

import datetime
import hashlib
import pathlib
from typing import Any

import pytest

import tutelage
from tests.support.runs import TEXT, TINY, client_of, submit, upload_text
from tests.support.stack import Stack
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def client(stack: Stack) -> tutelage.Client:
    """The admin of a house with one dataset."""
    client = client_of(stack)
    upload_text(client, name="plays")
    return client


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"heads": 3}, "spec.architecture.heads"),
        ({"width": 10_000_000}, "spec.architecture.width"),
        ({"layers": 0}, "spec.architecture.layers"),
        ({"key_value_heads": 3, "heads": 4}, "spec.architecture.key_value_heads"),
        ({"steps": 0}, "spec.steps"),
        ({"steps": 10**12}, "spec.steps"),
        ({"learning_rate": float("nan")}, "spec.optimization.learning_rate"),
        ({"learning_rate": float("inf")}, "spec.optimization.learning_rate"),
        ({"learning_rate": -1.0}, "spec.optimization.learning_rate"),
        ({"batch_size": 0}, "spec.optimization.batch_size"),
        ({"batch_size": 6, "micro_batch_size": 4}, "spec.optimization.micro_batch_size"),
        ({"batch_size": 65_536, "context_length": 32_768}, "spec"),
        ({"vocabulary_size": 1000, "tokenizer": "bytes"}, "spec.tokenizer.vocabulary_size"),
        ({"context_length": 32_768, "batch_size": 1}, "spec"),
        ({"preset": "tyni"}, "spec.preset"),
        ({"model": "../../etc/passwd"}, "spec.model"),
        ({"model": "a\x00b"}, "spec.model"),
    ],
)
def test_a_bad_specification_is_refused_with_its_field(
    client: tutelage.Client, changes: dict[str, Any], field: str
) -> None:
    before = len(list(client.jobs.list()))
    with pytest.raises(tutelage.InvalidArgument) as caught:
        client.train("plays", **{**TINY, "steps": 10, **changes})
    assert any(violation.field.startswith(field) for violation in caught.value.field_violations), caught.value
    assert len(list(client.jobs.list())) == before


def test_an_unknown_name_is_told_with_the_nearest(client: tutelage.Client) -> None:
    with pytest.raises(tutelage.NotFound, match="did you mean 'plays'"):
        submit(client, dataset="playz", steps=10)
    with pytest.raises(tutelage.InvalidArgument, match="did you mean 'tiny'"):
        client.train("plays", preset="tyni")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"   \n \n", "white space"),
        (b"good line\nbad \xff byte\n" + b"x" * 5000, "byte 14.*row 2"),
        (b"text\n\x00\x01\x02binary" + b"x" * 5000, "byte 5.*row 2"),
        (("x" * 4000).encode("utf-16"), "UTF-16"),
    ],
)
def test_bad_bytes_are_refused_with_byte_and_row(client: tutelage.Client, data: bytes, words: str) -> None:
    with pytest.raises(tutelage.InvalidArgument, match=f"(?s){words}"):
        client.datasets.upload(data, name="bad")
    assert [dataset.name for dataset in client.datasets.list() if dataset.name.endswith("/bad")] == []


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "x" * 64, "a\nb", "", "con\x00", "-a", "%2e%2e", "ä"])
def test_a_name_that_could_be_a_path_is_refused(client: tutelage.Client, name: str) -> None:
    with pytest.raises((tutelage.InvalidArgument, tutelage.NotFound)):
        client.datasets.upload(TEXT, name=name)


def test_an_empty_file_is_refused(client: tutelage.Client) -> None:
    with pytest.raises(tutelage.InvalidArgument):
        client.datasets.upload(b"", name="nothing")


def test_a_hash_that_does_not_match_is_refused(client: tutelage.Client, stack: Stack) -> None:
    from tests.support.wire import stub

    datasets = stub(stack, "Datasets")
    wrong = hashlib.sha256(b"something else").hexdigest()
    upload = datasets("StartUpload", parent="projects/-", dataset_id="hashed", size_bytes=5, sha256=wrong)
    datasets("WriteUpload", [{"name": upload.name, "data": b"hello"}])
    with pytest.raises(Exception, match="SHA-256"):
        datasets("FinishUpload", name=upload.name)


def test_a_wrong_key_and_an_expired_key_are_refused_alike(client: tutelage.Client, stack: Stack) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    expired = client.keys.create("viewer", display_name="short", expire_time=soon)
    revoked = client.keys.create("viewer", display_name="gone")
    client.keys.revoke(revoked.api_key.name)
    wrong = stack.api_key[:-1] + ("0" if stack.api_key[-1] != "0" else "1")
    wait_for(lambda: datetime.datetime.now(datetime.UTC) > soon, limit_s=5)
    messages = set()
    for secret in (wrong, "nonsense", revoked.secret, expired.secret):
        with pytest.raises(tutelage.Unauthenticated) as caught:
            list(tutelage.Client(address=stack.address, api_key=secret).jobs.list())
        messages.add((caught.value.reason, str(caught.value).split(" (request")[0]))
    assert len(messages) == 1, messages


def test_a_viewer_cannot_submit_and_a_reviewer_cannot_read_jobs(client: tutelage.Client, stack: Stack) -> None:
    viewer = tutelage.Client(address=stack.address, api_key=client.keys.create("viewer").secret)
    reviewer = tutelage.Client(address=stack.address, api_key=client.keys.create("reviewer").secret)
    with pytest.raises(tutelage.PermissionDenied, match=r"jobs\.create"):
        submit(viewer, dataset="plays", steps=10)
    with pytest.raises(tutelage.PermissionDenied, match=r"jobs\.read"):
        list(reviewer.jobs.list())


def test_the_same_request_id_is_the_same_job_and_another_body_is_refused(client: tutelage.Client) -> None:
    request_id = "6b1f2a5e-3f0b-4c55-9a2f-2f1f5d0a7c11"
    first = submit(client, dataset="plays", steps=5, request_id=request_id)
    assert submit(client, dataset="plays", steps=5, request_id=request_id).name == first.name
    with pytest.raises(tutelage.InvalidArgument) as caught:
        submit(client, dataset="plays", steps=6, request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_too_little_text_for_one_batch_is_refused(client: tutelage.Client) -> None:
    client.datasets.upload(b"a short line\nand another\n", name="short")
    with pytest.raises(tutelage.InvalidArgument, match="token"):
        submit(client, dataset="short", steps=10)


def test_nothing_outside_the_data_folder_was_touched(stack: Stack) -> None:
    assert not pathlib.Path("/tmp/passwd").exists()
    assert {path.name for path in (stack.data_dir / "artifacts").iterdir()} <= {
        "datasets",
        "uploads",
        "checkpoints",
        ".staging",
    }

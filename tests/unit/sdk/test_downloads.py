"""Downloads: whole or not there, gone on with where they broke, and never outside the folder."""

import pathlib
from typing import Any

import pytest

import tutelage
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import ServiceDouble
from tutelage._download_target import place_of

JOB = "plays-tiny-x7k2"
CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def furnished(service: ServiceDouble) -> None:
    """A job with two files."""
    add_job(service)
    service.files = {"model.safetensors": CONTENT, "config.json": b"{}"}


def test_files_arrive_whole_and_nothing_else_is_left(client: Any, tmp_path: pathlib.Path) -> None:
    told: list[tuple[int, int]] = []
    folder = tmp_path / "new" / "folder"
    paths = client.jobs.download(JOB, folder, on_progress=lambda done, total: told.append((done, total)))
    assert paths == (folder / "config.json", folder / "model.safetensors")
    assert (folder / "model.safetensors").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert told[-1] == (len(CONTENT) + 2, len(CONTENT) + 2)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_files_are_listed_with_size_and_hash(client: Any) -> None:
    first, second = client.jobs.get(JOB).files()
    assert (first.filename, second.size_bytes) == ("config.json", len(CONTENT))
    assert len(second.sha256) == 64


@pytest.mark.parametrize("cuts", [[1000], [1000, 2000, 1000], [3000] * 3])
def test_a_broken_line_is_resumed_by_offset(
    client: Any, service: ServiceDouble, tmp_path: pathlib.Path, cuts: list[int]
) -> None:
    service.files = {"model.safetensors": CONTENT}
    service.cut_read_after = list(cuts)
    client.jobs.download(JOB, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == CONTENT
    offsets = [request.offset_bytes for request in service.requests("ReadJobFile")]
    assert offsets == [sum(cuts[:count]) for count in range(len(cuts) + 1)]


def test_another_process_goes_on_where_one_stopped(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    file = client.jobs.files(JOB)[1]
    part = tmp_path / f".model.safetensors.{file.sha256[:16]}.part"
    part.write_bytes(CONTENT[:1234])
    client.jobs.download(JOB, tmp_path)
    assert [r.offset_bytes for r in service.requests("ReadJobFile") if r.filename == file.filename] == [1234]
    assert (tmp_path / "model.safetensors").read_bytes() == CONTENT
    assert not part.exists()


def test_what_is_there_is_not_fetched_again(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    client.jobs.download(JOB, tmp_path)
    service.calls.clear()
    client.jobs.download(JOB, tmp_path)
    assert service.requests("ReadJobFile") == []


def test_a_file_with_other_content_is_not_replaced_unless_asked_for(client: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(FileExistsError, match=r"config\.json is there already"):
        client.jobs.download(JOB, tmp_path)
    assert (tmp_path / "config.json").read_text() == "mine"
    client.jobs.download(JOB, tmp_path, overwrite=True)
    assert (tmp_path / "config.json").read_text() == "{}"


def test_damaged_bytes_leave_nothing_behind(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.files = {"model.safetensors": CONTENT}
    service.damage = True
    with pytest.raises(tutelage.DataLoss, match="sha256 differs"):
        client.jobs.download(JOB, tmp_path)
    assert list(tmp_path.iterdir()) == []
    service.damage = False
    client.jobs.download(JOB, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_begun_again(client: Any, tmp_path: pathlib.Path) -> None:
    file = client.jobs.files(JOB)[0]
    (tmp_path / f".config.json.{file.sha256[:16]}.part").write_bytes(b"longer than it should be")
    client.jobs.download(JOB, tmp_path)
    assert (tmp_path / "config.json").read_text() == "{}"


def test_an_empty_file_arrives(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.files = {"empty": b""}
    client.jobs.download(JOB, tmp_path)
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_job_without_files_says_so(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.files = {}
    with pytest.raises(tutelage.NotFound, match="no files yet"):
        client.jobs.download(JOB, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    "name", ["../out", "/etc/passwd", "a/../../out", "..", ".", "", "a//b", "a\\b", "c:x", "a\x00b", "a\nb", "\x1b[2J"]
)
def test_a_name_that_leaves_the_folder_is_refused(
    client: Any, service: ServiceDouble, tmp_path: pathlib.Path, name: str
) -> None:
    service.files = {name: b"x"}
    folder = tmp_path / "folder"
    with pytest.raises(tutelage.InvalidArgument, match="would not lie in"):
        client.jobs.download(JOB, folder)
    assert list(tmp_path.rglob("*")) in ([], [folder])


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "sub").symlink_to(tmp_path)
    with pytest.raises(tutelage.InvalidArgument):
        place_of(folder, "sub/file")
    assert place_of(folder, "a/b") == folder / "a" / "b"

"""An upload from its first byte to the dataset, and every way in which it can go wrong, on both databases."""

import concurrent.futures
import dataclasses
import datetime
import hashlib
import pathlib
from collections.abc import Callable
from typing import BinaryIO

import pytest
import sqlalchemy as sa

import artifacts
from artifacts.directory import DirectoryStore
from services.datasets.expire_uploads import collect_dataset_files, expire_uploads
from services.datasets.finish_upload import finish_upload
from services.datasets.get_dataset import get_dataset
from services.datasets.get_upload import get_upload
from services.datasets.start_upload import UploadDraft, start_upload
from services.datasets.write_upload import write_part
from services.domain.datasets import Dataset, Upload
from services.domain.errors import (
    AlreadyExists,
    HashMismatch,
    InvalidData,
    InvalidField,
    NoSpace,
    NotFound,
    RequestIdReused,
    WrongOffset,
    WrongState,
)
from services.domain.limits import UPLOAD_BYTES_MAX
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.storage.tables.datasets import upload as upload_table
from services.storage.tables.datasets import upload_part
from tests.support.houses import A_TIME, Bench, add_project

TEXT = b"".join(b"row %d of a text\n" % number for number in range(1000))
REQUEST = RequestKey(request_id="6f2a1f9e-3c55-4a7a-9a5e-7d1f7b8d9c01", body_sha256="a" * 64)


def start(bench: Bench, *, text: bytes = TEXT, request: RequestKey = NO_REQUEST_KEY, **values) -> Upload:
    given = {"parent": "projects/-", "dataset_id": "novel", "size_bytes": len(text), **values}
    return start_upload(bench.house, caller=bench.caller, draft=UploadDraft(**given), request=request)


def write(bench: Bench, upload: Upload, data: bytes, *, at: int) -> Upload:
    return write_part(bench.house, caller=bench.caller, name=upload.name, offset_bytes=at, data=data)


def finish(bench: Bench, upload: Upload, *, sha256: str = "", request: RequestKey = NO_REQUEST_KEY) -> Dataset:
    return finish_upload(bench.house, caller=bench.caller, name=upload.name, sha256=sha256, request=request)


def uploaded(bench: Bench, text: bytes, *, part_bytes: int = 1000, **values) -> Upload:
    upload = start(bench, text=text, **values)
    for at in range(0, len(text), part_bytes):
        write(bench, upload, text[at : at + part_bytes], at=at)
    return upload


def left_behind(bench: Bench, upload: Upload) -> list[str]:
    """Everything that the store and the tables still hold of an upload."""
    keys = [key for key in bench.house.store.keys("") if upload.uid in key or upload.dataset_uid in key]
    with bench.storage.engine.connect() as connection:
        rows = connection.execute(sa.select(upload_table.c.uid).where(upload_table.c.uid == upload.uid)).scalars()
        parts = connection.execute(sa.select(upload_part.c.key).where(upload_part.c.upload_uid == upload.uid)).scalars()
        return [*keys, *rows, *parts]


def expire(bench: Bench, upload: Upload) -> None:
    with bench.storage.engine.begin() as connection:
        change = sa.update(upload_table).where(upload_table.c.uid == upload.uid).values(expire_time=A_TIME)
        connection.execute(change)


def test_bytes_become_a_dataset(bench: Bench) -> None:
    dataset = finish(bench, uploaded(bench, TEXT, filename="novel.txt"), sha256=hashlib.sha256(TEXT).hexdigest())
    assert (dataset.size_bytes, dataset.rows, dataset.sha256) == (len(TEXT), 1000, hashlib.sha256(TEXT).hexdigest())
    with bench.house.store.open(dataset.artifact_key) as stored:
        assert stored.read() == TEXT
    assert get_dataset(bench.house, caller=bench.caller, name="projects/-/datasets/novel") == dataset


def test_the_parts_of_a_finished_upload_are_gone(bench: Bench) -> None:
    upload = uploaded(bench, TEXT)
    dataset = finish(bench, upload)
    assert left_behind(bench, upload) == [dataset.artifact_key, upload.uid]


def test_finishing_again_returns_the_same_dataset(bench: Bench) -> None:
    upload = uploaded(bench, TEXT)
    first = finish(bench, upload, request=REQUEST)
    assert finish(bench, upload) == finish(bench, upload, request=REQUEST) == first
    with pytest.raises(RequestIdReused):
        finish(bench, upload, request=dataclasses.replace(REQUEST, body_sha256="b" * 64))


def test_finishing_at_the_same_time_makes_one_dataset(bench: Bench) -> None:
    upload = uploaded(bench, TEXT)
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        made = [outcome.result() for outcome in [threads.submit(finish, bench, upload) for _ in range(3)]]
    assert len({dataset.uid for dataset in made}) == 1


def test_a_finish_that_died_before_its_commit_is_done_again(bench: Bench) -> None:
    upload = uploaded(bench, TEXT)
    bench.house.store.put(f"datasets/{upload.dataset_uid}/text", TEXT)
    assert finish(bench, upload).rows == 1000


def test_starting_again_with_the_same_request_goes_on_where_it_stands(bench: Bench) -> None:
    upload = start(bench, request=REQUEST)
    write(bench, upload, TEXT[:500], at=0)
    again = start(bench, request=REQUEST)
    assert (again.uid, again.received_bytes) == (upload.uid, 500)
    with pytest.raises(RequestIdReused):
        start(bench, request=dataclasses.replace(REQUEST, body_sha256="b" * 64))


def test_a_wrong_offset_is_told_where_to_go_on(bench: Bench) -> None:
    upload = start(bench)
    write(bench, upload, TEXT[:500], at=0)
    for at in (0, 499, 501):
        with pytest.raises(WrongOffset) as caught:
            write(bench, upload, TEXT[at : at + 100], at=at)
        assert caught.value.metadata == {"received_bytes": "500"}
    assert finish(bench, write(bench, upload, TEXT[500:], at=500)).rows == 1000


def test_two_writers_of_one_place_never_mix_their_bytes(bench: Bench) -> None:
    upload = start(bench)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        tries = [threads.submit(write, bench, upload, TEXT[: 100 * (size + 1)], at=0) for size in range(4)]
    written = [outcome.result().received_bytes for outcome in tries if outcome.exception() is None]
    assert len(written) == 1 and all(isinstance(each.exception(), WrongOffset | None) for each in tries)
    assert finish(bench, write(bench, upload, TEXT[written[0] :], at=written[0])).sha256
    assert sum(upload.uid in key for key in bench.house.store.keys("")) == 0


def test_more_bytes_than_declared_are_refused_and_the_rest_is_kept(bench: Bench) -> None:
    upload = start(bench)
    write(bench, upload, TEXT[:-1], at=0)
    with pytest.raises(InvalidField, match="declared"):
        write(bench, upload, b"xx", at=len(TEXT) - 1)
    assert get_upload(bench.house, caller=bench.caller, name=upload.name).received_bytes == len(TEXT) - 1


def test_a_finish_with_missing_bytes_says_how_many_and_keeps_the_others(bench: Bench) -> None:
    upload = start(bench)
    write(bench, upload, TEXT[:500], at=0)
    with pytest.raises(WrongState, match=r"of 17,890 bytes are missing; upload them from offset 500"):
        finish(bench, upload)
    write(bench, upload, TEXT[500:], at=500)
    assert finish(bench, upload).size_bytes == len(TEXT)


BAD_TEXTS = [
    (b"caf\xe9\n", r"byte 3 \(row 1\) is not UTF-8"),
    (b"one\ntwo\0\n", r"byte 7 \(row 2\) is NUL"),
    ("text\n".encode("utf-16"), "UTF-16"),
    (b"\xef\xbb\xbftext\n", "byte order mark"),
    (b" \n \n", "white space"),
    (b"x", "1 character"),
]


def test_after_bad_data_nothing_is_kept(bench: Bench) -> None:
    for text, words in BAD_TEXTS:
        upload = uploaded(bench, text)
        with pytest.raises(InvalidData, match=words):
            finish(bench, upload)
        assert left_behind(bench, upload) == []
        with pytest.raises(NotFound):
            finish(bench, upload)
    assert finish(bench, uploaded(bench, TEXT)).rows == 1000


def test_after_a_hash_that_does_not_match_nothing_is_kept(bench: Bench) -> None:
    for at_start, at_finish in (("0" * 64, ""), ("", "0" * 64)):
        upload = uploaded(bench, TEXT, sha256=at_start)
        with pytest.raises(HashMismatch, match=hashlib.sha256(TEXT).hexdigest()):
            finish(bench, upload, sha256=at_finish)
        assert left_behind(bench, upload) == []


class Interleaved(DirectoryStore):
    """A store in which something else happens once, while the first part is being read."""

    meanwhile: Callable[[], object] | None = None

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open, and let the other thing happen."""
        file, deed = super().open(key, offset=offset, length=length), self.meanwhile
        self.meanwhile = None
        if deed is not None:
            deed()
        return file


def test_an_upload_that_another_call_finishes_meanwhile_is_finished_for_both(
    bench: Bench, tmp_path: pathlib.Path
) -> None:
    store = Interleaved(tmp_path / "artifacts")
    bench = dataclasses.replace(bench, house=dataclasses.replace(bench.house, store=store))
    upload, made = uploaded(bench, TEXT), []
    store.meanwhile = lambda: made.append(finish(bench, upload))
    assert [finish(bench, upload)] == made


def test_a_hash_that_does_not_match_takes_nothing_from_a_call_that_has_finished_meanwhile(
    bench: Bench, tmp_path: pathlib.Path
) -> None:
    store = Interleaved(tmp_path / "artifacts")
    bench = dataclasses.replace(bench, house=dataclasses.replace(bench.house, store=store))
    upload = uploaded(bench, TEXT, part_bytes=len(TEXT))
    store.meanwhile = lambda: finish(bench, upload)
    with pytest.raises(HashMismatch):
        finish(bench, upload, sha256="0" * 64)
    dataset = get_dataset(bench.house, caller=bench.caller, name="projects/-/datasets/novel")
    with store.open(dataset.artifact_key) as file:
        assert file.read() == TEXT


def test_an_id_that_is_taken_is_refused_at_the_start_and_at_the_end(bench: Bench) -> None:
    late = uploaded(bench, TEXT)
    finish(bench, uploaded(bench, TEXT))
    with pytest.raises(AlreadyExists):
        start(bench)
    with pytest.raises(AlreadyExists):
        finish(bench, late)


IMPOSSIBLE = [
    {"dataset_id": "../etc"},
    {"dataset_id": "1st"},
    {"dataset_id": "x" * 64},
    {"size_bytes": 0},
    {"size_bytes": -1},
    {"size_bytes": UPLOAD_BYTES_MAX + 1},
    {"sha256": "ABC"},
    {"filename": "a\nb"},
    {"filename": "x" * 201},
    {"validation_fraction": 0.0},
    {"validation_fraction": 0.51},
    {"validation_fraction": float("nan")},
]


def test_an_impossible_upload_is_refused_with_its_field(bench: Bench) -> None:
    for values in IMPOSSIBLE:
        with pytest.raises(InvalidField) as caught:
            start(bench, **values)
        assert [violation.field for violation in caught.value.violations] == list(values)


def test_every_wrong_field_is_named_at_once(bench: Bench) -> None:
    with pytest.raises(InvalidField) as caught:
        start(bench, dataset_id="X", size_bytes=0, sha256="no")
    assert [each.field for each in caught.value.violations] == ["dataset_id", "size_bytes", "sha256"]


class SmallStore(DirectoryStore):
    """A directory on a disk with little room."""

    room_bytes = 0

    def free_bytes(self) -> int:
        """Return the room."""
        return self.room_bytes

    def put(self, key: str, data: bytes | BinaryIO) -> artifacts.Stored:
        """Store, if there is room."""
        content = data if isinstance(data, bytes) else data.read()
        if len(content) > self.room_bytes:
            raise artifacts.NoSpace(f"{key} does not fit")
        return super().put(key, content)


@pytest.fixture
def small(bench: Bench, tmp_path: pathlib.Path) -> tuple[Bench, SmallStore]:
    store = SmallStore(tmp_path / "small")
    return dataclasses.replace(bench, house=dataclasses.replace(bench.house, store=store)), store


def test_an_upload_that_has_no_room_is_refused_before_it_begins(small: tuple[Bench, SmallStore]) -> None:
    bench, store = small
    store.room_bytes = 2 * len(TEXT) - 1
    with pytest.raises(NoSpace, match="17,890 bytes"):
        start(bench)
    store.room_bytes = 2 * len(TEXT)
    assert start(bench).uid


def test_a_full_disk_leaves_an_upload_that_can_go_on(small: tuple[Bench, SmallStore]) -> None:
    bench, store = small
    store.room_bytes = 2 * len(TEXT)
    upload = start(bench)
    write(bench, upload, TEXT[:500], at=0)
    store.room_bytes = 100
    with pytest.raises(NoSpace):
        write(bench, upload, TEXT[500:], at=500)
    store.room_bytes = len(TEXT)
    write(bench, upload, TEXT[500:], at=500)
    store.room_bytes = 100
    with pytest.raises(NoSpace):
        finish(bench, upload)
    store.room_bytes = len(TEXT)
    assert finish(bench, upload).rows == 1000


def test_an_upload_of_another_project_is_as_missing_as_a_missing_one(bench: Bench) -> None:
    upload = start(bench)
    stranger = add_project(bench.house, "foreign")
    with pytest.raises(NotFound):
        get_upload(bench.house, caller=stranger, name=upload.name)
    with pytest.raises(NotFound):
        get_upload(bench.house, caller=stranger, name=upload.name.replace("own", "foreign"))


def test_an_upload_whose_time_is_over_is_removed_with_its_files(bench: Bench) -> None:
    upload, other = uploaded(bench, TEXT), uploaded(bench, TEXT, dataset_id="other")
    expire(bench, upload)
    with pytest.raises(NotFound):
        get_upload(bench.house, caller=bench.caller, name=upload.name)
    assert expire_uploads(bench.house) == 1
    assert left_behind(bench, upload) == []
    assert finish(bench, other).rows == 1000


def test_a_dataset_outlives_its_upload(bench: Bench) -> None:
    upload = uploaded(bench, TEXT)
    dataset = finish(bench, upload)
    expire(bench, upload)
    assert expire_uploads(bench.house) == 1
    assert collect_dataset_files(bench.house) == 0
    assert get_dataset(bench.house, caller=bench.caller, name=dataset.name) == dataset


def test_files_that_no_row_needs_are_collected_and_no_others(bench: Bench) -> None:
    upload = uploaded(bench, TEXT)
    bench.house.store.put(f"datasets/{upload.dataset_uid}/text", TEXT)
    for stray in ("uploads/00000000-dead/part-000001-x", "datasets/00000000-dead/text"):
        bench.house.store.put(stray, b"x")
    assert collect_dataset_files(bench.house) == 2
    assert not any("dead" in key for key in bench.house.store.keys(""))
    assert finish(bench, upload).rows == 1000


def test_an_upload_ends_a_day_after_its_start(bench: Bench) -> None:
    upload = start(bench)
    assert upload.expire_time - upload.create_time == datetime.timedelta(days=1)

"""The promise of the artifact store, kept by a directory and by a real S3 server."""

import concurrent.futures
import hashlib
import io
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

import artifacts
from tests.contract import artifact_keepers
from tests.contract.artifact_keepers import Keeper
from tests.support import object_store

LARGE_BYTES = 20_000_001
HOSTILE_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "../x",
    "a/../b",
    "a/./b",
    "a//b",
    "a/",
    ".staging/x",
    "a/.hidden",
    "A/b",
    "a b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a%2e%2e/b",
    "ä",
    "c:/x",
    "-rf",
    "a" * 201,
    "a/" * 500 + "a",
]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object_store.ObjectStoreServer]:
    with object_store.object_store_server(tmp_path_factory.mktemp("object-store")) as running:
        yield running


@pytest.fixture(params=["directory", "bucket"])
def keeper(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    if request.param == "directory":
        return artifact_keepers.directory(tmp_path / "store")
    running = request.getfixturevalue("server")
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return artifact_keepers.bucket(running, f"t{next(NUMBERS)}")


NUMBERS = itertools.count(1)


def read(store: artifacts.Store, key: str, **part: int) -> bytes:
    with store.open(key, **part) as file:
        return file.read()


def fill_with(files: dict[str, bytes]):
    def fill(folder: pathlib.Path) -> None:
        for name, data in files.items():
            (folder / name).write_bytes(data)

    return fill


FILES = {"model.safetensors": bytes(range(256)) * 100, "state.json": b'{"step": 3}', "empty.bin": b""}


class SmallReads(io.RawIOBase):
    """A source that gives a few bytes at a time, as sockets and decompressors do."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 65_521) if size > 0 else size)


def test_what_was_put_can_be_read_in_whole_and_in_part(keeper: Keeper) -> None:
    data = bytes(range(256)) * 10
    stored = keeper.open().put("uploads/u1/part-000001", data)
    assert stored == artifacts.Stored("uploads/u1/part-000001", 2560, hashlib.sha256(data).hexdigest())
    store = keeper.open()
    assert store.size(stored.key) == 2560
    assert read(store, stored.key) == data
    assert read(store, stored.key, offset=10, length=5) == data[10:15]
    assert read(store, stored.key, offset=2550) == data[2550:]
    assert read(store, stored.key, offset=2550, length=100) == data[2550:]
    assert read(store, stored.key, offset=2560) == b""


def test_no_bytes_at_all_are_stored_like_any_others(keeper: Keeper) -> None:
    assert keeper.open().put("a", b"").size_bytes == 0
    assert read(keeper.open(), "a") == b""


def test_a_large_stream_of_small_reads_arrives_whole(keeper: Keeper) -> None:
    data = os.urandom(LARGE_BYTES)
    stored = keeper.open().put("datasets/d/text", SmallReads(data))
    assert (stored.size_bytes, stored.sha256) == (LARGE_BYTES, hashlib.sha256(data).hexdigest())
    with keeper.open().open("datasets/d/text") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256
    assert list(keeper.open().keys("")) == ["datasets/d/text"]


@pytest.mark.parametrize("size", [3, LARGE_BYTES])
def test_nothing_is_ever_overwritten(keeper: Keeper, size: int) -> None:
    store = keeper.open()
    store.put("a/b", b"first")
    with pytest.raises(artifacts.AlreadyStored):
        store.put("a/b", io.BytesIO(bytes(size)))
    assert read(store, "a/b") == b"first"
    assert list(store.keys("")) == ["a/b"]


def put_at_once(keeper: Keeper, size: int) -> list[str]:
    """Lets four writers put different bytes under one key; returns the hashes of the winners."""
    barrier = threading.Barrier(4)

    def write(number: int) -> str | None:
        barrier.wait()
        try:
            return keeper.open().put("a", bytes([number]) * size).sha256
        except artifacts.AlreadyStored:
            return None

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [sha256 for sha256 in pool.map(write, range(4)) if sha256]


def test_of_many_writers_of_one_key_exactly_one_wins(keeper: Keeper) -> None:
    winners = put_at_once(keeper, 1000)
    assert winners == [hashlib.sha256(read(keeper.open(), "a")).hexdigest()]


def test_of_many_writers_of_one_large_key_the_bytes_of_one_lie_there_whole(keeper: Keeper) -> None:
    """Who completes a conditional copy first is decided by the server; SeaweedFS may tell two that they were first."""
    winners = put_at_once(keeper, LARGE_BYTES)
    assert hashlib.sha256(read(keeper.open(), "a")).hexdigest() in winners


def test_keys_are_listed_by_whole_segments_in_order(keeper: Keeper) -> None:
    store = keeper.open()
    for key in ("a/c", "a/b", "ab", "a/b-2/x"):
        store.put(key, b"x")
    assert list(store.keys("a")) == list(store.keys("a/")) == ["a/b", "a/b-2/x", "a/c"]
    assert list(store.keys("")) == ["a/b", "a/b-2/x", "a/c", "ab"]
    assert list(store.keys("ab")) == ["ab"]
    assert list(store.keys("nothing")) == []


def test_deleting_removes_what_was_named_and_nothing_else(keeper: Keeper) -> None:
    store = keeper.open()
    for key in ("a/b", "a/c/d", "a/c/e", "a/cc"):
        store.put(key, b"x")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/was")
    store.delete_all("a/c")
    store.delete_all("never")
    assert list(store.keys("")) == ["a/cc"]
    store.put("a/b", b"again")


def test_everything_cannot_be_deleted_at_once(keeper: Keeper) -> None:
    with pytest.raises(artifacts.InvalidKey):
        keeper.open().delete_all("")


def test_what_is_missing_is_said_to_be_missing(keeper: Keeper, tmp_path: pathlib.Path) -> None:
    store = keeper.open()
    for act in (store.open, store.size):
        with pytest.raises(artifacts.NotStored):
            act("never/was")
    with pytest.raises(artifacts.NotStored):
        store.read_file_set("never/was", manifest_sha256="0" * 64, scratch=tmp_path)
    assert store.find_file_set("never/was") is None


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_keys_outside_the_grammar_are_refused_by_every_method(keeper: Keeper, key: str, tmp_path: pathlib.Path) -> None:
    store = keeper.open()
    calls = [
        lambda: store.put(key, b"x"),
        lambda: store.open(key),
        lambda: store.size(key),
        lambda: store.delete(key),
        lambda: store.write_file_set(key, fill_with(FILES)),
        lambda: store.find_file_set(key),
        lambda: store.read_file_set(key, manifest_sha256="0" * 64, scratch=tmp_path),
    ]
    for call in calls:
        with pytest.raises(artifacts.InvalidKey):
            call()
    assert list(store.keys("")) == []


def test_a_file_set_is_read_back_as_it_was_filled(keeper: Keeper, tmp_path: pathlib.Path) -> None:
    written = keeper.open().write_file_set("checkpoints/j/e1/step-3", fill_with(FILES))
    assert written.size_bytes == sum(map(len, FILES.values()))
    assert keeper.open().find_file_set("checkpoints/j/e1/step-3") == written
    folder = keeper.open().read_file_set(
        "checkpoints/j/e1/step-3", manifest_sha256=written.manifest_sha256, scratch=tmp_path / "scratch"
    )
    manifest = (folder / "manifest.json").read_bytes()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"} == FILES
    assert hashlib.sha256(manifest).hexdigest() == written.manifest_sha256
    assert json.loads(manifest) == {
        "files": [
            {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(FILES.items())
        ]
    }


def test_the_files_of_a_file_set_are_listed_and_read_from_any_place(keeper: Keeper) -> None:
    store = keeper.open()
    written = store.write_file_set("sets/a", fill_with({"b.bin": b"0123456789", "a.json": b"{}"}))
    files = store.files("sets/a", manifest_sha256=written.manifest_sha256)
    assert [(file.name, file.size_bytes) for file in files] == [("a.json", 2), ("b.bin", 10)]
    for offset, wanted in ((0, b"0123456789"), (7, b"789"), (10, b"")):
        with store.open_file("sets/a", files[1], offset=offset) as opened:
            assert opened.read() == wanted
    with pytest.raises(artifacts.CorruptFileSet):
        store.files("sets/a", manifest_sha256="0" * 64)
    with pytest.raises(artifacts.NotStored):
        store.files("sets/b", manifest_sha256=written.manifest_sha256)
    with pytest.raises(artifacts.NotStored), store.open_file("sets/b", files[1]):
        pass


def test_the_same_files_have_the_same_manifest(keeper: Keeper) -> None:
    store = keeper.open()
    first, second = (store.write_file_set(name, fill_with(FILES)) for name in ("a", "b"))
    assert first.manifest_sha256 == second.manifest_sha256


def test_a_prefix_takes_one_file_set(keeper: Keeper) -> None:
    store = keeper.open()
    written = store.write_file_set("a", fill_with(FILES))
    with pytest.raises(artifacts.AlreadyStored):
        store.write_file_set("a", fill_with({"other.bin": b"other"}))
    assert store.find_file_set("a") == written


def test_of_two_writers_of_one_file_set_one_wins_and_its_files_are_intact(
    keeper: Keeper, tmp_path: pathlib.Path
) -> None:
    barrier = threading.Barrier(2, timeout=30)

    def write(number: int) -> artifacts.FileSet | None:
        def fill(folder: pathlib.Path) -> None:
            (folder / "model.safetensors").write_bytes(bytes([number]) * 100_000)
            barrier.wait()

        try:
            return keeper.open().write_file_set("a", fill)
        except artifacts.AlreadyStored:
            return None

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        winners = [written for written in pool.map(write, (1, 2)) if written]
    assert winners == [keeper.open().find_file_set("a")]
    keeper.open().read_file_set("a", manifest_sha256=winners[0].manifest_sha256, scratch=tmp_path / "scratch")


def test_a_fill_that_fails_leaves_nothing(keeper: Keeper) -> None:
    def fill(folder: pathlib.Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        keeper.open().write_file_set("a", fill)
    assert list(keeper.open().keys("")) == []
    keeper.open().write_file_set("a", fill_with(FILES))


@pytest.mark.parametrize("name", ["Model.bin", ".hidden", "manifest.json", "a b", "ä"])
def test_files_with_names_outside_the_grammar_are_refused(keeper: Keeper, name: str) -> None:
    with pytest.raises(artifacts.InvalidKey):
        keeper.open().write_file_set("a", fill_with({**FILES, name: b"x"}))
    assert list(keeper.open().keys("")) == []


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, lambda path: path.symlink_to("/etc/passwd"), os.mkfifo])
def test_a_file_set_holds_plain_files_only(keeper: Keeper, make) -> None:
    with pytest.raises(artifacts.InvalidKey):
        keeper.open().write_file_set("a", lambda folder: make(folder / "x"))
    assert keeper.open().find_file_set("a") is None


@pytest.mark.parametrize("change", artifact_keepers.CHANGES)
def test_a_changed_file_is_noticed(keeper: Keeper, change: str, tmp_path: pathlib.Path) -> None:
    written = keeper.open().write_file_set("a", fill_with(FILES))
    keeper.damage("state.json", artifact_keepers.CHANGES[change])
    with pytest.raises(artifacts.CorruptFileSet, match="state.json"):
        keeper.open().read_file_set("a", manifest_sha256=written.manifest_sha256, scratch=tmp_path / "scratch")


@pytest.mark.parametrize("change", artifact_keepers.CHANGES)
def test_a_changed_manifest_is_noticed(keeper: Keeper, change: str, tmp_path: pathlib.Path) -> None:
    written = keeper.open().write_file_set("a", fill_with(FILES))
    keeper.damage("manifest.json", artifact_keepers.CHANGES[change])
    with pytest.raises(artifacts.CorruptFileSet):
        keeper.open().read_file_set("a", manifest_sha256=written.manifest_sha256, scratch=tmp_path / "scratch")
    with pytest.raises(artifacts.CorruptFileSet):
        keeper.open().find_file_set("a")


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"files": []}',
        b'{"files": [{"name": "../x", "size_bytes": 1, "sha256": "%s"}]}' % (b"0" * 64),
        b'{"files": [{"name": "x", "size_bytes": -1, "sha256": "%s"}]}' % (b"0" * 64),
        b'{"files": [{"name": "x", "size_bytes": true, "sha256": "%s"}]}' % (b"0" * 64),
        b'{"files": [{"name": "x", "size_bytes": 1, "sha256": "short"}]}',
        b'{"files": [{"name": 7, "size_bytes": 1, "sha256": "short"}]}',
        b'{"files": "x"}',
        b"[]",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_hostile_manifest_is_refused(keeper: Keeper, manifest: bytes, tmp_path: pathlib.Path) -> None:
    keeper.open().write_file_set("a", fill_with(FILES))
    keeper.damage("manifest.json", lambda data: manifest)
    sha256 = hashlib.sha256(manifest).hexdigest()
    with pytest.raises(artifacts.CorruptFileSet):
        keeper.open().read_file_set("a", manifest_sha256=sha256, scratch=tmp_path / "scratch")
    assert not (tmp_path / "x").exists()


def test_a_missing_file_is_noticed(keeper: Keeper, tmp_path: pathlib.Path) -> None:
    written = keeper.open().write_file_set("a", fill_with(FILES))
    keeper.remove("model.safetensors")
    with pytest.raises(artifacts.CorruptFileSet, match="model.safetensors"):
        keeper.open().read_file_set("a", manifest_sha256=written.manifest_sha256, scratch=tmp_path / "scratch")


def test_without_its_manifest_a_file_set_is_not_there(keeper: Keeper, tmp_path: pathlib.Path) -> None:
    written = keeper.open().write_file_set("a", fill_with(FILES))
    keeper.remove("manifest.json")
    assert keeper.open().find_file_set("a") is None
    with pytest.raises(artifacts.NotStored):
        keeper.open().read_file_set("a", manifest_sha256=written.manifest_sha256, scratch=tmp_path / "scratch")


def test_a_deleted_file_set_makes_room_for_another(keeper: Keeper) -> None:
    store = keeper.open()
    store.write_file_set("a/b", fill_with(FILES))
    store.delete_all("a/b")
    assert (store.find_file_set("a/b"), list(store.keys(""))) == (None, [])
    store.write_file_set("a/b", fill_with({"other.bin": b"other"}))


TORN_PUT = """
import os, signal, sys
import artifacts
class Torn:
    left = int(sys.argv[2])
    def read(self, size=-1):
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1 << 20
        return bytes(1 << 20)
artifacts.open_store(sys.argv[1]).put("datasets/d/text", Torn())
"""


@pytest.mark.parametrize("after_bytes", [0, 3 << 20, 30 << 20])
def test_an_upload_that_is_killed_leaves_nothing_to_see_and_can_be_repeated(keeper: Keeper, after_bytes: int) -> None:
    command = [sys.executable, "-c", TORN_PUT, keeper.url, str(after_bytes)]
    done = subprocess.run(command, env={**os.environ, **keeper.environment})
    assert done.returncode == -signal.SIGKILL
    assert list(keeper.open().keys("")) == []
    keeper.open().put("datasets/d/text", b"again")
    keeper.open().remove_leftovers(older_than_s=0)
    assert list(keeper.open().keys("")) == ["datasets/d/text"]


def test_a_download_is_made_once_and_mistrusted_always(keeper: Keeper, tmp_path: pathlib.Path) -> None:
    written = keeper.open().write_file_set("a", fill_with(FILES))
    arguments = {"manifest_sha256": written.manifest_sha256, "scratch": tmp_path / "scratch"}
    folder = keeper.open().read_file_set("a", **arguments)
    assert keeper.open().read_file_set("a", **arguments) == folder
    (folder / "state.json").chmod(0o644)
    (folder / "state.json").write_bytes(b'{"step": 4}')
    with pytest.raises(artifacts.CorruptFileSet):
        keeper.open().read_file_set("a", **arguments)


def test_wrong_credentials_are_an_error_of_the_store(
    server: object_store.ObjectStoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(artifacts.StoreUnavailable) as caught:
        artifacts.open_store(server.url("t0")).put("a", b"x")
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/plain/path",
        "file://host/path",
        "file:relative",
        "file:///x?y=z",
        "s3:///prefix",
        "s3://bucket?secret=x",
        "s3://key:secret@bucket/x",
        "http://bucket",
        "s3://bucket?endpoint=host:9000",
        "file://[x",
    ],
)
@pytest.mark.parametrize("use", [artifacts.open_store, artifacts.check_store_url])
def test_urls_that_name_no_store_are_refused(url: str, use: Callable[[str], object]) -> None:
    with pytest.raises(artifacts.InvalidStoreUrl):
        use(url)


@pytest.mark.parametrize(
    ("query", "variables", "region"),
    [
        ("", {}, "us-east-1"),
        ("", {"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ("", {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ("?region=us-west-2", {"AWS_REGION": "eu-central-1"}, "us-west-2"),
        ("?region=", {"AWS_REGION": ""}, "us-east-1"),
    ],
)
def test_the_region_of_the_environment_counts_where_the_url_names_none(
    query: str, variables: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = artifacts.open_store(f"s3://bucket/x{query}")
    assert store._bucket.config["region"] == region


def test_opening_a_store_touches_nothing(tmp_path: pathlib.Path) -> None:
    store = artifacts.open_store((tmp_path / "store").as_uri())
    assert list(store.keys("")) == []
    assert (store.free_bytes() or 0) > 0
    assert list(tmp_path.iterdir()) == []

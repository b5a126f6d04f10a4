"""What only a store in a directory must hold: full disks, symbolic links, file modes."""

import contextlib
import errno
import io
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

import artifacts

FILES_BYTES = 4_000_000


def fill(folder: pathlib.Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(FILES_BYTES))


@contextlib.contextmanager
def small_disk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a real file system with two megabytes; skips where this user may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_really_full_is_told_and_left_clean(tmp_path: pathlib.Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        store = artifacts.open_store((disk / "store").as_uri())
        store.put("a", b"small")
        with pytest.raises(artifacts.NoSpace):
            store.put("b", io.BytesIO(bytes(FILES_BYTES)))
        with pytest.raises(artifacts.NoSpace):
            store.write_file_set("c", fill)
        assert list(store.keys("")) == ["a"]
        assert list((disk / "store" / ".staging").iterdir()) == []
        assert (store.free_bytes() or 0) > 1_500_000
        store.put("b", bytes(1_000_000))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "fsync", "mkdir", "link"])
def test_no_room_at_any_step_of_put_is_told_and_left_clean(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    store = artifacts.open_store((tmp_path / "store").as_uri())
    store.put("a", b"small")

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(artifacts.NoSpace):
            store.put("b/c", b"more")
    assert list(store.keys("")) == ["a"]
    assert list((tmp_path / "store" / ".staging").iterdir()) == []


def test_no_room_in_the_words_of_a_library_is_told_as_such(tmp_path: pathlib.Path) -> None:
    def fill_badly(folder: pathlib.Path) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    store = artifacts.open_store((tmp_path / "store").as_uri())
    with pytest.raises(artifacts.NoSpace):
        store.write_file_set("a", fill_badly)


def test_stored_files_are_read_only(tmp_path: pathlib.Path) -> None:
    store = artifacts.open_store(tmp_path.as_uri())
    store.put("a", b"x")
    store.write_file_set("b", fill)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o444"}
    assert len(files) == 3


def test_a_link_in_the_way_is_not_followed(tmp_path: pathlib.Path) -> None:
    store, outside = artifacts.open_store((tmp_path / "store").as_uri()), tmp_path / "outside"
    store.put("a/b", b"x")
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (tmp_path / "store" / "link").symlink_to(outside)
    (tmp_path / "store" / "a" / "file").symlink_to(outside / "secret")
    for key in ("link/secret", "a/file"):
        with pytest.raises(artifacts.NotStored):
            store.open(key)
    with pytest.raises(artifacts.ArtifactError):
        store.put("link/new", b"x")
    with pytest.raises(artifacts.ArtifactError):
        store.write_file_set("link/new", fill)
    store.delete_all("link")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert list(store.keys("")) == ["a/b"]


def test_a_file_of_a_set_that_became_a_link_is_corrupt(tmp_path: pathlib.Path) -> None:
    store = artifacts.open_store((tmp_path / "store").as_uri())
    written = store.write_file_set("a", fill)
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "store" / "a" / "model.safetensors").rename(elsewhere)
    (tmp_path / "store" / "a" / "model.safetensors").symlink_to(elsewhere)
    with pytest.raises(artifacts.CorruptFileSet):
        store.read_file_set("a", manifest_sha256=written.manifest_sha256, scratch=tmp_path)


def test_a_file_added_to_a_set_is_corrupt(tmp_path: pathlib.Path) -> None:
    store = artifacts.open_store((tmp_path / "store").as_uri())
    written = store.write_file_set("a", fill)
    (tmp_path / "store" / "a" / "extra.bin").write_bytes(b"x")
    with pytest.raises(artifacts.CorruptFileSet, match=r"extra\.bin"):
        store.read_file_set("a", manifest_sha256=written.manifest_sha256, scratch=tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error_of_the_store(tmp_path: pathlib.Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(artifacts.ArtifactError):
        artifacts.open_store((tmp_path / "store").as_uri()).put("a", b"x")

"""The files of a model on their way up: one archive, always the same, read in place."""

import hashlib
import io
import os
import pathlib
import subprocess

import pytest

import tutelage
from tutelage._model_files import header, open_model_folder
from tutelage._upload_source import UploadSource, format_of

WEIGHTS = bytes(range(256)) * 777


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder as transformers saves it, with things that do not belong to the model."""
    folder = tmp_path / "smol"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "tokenizer.json").write_bytes(b"x" * 512)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "empty.json").touch()
    (folder / "README.md").write_text("hello")
    (folder / ".hidden.json").write_text("{}")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    (folder / "runs").mkdir()
    return folder


def unpack(archive: bytes, into: pathlib.Path) -> str:
    """Unpacks with the machine's own tar and returns what it says of the files."""
    into.mkdir()
    tar = ["tar", "--extract", "--verbose", "--verbose", "--file", "-", "--directory", str(into)]
    done = subprocess.run(
        tar, input=archive, capture_output=True, check=True, env={"TZ": "UTC", "PATH": os.environ["PATH"]}
    )
    assert done.stderr == b""
    return done.stdout.decode()


def test_the_archive_holds_the_files_of_the_model_and_no_more(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said = unpack(open_model_folder(folder).read(), tmp_path / "out")
    names = ["chat_template.jinja", "config.json", "empty.json", "model.safetensors", "tokenizer.json"]
    assert [line.split()[-1] for line in said.splitlines()] == names
    assert all(line.startswith("-rw-r--r-- 0/0 ") and " 1970-01-01 00:00 " in line for line in said.splitlines())
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()


def test_a_name_that_does_not_fit_is_refused() -> None:
    assert len(header("x" * 100, 8**11 - 1)) == 512
    for name, size in (("x" * 101, 1), ("x", 8**11)):
        with pytest.raises(tutelage.InvalidArgument, match="does not fit"):
            header(name, size)


def test_the_same_files_make_the_same_archive(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first = open_model_folder(folder).read()
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    (folder / "config.json").chmod(0o600)
    assert open_model_folder(folder).read() == first
    assert len(first) % 512 == 0


@pytest.mark.parametrize("size", [1, 511, 513, 100_000])
def test_the_archive_can_be_read_from_any_place(folder: pathlib.Path, size: int) -> None:
    archive = open_model_folder(folder)
    whole = archive.read()
    pieces = []
    for offset in range(0, len(whole), max(size, len(whole) // 50)):
        archive.seek(offset)
        pieces.append(archive.read(size) == whole[offset : offset + size])
    assert all(pieces)
    assert archive.seek(0, io.SEEK_END) == len(whole)
    assert archive.read(1) == b""


def test_an_upload_of_a_folder_knows_its_hash_and_its_format(folder: pathlib.Path) -> None:
    source = UploadSource(folder)
    whole = open_model_folder(folder).read()
    assert (source.format, source.filename, source.size_bytes) == ("model-files", "smol", len(whole))
    assert source.sha256 == hashlib.sha256(whole).hexdigest()
    assert b"".join(data for _, data in source.pieces(0)) == whole
    source.close()


def test_a_file_that_shrinks_is_noticed(folder: pathlib.Path) -> None:
    archive = open_model_folder(folder)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(OSError, match="became shorter"):
        archive.read()


def test_a_folder_without_a_model_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(tutelage.InvalidArgument, match="no folder of a model"):
        open_model_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(tutelage.InvalidArgument, match=r"no \.safetensors file$"):
        open_model_folder(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(tutelage.InvalidArgument, match="pickle file, which can run code"):
        open_model_folder(tmp_path)


@pytest.mark.parametrize(
    ("filename", "format"),
    [
        ("plays.txt", "text"),
        ("", "text"),
        ("plays", "text"),
        ("talks.jsonl", "jsonl"),
        ("TALKS.JSONL", "jsonl"),
        ("talks.ndjson", "jsonl"),
        ("talks.parquet", "parquet"),
        ("tokenizer.json", "tokenizer"),
        ("other.json", "text"),
        ("smol.tar", "model-files"),
    ],
)
def test_the_format_follows_from_the_name(filename: str, format: str) -> None:
    assert format_of(filename) == format


def test_a_format_can_be_given(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "talks.txt"
    path.write_text('{"text": "a"}\n')
    as_text, as_rows = UploadSource(path), UploadSource(path, format="jsonl")
    assert (as_text.format, as_rows.format) == ("text", "jsonl")
    ids = {source.request_id("talks", validation_fraction=None) for source in (as_text, as_rows)}
    assert len(ids) == 2, "another format is another upload"
    with pytest.raises(tutelage.InvalidArgument, match="text, jsonl, parquet"):
        UploadSource(path, format="csv")
    as_text.close()
    as_rows.close()

"""The files of a model in an archive: what is taken, and what is refused by what it holds."""

import json
import random

import pytest

from services.domain.archive_inspection import ArchiveInspection, is_pickle
from services.domain.errors import InvalidData
from services.domain.text_inspection import Inspected
from tests.support.uploads import archive, member, model_archive, safetensors, saved_by_torch

CONFIG = member("config.json", b'{"model_type": "llama"}')
WEIGHTS = member("model.safetensors", safetensors(json.dumps({"__metadata__": {}}).encode(), b"\0" * 5000))


def inspected(data: bytes, *, piece: int = 1000) -> Inspected:
    inspection = ArchiveInspection()
    for first in range(0, len(data), piece):
        inspection.feed(data[first : first + piece])
    return inspection.finish()


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidData) as caught:
        inspected(data)
    return caught.value.message


@pytest.mark.parametrize("piece", [1, 511, 512, 513, 100_000])
def test_a_model_is_taken_however_its_bytes_are_cut(piece: int) -> None:
    data = archive(CONFIG, WEIGHTS, member("tokenizer.json", b"{}"), member("chat_template.jinja", b"x" * 3000))
    found = inspected(data, piece=piece)
    assert (found.size_bytes, found.rows, found.row_statistics) == (len(data), 0, None)
    assert (found.split.train_bytes, found.split.validation_bytes) == (len(data), 0)


def test_adapters_and_what_tar_writes_of_a_folder_are_taken() -> None:
    adapter = member("./adapter_config.json", b"{}"), member("./adapter_model.safetensors", safetensors())
    inspected(archive(member("./", kind=b"5"), *adapter) + bytes(8192))


def test_times_in_headers_of_their_own_are_let_pass() -> None:
    times = member("././@PaxHeader", b"30 mtime=1700000000.123456789\n", kind=b"x")
    inspected(archive(times, CONFIG, times, WEIGHTS))
    assert "sets 'path'" in refusal(archive(member("././@PaxHeader", b"20 path=/etc/passwd\n", kind=b"x"), CONFIG))
    assert "sets 'size'" in refusal(archive(member("././@PaxHeader", b"9 size=1\n", kind=b"g"), CONFIG))


@pytest.mark.parametrize(
    "hiding", [b"12 comment=A20 path=/etc/passwd\n", b"12 comment=A\n", b"comment=A\n", b"1 uid=0\n"]
)
def test_a_header_of_its_own_hides_no_record_within_another(hiding: bytes) -> None:
    assert "cannot be read" in refusal(archive(member("././@PaxHeader", hiding, kind=b"x"), CONFIG, WEIGHTS))


@pytest.mark.parametrize("length", [128, 384, 640, 896, 1152, 1408])
def test_tensors_whose_length_looks_like_a_pickle_are_taken(length: int) -> None:
    header = json.dumps({"__metadata__": {}}).encode().ljust(length)
    assert is_pickle(safetensors(header)[:16])
    inspected(archive(CONFIG, member("model.safetensors", safetensors(header, bytes(100)))))


@pytest.mark.parametrize(
    "name", ["../config.json", "/etc/passwd", "a/../b", "..", "a\\b", "a\nb", "./../x", "a//b", "/".join("abcdefghi")]
)
def test_paths_that_lead_elsewhere_are_refused(name: str) -> None:
    assert "is not a path inside the folder of a model" in refusal(archive(CONFIG, WEIGHTS, member(name, b"x")))
    assert "is not a path inside" in refusal(archive(CONFIG, WEIGHTS, member(name, kind=b"5")))


@pytest.mark.parametrize("name", ["", "."])
def test_a_file_has_a_name(name: str) -> None:
    words = refusal(archive(CONFIG, WEIGHTS, member(name, b"x")))
    assert "is no name of a file" in words or "is not a path" in words


def test_files_in_folders_are_taken_and_looked_at() -> None:
    folder, weights = member("llama/", kind=b"5"), member("llama/model.safetensors", safetensors())
    extra = member(".gitattributes", b"*"), member("a b/ä.json", b"{}")
    inspected(archive(folder, member("llama/config.json", b"{}"), weights, *extra))
    assert "llama/config.json is not a JSON object" in refusal(archive(member("llama/config.json", b"[]"), weights))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (b"1", "a link"),
        (b"2", "a link"),
        (b"3", "a device"),
        (b"4", "a device"),
        (b"6", "a pipe"),
        (b"L", "no plain file"),
        (b"K", "no plain file"),
        (b"S", "no plain file"),
    ],
)
def test_what_is_no_plain_file_is_refused(kind: bytes, words: str) -> None:
    assert words in refusal(archive(CONFIG, WEIGHTS, member("elsewhere", kind=kind, link="/etc/passwd")))


def test_a_name_that_comes_twice_is_refused() -> None:
    assert "config.json is in the archive twice" in refusal(archive(CONFIG, WEIGHTS, CONFIG))
    assert "twice" in refusal(archive(CONFIG, WEIGHTS, member("./config.json", b"{}")))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model-00001.safetensors", "config.json", "notes.txt"])
@pytest.mark.parametrize("content", [b"\x80\x02}q\0.", b"\x80\x04\x95\0\0", saved_by_torch(), b"\x80\x05\x95"])
def test_a_pickle_is_refused_by_what_it_holds_and_named(name: str, content: bytes) -> None:
    words = refusal(archive(member(name, content), CONFIG, WEIGHTS))
    assert words.startswith(f"{name} is a pickle file, which can run code")


def test_old_pickles_are_known_and_weights_are_not_taken_for_them() -> None:
    assert is_pickle(b"(dp0\nS'a'\np1\n") and is_pickle(b"ccopy_reg\n_reconstructor\n")
    assert not is_pickle(safetensors()) and not is_pickle(b'{"a": 1}') and not is_pickle(b"")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((CONFIG,), "no .safetensors file is in the archive, but config.json"),
        ((WEIGHTS,), "neither config.json nor adapter_config.json is in the archive, but model.safetensors"),
        ((), "no tar archive with files in it"),
        ((member("config.json", b"[1]"), WEIGHTS), "config.json is not a JSON object"),
        ((member("config.json", b"{"), WEIGHTS), "config.json is not a JSON object"),
        ((member("config.json", b"[" * 200_000), WEIGHTS), "config.json is not a JSON object"),
        ((CONFIG, member("model.safetensors", b"")), "model.safetensors is no safetensors file"),
        ((CONFIG, member("model.safetensors", b"\xff" * 100)), "its header would be"),
        ((CONFIG, member("model.safetensors", safetensors(b"[1]"))), "its header is not a JSON object"),
    ],
)
def test_an_archive_without_a_model_is_refused(members: tuple[bytes, ...], words: str) -> None:
    assert words in refusal(archive(*members))


def test_an_archive_that_was_cut_off_is_refused() -> None:
    data = archive(CONFIG, WEIGHTS)
    for size in (300, 600, len(data) - 1024 - 100):
        assert "cut off" in refusal(data[:size])


@pytest.mark.parametrize(
    "data", [b"x" * 5000, b"PK\x03\x04" + b"x" * 2000, b'{"text": "a"}\n' * 100, b"\x1f\x8b" * 500]
)
def test_what_is_no_archive_is_refused_at_once(data: bytes) -> None:
    assert "byte 0 does not begin a file of a tar archive" in refusal(data)


def test_sizes_that_cannot_be_are_refused() -> None:
    broken = bytearray(CONFIG)
    broken[124:136] = b"\x80" + b"\xff" * 11
    broken[148:156] = b" " * 8
    broken[148:156] = b"%06o\0 " % sum(broken[:512])
    assert "cannot be read" in refusal(archive(bytes(broken), WEIGHTS))
    large = member("config.json", b"{}", size=50 * 2**20)
    assert "at most" in refusal(archive(large, WEIGHTS))


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.domain import archive_inspection

    monkeypatch.setattr(archive_inspection, "MODEL_FILES_MAX", 3)
    assert "more than 3 files" in refusal(model_archive(*(member(f"{number}.json", b"{}") for number in range(5))))


def test_nothing_but_a_refusal_comes_of_rubbish() -> None:
    dice = random.Random(3)
    good = model_archive()
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(1200)] = dice.randrange(256)
        try:
            inspected(bytes(data), piece=dice.choice([1, 100, 4096]))
        except InvalidData:
            continue

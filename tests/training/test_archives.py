"""An archive from a stranger unpacks to plain files in one folder, or not at all."""

import gzip
import io
import pathlib
import struct
import tarfile
from collections.abc import Callable

import pytest

from trainer_worker.trainer.engine.archives import FILES_MAX, folder_with, unpack
from trainer_worker.trainer.engine.errors import UnusableData

Packing = Callable[[tarfile.TarFile], object]


def entry(name: str, content: bytes = b"x", **fields: object) -> Packing:
    def pack(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        for field, value in fields.items():
            setattr(member, field, value)
        archive.addfile(member, io.BytesIO(content))

    return pack


def packed(path: pathlib.Path, *packings: Packing, format: int = tarfile.PAX_FORMAT) -> pathlib.Path:
    with tarfile.open(path, "w", format=format) as archive:
        for pack in packings:
            pack(archive)
    return path


def unpacked(archive: pathlib.Path) -> pathlib.Path:
    folder = archive.parent / "unpacked"
    folder.mkdir()
    for _ in unpack(archive, folder):
        pass
    return folder


def test_files_and_folders_come_out_as_they_went_in(tmp_path: pathlib.Path) -> None:
    long = "n" * 180 + ".txt"
    archive = packed(
        tmp_path / "model.tar",
        entry("./", type=tarfile.DIRTYPE, content=b""),
        entry("./model/", type=tarfile.DIRTYPE, content=b""),
        entry("./model/config.json", b"{}"),
        entry(f"model/deep/er/{long}", b"y" * 3_000_000),
        entry("model/empty", b""),
    )
    folder = unpacked(archive)
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert files == {"model/config.json": 2, f"model/deep/er/{long}": 3_000_000, "model/empty": 0}
    assert folder_with(folder, ("config.json",)) == folder / "model"


HOSTILE: dict[str, tuple[tuple[Packing, ...], str]] = {
    "absolute path": ((entry("/etc/passwd"),), "'/etc/passwd', which is not a path inside a folder"),
    "path upwards": ((entry("model/../../x"),), r"'model/../../x', which is not a path inside"),
    "empty name": ((entry("a//b"),), "'a//b', which is not a path inside"),
    "backslash": ((entry("a\\b"),), "which is not a path inside"),
    "control character": ((entry("a\nb"),), r"'a\\nb', which is not a path inside"),
    "name too long": ((entry("n" * 300),), "which is not a path inside"),
    "name of too many bytes": ((entry("é" * 150),), "which is not a path inside"),
    "no name": ((entry("."),), r"'\.', which is not a path inside"),
    "too deep": ((entry("/".join("abcdefghij")),), "which is not a path inside"),
    "symbolic link": ((entry("x", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),), "'x', which is neither"),
    "hard link": ((entry("x", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),), "'x', which is neither"),
    "device": ((entry("x", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5),), "'x', which is neither"),
    "pipe": ((entry("x", b"", type=tarfile.FIFOTYPE),), "'x', which is neither"),
    "twice": ((entry("model/x"), entry("./model/x")), "'./model/x' twice"),
    "folder that is a file": ((entry("x"), entry("x/y")), "'x/y' inside of a file"),
    "file that is a folder": ((entry("x/y"), entry("x")), "'x' twice"),
    "too many": (tuple(entry(f"f{number}", b"") for number in range(FILES_MAX + 1)), "more than 1,000 files"),
    "nothing": ((), "holds no files"),
    "folders only": ((entry("x", b"", type=tarfile.DIRTYPE),), "holds no files"),
    "huge header": ((entry("x", pax_headers={"comment": "c" * (2 << 20)}),), "header of 2,"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_writes_nothing_elsewhere(name: str, tmp_path: pathlib.Path) -> None:
    packings, message = HOSTILE[name]
    with pytest.raises(UnusableData, match=message):
        unpacked(packed(tmp_path / "model.tar", *packings))
    assert {path.name for path in tmp_path.iterdir()} == {"model.tar", "unpacked"}


def test_holes_are_refused(tmp_path: pathlib.Path) -> None:
    """A file of holes unpacks to far more than the archive holds."""
    header = tarfile.TarInfo("x")
    header.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"%011o\0" % (1 << 33)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    (tmp_path / "model.tar").write_bytes(bytes(block) + bytes(1024))
    with pytest.raises(UnusableData, match="'x', which has holes"):
        unpacked(tmp_path / "model.tar")


def test_a_size_below_zero_is_refused(tmp_path: pathlib.Path) -> None:
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 4 + struct.pack(">q", -512)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "model.tar").write_bytes(bytes(header) * 3 + bytes(1024))
    with pytest.raises(UnusableData):
        unpacked(tmp_path / "model.tar")


def test_an_archive_that_is_cut_short_is_refused(tmp_path: pathlib.Path) -> None:
    archive = packed(tmp_path / "model.tar", entry("x", b"y" * 9000))
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(UnusableData, match="unexpected end of data|ends inside of 'x'"):
        unpacked(archive)


@pytest.mark.parametrize("content", [b"", b"not a tar archive" * 100, bytes(10240)])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: pathlib.Path) -> None:
    (tmp_path / "model.tar").write_bytes(content)
    with pytest.raises(UnusableData, match="cannot be read|holds no files"):
        unpacked(tmp_path / "model.tar")


def test_a_compressed_archive_is_refused_with_how_to_pack_it(tmp_path: pathlib.Path) -> None:
    plain = packed(tmp_path / "plain.tar", entry("x"))
    (tmp_path / "model.tar").write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(UnusableData, match="compressed with gzip") as told:
        unpacked(tmp_path / "model.tar")
    assert "tar -cf" in told.value.help


def test_one_archive_holds_one_model(tmp_path: pathlib.Path) -> None:
    folder = unpacked(packed(tmp_path / "model.tar", entry("a/config.json"), entry("b/config.json")))
    with pytest.raises(UnusableData, match="2 models: a, b"):
        folder_with(folder, ("config.json",))
    with pytest.raises(UnusableData, match="no adapter_config.json or surprise.json"):
        folder_with(folder, ("adapter_config.json", "surprise.json"))


def test_of_several_folders_the_one_nearest_to_the_top_counts(tmp_path: pathlib.Path) -> None:
    folder = unpacked(packed(tmp_path / "model.tar", entry("m/config.json"), entry("m/onnx/config.json")))
    assert folder_with(folder, ("config.json",)) == folder / "m"

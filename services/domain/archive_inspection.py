"""What is found out about the files of a model, in one pass over an uncompressed tar archive.

Only what a folder of a model holds is taken: plain files, and folders of them. Links, devices and paths that lead
elsewhere are refused, and so is a file that is a pickle, by what it holds and not by what it is called.

Source: POSIX.1-1988, "ustar interchange format"; GNU tar and pax write the same blocks, and what they add beside times
and owners is refused.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Generator, Iterator
from typing import Any

from services.domain.datasets import DatasetSplit
from services.domain.errors import InvalidData
from services.domain.limits import MIB, MODEL_FILES_MAX
from services.domain.text_inspection import Inspected

_BLOCK = 512
_SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")  # 255 bytes is what file systems take
_DEPTH_MAX = 8
_PLAIN, _FOLDER, _PAX, _PAX_GLOBAL = (b"0", b"\0"), b"5", b"x", b"g"
_PAX_HARMLESS = re.compile(r"(?:mtime|atime|ctime|uid|gid|uname|gname|comment|charset)")
_PAX_RECORD = re.compile(rb"([0-9]{1,6}) ([^=\n]{1,200})=")
_PAX_BYTES_MAX = 64 * 1024
_HEAD_BYTES = 16
_CONFIGS = ("config.json", "adapter_config.json")
_CONFIG_BYTES_MAX = 4 * MIB  # the largest published have some 100 KB
_HEADER_BYTES_MAX = 16 * MIB  # of safetensors; the largest published have some 100 KB
# Protocols 2 to 5, the zip archive of torch.save, and what older versions of it begin with.
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
_OLD_PICKLES = re.compile(rb"\x80[\x00\x01]|\(dp|\(lp|ccopy_reg|c__builtin__")
_PIECE_BYTES = MIB
_KINDS = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe"}
_HOW = "make it with `tar -h -C FOLDER -cf model.tar .`"


@dataclasses.dataclass(frozen=True)
class _Header:
    """What a block says about the file that follows it."""

    name: str
    size_bytes: int
    kind: bytes


class ArchiveInspection:
    """Takes the bytes of an archive in order, and finds out about the files in it; holds little of them in memory."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen_bytes = 0
        self._names: dict[str, None] = {}  # in their order
        self._steps = self._walk()
        self._wanted = next(self._steps)
        self._buffer = bytearray()
        self._place = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises: InvalidData."""
        self._hash.update(chunk)
        self._seen_bytes += len(chunk)
        self._buffer += chunk
        while len(self._buffer) - self._place >= self._wanted:
            piece = bytes(self._buffer[self._place : self._place + self._wanted])
            self._place += self._wanted
            self._wanted = self._steps.send(piece)
        del self._buffer[: self._place]
        self._place = 0

    def finish(self) -> Inspected:
        """Return what was found. Raises: InvalidData for an archive that ends too early or holds no model."""
        if self._buffer or self._wanted != _BLOCK:
            raise InvalidData.at("the archive ends within a file; it was cut off", byte=self._seen_bytes)
        if not self._names:
            raise InvalidData.at(f"this is no tar archive with files in it; {_HOW}")
        if not any(_is_config(name) for name in self._names):
            raise InvalidData.at(f"neither config.json nor adapter_config.json is in the archive, but {self._shown()}")
        if not any(name.endswith(".safetensors") for name in self._names):
            raise InvalidData.at(f"no .safetensors file is in the archive, but {self._shown()}")
        whole = DatasetSplit(train_bytes=self._seen_bytes, validation_bytes=0, train_rows=0, validation_rows=0)
        return Inspected(size_bytes=self._seen_bytes, sha256=self._hash.hexdigest(), rows=0, characters=0, split=whole)

    def _walk(self) -> Generator[int, bytes, None]:
        """Ask for so many bytes at a time, are given them, and look at them."""
        while True:
            block = yield _BLOCK
            if not any(block):
                continue  # the end is two empty blocks, and what pads the archive
            header = self._header(block)
            if header.kind in (_PAX, _PAX_GLOBAL):
                _check_pax((yield _padded(header.size_bytes))[: header.size_bytes], name=header.name)
            elif header.kind == _FOLDER:
                _path(header.name.rstrip("/"))
            else:
                yield from self._file(header)

    def _header(self, block: bytes) -> "_Header":
        header = _read_header(block, byte=self._at())
        if header.kind in (_PAX, _PAX_GLOBAL) and header.size_bytes > _PAX_BYTES_MAX:
            raise InvalidData.at(f"the archive says too much about {_shown(header.name)}; {_HOW}")
        return header

    def _file(self, header: "_Header") -> Generator[int, bytes, None]:
        if header.kind not in _PLAIN:
            what = _KINDS.get(header.kind, "no plain file")
            raise InvalidData.at(f"{_shown(header.name)} is {what}; only plain files are taken; {_HOW}")
        path = _path(header.name)
        if not path:
            raise InvalidData.at(f"{_shown(header.name)} is no name of a file; {_HOW}")
        if path in self._names:
            raise InvalidData.at(f"{path} is in the archive twice")
        self._names[path] = None
        if len(self._names) > MODEL_FILES_MAX:
            raise InvalidData.at(f"the archive holds more than {MODEL_FILES_MAX:,} files")
        yield from self._content(path, header.size_bytes)

    def _content(self, name: str, size_bytes: int) -> Generator[int, bytes, None]:
        head = yield min(size_bytes, _HEAD_BYTES)
        left = size_bytes - len(head)
        if is_pickle(head) and not _begins_tensors(head, size_bytes):
            raise InvalidData.at(f"{name} is a pickle file, which can run code when it is read: save it as safetensors")
        kept = bytearray(head)
        keep = _bytes_to_read(name, head, size_bytes) - len(head)
        while keep > 0:
            piece = yield min(keep, _PIECE_BYTES)
            kept += piece
            keep, left = keep - len(piece), left - len(piece)
        _check_content(name, bytes(kept))
        while left > 0:
            left -= len((yield min(left, _PIECE_BYTES)))
        padding = -size_bytes % _BLOCK
        if padding:
            yield padding

    def _at(self) -> int:
        """Return where in the archive the block begins that is being looked at."""
        return self._seen_bytes - (len(self._buffer) - self._place) - _BLOCK

    def _shown(self) -> str:
        return ", ".join(list(self._names)[:10]) + (" and more" if len(self._names) > 10 else "")


def is_pickle(head: bytes) -> bool:
    """Whether a file that begins like this is a pickle, or an archive of torch.save, which holds one."""
    return head.startswith(_PICKLES) or _OLD_PICKLES.match(head) is not None


def _begins_tensors(head: bytes, size_bytes: int) -> bool:
    """Whether a file is safetensors by its first bytes: the length of its header, which may look like a pickle's."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size_bytes - 8


def _read_header(block: bytes, *, byte: int) -> _Header:
    told = _octal(block[148:156])
    if told is None or told != sum(block[:148]) + 8 * ord(" ") + sum(block[156:]):
        raise InvalidData.at(f"byte {byte:,} does not begin a file of a tar archive; {_HOW}", byte=byte)
    size_bytes = _octal(block[124:136])
    name = _text(block[:100])
    if size_bytes is None:
        raise InvalidData.at(f"the size of {_shown(name)} cannot be read; {_HOW}", byte=byte)
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return _Header(name=f"{prefix}/{name}" if prefix else name, size_bytes=size_bytes, kind=block[156:157])


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    return int(digits, 8) if re.fullmatch(rb"[0-7]{1,12}", digits) else None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _path(name: str) -> str:
    """Return the path of a member below the folder of the model; empty for that folder itself. Raises: InvalidData."""
    segments = [segment for segment in name.split("/") if segment != "."]
    well = all(_SEGMENT.fullmatch(segment) and segment != ".." for segment in segments)
    if not well or len(segments) > _DEPTH_MAX:
        raise InvalidData.at(f"{_shown(name)} is not a path inside the folder of a model; {_HOW}")
    return "/".join(segments)


def _is_config(path: str) -> bool:
    return path.rpartition("/")[2] in _CONFIGS


def _padded(size_bytes: int) -> int:
    return size_bytes + -size_bytes % _BLOCK


def _check_pax(content: bytes, *, name: str) -> None:
    """Let times and owners pass; whatever else would change what the archive says is refused."""
    for key in _pax_keys(content):
        if not _PAX_HARMLESS.fullmatch(key):
            raise InvalidData.at(f"the archive sets {_shown(key)} for {_shown(name)} in a header of its own; {_HOW}")


def _pax_keys(content: bytes) -> Iterator[str]:
    """Yield what records set, each as long as it says: a value may hold line ends, and none may hide the next record.

    Raises: InvalidData.
    """
    while content:
        record = _PAX_RECORD.match(content)
        length = int(record[1]) if record else 0
        if record is None or not record.end() < length <= len(content) or content[length - 1 : length] != b"\n":
            raise InvalidData.at(f"a header of the archive cannot be read; {_HOW}")
        yield record[2].decode(errors="replace")
        content = content[length:]


def _bytes_to_read(name: str, head: bytes, size_bytes: int) -> int:
    """Return how much of a file is looked at."""
    if _is_config(name):
        if size_bytes > _CONFIG_BYTES_MAX:
            raise InvalidData.at(f"{name} has {size_bytes:,} bytes, and at most {_CONFIG_BYTES_MAX:,} are taken")
        return size_bytes
    if name.endswith(".safetensors"):
        length = int.from_bytes(head[:8], "little")
        if len(head) < 8 or not 2 <= length <= min(size_bytes - 8, _HEADER_BYTES_MAX):
            raise InvalidData.at(f"{name} is no safetensors file: its header would be {length:,} bytes long")
        return 8 + length
    return len(head)


def _check_content(name: str, content: bytes) -> None:
    if _is_config(name) and not isinstance(_json(content), dict):
        raise InvalidData.at(f"{name} is not a JSON object")
    if name.endswith(".safetensors") and not isinstance(_json(content[8:]), dict):
        raise InvalidData.at(f"{name} is no safetensors file: its header is not a JSON object")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _shown(name: str) -> str:
    return ascii(name[:80])

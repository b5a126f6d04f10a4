"""Uploads of every format: bytes in, a dataset or a refusal out."""

import io
import pathlib
import struct
from typing import Any

from services.datasets.finish_upload import finish_upload
from services.datasets.start_upload import UploadDraft, start_upload
from services.datasets.write_upload import write_part
from services.domain.datasets import Dataset, DatasetFormat, Upload
from services.domain.requests import NO_REQUEST_KEY
from tests.support.houses import Bench

PART_BYTES = 4096


def uploaded(bench: Bench, data: bytes, *, format: DatasetFormat, id: str = "rows", fraction: float = 0.2) -> Upload:
    """Return an upload whose bytes have all arrived, in parts."""
    draft = UploadDraft(
        parent="projects/-", dataset_id=id, size_bytes=len(data), format=format, validation_fraction=fraction
    )
    upload = start_upload(bench.house, caller=bench.caller, draft=draft, request=NO_REQUEST_KEY)
    size = max(PART_BYTES, len(data) // 50)
    for offset in range(0, len(data), size):
        piece = data[offset : offset + size]
        upload = write_part(bench.house, caller=bench.caller, name=upload.name, offset_bytes=offset, data=piece)
    return upload


def dataset_of(bench: Bench, data: bytes, *, format: DatasetFormat, id: str = "rows", fraction: float = 0.2) -> Dataset:
    """Return the dataset of these bytes. Raises: what FinishUpload raises."""
    upload = uploaded(bench, data, format=format, id=id, fraction=fraction)
    return finish_upload(bench.house, caller=bench.caller, name=upload.name, sha256="", request=NO_REQUEST_KEY)


def parquet(table: dict[str, Any], path: pathlib.Path, *, schema: Any = None, **options: Any) -> bytes:
    """Return the bytes of a Parquet file with these columns."""
    import pyarrow
    from pyarrow import parquet as writer

    writer.write_table(pyarrow.table(table, schema=schema), path, **options)
    return path.read_bytes()


def member(name: str, content: bytes = b"", *, kind: bytes = b"0", size: int | None = None, link: str = "") -> bytes:
    """Return a file as it lies in a tar archive."""
    size = len(content) if size is None else size
    block = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0%011o\0" % (size, 0)
    rest = (kind + link.encode().ljust(100, b"\0") + b"ustar\x0000").ljust(512 - len(block) - 8, b"\0")
    checksum = sum(block) + sum(rest) + 8 * ord(" ")
    return block + b"%06o\0 " % checksum + rest + content + bytes(-len(content) % 512)


def archive(*members: bytes) -> bytes:
    """Return an archive of these files."""
    return b"".join(members) + bytes(1024)


def safetensors(header: bytes = b"{}", data: bytes = b"") -> bytes:
    """Return the smallest file of weights."""
    return struct.pack("<Q", len(header)) + header + data


def model_archive(*more: bytes) -> bytes:
    """Return the archive of a model, and whatever else is put into it."""
    config, weights = member("config.json", b'{"model_type":"llama"}'), member("model.safetensors", safetensors())
    return archive(config, weights, *more)


def saved_by_torch() -> bytes:
    """Return how a file of torch.save begins: a zip archive."""
    return b"PK\x03\x04" + io.BytesIO(bytes(100)).read()

"""Models on their way in and out: names, forms, and what is uploaded."""

import os
import pathlib

from tutelage._errors import local_refusal
from tutelage._upload_source import UploadSource

EXPORT_FORMATS = ("hugging-face", "peft", "gguf")
ID_CHARACTERS_MAX = 63
HASH_CHARACTERS = 8


def export_format(name: str) -> str:
    """Returns the name of a form in the protos. Raises: InvalidArgument for one that does not exist."""
    if name not in EXPORT_FORMATS:
        raise local_refusal("format", f"{name!r} is none of {', '.join(EXPORT_FORMATS)}")
    return f"EXPORT_FORMAT_{name.upper().replace('-', '_')}"


def open_model_files(source: str | os.PathLike[str]) -> UploadSource:
    """Opens a folder or an archive of a model. Raises: InvalidArgument for anything else."""
    path = pathlib.Path(source)
    if path.exists() and not path.is_dir() and path.suffix != ".tar":
        raise local_refusal("source", f"{path} is neither a folder nor an uncompressed .tar archive")
    return UploadSource(source, format="model-files")


def files_dataset_id(model: str, sha256: str) -> str:
    """Returns the id of the dataset that the files of a model become: the same for the same files."""
    return f"{model[: ID_CHARACTERS_MAX - HASH_CHARACTERS - 1]}-{sha256[:HASH_CHARACTERS]}"

"""Files that could run code when they are read, known by their content rather than by their name."""

import pathlib
import zipfile

# `torch.save` writes a zip file that holds a pickle; older versions, and pickle itself from protocol 2 on, begin so.
PICKLE_PROTOCOLS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")


def is_pickle(path: pathlib.Path) -> bool:
    """Whether a file is a pickle, holds one, or has a name that only pickles have. The file is not unpacked."""
    with path.open("rb") as file:
        beginning = file.read(9)
    if is_safetensors(beginning, path.stat().st_size):
        return False
    if path.suffix.lower() in SUFFIXES or beginning.startswith(PICKLE_PROTOCOLS):
        return True
    return beginning.startswith(b"PK") and holds_pickle(path)


def is_safetensors(beginning: bytes, size_bytes: int) -> bool:
    """Whether a file begins with the length of a JSON header; one of 640 bytes looks like the mark of a pickle."""
    return beginning[8:9] == b"{" and 2 <= int.from_bytes(beginning[:8], "little") <= size_bytes - 8


def holds_pickle(path: pathlib.Path) -> bool:
    """A zip file that cannot be read counts as one that holds a pickle."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return True

"""What trainers will train on, as far as it can be seen without loading torch."""

import pathlib
from collections.abc import Mapping

_NVIDIA = pathlib.Path("/dev/nvidiactl")  # the driver makes it; a container without the device has none
_NONE = ("", "-1", "NoDevFiles")


def seen(environ: Mapping[str, str], *, driver: pathlib.Path = _NVIDIA) -> str:
    """Returns "cuda" where there is a driver and its devices are not hidden from trainers, else "cpu"."""
    hidden = environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in _NONE
    return "cuda" if driver.exists() and not hidden else "cpu"

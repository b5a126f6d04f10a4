"""The arithmetic of a run: which device, which floating-point format, and the same result each time."""

import contextlib

import torch


def choose_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(device: torch.device) -> str:
    """`bf16` where the device multiplies bfloat16 natively, else `fp32`."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


def autocast(precision: str, *, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Products in bfloat16 over float32 weights, or float32 throughout."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def make_reproducible() -> None:
    """The same bits from the same input, on the same kind of machine with the same number of threads.

    Fresh memory is not filled with NaN for it: no operation here reads what it has not written, and filling costs 3 %.
    """
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

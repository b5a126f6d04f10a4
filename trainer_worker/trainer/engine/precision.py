"""The arithmetic of a run: which device, which floating-point format, and the same result each time."""

import contextlib

import torch
from torch import Tensor, nn

from tutelage.v1 import training_pb2

PRECISIONS = {
    training_pb2.PRECISION_FP32: "fp32",
    training_pb2.PRECISION_BF16: "bf16",
    training_pb2.PRECISION_TF32: "tf32",
    training_pb2.PRECISION_FP16: "fp16",
}
ON_GPUS_ONLY = ("tf32", "fp16")
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(device: torch.device) -> str:
    """`bf16` where the device multiplies bfloat16 natively, else `fp32`."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


def precision_of(asked: "training_pb2.Precision.ValueType", device: torch.device) -> str:
    """What a spec asks for, or what suits the device if it asks for nothing.

    Raises: ValueError if the device does not have it.
    """
    if asked == training_pb2.PRECISION_UNSPECIFIED:
        return choose_precision(device)
    if asked not in PRECISIONS:
        raise ValueError(f"unknown precision {asked}")
    precision = PRECISIONS[asked]
    if precision in ON_GPUS_ONLY and device.type != "cuda":
        raise ValueError(f"{precision} is arithmetic of GPUs, and training runs on {device.type}: ask for fp32 or bf16")
    return precision


def set_products(precision: str) -> None:
    """How float32 products are computed: exactly, or on a GPU rounded to TensorFloat-32 before they are added up."""
    rounded = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = rounded


def autocast(precision: str, *, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Products in bfloat16 or float16 over float32 weights, or float32 throughout."""
    return torch.autocast(device.type, AUTOCAST.get(precision, torch.bfloat16), enabled=precision in AUTOCAST)


def make_reproducible() -> None:
    """The same bits from the same input, on the same kind of machine with the same number of threads.

    Fresh memory is not filled with NaN for it: no operation here reads what it has not written, and filling costs 3 %.
    This is `torch.use_deterministic_algorithms` without its loading the compiler, two seconds, to tell it as well;
    `compilation.compiled` does that.
    """
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


class LossScaler:
    """Lifts the loss so that gradients do not vanish in float16, and finds the lift that just does not overflow.

    For the other formats the scale is 1 and stays. Only powers of two: scaling changes no digit.
    Source: Micikevicius et al. 2018, arXiv 1710.03740, section 3.2.
    """

    FIRST, LAST = 2.0**16, 2.0**24
    GROWS_AFTER = 2000  # healthy steps in a row

    def __init__(self, precision: str) -> None:
        self.active = precision == "fp16"
        self.scale = self.FIRST if self.active else 1.0
        self.healthy_steps = 0

    def scaled(self, loss: Tensor) -> Tensor:
        return loss * self.scale if self.active else loss

    def unscale(self, model: nn.Module) -> None:
        """Brings the gradients back to their size."""
        if self.active:
            gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
            torch._foreach_mul_(gradients, 1.0 / self.scale)

    def update(self, *, healthy: bool) -> bool:
        """Learns from a step. Returns whether numbers that were not finite may come from the scale: to be expected."""
        if not self.active:
            return False
        self.healthy_steps = self.healthy_steps + 1 if healthy else 0
        expected = not healthy and self.scale > 1.0
        if expected:
            self.scale /= 2
        elif self.healthy_steps == self.GROWS_AFTER:
            self.healthy_steps, self.scale = 0, min(2 * self.scale, self.LAST)
        return expected

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps; JSON holds it exactly."""
        return {"scale": self.scale, "healthy_steps": self.healthy_steps}

    def restore(self, state: dict[str, float]) -> None:
        """Raises: ValueError if it is not what `state` gave."""
        if set(state) != {"scale", "healthy_steps"} or not 1.0 <= state["scale"] <= self.LAST:
            raise ValueError(f"the state of the loss scaler is {state}")
        self.scale, self.healthy_steps = float(state["scale"]), int(state["healthy_steps"])

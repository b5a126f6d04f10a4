"""Steps translated into machine code of their own, where that pays within the run."""

import importlib
import importlib.util
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainer_worker.trainer.engine.attention import has_avx2_only
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.precision import make_reproducible
from tutelage.v1 import training_pb2

# Compiled steps are a tenth shorter at best, and compiling takes half a minute: below ten minutes it cannot win much.
PAYS_FROM_S = 600.0
# What a run gets out of a device, roughly and on purpose not measured: the choice must be the same when it resumes.
FLOPS_PER_SECOND = {"cpu": 2e11, "cuda": 2e14}
# Of a micro-batch: the compiler gives up after eight and goes on plainly, and whoever goes on would do so elsewhere.
SHAPES_MAX = 4096
FLOPS_PER_WEIGHT_AND_TOKEN = 6  # 2 forward, 4 backward; Kaplan et al. 2020, arXiv 2001.08361, table 1


def to_compile(
    asked: "training_pb2.Compilation.ValueType",
    *,
    parameters: int,
    tokens: int,
    device: torch.device,
    processor: str = "",
) -> bool:
    """Whether a run over so many tokens is compiled: a function of the spec, the kind of device, and the processor.

    It is asked once a run, which keeps the answer. Where the processor has short registers nothing is won: compiled
    steps took an eighth longer than plain ones with two threads there.
    Raises: ValueError if it is asked for and there is no compiler.
    """
    missing = lacks(device)
    if asked == training_pb2.COMPILATION_ON and missing:
        raise ValueError(f"compilation is asked for, and this worker has no {missing}")
    if asked != training_pb2.COMPILATION_UNSPECIFIED:
        return asked == training_pb2.COMPILATION_ON
    flops = FLOPS_PER_WEIGHT_AND_TOKEN * parameters * tokens
    loses = device.type == "cpu" and has_avx2_only(processor)
    return not missing and not loses and flops / FLOPS_PER_SECOND.get(device.type, 2e11) >= PAYS_FROM_S


def lacks(device: torch.device) -> str:
    """What compiling for a device needs and is not here; empty if nothing is missing."""
    if not (shutil.which("g++") or shutil.which("clang++")):
        return "C++ compiler (g++ or clang++)"
    return "triton" if device.type == "cuda" and importlib.util.find_spec("triton") is None else ""


def compiled(model: Decoder, *, on: bool) -> Callable[..., Tensor]:
    """`model.hidden`, compiled or as it is; arguments and results are the same.

    Shapes are compiled in: every other shape of a micro-batch compiles anew. Evaluation is not worth it: use the model.
    """
    hidden: Any = model.hidden
    if not on:
        return hidden
    make_reproducible()
    translation: Any = importlib.import_module("torch._inductor.config")
    translation.deterministic = True
    translation.fallback_random = True  # dropout draws as plain steps do, so that it is the same run without a compiler
    tracing: Any = importlib.import_module("torch._dynamo.config")
    tracing.recompile_limit = tracing.accumulated_recompile_limit = SHAPES_MAX
    return torch.compile(hidden, dynamic=False)

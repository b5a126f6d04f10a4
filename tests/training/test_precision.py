"""What is asked for is what is computed in; a scaled loss gives the gradients of the loss itself."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from trainer_worker.trainer.engine import precision
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.precision import LossScaler
from tutelage.v1 import training_pb2

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    mode = torch.get_deterministic_debug_mode()
    yield
    torch.set_deterministic_debug_mode(mode)


@pytest.mark.parametrize("asked", [training_pb2.PRECISION_TF32, training_pb2.PRECISION_FP16])
def test_arithmetic_of_gpus_is_refused_on_a_processor(asked: "training_pb2.Precision.ValueType") -> None:
    with pytest.raises(ValueError, match=r"(tf32|fp16) is arithmetic of GPUs, and training runs on cpu"):
        precision.precision_of(asked, CPU)


def test_what_is_asked_for_is_taken_and_else_what_suits_the_device() -> None:
    assert precision.precision_of(training_pb2.PRECISION_FP32, CPU) == "fp32"
    assert precision.precision_of(training_pb2.PRECISION_BF16, CPU) == "bf16"
    assert precision.precision_of(training_pb2.PRECISION_UNSPECIFIED, CPU) == precision.choose_precision(CPU)
    with pytest.raises(ValueError, match="unknown precision 42"):
        precision.precision_of(42, CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_products_are_in_the_format_of_their_name(name: str, dtype: torch.dtype) -> None:
    with precision.autocast(name, device=CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_float32_products_are_exact_unless_tf32_is_asked_for() -> None:
    for name, expected in (("tf32", "tf32"), ("fp32", "ieee"), ("bf16", "ieee")):
        precision.set_products(name)
        assert torch.backends.cuda.matmul.fp32_precision == expected


def test_an_operation_that_could_differ_from_run_to_run_is_an_error() -> None:
    precision.make_reproducible()
    assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="deterministic"):
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))


FIRST_STEP = """
import sys, torch
from trainer_worker.trainer.engine import compilation, precision
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.optimizers import clip, gradient_norm, make_optimizers
from tutelage.v1 import training_pb2
precision.make_reproducible()
model = Decoder(ModelConfig(1, 8, 2, 1, 8, 8, False, 10000.0, 7))
for rule in range(1, 7):
    optimizers = make_optimizers(model.named_parameters(), training_pb2.OptimizationSpec(optimizer=rule))
    hidden = compilation.compiled(model, on=False)(torch.zeros(1, 8, dtype=torch.int64)).flatten(0, 1)
    token_losses(hidden, model.output_weight, torch.zeros(8, dtype=torch.int64)).sum().backward()
    clip(model, norm=gradient_norm(model).item(), clip_norm=1.0)
    optimizers.step()
print(sorted({"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)))
"""


def test_no_step_waits_for_the_compiler_to_load() -> None:
    """Two seconds, half as long as all of torch takes."""
    output = subprocess.run([sys.executable, "-c", FIRST_STEP], check=True, capture_output=True, text=True).stdout
    assert output.strip() == "[]"


# The loss scaler.


def linear() -> nn.Linear:
    model = nn.Linear(3, 1, bias=False)
    nn.init.ones_(model.weight)
    return model


def test_scaled_and_unscaled_again_the_gradients_are_the_same_bits() -> None:
    one, other, scaler = linear(), linear(), LossScaler("fp16")
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    one(inputs).square().mean().backward()
    scaler.scaled(other(inputs).square().mean()).backward()
    assert other.weight.grad is not None and one.weight.grad is not None
    assert torch.equal(other.weight.grad, one.weight.grad * 2.0**16)
    scaler.unscale(other)
    assert torch.equal(other.weight.grad, one.weight.grad)


@pytest.mark.parametrize("name", ["fp32", "bf16", "tf32"])
def test_other_formats_need_no_scale(name: str) -> None:
    scaler, loss = LossScaler(name), torch.ones(())
    assert scaler.scaled(loss) is loss and scaler.scale == 1.0
    assert not scaler.update(healthy=False) and scaler.scale == 1.0


def test_the_scale_halves_at_an_overflow_which_is_then_no_fault() -> None:
    scaler = LossScaler("fp16")
    assert scaler.update(healthy=False) and scaler.scale == 2.0**15
    for _ in range(15):
        assert scaler.update(healthy=False)
    assert scaler.scale == 1.0
    assert not scaler.update(healthy=False)  # without a scale there is no excuse


def test_the_scale_doubles_after_two_thousand_healthy_steps_in_a_row() -> None:
    scaler = LossScaler("fp16")
    for _ in range(1999):
        scaler.update(healthy=True)
    scaler.update(healthy=False)
    for _ in range(1999):
        scaler.update(healthy=True)
    assert scaler.scale == 2.0**15
    scaler.update(healthy=True)
    assert scaler.scale == 2.0**16
    for _ in range(9 * 2000):
        scaler.update(healthy=True)
    assert scaler.scale == 2.0**24  # as far as float32 gradients are safe


def test_the_state_of_the_scaler_survives_as_json() -> None:
    scaler, other = LossScaler("fp16"), LossScaler("fp16")
    scaler.update(healthy=False)
    scaler.update(healthy=True)
    other.restore(json.loads(json.dumps(scaler.state())))
    assert other.state() == scaler.state() == {"scale": 2.0**15, "healthy_steps": 1}
    with pytest.raises(ValueError, match="state of the loss scaler"):
        other.restore({"scale": 0.0, "healthy_steps": 1})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["tf32", "fp16", "bf16"])
def test_a_gpu_learns_in_every_format(name: str) -> None:
    device = torch.device("cuda")
    precision.set_products(name)
    model = Decoder(ModelConfig(2, 64, 2, 2, 64, 32, True, 10000.0, 64)).to(device)
    model.initialize(0)
    scaler, tokens = LossScaler(name), torch.arange(32, device=device).repeat(4, 1)
    rule = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    losses = []
    for _ in range(30):
        with precision.autocast(name, device=device):
            loss = nn.functional.cross_entropy(model(tokens)[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())
        scaler.scaled(loss).backward()
        scaler.unscale(model)
        rule.step()
        rule.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]

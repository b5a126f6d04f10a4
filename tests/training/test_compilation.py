"""Compiled steps learn what plain ones learn, and go on to the same bits from any step."""

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from trainer_worker.trainer.engine import compilation
from trainer_worker.trainer.engine.compilation import PAYS_FROM_S, SHAPES_MAX, compiled, to_compile
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.optimizers import make_optimizers
from trainer_worker.trainer.engine.precision import make_reproducible
from tutelage.v1 import training_pb2

CPU = torch.device("cpu")
ON, OFF = training_pb2.COMPILATION_ON, training_pb2.COMPILATION_OFF
AUTO = training_pb2.COMPILATION_UNSPECIFIED
CONFIG = ModelConfig(1, 16, 2, 1, 16, 8, True, 10000.0, 32)
STEPS = 4
needs_compiler = pytest.mark.skipif(compilation.lacks(CPU) != "", reason="no C++ compiler here")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    mode = torch.get_deterministic_debug_mode()
    yield
    torch.set_deterministic_debug_mode(mode)


def test_long_runs_are_compiled_and_short_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    parameters = 1_800_000
    enough = int(PAYS_FROM_S * 2e11 / 6 / parameters) + 1
    assert to_compile(AUTO, parameters=parameters, tokens=enough, device=CPU)
    assert not to_compile(AUTO, parameters=parameters, tokens=enough // 2, device=CPU)
    assert to_compile(AUTO, parameters=parameters, tokens=enough, device=CPU, processor="AVX512")
    assert not to_compile(AUTO, parameters=parameters, tokens=enough, device=CPU, processor="AVX2")
    assert to_compile(ON, parameters=1, tokens=1, device=CPU, processor="AVX2")
    assert to_compile(ON, parameters=1, tokens=1, device=CPU)
    assert not to_compile(OFF, parameters=parameters, tokens=enough, device=CPU)


def test_without_a_compiler_nothing_is_compiled_and_whoever_insists_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not to_compile(AUTO, parameters=10**9, tokens=10**9, device=CPU)
    assert not to_compile(OFF, parameters=10**9, tokens=10**9, device=CPU)
    with pytest.raises(ValueError, match="no C\\+\\+ compiler"):
        to_compile(ON, parameters=1, tokens=1, device=CPU)


def test_a_gpu_needs_its_own_compiler_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="no triton"):
        to_compile(ON, parameters=1, tokens=1, device=torch.device("cuda"))


def test_what_is_not_compiled_is_the_model_itself() -> None:
    model = Decoder(CONFIG)
    assert compiled(model, on=False) == model.hidden


def learn(steps: range, state: tuple[dict[str, Tensor], dict[str, Tensor]] | None, *, on: bool) -> Iterator[tuple]:
    """Yields loss, weights and optimizer state before each step."""
    model = Decoder(CONFIG)
    model.initialize(0)
    optimizers = make_optimizers(model.named_parameters(), training_pb2.OptimizationSpec(learning_rate=1e-2))
    if state:
        model.load_state_dict(state[0])
        optimizers.restore(state[1])
    hidden: Callable[..., Tensor] = compiled(model, on=on)
    for step in steps:
        kept = copied(model.state_dict()), copied(optimizers.tensors())
        window_BT = torch.randint(0, 32, (2, 9), generator=torch.Generator().manual_seed(step))
        hidden_XD = hidden(window_BT[:, :-1]).flatten(0, 1)
        loss = token_losses(hidden_XD, model.output_weight, window_BT[:, 1:].flatten()).mean()
        loss.backward()
        optimizers.step()
        optimizers.zero_grad()
        yield loss.item(), kept


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("on", [False, pytest.param(True, marks=[needs_compiler, pytest.mark.slow])])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_each_step_can_be_gone_on_from_to_the_same_bits(on: bool) -> None:
    make_reproducible()
    straight = list(learn(range(STEPS), None, on=on))
    for step in range(1, STEPS):
        again = list(learn(range(step, STEPS), straight[step][1], on=on))
        assert [loss for loss, _ in again] == [loss for loss, _ in straight[step:]]
        assert all(torch.equal(again[-1][1][0][name], weight) for name, weight in straight[-1][1][0].items())


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_compiled_steps_learn_what_plain_ones_do() -> None:
    make_reproducible()
    plain, fast = list(learn(range(STEPS), None, on=False)), list(learn(range(STEPS), None, on=True))
    assert [loss for loss, _ in fast] == pytest.approx([loss for loss, _ in plain], rel=1e-5)
    assert importlib.import_module("torch._inductor.config").deterministic
    assert importlib.import_module("torch._dynamo.config").recompile_limit == SHAPES_MAX, "a run may have many shapes"

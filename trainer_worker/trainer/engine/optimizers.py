"""How gradients move weights.

Every rule is torch's own: fused where it can be, else as torch chooses for the device (one operation over many
tensors is faster on a GPU and slower on a CPU). What is here says which weight moves by which rule.

    R rows of a matrix   D width of its rows
"""

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from trainer_worker.trainer.engine.muon import make_muon
from trainer_worker.trainer.engine.optimizer_state import blank_state, refuse_strangers
from tutelage.v1 import training_pb2

SGD_MOMENTUM, RMSPROP_MOMENTUM, MUON_MOMENTUM = 0.9, 0.0, 0.95
ADAM_BETA2, RMSPROP_BETA2 = 0.95, 0.99

Rule = torch.optim.Optimizer
Spec = training_pb2.OptimizationSpec
Field = Literal["beta1", "beta2", "epsilon", "momentum", "weight_decay"]


@dataclasses.dataclass(frozen=True)
class Part:
    """Some rows of a fused matrix, moved as a matrix of its own. It shares the memory of the whole."""

    whole: Tensor
    first_row: int
    weight: nn.Parameter

    def follow(self) -> None:
        """Takes up the gradient of the whole, and its memory should that have moved."""
        rows = slice(self.first_row, self.first_row + len(self.weight))
        self.weight.data = self.whole.detach()[rows]
        self.weight.grad = None if self.whole.grad is None else self.whole.grad[rows]


class Optimizers:
    """The rules that move the weights of one model, as if they were one rule.

    `names` gives each weight that a rule holds the name that its state is kept under. `shrinking` are weights that
    decay by this class and not by their rule, at `decay` times the learning rate.
    """

    def __init__(
        self,
        rules: list[Rule],
        *,
        weights: Iterable[Tensor],
        names: Mapping[Tensor, str],
        parts: Iterable[Part] = (),
        shrinking: Iterable[Tensor] = (),
        decay: float = 0.0,
    ) -> None:
        self.rules = rules
        self.weights = list(weights)
        self.names = dict(names)
        self.parts = list(parts)
        self.shrinking = list(shrinking) if decay else []
        self.decay = decay

    def set_learning_rate(self, rate: float) -> None:
        for rule in self.rules:
            for group in rule.param_groups:
                group["lr"] = rate

    @torch.no_grad()
    def step(self) -> None:
        """Moves every weight that has a gradient."""
        for part in self.parts:
            part.follow()
        if moved := [weight for weight in self.shrinking if weight.grad is not None]:
            rate = self.rules[0].param_groups[0]["lr"]
            torch._foreach_mul_(moved, 1 - rate * self.decay)
        for rule in self.rules:
            inspect.unwrap(type(rule).step)(rule)  # the wrapper would load the compiler

    def zero_grad(self) -> None:
        """Frees all gradients."""
        for weight in self.weights:
            weight.grad = None
        for part in self.parts:
            part.weight.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """The state by `{moment}.{weight}`, as it lives; empty before the first step, and for rules without any."""
        tensors = {}
        for rule, weight, name in self.held():
            for moment, value in rule.state.get(weight, {}).items():
                tensors[f"{moment}.{name}"] = value
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Puts back what `tensors` gave, bit for bit; all is as before the first step if that was nothing.

        Raises: ValueError naming the tensors that are missing, unknown, of another shape or dtype, or not finite.
        """
        if not tensors:
            for rule in self.rules:
                rule.state.clear()
            return
        expected = {}
        for rule, weight, name in self.held():
            for moment, blank in blank_state(rule, weight).items():
                expected[f"{moment}.{name}"] = blank
        refuse_strangers(tensors, expected)
        for rule, weight, name in self.held():
            blanks = blank_state(rule, weight)
            rule.state[weight] = {
                moment: tensors[f"{moment}.{name}"].to(blank.device, copy=True) for moment, blank in blanks.items()
            }

    def held(self) -> Iterator[tuple[Rule, Tensor, str]]:
        for rule in self.rules:
            for group in rule.param_groups:
                for weight in group["params"]:
                    yield rule, weight, self.names[weight]


def make_optimizers(named_weights: Iterable[tuple[str, nn.Parameter]], spec: Spec) -> Optimizers:
    """The rule that the spec names, over all weights that learn. Only matrices decay, and the embedding does not.

    What is unset in the spec has the default that training.proto names. The learning rate of Adafactor is a share of
    the size of each weight; Muon moves the matrices of the blocks, and AdamW the rest.
    Raises: ValueError if no weight learns, or the optimizer is none of those that there are.
    """
    everything = dict(named_weights)
    weights = {name: weight for name, weight in everything.items() if weight.requires_grad}
    if not weights:
        raise ValueError("no weight is to be trained")
    leave_compiler_unloaded()
    match spec.optimizer:
        case training_pb2.OPTIMIZER_UNSPECIFIED | training_pb2.OPTIMIZER_ADAMW:
            return alone(adam_rule(torch.optim.AdamW, weights, spec), weights)
        case training_pb2.OPTIMIZER_ADAM:
            return alone(adam_rule(torch.optim.Adam, weights, spec), weights)
        case training_pb2.OPTIMIZER_SGD:
            return shrinking(sgd_rule(weights, spec), weights, spec)
        case training_pb2.OPTIMIZER_RMSPROP:
            return shrinking(rmsprop_rule(weights, spec), weights, spec)
        case training_pb2.OPTIMIZER_ADAFACTOR:
            return alone(adafactor_rule(weights, spec), weights)
        case training_pb2.OPTIMIZER_MUON:
            return muon_and_adamw(weights, spec, shapes={name: weight.shape for name, weight in everything.items()})
    raise ValueError(f"unknown optimizer {spec.optimizer}")


def leave_compiler_unloaded() -> None:
    """Marks the constructor of optimizers as not to be compiled.

    Left to itself, it loads the compiler only to have itself marked: two seconds, half of what loading torch takes.
    """
    constructor = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    constructor.__dict__.setdefault("__dynamo_disable", constructor)


def alone(rule: Rule, weights: dict[str, nn.Parameter]) -> Optimizers:
    return Optimizers([rule], weights=weights.values(), names=named(weights))


def shrinking(rule: Rule, weights: dict[str, nn.Parameter], spec: Spec) -> Optimizers:
    """For rules of torch that would add the decay to the gradient, where momentum and scaling distort it.

    Source: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 1 (SGDW).
    """
    matrices = [weight for name, weight in weights.items() if decays(name, weight)]
    decay = given(spec, "weight_decay", 0.1)
    return Optimizers([rule], weights=weights.values(), names=named(weights), shrinking=matrices, decay=decay)


def adam_rule(kind: type[torch.optim.Adam], weights: dict[str, nn.Parameter], spec: Spec) -> Rule:
    """AdamW or Adam in one fused pass.

    Sources: Kingma and Ba 2015, arXiv 1412.6980, alg. 1; Loshchilov and Hutter 2019, arXiv 1711.05101, alg. 2.
    """
    betas = given(spec, "beta1", 0.9), given(spec, "beta2", ADAM_BETA2)
    epsilon = given(spec, "epsilon", 1e-8)
    return kind(grouped(weights, spec), lr=spec.learning_rate, betas=betas, eps=epsilon, fused=True)


def sgd_rule(weights: dict[str, nn.Parameter], spec: Spec) -> Rule:
    """Gradient descent with momentum. Source: Sutskever et al. 2013, in the form without a factor on the gradient."""
    momentum = given(spec, "momentum", SGD_MOMENTUM)
    nesterov = spec.nesterov and momentum > 0
    return torch.optim.SGD(weights.values(), lr=spec.learning_rate, momentum=momentum, nesterov=nesterov, fused=True)


def rmsprop_rule(weights: dict[str, nn.Parameter], spec: Spec) -> Rule:
    """RMSProp, uncentred. Source: Hinton 2012, Neural networks for machine learning, lecture 6e."""
    return torch.optim.RMSprop(
        weights.values(),
        lr=spec.learning_rate,
        alpha=given(spec, "beta2", RMSPROP_BETA2),
        eps=given(spec, "epsilon", 1e-8),
        momentum=given(spec, "momentum", RMSPROP_MOMENTUM),
    )


def adafactor_rule(weights: dict[str, nn.Parameter], spec: Spec) -> Rule:
    """Second moments of a matrix as a row and a column. Source: Shazeer and Stern 2018, arXiv 1804.04235, algorithm 4.

    torch keeps the mean square of a gradient above its first epsilon, 1e-7 by its own choice, and takes gradients below
    3e-4 for larger than they are: those of a model with ten million weights. Here it is the square of the spec's
    epsilon, as far as float32 can square that once more.
    """
    floor = max(given(spec, "epsilon", 1e-8) ** 2, 1e-18)
    return torch.optim.Adafactor(grouped(weights, spec), lr=spec.learning_rate, eps=(floor, 1e-3))


def muon_and_adamw(weights: dict[str, nn.Parameter], spec: Spec, *, shapes: dict[str, torch.Size]) -> Optimizers:
    matrices = {name: weight for name, weight in weights.items() if name.startswith("blocks.") and weight.dim() == 2}
    rest = {name: weight for name, weight in weights.items() if name not in matrices}
    names: dict[Tensor, str] = named(rest)
    parts = []
    for name, weight in matrices.items():
        for part, first, last in rows_of(name, shapes):
            view = nn.Parameter(weight.detach()[first:last])
            parts.append(Part(whole=weight, first_row=first, weight=view))
            names[view] = f"{name}.{part}" if part else name
    rules: list[Rule] = []
    if parts:
        muon = make_muon(
            [part.weight for part in parts],
            learning_rate=spec.learning_rate,
            weight_decay=given(spec, "weight_decay", 0.1),
            momentum=given(spec, "momentum", MUON_MOMENTUM),
            nesterov=spec.nesterov if spec.HasField("nesterov") else True,
        )
        rules.append(muon)
    if rest:
        rules.append(adam_rule(torch.optim.AdamW, rest, spec))
    return Optimizers(rules, weights=weights.values(), names=names, parts=parts)


def rows_of(name: str, shapes: dict[str, torch.Size]) -> list[tuple[str, int, int]]:
    """The projections that a matrix holds: name, first row and the row after the last; without a name if it is one."""
    rows = shapes[name][0]
    if name.endswith(".gate_up.weight"):
        return [("gate", 0, rows // 2), ("up", rows // 2, rows)]
    if name.endswith(".qkv.weight"):
        query = shapes[name.removesuffix("qkv.weight") + "out.weight"][1]
        key = query + (rows - query) // 2
        return [("query", 0, query), ("key", query, key), ("value", key, rows)]
    return [("", 0, rows)]


def grouped(weights: dict[str, nn.Parameter], spec: Spec) -> list[dict]:
    """Weights that decay and weights that do not, without empty groups."""
    decay = given(spec, "weight_decay", 0.1)
    matrices = [weight for name, weight in weights.items() if decays(name, weight)]
    others = [weight for name, weight in weights.items() if not decays(name, weight)]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def decays(name: str, weight: Tensor) -> bool:
    """Matrices do; norms, biases and embeddings do not."""
    return weight.dim() >= 2 and not name.startswith("embedding")


def named(weights: dict[str, nn.Parameter]) -> dict[Tensor, str]:
    return {weight: name for name, weight in weights.items()}


def given(spec: Spec, field: Field, default: float) -> float:
    return getattr(spec, field) if spec.HasField(field) else default


def gradients(model: nn.Module) -> list[Tensor]:
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


def gradient_norm(model: nn.Module) -> Tensor:
    """The Euclidean norm of all gradients together; a scalar that stays on the device."""
    return torch.nn.utils.get_total_norm(gradients(model), foreach=True)


def clip(model: nn.Module, *, norm: float, clip_norm: float) -> None:
    """Scales gradients of the given norm down to `clip_norm`; 0 leaves them alone."""
    if clip_norm and norm > clip_norm:
        torch._foreach_mul_(gradients(model), clip_norm / norm)

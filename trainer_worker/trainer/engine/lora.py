"""Low-rank adaptation: the weights of a base stay as they are, and small matrices beside them learn.

Source: Hu et al. 2021, arXiv 2106.09685, eq. 3: y = W x + s B A x, with B zero at first, so that nothing changes. The
projections that are one matrix here (query, key and value; gate and up) have an A and a B of their own each: they are
what others call `q_proj`, `k_proj` and so on, and can be exchanged with them.

    X rows and positions   D width of the input   O width of the output   R rank   E all ranks of a layer together
"""

import contextlib
import dataclasses
import difflib
import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.reward_model import RewardModel
from tutelage.v1 import training_pb2

TARGETS = ("query", "key", "value", "out", "gate", "up", "down")
RANK, RANK_MAX, ALPHA_MAX = 16, 1024, 4096.0
# How others call the targets, for those who ask for these names.
ELSEWHERE = {f"{name[0]}_proj": name for name in ("query", "key", "value", "out")} | {
    f"{name}_proj": name for name in ("gate", "up", "down")
}
NAMED_MAX = 5  # tensors named in one refusal


@dataclasses.dataclass(frozen=True)
class LoraSettings:
    """What adapters are like, every default filled in."""

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    rank_stabilized: bool

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= RANK_MAX:
            raise UnusableData(f"the rank of adapters is {self.rank}, not 1 to {RANK_MAX}")
        if not 0 < self.alpha <= ALPHA_MAX:
            raise UnusableData(f"alpha of adapters is {self.alpha}, not above 0 and at most {ALPHA_MAX:g}")
        if not 0 <= self.dropout < 1:
            raise UnusableData(f"dropout of adapters is {self.dropout}, not 0 to below 1")
        for target in self.targets:
            if target not in TARGETS:
                raise unknown_target(target)
        if not self.targets:
            raise UnusableData("adapters without any target would change nothing")

    @property
    def scale(self) -> float:
        """What the product of the two matrices is multiplied by.

        Source of the second: Kalajdzievski 2023, arXiv 2312.03732, eq. 3.
        """
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)


def lora_settings(spec: training_pb2.LoraSpec) -> LoraSettings:
    """Raises: UnusableData naming a value out of range, or a target that there is not and the one it is nearest to."""
    rank = spec.rank if spec.HasField("rank") else RANK
    return LoraSettings(
        rank=rank,
        alpha=spec.alpha if spec.HasField("alpha") else 2.0 * rank,
        dropout=spec.dropout,
        targets=tuple(target for target in TARGETS if target in spec.targets)
        + tuple(target for target in spec.targets if target not in TARGETS)
        or TARGETS,
        rank_stabilized=spec.rank_stabilized,
    )


def unknown_target(target: str) -> UnusableData:
    near = [ELSEWHERE[target]] if target in ELSEWHERE else difflib.get_close_matches(target, TARGETS, n=1, cutoff=0.4)
    hint = f'Did you mean "{near[0]}"? ' if near else ""
    return UnusableData(f'unknown target "{target}" for adapters', help=f"{hint}There are {', '.join(TARGETS)}.")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a target is: some rows of the weight of a layer."""

    target: str
    first_row: int
    last_row: int

    @property
    def rows(self) -> slice:
        return slice(self.first_row, self.last_row)


def places(config: ModelConfig) -> dict[str, tuple[Place, ...]]:
    """The linear layers of a block, by their names in it, and which targets their rows are."""
    query, key = config.heads * config.head_width, config.key_value_heads * config.head_width
    feed = config.feed_forward_width
    widths = {
        "attention.qkv": {"query": query, "key": key, "value": key},
        "attention.out": {"out": config.width},
        "feed_forward.gate_up": {"gate": feed, "up": feed},
        "feed_forward.down": {"down": config.width},
    }
    found = {}
    for layer, parts in widths.items():
        ends = [sum(list(parts.values())[: index + 1]) for index in range(len(parts))]
        found[layer] = tuple(
            Place(target, end - rows, end) for (target, rows), end in zip(parts.items(), ends, strict=True)
        )
    return found


class LowRank(nn.Module):
    """The two matrices of one target: `a` (R, D) and `b` (O, R), float32."""

    def __init__(self, a_RD: Tensor, b_OR: Tensor) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(a_RD), nn.Parameter(b_OR)


class AdaptedLinear(nn.Linear):
    """A linear layer whose own weight is frozen, with low-rank matrices beside some of its parts, or none."""

    cast_weight: Tensor | None  # the weight as products want it, if `hold_cast` was called
    aside = False  # whether its matrices do not count for now
    adapters: nn.ModuleDict

    def __init__(self, frozen: nn.Linear, *, settings: LoraSettings, parts: tuple[Place, ...]) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = frozen.in_features, frozen.out_features
        self.weight, self.bias = frozen.weight, frozen.bias
        self.settings, self.scale = settings, settings.scale
        self.parts = tuple(part for part in parts if part.target in settings.targets)
        self.spans = tuple((part.first_row, part.last_row) for part in self.parts)
        self.adapters = nn.ModuleDict()
        self.register_buffer("cast_weight", None, persistent=False)

    def make_room(self) -> None:
        """Matrices that add nothing: all zero."""
        for part in self.parts:
            a_RD = self.weight.new_zeros(self.settings.rank, self.in_features)
            b_OR = self.weight.new_zeros(part.last_row - part.first_row, self.settings.rank)
            self.adapters[part.target] = LowRank(a_RD, b_OR)

    def draw(self, generator: torch.Generator) -> None:
        """New matrices: A uniform as the weight of a linear layer, B zero."""
        self.make_room()
        bound = self.in_features**-0.5
        for part in self.parts:
            a_RD = self.beside(part).a
            a_RD.data.copy_(torch.empty(a_RD.shape).uniform_(-bound, bound, generator=generator))

    def hold_cast(self, dtype: torch.dtype) -> None:
        """Keeps a copy of the weight in the dtype of autocast, which would make one at each step otherwise."""
        self.cast_weight = self.weight.detach().to(dtype)

    def forward(self, input: Tensor) -> Tensor:
        kind = input.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else input.dtype
        held = self.cast_weight
        weight_OD = held if held is not None and held.dtype == dtype else self.weight
        if not self.adapters or self.aside:
            return functional.linear(input, weight_OD, self.bias)
        x_XD = input.to(dtype).flatten(0, -2)
        seen_XD = functional.dropout(x_XD, self.settings.dropout) if self.training and self.settings.dropout else None
        beside = [self.beside(part) for part in self.parts]
        factors = [*(matrices.a for matrices in beside), *(matrices.b for matrices in beside)]
        bias_O = None if self.bias is None else self.bias.to(dtype)
        y_XO: Tensor = Adapted.apply(x_XD, seen_XD, weight_OD.to(dtype), bias_O, self.scale, self.spans, *factors)
        return y_XO.unflatten(0, input.shape[:-1])

    def beside(self, part: Place) -> LowRank:
        return cast(LowRank, self.adapters[part.target])

    def merged(self) -> Tensor:
        """The weight of a plain layer that computes the same, without dropout. A new tensor if there are adapters."""
        weight_OD = self.weight.detach()
        if not self.adapters:
            return weight_OD
        weight_OD = weight_OD.clone()
        for part in self.parts:
            matrices = self.beside(part)
            weight_OD[part.rows].addmm_(matrices.b.detach(), matrices.a.detach(), alpha=self.scale)
        return weight_OD


class Adapted(torch.autograd.Function):
    """y = W x + bias, and s B A x added to the rows of each part in place.

    Left to autograd, every part would need the input once more, its output once more, and a sum of all. The derivative
    of the frozen weight is not computed.
    """

    @staticmethod
    def forward(
        context: Any,
        x_XD: Tensor,
        seen_XD: Tensor | None,
        weight_OD: Tensor,
        bias_O: Tensor | None,
        scale: float,
        spans: tuple[tuple[int, int], ...],
        *factors: Tensor,
    ) -> Tensor:
        """`seen` is what adapters see of x where that is something else. Factors: each part's A, then each part's B."""
        a_ED = torch.cat(factors[: len(spans)]).to(x_XD.dtype)
        ups = [b_OR.to(x_XD.dtype) for b_OR in factors[len(spans) :]]
        y_XO = x_XD @ weight_OD.T if bias_O is None else torch.addmm(bias_O, x_XD, weight_OD.T)
        seen = x_XD if seen_XD is None else seen_XD
        z_XE = seen @ a_ED.T
        for (first, last), z_XR, b_OR in zip(spans, z_XE.chunk(len(spans), dim=1), ups, strict=True):
            y_XO[:, first:last].addmm_(z_XR, b_OR.T, alpha=scale)
        context.save_for_backward(seen, weight_OD, a_ED, z_XE, *ups)
        context.scale, context.spans, context.dropped = scale, spans, seen_XD is not None
        return y_XO

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """With g the gradient: dB = s g zᵀ, dz = s Bᵀ g, dA = dz xᵀ, dx = Wᵀ g + Aᵀ dz."""
        seen_XD, weight_OD, a_ED, z_XE, *ups = context.saved_tensors
        g_XO, scale, count = gradients[0], context.scale, len(context.spans)
        slopes, turned = [], []
        for (first, last), z_XR, b_OR in zip(context.spans, z_XE.chunk(count, dim=1), ups, strict=True):
            part_XO = g_XO[:, first:last]
            slopes.append(part_XO @ b_OR)
            turned.append((part_XO.T @ z_XR).mul_(scale))
        dz_XE = torch.cat(slopes, dim=1).mul_(scale)
        lowered = (dz_XE.T @ seen_XD).chunk(count)
        dx_XD = g_XO @ weight_OD if context.needs_input_grad[0] else None
        dseen_XD = None
        if context.dropped:
            dseen_XD = dz_XE @ a_ED if context.needs_input_grad[1] else None
        elif dx_XD is not None:
            dx_XD.addmm_(dz_XE, a_ED)
        return dx_XD, dseen_XD, None, None, None, None, *lowered, *turned


def add_adapters(model: Decoder, spec: training_pb2.LoraSpec, *, seed: int) -> LoraSettings:
    """Freezes every weight of a model, and puts new adapters beside those that the spec names. Nothing changes yet.

    Raises: UnusableData naming a value out of range, or a target that there is not and the one it is nearest to.
    """
    settings = lora_settings(spec)
    generator = torch.Generator().manual_seed(seed)
    for layer in adapted_layers(model, settings):
        layer.draw(generator)
    return settings


def adapted_layers(model: Decoder, settings: LoraSettings) -> Iterator[AdaptedLinear]:
    """Freezes every weight, and puts a layer that can hold adapters in place of each linear one of the blocks."""
    model.requires_grad_(False)
    if isinstance(model, RewardModel):
        model.head.requires_grad_(True)
    for block in model.blocks:
        for name, parts in places(model.config).items():
            room, own = name.split(".")
            inner = block.get_submodule(room)
            layer = AdaptedLinear(inner.get_submodule(own), settings=settings, parts=parts)  # type: ignore[arg-type]
            setattr(inner, own, layer)
            yield layer


def layers_of(model: nn.Module) -> Iterator[tuple[str, AdaptedLinear]]:
    for name, module in model.named_modules():
        if isinstance(module, AdaptedLinear):
            yield name, module


def settings_of(model: nn.Module) -> LoraSettings:
    """Raises: ValueError if the model has no adapters."""
    for _, layer in layers_of(model):
        return layer.settings
    raise ValueError("the model has no adapters")


def hold_cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Keeps the frozen weights of the blocks in the dtype of autocast too: half the memory more, and none of the time
    that casting them at every step takes."""
    for _, layer in layers_of(model):
        layer.hold_cast(dtype)


@contextlib.contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """Within it, the model computes what its base does."""
    layers = [layer for _, layer in layers_of(model)]
    for layer in layers:
        layer.aside = True
    try:
        yield
    finally:
        for layer in layers:
            layer.aside = False


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What learns, as it lives: `{layer}.adapters.{target}.a` (R, D) and `.b` (O, R), float32; and the head of a reward
    model, `head.weight` (1, D)."""
    tensors: dict[str, Tensor] = {}
    if isinstance(model, RewardModel):
        tensors["head.weight"] = model.head.weight.detach()
    for name, layer in layers_of(model):
        tensors |= {f"{name}.adapters.{key}": tensor for key, tensor in layer.adapters.state_dict().items()}
    return tensors


@torch.no_grad()
def restore_adapters(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Puts back what `adapter_tensors` gave, bit for bit.

    Raises: ValueError naming the tensors that are missing, unknown, of another shape or dtype, or not finite; nothing
    is changed then.
    """
    living = adapter_tensors(model)
    faults = [f"{name} is missing" for name in living if name not in tensors]
    for name, tensor in tensors.items():
        own = living.get(name)
        if own is None:
            faults.append(f"{name} is unknown")
        elif (tensor.shape, tensor.dtype) != (own.shape, own.dtype):
            faults.append(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, not {tuple(own.shape)} {own.dtype}")
        elif not torch.isfinite(tensor).all():
            faults.append(f"{name} holds a number that is not finite")
    if faults:
        more = f"; and {len(faults) - NAMED_MAX} more" if len(faults) > NAMED_MAX else ""
        raise ValueError("the adapters are not for this model: " + "; ".join(faults[:NAMED_MAX]) + more)
    for name, own in living.items():
        own.copy_(tensors[name])


@torch.no_grad()
def merge(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a plain model that computes the same, float32. Those without adapters are the living ones."""
    weights = {name: tensor for name, tensor in model.state_dict().items() if ".adapters." not in name}
    return weights | {f"{name}.weight": layer.merged() for name, layer in layers_of(model)}

"""What is allowed and still unusual: said in the forecast, before anybody waits for it."""

from collections.abc import Iterator

from services.domain import limits
from services.domain.fine_tuning import BaseModel, FineTuneSpec, LoraSpec
from services.domain.inputs import Inputs
from services.domain.optimization import ADAM_KINDS, OptimizationSpec, Optimizer
from services.domain.run_settings import GPU_PRECISIONS
from services.domain.training import TrainSpec


def advice_on(spec: TrainSpec | FineTuneSpec, *, inputs: Inputs) -> Iterator[str]:
    """Yield a sentence about each thing that people mostly do not mean."""
    yield from _learning_rate(spec.optimization)
    if spec.precision in GPU_PRECISIONS and inputs.has_gpu is None:
        word = spec.precision.value.lower()
        yield f"No worker was heard from lately; {word} needs one with a GPU, and fails on any other."
    if isinstance(spec, FineTuneSpec) and spec.lora is not None:
        yield from _lora(spec.lora, base=spec.base_model)


def _learning_rate(settings: OptimizationSpec) -> Iterator[str]:
    rate, name = settings.learning_rate, settings.optimizer.name
    if settings.optimizer in ADAM_KINDS and rate > limits.LEARNING_RATE_UNUSUAL_ADAM:
        yield f"A learning rate of {rate:g} is very high for {name}: most models diverge above 0.01."
    lowest = limits.LEARNING_RATE_UNUSUAL_LOW
    if settings.optimizer is Optimizer.SGD and lowest <= rate < limits.LEARNING_RATE_UNUSUAL_LOW_SGD:
        yield f"A learning rate of {rate:g} is low for SGD, whose steps shrink with the gradient; 0.1 is usual."
    if rate < lowest:
        yield f"A learning rate of {rate:g} hardly moves any weight."


def _lora(lora: LoraSpec, *, base: BaseModel) -> Iterator[str]:
    narrowest = min(base.architecture.width, base.architecture.key_value_width, base.architecture.feed_forward_width)
    if lora.rank > narrowest:
        yield (
            f"A rank of {lora.rank} is more than the narrowest projection has, which is {narrowest}: "
            "adapters of that rank can do no more than those of a lower one."
        )

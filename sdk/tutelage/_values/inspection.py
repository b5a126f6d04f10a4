"""The inside of a step."""

import dataclasses

from tutelage._values.value import Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction(Value):
    """A token that might come next."""

    text: str
    """Its text."""
    token: int
    """Its number in the vocabulary."""
    probability: float
    """How likely."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectedToken(Value):
    """A token of the text, and what the model expected in its place."""

    text: str
    r"""Its text; bytes that are not UTF-8 alone are shown as \xNN."""
    token: int
    """Its number in the vocabulary."""
    loss: float | None
    """How wrong the model was, in nats. Unset for the first token."""
    probability: float | None
    """The probability that the model gave it. Unset for the first token."""
    predictions: tuple[Prediction, ...]
    """What the model thought likeliest here, likeliest first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectedPart(Value):
    """A part of the model: the embedding, one projection of one layer, a norm, the head."""

    name: str
    """Its name, such as `blocks.3.attention.qkv`."""
    layer: int | None
    """Layer, from 0; unset outside the layers."""
    weights: int
    """Number of weights."""
    weight_norm: float
    """Norm of the weights."""
    gradient_norm: float
    """Norm of the gradient of this text."""
    update_ratio: float
    """Norm of the movement that the optimizer would make, divided by the norm of the weights. About 0.001 is healthy.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectStepResponse(Value):
    """The inside of a step."""

    step: int
    """The step of the checkpoint that was used."""
    loss: float
    """Mean loss of the text, in nats per token."""
    tokens: tuple[InspectedToken, ...]
    """Forward and compare: the tokens of the text, the first of which nothing predicts."""
    parts: tuple[InspectedPart, ...]
    """Backward and adjust: the parts of the model, from the embedding up."""
    gradient_norm: float
    """Norm of the whole gradient, before clipping."""
    learning_rate: float
    """Learning rate of the step after the checkpoint."""
    trainable_weights: int
    """Weights that training moves."""
    weights: int
    """All weights."""
    adjusted_steps: int
    """Steps so far that moved weights."""
    adjustments: float
    """How often a weight was adjusted in the whole run so far: trainable weights times such steps."""
    changed_weights: int | None
    """Weights whose value differs from that at the first checkpoint, if one is left."""

    def __str__(self) -> str:
        """Returns a page to read: each token with its loss and what was expected, then each part of the model."""
        lines = [f"step {self.step:,}: loss {self.loss:.4f} nats per token"]
        lines += [f"  {describe_token(token)}" for token in self.tokens]
        lines += [f"gradient norm {self.gradient_norm:.4g}, learning rate {self.learning_rate:.3g}"]
        lines += [f"  {describe_part(part)}" for part in self.parts]
        lines += [
            f"{self.trainable_weights:,} of {self.weights:,} weights are trained; adjusted {self.adjusted_steps:,}"
        ]
        lines[-1] += f" times each, {self.adjustments:.3g} adjustments in all"
        if self.changed_weights is not None:
            lines[-1] += f"; {self.changed_weights:,} differ from the first checkpoint"
        return "\n".join(lines)


def describe_token(token: InspectedToken) -> str:
    """Returns a token on one line, with its loss and what was likeliest in its place."""
    if token.loss is None:
        return f"{token.text!r}  nothing predicts the first token"
    expected = ", ".join(f"{other.text!r} {other.probability:.1%}" for other in token.predictions)
    chance = "" if token.probability is None else f" ({token.probability:.1%})"
    return f"{token.text!r}  loss {token.loss:.3f}{chance}  expected {expected}"


def describe_part(part: InspectedPart) -> str:
    """Returns a part of the model on one line."""
    return f"{part.name}  gradient norm {part.gradient_norm:.3g}, update ratio {part.update_ratio:.2g}"

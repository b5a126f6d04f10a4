"""Texts drawn from models."""

import dataclasses

from tutelage._values.value import Value, WireEnum


class FinishReason(WireEnum):
    """Why a sample ended."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not ended yet."""
    LENGTH = "LENGTH"
    """`max_tokens` were drawn."""
    STOP = "STOP"
    """A stop text came."""
    END_OF_TEXT = "END_OF_TEXT"
    """The model ended its text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenLogprob(Value):
    """A token that could have been drawn."""

    id: int
    """Its number in the vocabulary."""
    bytes: bytes
    """Its bytes."""
    logprob: float
    """Natural logarithm of its probability."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampledToken(Value):
    """One drawn token."""

    id: int
    """Its number in the vocabulary."""
    bytes: bytes
    """Its bytes, which may be a part of a character."""
    logprob: float | None
    """Natural logarithm of the probability that the model gave it, before temperature and cuts. Set if asked for."""
    alternatives: tuple[TokenLogprob, ...]
    """The likeliest tokens at this place, likeliest first. Set if asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(Value):
    """One drawn text."""

    text: str
    """The text, without the prompt and without the stop text. Bytes that form no character are replaced by U+FFFD."""
    tokens: tuple[SampledToken, ...]
    """The tokens behind it."""
    finish_reason: FinishReason
    """Why it ended."""
    seed: int
    """The seed of this sample."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingUsage(Value):
    """How much work a request was."""

    prompt_tokens: int
    """Tokens of the prompt."""
    sampled_tokens: int
    """Tokens drawn, over all samples."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleResponse(Value):
    """The drawn texts."""

    samples: tuple[Sample, ...]
    """In the order of their seeds."""
    model_version: str
    """The version that drew them, `projects/{project}/models/{model}/versions/{version}`."""
    usage: SamplingUsage | None
    """How much work it was."""

    @property
    def text(self) -> str:
        """The text of the first sample."""
        return self.samples[0].text


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamSampleResponse(Value):
    """Some more of one sample."""

    index: int
    """Which sample, from 0."""
    text: str
    """Text that is new. Characters are never cut; text that might begin a stop text is held back."""
    tokens: tuple[SampledToken, ...]
    """Tokens that are new."""
    finish_reason: FinishReason
    """Set in the last message of the sample."""
    model_version: str
    """The version that draws; in the first message."""
    seed: int
    """The seed of this sample; in its first message."""
    usage: SamplingUsage | None
    """How much work it was; in the last message of the stream."""

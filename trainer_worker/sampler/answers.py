"""Drawn tokens as the messages that carry them home."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainer_worker.sampler.order import Order
from trainer_worker.sampler.row import Drawn, Vocabulary
from tutelage.v1 import sampling_pb2


def whole_answer(
    samples: Sequence[Sequence[Drawn]], *, order: Order, model_version: str, prompt_tokens: int, vocabulary: Vocabulary
) -> sampling_pb2.SampleResponse:
    """All samples of a request that is done."""
    return sampling_pb2.SampleResponse(
        samples=[
            sampling_pb2.Sample(
                text="".join(drawn.text for drawn in sample),
                tokens=_tokens(sample, vocabulary),
                finish_reason=sample[-1].finish or sampling_pb2.FINISH_REASON_UNSPECIFIED,
                seed=seed,
            )
            for sample, seed in zip(samples, order.seeds, strict=True)
        ],
        model_version=model_version,
        usage=_usage(prompt_tokens, sum(map(len, samples))),
    )


class StreamedAnswer:
    """The messages of one stream; remembers what was said before."""

    def __init__(self, *, order: Order, model_version: str, prompt_tokens: int, vocabulary: Vocabulary) -> None:
        self._order = order
        self._model_version = model_version
        self._prompt_tokens = prompt_tokens
        self._vocabulary = vocabulary
        self._begun = [False] * len(order.seeds)
        self._unfinished = len(order.seeds)
        self._sampled_tokens = 0

    def messages(self, new: Sequence[Sequence[Drawn]]) -> Iterator[sampling_pb2.StreamSampleResponse]:
        """One message for each sample with something new."""
        for index, drawn in enumerate(new):
            if drawn:
                yield self._message(index, drawn)

    def _message(self, index: int, drawn: Sequence[Drawn]) -> sampling_pb2.StreamSampleResponse:
        message = sampling_pb2.StreamSampleResponse(
            index=index,
            text="".join(one.text for one in drawn),
            tokens=_tokens(drawn, self._vocabulary),
            finish_reason=drawn[-1].finish or sampling_pb2.FINISH_REASON_UNSPECIFIED,
        )
        if not any(self._begun):
            message.model_version = self._model_version
        if not self._begun[index]:
            message.seed = self._order.seeds[index]
            self._begun[index] = True
        self._sampled_tokens += len(drawn)
        self._unfinished -= drawn[-1].finish is not None
        if not self._unfinished:
            message.usage.CopyFrom(_usage(self._prompt_tokens, self._sampled_tokens))
        return message


def _usage(prompt_tokens: int, sampled_tokens: int) -> sampling_pb2.SamplingUsage:
    return sampling_pb2.SamplingUsage(prompt_tokens=prompt_tokens, sampled_tokens=sampled_tokens)


def _tokens(sample: Sequence[Drawn], vocabulary: Vocabulary) -> list[sampling_pb2.SampledToken]:
    return [
        sampling_pb2.SampledToken(
            id=drawn.token,
            bytes=drawn.token_bytes,
            logprob=drawn.logprob,
            alternatives=[
                sampling_pb2.TokenLogprob(
                    id=other.token, bytes=vocabulary.token_bytes(other.token), logprob=other.logprob
                )
                for other in drawn.alternatives
            ],
        )
        for drawn in sample
    ]

"""The servicer of Sampling: it has the model resolved, lends it, and carries the drawn tokens home."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from trainer_worker.sampler.access import Access
from trainer_worker.sampler.answers import StreamedAnswer, whole_answer
from trainer_worker.sampler.errors import InvalidRequest, SlowReader, Violation
from trainer_worker.sampler.loaded_models import LoadedModels, ModelFiles
from trainer_worker.sampler.loading import LoadedModel, StagedModel
from trainer_worker.sampler.order import Order, read_order, refuse_answers_too_large
from trainer_worker.sampler.outlet import BACKLOG_TOKENS_MAX, Outlet
from trainer_worker.sampler.row import Drawn, Row
from trainer_worker.sampler.telling import Context, principal_of, request_id_of, telling_errors
from tutelage.v1 import sampling_pb2, sampling_pb2_grpc
from tutelage_internal.v1 import access_pb2


@dataclass(frozen=True)
class Draw:
    """One request while it is drawn."""

    order: Order
    model: LoadedModel
    model_version: str
    prompt_tokens: int
    outlet: Outlet


class Sampling(sampling_pb2_grpc.SamplingServicer):
    """Serves Sample and StreamSample."""

    def __init__(
        self,
        access: Access,
        *,
        models: LoadedModels[StagedModel, LoadedModel],
        slow_reader_s: float,
    ) -> None:
        """A reader that takes nothing for `slow_reader_s` is given up: it holds seats that others wait for."""
        self._access = access
        self._models = models
        self._slow_reader_s = slow_reader_s

    async def Sample(  # noqa: N802
        self, request: sampling_pb2.SampleRequest, context: Context
    ) -> sampling_pb2.SampleResponse:
        """See the proto."""
        async with telling_errors(context):
            resolved = await self._resolve(request, context)
            order = read_order(request)
            refuse_answers_too_large(order)
            async with self._begin(order, resolved=resolved, backlog_tokens_max=None) as draw:
                samples: list[list[Drawn]] = [[] for _ in order.seeds]
                while (new := await draw.outlet.read()) is not None:
                    for sample, drawn in zip(samples, new, strict=True):
                        sample.extend(drawn)
            return whole_answer(
                samples,
                order=order,
                model_version=draw.model_version,
                prompt_tokens=draw.prompt_tokens,
                vocabulary=draw.model.tokenizer,
            )
        raise AssertionError("telling_errors ends the call")

    # It writes instead of yielding, since a write can be given up.
    async def StreamSample(  # type: ignore[override]  # noqa: N802
        self, request: sampling_pb2.SampleRequest, context: Context
    ) -> None:
        """See the proto."""
        async with telling_errors(context):
            resolved = await self._resolve(request, context)
            order = read_order(request)
            async with self._begin(order, resolved=resolved, backlog_tokens_max=BACKLOG_TOKENS_MAX) as draw:
                await self._stream(draw, context)

    async def _stream(self, draw: Draw, context: Context) -> None:
        answer = StreamedAnswer(
            order=draw.order,
            model_version=draw.model_version,
            prompt_tokens=draw.prompt_tokens,
            vocabulary=draw.model.tokenizer,
        )
        while (new := await draw.outlet.read()) is not None:
            draw.model.drawing.wake()
            for message in answer.messages(new):
                await self._write(message, context)

    async def _write(self, message: sampling_pb2.StreamSampleResponse, context: Context) -> None:
        try:
            async with asyncio.timeout(self._slow_reader_s):
                await context.write(message)
        except TimeoutError:
            raise SlowReader(f"the stream was not read for {self._slow_reader_s:g} s") from None

    async def _resolve(self, request: sampling_pb2.SampleRequest, context: Context) -> access_pb2.ResolveModelResponse:
        return await self._access.resolve_model(
            request.model, principal=principal_of(context), request_id=request_id_of(context)
        )

    @contextlib.asynccontextmanager
    async def _begin(
        self, order: Order, *, resolved: access_pb2.ResolveModelResponse, backlog_tokens_max: int | None
    ) -> AsyncIterator[Draw]:
        """Sets the rows of an order going; they leave when the body is left, however that comes about."""
        async with self._models.borrow(ModelFiles(resolved.artifact_prefix, resolved.manifest_sha256)) as model:
            prompt = await asyncio.to_thread(_read_prompt, order, model)
            outlet = Outlet(len(order.seeds), backlog_tokens_max=backlog_tokens_max)
            rows = [
                Row(prompt, order=order, index=index, listener=outlet, vocabulary=model.tokenizer)
                for index in range(len(order.seeds))
            ]
            model.drawing.enter(rows)
            try:
                prompt_tokens = len(prompt) if order.prompt else 0
                yield Draw(order, model, resolved.model_version, prompt_tokens, outlet)
            finally:
                outlet.close()
                model.drawing.wake()


def _read_prompt(order: Order, model: LoadedModel) -> list[int]:
    """The tokens to continue; an empty prompt begins after an end of text, or as every text begins."""
    tokens = model.tokenizer.encode_prompt(order.prompt)
    if len(tokens) > model.context_length:
        length = f"has {len(tokens)} tokens; the context of this model holds {model.context_length}"
        raise InvalidRequest(Violation("prompt", length))
    return tokens

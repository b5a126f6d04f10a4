"""Models in memory."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from trainer_worker.sampler.errors import BrokenModel, ModelsInUse, NoRoomForModel
from trainer_worker.sampler.loaded_models import LoadedModels, ModelFiles

A, B, C = (ModelFiles(name, "0" * 64) for name in "abc")


@dataclass
class Weights:
    """Both staged and loaded: a number of bytes."""

    files: ModelFiles
    size_bytes: int
    closed: bool = False
    discarded: bool = False

    def close(self) -> None:
        self.closed = True

    def discard(self) -> None:
        self.discarded = True


@dataclass
class CountingLoader:
    """Loads when `may_load` is set; remembers what it loaded."""

    size_bytes: int = 40
    loaded: list[Weights] = field(default_factory=list)
    may_load: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def stage(self, files: ModelFiles) -> Weights:
        return Weights(files, self.size_bytes)

    def load(self, staged: Weights) -> Weights:
        assert self.may_load.wait(10)
        if self.error is not None:
            raise self.error
        self.loaded.append(staged)
        return staged

    def names(self) -> str:
        return "".join(weights.files.artifact_prefix for weights in self.loaded)


def run(
    body: Callable[[CountingLoader, LoadedModels[Weights, Weights]], Awaitable[None]], *, blocked: bool = False
) -> None:
    async def inside() -> None:
        loader = CountingLoader()
        if not blocked:
            loader.may_load.set()
        await body(loader, LoadedModels(loader, size_bytes_max=100))

    asyncio.run(inside())


async def use(models: LoadedModels[Weights, Weights], files: ModelFiles) -> Weights:
    async with models.borrow(files) as model:
        return model


def test_a_model_is_loaded_once() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        assert await use(models, A) is await use(models, A)
        assert loader.names() == "a" and loader.loaded[0].discarded

    run(body)


def test_those_who_ask_at_the_same_time_share_one_loading() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        asking = [asyncio.create_task(use(models, A)) for _ in range(5)]
        await asyncio.sleep(0)
        loader.may_load.set()
        await asyncio.gather(*asking)
        assert loader.names() == "a"

    run(body, blocked=True)


def test_one_who_leaves_while_it_loads_does_not_end_it_for_the_others() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        leaving, staying = asyncio.create_task(use(models, A)), asyncio.create_task(use(models, A))
        await asyncio.sleep(0)
        leaving.cancel()
        loader.may_load.set()
        assert await staying is loader.loaded[0]

    run(body, blocked=True)


def test_the_one_used_least_recently_makes_room() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        for files in (A, B, A, C, A, B):
            await use(models, files)
        assert loader.names() == "abcb"
        assert [weights.closed for weights in loader.loaded] == [False, True, True, False]

    run(body)


def test_a_model_in_use_is_never_evicted() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        async with models.borrow(A), models.borrow(B):
            with pytest.raises(ModelsInUse):
                await use(models, C)
            assert await use(models, A) is loader.loaded[0]
        await use(models, C)
        assert [weights.closed for weights in loader.loaded] == [False, True, False]

    run(body)


def test_a_model_that_never_fits_is_refused_and_nothing_is_evicted_for_it() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        await use(models, A)
        loader.size_bytes = 101
        with pytest.raises(NoRoomForModel, match="101 bytes"):
            await use(models, B)
        assert not loader.loaded[0].closed

    run(body)


def test_a_failed_loading_leaves_room_and_may_be_tried_again() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        loader.size_bytes, loader.error = 100, BrokenModel("no")
        for _ in range(2):
            with pytest.raises(BrokenModel):
                await use(models, A)
        loader.error = None
        await use(models, A)
        assert loader.names() == "a"

    run(body)


def test_closing_closes_every_model() -> None:
    async def body(loader: CountingLoader, models: LoadedModels[Weights, Weights]) -> None:
        await use(models, A)
        await use(models, B)
        await models.close()
        assert all(weights.closed for weights in loader.loaded)

    run(body)

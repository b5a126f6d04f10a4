"""Models in memory: each is loaded once, and the ones used least recently make room for others."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from trainer_worker.sampler.errors import ModelsInUse, NoRoomForModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFiles:
    """Which files a model version is made of."""

    artifact_prefix: str
    manifest_sha256: str


class Staged(Protocol):
    """Files that were read and verified, not yet in memory."""

    @property
    def size_bytes(self) -> int:
        """Memory that the model will take."""

    def discard(self) -> None:
        """Removes what is needed for loading only."""


class Closable(Protocol):
    """A model in memory."""

    def close(self) -> None:
        """Ends what runs for it; blocks for one step at most."""


StagedT = TypeVar("StagedT", bound=Staged)
ModelT = TypeVar("ModelT", bound=Closable)
LoadedT_co = TypeVar("LoadedT_co", bound=Closable, covariant=True)


class Loader(Protocol[StagedT, LoadedT_co]):
    """How models come into memory. Both methods block."""

    def stage(self, files: ModelFiles) -> StagedT:
        """Reads and verifies the files."""

    def load(self, staged: StagedT) -> LoadedT_co:
        """Builds the model."""


class Shelf(Generic[ModelT]):
    """A model, its size, and how many requests use it just now."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.borrowers = 0
        self.model: ModelT | None = None


class LoadedModels(Generic[StagedT, ModelT]):
    """Keeps models within a number of bytes. Used on one event loop only."""

    def __init__(self, loader: Loader[StagedT, ModelT], *, size_bytes_max: int) -> None:
        self._loader = loader
        self._size_bytes_max = size_bytes_max
        # In the order of last use. One that is being loaded already takes its room.
        self._shelves: collections.OrderedDict[ModelFiles, Shelf[ModelT]] = collections.OrderedDict()
        self._loading: dict[ModelFiles, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def borrow(self, files: ModelFiles) -> AsyncIterator[ModelT]:
        """The model, loaded if need be; it stays while it is lent. Raises: NoRoomForModel, and what loading raises."""
        shelf = await self._find(files)
        shelf.borrowers += 1
        self._shelves.move_to_end(files)
        try:
            assert shelf.model is not None
            yield shelf.model
        finally:
            shelf.borrowers -= 1

    async def close(self) -> None:
        """Closes every model."""
        shelves = list(self._shelves.values())
        self._shelves.clear()
        await asyncio.gather(*(asyncio.to_thread(shelf.model.close) for shelf in shelves if shelf.model is not None))

    async def _find(self, files: ModelFiles) -> Shelf[ModelT]:
        while True:
            shelf = self._shelves.get(files)
            if shelf is not None and shelf.model is not None:
                return shelf
            # Those who ask meanwhile wait for the same task; one who leaves does not end it for the others.
            task = self._loading.get(files) or self._begin_loading(files)
            await asyncio.shield(task)

    def _begin_loading(self, files: ModelFiles) -> asyncio.Task[None]:
        task = asyncio.create_task(self._load(files))
        self._loading[files] = task
        task.add_done_callback(lambda done: self._loading_done(files, done))
        return task

    def _loading_done(self, files: ModelFiles, task: asyncio.Task[None]) -> None:
        del self._loading[files]
        if not task.cancelled() and task.exception() is not None:
            log.warning("a model could not be loaded", extra={"artifact_prefix": files.artifact_prefix})

    async def _load(self, files: ModelFiles) -> None:
        staged = await asyncio.to_thread(self._loader.stage, files)
        try:
            await self._place(files, staged)
        finally:
            await asyncio.to_thread(staged.discard)

    async def _place(self, files: ModelFiles, staged: StagedT) -> None:
        evicted = self._make_room(staged.size_bytes)
        shelf = self._shelves[files] = Shelf[ModelT](staged.size_bytes)
        try:
            for model in evicted:
                await asyncio.to_thread(model.close)
            shelf.model = await asyncio.to_thread(self._loader.load, staged)
        except BaseException:
            del self._shelves[files]
            raise

    def _make_room(self, size_bytes: int) -> list[ModelT]:
        """Takes idle models off their shelves, least recently used first, until so many bytes are free."""
        if size_bytes > self._size_bytes_max:
            raise NoRoomForModel(f"the model takes {size_bytes} bytes of memory, of {self._size_bytes_max} there are")
        missing = size_bytes + sum(shelf.size_bytes for shelf in self._shelves.values()) - self._size_bytes_max
        chosen = []
        for files, shelf in self._shelves.items():
            if missing > 0 and shelf.borrowers == 0 and shelf.model is not None:
                missing -= shelf.size_bytes
                chosen.append(files)
        if missing > 0:
            raise ModelsInUse(f"the model takes {size_bytes} bytes of memory; models in use leave {missing} too few")
        models = [self._shelves.pop(files).model for files in chosen]
        return [model for model in models if model is not None]

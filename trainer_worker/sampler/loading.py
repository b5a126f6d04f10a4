"""From the files of a model version to a model that draws."""

from __future__ import annotations

import pathlib
import tempfile
from dataclasses import dataclass

import artifacts
from trainer_worker.sampler.batch import Batch
from trainer_worker.sampler.drawing import Drawing
from trainer_worker.sampler.errors import BrokenModel, Unavailable
from trainer_worker.sampler.lean_model import lean_bytes, make_lean
from trainer_worker.sampler.loaded_models import ModelFiles
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.generate import cache_bytes_per_row
from trainer_worker.trainer.engine.steadiness import rows_for, steady_sizes
from trainer_worker.trainer.engine.stored_model import load_model, read_config
from trainer_worker.trainer.engine.tokenizers import Tokenizer


@dataclass(frozen=True)
class StagedModel:
    """Verified files, and what they will take in memory."""

    folder: pathlib.Path
    scratch: tempfile.TemporaryDirectory[str]
    name: str
    seats: int
    size_bytes: int

    def discard(self) -> None:
        """Removes what was downloaded; a local store's own files stay."""
        self.scratch.cleanup()


@dataclass(frozen=True)
class LoadedModel:
    """A model that draws."""

    tokenizer: Tokenizer
    context_length: int
    drawing: Drawing

    def close(self) -> None:
        """Ends its thread."""
        self.drawing.stop()


class ModelLoader:
    """Brings models from the artifact store into memory. Its methods block."""

    def __init__(
        self, store: artifacts.Store, *, scratch_dir: pathlib.Path, seats: int, cache_bytes: int, waiting_rows: int
    ) -> None:
        self._store = store
        self._scratch_dir = scratch_dir
        self._seats = seats
        self._cache_bytes = cache_bytes
        self._waiting_rows = waiting_rows

    def stage(self, files: ModelFiles) -> StagedModel:
        """Every file is hashed again. Raises: BrokenModel, Unavailable."""
        self._scratch_dir.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix="sampler-", dir=self._scratch_dir)
        try:
            return self._stage(files, scratch)
        except BaseException:
            scratch.cleanup()
            raise

    def load(self, staged: StagedModel) -> LoadedModel:
        """Tensors are checked against the shape of the model. Raises: BrokenModel."""
        try:
            stored = load_model(staged.folder)
        except BadCheckpoint as error:
            raise BrokenModel(str(error)) from error
        decoder = make_lean(stored.model.eval().requires_grad_(False))
        batch = Batch(decoder, seats=staged.seats, sizes=steady_sizes(decoder, seats=staged.seats))
        drawing = Drawing(batch, name=staged.name, waiting_rows_max=self._waiting_rows)
        drawing.start()
        return LoadedModel(stored.tokenizer, decoder.config.context_length, drawing)

    def _stage(self, files: ModelFiles, scratch: tempfile.TemporaryDirectory[str]) -> StagedModel:
        folder = self._read(files, pathlib.Path(scratch.name))
        try:
            shape = read_config(folder)[0]
        except BadCheckpoint as error:
            raise BrokenModel(str(error)) from error
        row_bytes = cache_bytes_per_row(shape)
        seats = max(1, min(self._seats, self._cache_bytes // row_bytes))
        size_bytes = lean_bytes(shape) + rows_for(seats) * row_bytes
        return StagedModel(folder, scratch, files.artifact_prefix, seats, size_bytes)

    def _read(self, files: ModelFiles, scratch: pathlib.Path) -> pathlib.Path:
        try:
            return self._store.read_file_set(
                files.artifact_prefix, manifest_sha256=files.manifest_sha256, scratch=scratch
            )
        except (artifacts.StoreUnavailable, artifacts.NoSpace) as error:
            raise Unavailable("the files of the model cannot be read just now") from error
        except artifacts.ArtifactError as error:
            raise BrokenModel(str(error)) from error

"""Datasets of rows in a store, and what is prepared from them."""

import dataclasses
import json
import pathlib
import uuid
from collections.abc import Generator
from typing import Any, TypeVar

import pyarrow
from pyarrow import parquet

from artifacts import Store, open_store
from trainer_worker.trainer.engine.samples import Samples
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from trainer_worker.trainer.engine.training_data import Remark, prepare_data
from tutelage.v1 import datasets_pb2, training_pb2
from tutelage_internal.v1 import workers_pb2

Returned = TypeVar("Returned")


@dataclasses.dataclass
class RowBench:
    """A store and a scratch folder."""

    folder: pathlib.Path

    @property
    def store(self) -> Store:
        return open_store(f"file://{self.folder / 'store'}")

    @property
    def scratch(self) -> pathlib.Path:
        return self.folder / "scratch"

    def dataset(
        self, rows: list[Any], *, train_rows: int | None = None, name: str = "talks", **fields: Any
    ) -> workers_pb2.DatasetArtifact:
        fields.setdefault("format", datasets_pb2.DATASET_FORMAT_JSONL)
        if fields["format"] == datasets_pb2.DATASET_FORMAT_PARQUET:
            path = self.folder / "rows.parquet"
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
            content = path.read_bytes()
        else:
            content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        stored = self.store.put(f"datasets/{name}/{uuid.uuid4().hex}", content)
        return workers_pb2.DatasetArtifact(
            key=stored.key,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            rows=len(rows),
            train_rows=len(rows) if train_rows is None else train_rows,
            name=f"projects/p/datasets/{name}",
            **fields,
        )

    def text(self, content: bytes, *, train_bytes: int, name: str = "plays", **fields: Any) -> Any:
        stored = self.store.put(f"datasets/{name}/text", content)
        return workers_pb2.DatasetArtifact(
            key=stored.key,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            train_bytes=train_bytes,
            name=f"projects/p/datasets/{name}",
            **fields,
        )

    def prepare(
        self,
        dataset: workers_pb2.DatasetArtifact,
        tokenizer: Tokenizer,
        *,
        mixture: tuple[workers_pb2.DatasetArtifact, ...] = (),
        context_length: int = 128,
        batch_size: int = 1,
        **rows: Any,
    ) -> "Data":
        spec = training_pb2.FineTuneSpec(
            optimization=training_pb2.OptimizationSpec(batch_size=batch_size), rows=training_pb2.RowsSpec(**rows)
        )
        assignment = workers_pb2.Assignment(fine_tune=spec, dataset=dataset, mixture=mixture)
        told, (training, validation, opening) = all_of(
            prepare_data(
                assignment, tokenizer=tokenizer, context_length=context_length, store=self.store, scratch=self.scratch
            )
        )
        return Data(training, validation, opening, [one for one in told if one is not None])


@dataclasses.dataclass
class Data:
    """What was prepared."""

    training: Samples
    validation: Samples
    opening: str
    remarks: list[Remark]

    def remark(self, kind: str) -> Remark:
        [found] = [remark for remark in self.remarks if remark.kind == kind]
        return found


def all_of(steps: Generator[Any, None, Returned]) -> tuple[list[Any], Returned]:
    """What a generator yields, and what it returns."""
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return told, end.value

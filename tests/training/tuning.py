"""Fine-tuning runs small enough to be repeated many times."""

import dataclasses
import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

from tests.training.runs import OPTIMIZATION, Bench, Story, bench_with, tiny_spec
from trainer_worker.trainer.recipes.fine_tune import fine_tune
from tutelage.v1 import datasets_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, workers_pb2

BASE = "projects/p/models/small/versions/1"


@dataclasses.dataclass
class Workshop:
    """A store that holds a base model and a dataset to tune it on."""

    bench: Bench
    base: workers_pb2.ModelArtifact
    dataset: workers_pb2.DatasetArtifact

    def run(
        self,
        spec: training_pb2.FineTuneSpec,
        *,
        epoch: int = 1,
        stop: Callable[[], bool] = lambda: False,
        base: workers_pb2.ModelArtifact | None = None,
        **fields: Any,
    ) -> Story:
        """Runs the recipe to its end in this process."""
        assignment = workers_pb2.Assignment(
            attempt=workers_pb2.Attempt(job_uid="tuning", epoch=epoch),
            job="projects/p/jobs/tuning",
            fine_tune=spec,
            dataset=self.dataset,
            base=base or self.base,
            checkpoint_prefix=f"checkpoints/tuning/e{epoch}",
            **fields,
        )
        recipe = fine_tune(assignment, store=self.bench.store, scratch=self.bench.scratch, stop=stop)
        story = Story()
        while True:
            try:
                story.told.append(next(recipe))
            except StopIteration as end:
                story.ending = end.value
                return story


def model_artifact(
    written: facts_pb2.CheckpointWritten, *, name: str = BASE, base: workers_pb2.ModelArtifact | None = None
) -> workers_pb2.ModelArtifact:
    return workers_pb2.ModelArtifact(
        name=name, artifact_prefix=written.artifact_prefix, manifest_sha256=written.manifest_sha256, base=base
    )


def workshop(folder: pathlib.Path, *, base_steps: int = 6, **changes: Any) -> Workshop:
    """With a base that was pretrained for a few steps, and its text as the dataset."""
    bench = bench_with(folder)
    spec = tiny_spec(steps=base_steps, checkpoint_interval=100, evaluation_interval=0, samples_interval=0, **changes)
    return Workshop(bench=bench, base=model_artifact(bench.run(spec).complete), dataset=bench.dataset)


def with_text(shop: Workshop, text: bytes) -> Workshop:
    """The same with another text as the dataset."""
    stored = shop.bench.store.put("datasets/other/text", text)
    dataset = workers_pb2.DatasetArtifact(
        key=stored.key, sha256=stored.sha256, size_bytes=stored.size_bytes, train_bytes=stored.size_bytes * 9 // 10
    )
    return dataclasses.replace(shop, dataset=dataset)


def with_rows(shop: Workshop, rows: list[dict[str, Any]], *, held_out: list[dict[str, Any]]) -> Workshop:
    """The same with JSONL rows as the dataset."""
    parts = [b"".join(json.dumps(row).encode() + b"\n" for row in part) for part in (rows, held_out)]
    stored = shop.bench.store.put(f"datasets/{uuid.uuid4().hex}", b"".join(parts))
    kinds = {"kind": "FEEDBACK", "chosen": "PREFERENCE", "label": "LABELLED"}
    kinds |= {"text": "TEXT", "prompt": "PROMPT_COMPLETION", "messages": "MESSAGES"}
    kind = next(kinds[key] for key in kinds if key in rows[0])
    dataset = workers_pb2.DatasetArtifact(
        name="projects/p/datasets/rows",
        key=stored.key,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        train_bytes=len(parts[0]),
        format=datasets_pb2.DATASET_FORMAT_JSONL,
        train_rows=len(rows),
        rows=len(rows) + len(held_out),
        row_kind=getattr(datasets_pb2, f"ROW_KIND_{kind}"),
    )
    return dataclasses.replace(shop, dataset=dataset)


def tuning_spec(*, steps: int = 6, checkpoint_interval: int = 3, **changes: Any) -> training_pb2.FineTuneSpec:
    """A full specification; `changes` replace numbers of the optimization."""
    moves = {key: changes.pop(key, value) for key, value in OPTIMIZATION.items()}
    return training_pb2.FineTuneSpec(
        base=BASE,
        dataset="projects/p/datasets/rows",
        steps=steps,
        seed=changes.pop("seed", 7),
        optimization=training_pb2.OptimizationSpec(**moves),
        evaluation=training_pb2.EvaluationSpec(interval_steps=changes.pop("evaluation_interval", 3), sequences=5),
        samples=training_pb2.SamplesSpec(interval_steps=changes.pop("samples_interval", 3), tokens=10),
        checkpoints=training_pb2.CheckpointsSpec(interval_steps=checkpoint_interval),
        precision=changes.pop("precision", training_pb2.PRECISION_FP32),
        **changes,
    )

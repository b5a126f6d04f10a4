"""Jobs that draw and measure, small enough to be repeated many times."""

import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

from tests.training.runs import Bench, Story, bench_with, tiny_spec
from tests.training.tuning import model_artifact
from trainer_worker.trainer.recipes.draw import draw
from trainer_worker.trainer.recipes.evaluate import evaluate
from tutelage.v1 import datasets_pb2, training_pb2
from tutelage_internal.v1 import workers_pb2

KINDS = {"messages": "MESSAGES", "chosen": "PREFERENCE", "checks": "CHECKS", "completion": "PROMPT_COMPLETION"}
KINDS |= {"text": "TEXT", "prompt": "PROMPT"}


class Studio:
    """A store with two models in it, of which the second learnt longer."""

    def __init__(self, folder: pathlib.Path, **changes: Any) -> None:
        self.bench: Bench = bench_with(folder)
        self.attempts = 0
        spec = {"checkpoint_interval": 100, "evaluation_interval": 0, "samples_interval": 0, **changes}
        stories = [self.bench.run(tiny_spec(steps=steps, **spec), epoch=steps) for steps in (4, 12)]
        self.models = [
            model_artifact(story.complete, name=f"projects/p/models/m/versions/{number}")
            for number, story in enumerate(stories, start=1)
        ]

    def dataset(self, rows: list[Any], *, train_rows: int | None = None, kind: str = "") -> workers_pb2.DatasetArtifact:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        stored = self.bench.store.put(f"datasets/{uuid.uuid4().hex}", content)
        kind = kind or next((KINDS[key] for key in KINDS if rows and key in rows[0]), "UNSPECIFIED")
        return workers_pb2.DatasetArtifact(
            name="projects/p/datasets/asked",
            key=stored.key,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            format=datasets_pb2.DATASET_FORMAT_JSONL,
            rows=len(rows),
            train_rows=len(rows) if train_rows is None else train_rows,
            row_kind=getattr(datasets_pb2, f"ROW_KIND_{kind}"),
        )

    def draw(
        self,
        spec: training_pb2.DrawSpec,
        dataset: workers_pb2.DatasetArtifact,
        *,
        stop: Callable[[], bool] = lambda: False,
        **fields: Any,
    ) -> Story:
        """As an attempt of its own."""
        fields.setdefault("models", self.models[:1])
        assignment = workers_pb2.Assignment(
            job="projects/p/jobs/d", draw=spec, dataset=dataset, checkpoint_prefix=self.prefix(), **fields
        )
        return Story.of_recipe(draw(assignment, store=self.bench.store, scratch=self.bench.scratch, stop=stop))

    def evaluate(
        self,
        dataset: workers_pb2.DatasetArtifact,
        *,
        stop: Callable[[], bool] = lambda: False,
        model: workers_pb2.ModelArtifact | None = None,
        **spec: Any,
    ) -> Story:
        assignment = workers_pb2.Assignment(
            job="projects/p/jobs/e",
            evaluate=training_pb2.EvaluateSpec(**spec),
            dataset=dataset,
            base=model or self.models[1],
            checkpoint_prefix=self.prefix(),
        )
        return Story.of_recipe(evaluate(assignment, store=self.bench.store, scratch=self.bench.scratch, stop=stop))

    def prefix(self) -> str:
        self.attempts += 1
        return f"checkpoints/work/e{self.attempts}"

    def lines(self, story: Story) -> list[dict[str, Any]]:
        """The file of answers."""
        text = (self.bench.files(story.complete) / "answers.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def report(self, story: Story) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.bench.files(story.complete) / "report.json").read_text())
        return found


def draw_spec(*, samples: int = 2, prompts_max: int = 100_000, **changes: Any) -> training_pb2.DrawSpec:
    """A full specification; `changes` replace options, or whole fields."""
    options = {"max_tokens": 8, "temperature": 0.8, "top_k": 0, "top_p": 1.0, "seed": 11}
    options |= {key: changes.pop(key) for key in (*options, "stop") if key in changes}
    return training_pb2.DrawSpec(
        samples=samples, prompts_max=prompts_max, options=training_pb2.DrawOptions(**options), **changes
    )

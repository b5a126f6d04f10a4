"""Runs small enough to be repeated many times, and what must be equal between them."""

import dataclasses
import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch

from artifacts import Store, open_store
from trainer_worker.trainer.recipes.fine_tune import fine_tune
from trainer_worker.trainer.recipes.pretrain import pretrain
from trainer_worker.trainer.recipes.verify import verify
from trainer_worker.trainer.telling import Told
from trainer_worker.trainer.writing import Storing
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2, workers_pb2

# Real text that every machine has.
TEXT = pathlib.Path(json.__file__).with_name("decoder.py").read_bytes()
Spec = training_pb2.TrainSpec | training_pb2.FineTuneSpec
KINDS: dict[type, str] = {training_pb2.TrainSpec: "train", training_pb2.FineTuneSpec: "fine_tune"}
DATASET_KEY = "datasets/plays/text"

ARCHITECTURE = {
    "layers": 2,
    "width": 16,
    "heads": 2,
    "key_value_heads": 1,
    "feed_forward_width": 24,
    "context_length": 16,
    "tied_head": True,
    "rotary_base": 10000.0,
}
OPTIMIZATION = {
    "learning_rate": 1e-2,
    "final_learning_rate_ratio": 0.1,
    "warmup_steps": 2,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1e-8,
    "clip_norm": 1.0,
    "batch_size": 4,
    "micro_batch_size": 2,
}


@dataclasses.dataclass
class Bench:
    """A store with a dataset in it, and a scratch folder."""

    folder: pathlib.Path
    dataset: workers_pb2.DatasetArtifact

    @property
    def url(self) -> str:
        return f"file://{self.folder / 'store'}"

    @property
    def store(self) -> Store:
        return open_store(self.url)

    @property
    def scratch(self) -> pathlib.Path:
        return self.folder / "scratch"

    def assignment(self, spec: Spec, *, epoch: int = 1, **fields: Any) -> workers_pb2.Assignment:
        return workers_pb2.Assignment(
            attempt=workers_pb2.Attempt(job_uid="job", epoch=epoch),
            job="projects/p/jobs/j",
            **{KINDS[type(spec)]: spec},
            dataset=self.dataset,
            checkpoint_prefix=f"checkpoints/job/e{epoch}",
            **fields,
        )

    def run(
        self,
        spec: Spec,
        *,
        stop: Callable[[], bool] = lambda: False,
        store: Store | None = None,
        storing: Storing | None = None,
        retry_delays_s: Sequence[float] = (),
        **fields: Any,
    ) -> "Story":
        """Runs the recipe to its end in this process."""
        train = pretrain if isinstance(spec, training_pb2.TrainSpec) else fine_tune
        recipe = train(
            self.assignment(spec, **fields),
            store=store or self.store,
            scratch=self.scratch,
            stop=stop,
            storing=storing,
            retry_delays_s=tuple(retry_delays_s),
        )
        return Story.of_recipe(recipe)

    def verify(self, spec: Spec, recorded: Sequence[workers_pb2.RecordedStep], **fields: Any) -> "Story":
        """Computes recorded steps again, in this process."""
        verification = workers_pb2.Verification(
            **{KINDS[type(spec)]: spec}, recorded=recorded, first_step=fields.pop("first_step", 0)
        )
        assignment = self.assignment(spec, **fields)
        assignment.verification.CopyFrom(verification)
        return Story.of_recipe(verify(assignment, store=self.store, scratch=self.scratch))

    def weights_sha256(self, written: facts_pb2.CheckpointWritten) -> str:
        return hashlib.sha256((self.files(written) / "model.safetensors").read_bytes()).hexdigest()

    def files(self, written: facts_pb2.CheckpointWritten) -> pathlib.Path:
        return self.store.read_file_set(
            written.artifact_prefix, manifest_sha256=written.manifest_sha256, scratch=self.scratch
        )


@dataclasses.dataclass
class Story:
    """What a run told."""

    told: list[Told] = dataclasses.field(default_factory=list)
    ending: int = pipe_pb2.ENDING_UNSPECIFIED

    @classmethod
    def of_recipe(cls, recipe: Generator[Told, None, int]) -> "Story":
        story = cls()
        while True:
            try:
                story.told.append(next(recipe))
            except StopIteration as end:
                story.ending = end.value
                return story

    def of(self, kind: type) -> list[Any]:
        return [thing for thing in self.told if isinstance(thing, kind)]

    @property
    def curve(self) -> dict[int, dict[str, float]]:
        """Metrics by step, without those that a clock has a say in."""
        return {
            metric.step: {key: value for key, value in metric.values.items() if not key.startswith("perf/")}
            for metric in self.of(jobs_pb2.MetricLogged)
        }

    @property
    def chains(self) -> dict[int, tuple[str, str]]:
        """Both chains by step."""
        return {metric.step: (metric.data_chain, metric.loss_chain) for metric in self.of(jobs_pb2.MetricLogged)}

    @property
    def recorded(self) -> list[workers_pb2.RecordedStep]:
        """The steps as services record them."""
        return [
            workers_pb2.RecordedStep(
                step=step, data_chain=data, loss_chain=loss, loss=self.curve[step].get("train/loss")
            )
            for step, (data, loss) in sorted(self.chains.items())
        ]

    @property
    def samples(self) -> dict[int, str]:
        return {sample.step: sample.text for sample in self.of(jobs_pb2.SampleDrawn)}

    @property
    def checkpoints(self) -> dict[int, facts_pb2.CheckpointWritten]:
        return {written.step: written for written in self.of(facts_pb2.CheckpointWritten)}

    @property
    def complete(self) -> facts_pb2.CheckpointWritten:
        [written] = [written for written in self.checkpoints.values() if written.complete]
        return written

    def notes(self, kind: str) -> list[jobs_pb2.Note]:
        return [note for note in self.of(jobs_pb2.Note) if note.kind == kind]


def bench_with(folder: pathlib.Path, text: bytes = TEXT, *, train_share: float = 0.9) -> Bench:
    bench = Bench(folder=folder, dataset=workers_pb2.DatasetArtifact())
    stored = bench.store.put(DATASET_KEY, text)
    bench.dataset = workers_pb2.DatasetArtifact(
        key=stored.key,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        train_bytes=int(stored.size_bytes * train_share),
    )
    return bench


def tiny_spec(*, steps: int = 12, checkpoint_interval: int = 4, **changes: Any) -> training_pb2.TrainSpec:
    """A full specification; `changes` replace numbers of the architecture or the optimization, or whole fields."""
    bpe = changes.pop("bpe_vocabulary", 0)
    shape = {key: changes.pop(key, value) for key, value in ARCHITECTURE.items()}
    kind = training_pb2.TOKENIZER_KIND_BPE if bpe else training_pb2.TOKENIZER_KIND_BYTES
    return training_pb2.TrainSpec(
        architecture=training_pb2.Architecture(**shape),
        tokenizer=training_pb2.TokenizerSpec(kind=kind, vocabulary_size=bpe or None),
        **common_fields(steps=steps, checkpoint_interval=checkpoint_interval, **changes),
    )


def tiny_tuning(
    *, base: str = "", steps: int = 12, checkpoint_interval: int = 4, **changes: Any
) -> training_pb2.FineTuneSpec:
    """The same for fine-tuning."""
    fields = common_fields(steps=steps, checkpoint_interval=checkpoint_interval, **changes)
    return training_pb2.FineTuneSpec(base=base, **fields)


def common_fields(*, steps: int, checkpoint_interval: int, **changes: Any) -> dict[str, Any]:
    """What both kinds of training have in common."""
    extra_moves = ("optimizer", "schedule", "momentum", "nesterov")
    moves = {key: changes.pop(key, value) for key, value in OPTIMIZATION.items()}
    moves |= {key: changes.pop(key) for key in extra_moves if key in changes}
    checkpoints = {"interval_steps": checkpoint_interval, "publish_best": changes.pop("publish_best", None)}
    evaluation = {"interval_steps": changes.pop("evaluation_interval", 3), "sequences": changes.pop("sequences", 5)}
    return {
        "dataset": "projects/p/datasets/plays",
        "steps": steps,
        "seed": changes.pop("seed", 7),
        "optimization": training_pb2.OptimizationSpec(**moves),
        "evaluation": training_pb2.EvaluationSpec(**evaluation),
        "samples": training_pb2.SamplesSpec(interval_steps=changes.pop("samples_interval", 3), tokens=20),
        "checkpoints": training_pb2.CheckpointsSpec(**checkpoints),
        "precision": changes.pop("precision", training_pb2.PRECISION_FP32),
        **changes,
    }


def assert_only_whole_checkpoints(bench: Bench, story: Story) -> None:
    """Whatever died: what lies in the store is whole, and what was told lies there."""
    prefixes = {key.rpartition("/")[0] for key in bench.store.keys("checkpoints")}
    for prefix in prefixes:
        found = bench.store.find_file_set(prefix)
        assert found is not None, f"{prefix} has files and no manifest"
        bench.store.read_file_set(prefix, manifest_sha256=found.manifest_sha256, scratch=bench.scratch)
    assert {written.artifact_prefix for written in story.checkpoints.values()} <= prefixes


def resume_from(written: facts_pb2.CheckpointWritten) -> workers_pb2.CheckpointArtifact:
    return workers_pb2.CheckpointArtifact(
        step=written.step, artifact_prefix=written.artifact_prefix, manifest_sha256=written.manifest_sha256
    )


def writable_copy(folder: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Files of a checkpoint to be damaged."""
    shutil.copytree(folder, target)
    for path in (target, *target.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)

"""How many supervised tokens a second fine-tuning learns from, full and through adapters, beside TRL's SFTTrainer.

    pip install trl
    python -m benchmarks.fine_tuning [--steps 12] [--pairs 3] [--threads 2] [--kinds full lora]

The same rows, weights, tokenizer and context for both, in processes of their own with the same environment. First TRL
runs once in each configuration; then its best one and ours take turns, so that what else the machine does falls on
both. Only tokens that the loss counts are counted. Read the ratios.

On a machine whose cores are taken by others, wall time says how they were shared: `--busy` compares the processor time
that a token takes, which says less about threads, and is much the same from run to run.
"""

import argparse
import ast
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from artifacts import AlreadyStored, open_store
from benchmarks.machine import print_machine
from benchmarks.step import environment_of
from tutelage.v1 import datasets_pb2, training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

WARM_UP_STEPS = 1
CONTEXT, BATCH, VOCABULARY, RANK = 256, 8, 4096, 16
ROWS_MAX, HELD_OUT = 4000, 64
COMPLETION_CHARACTERS_MAX = 700
Clocks = tuple[float, float]  # wall and processor, in seconds
MODEL_NAME = "projects/p/models/base/versions/1"
# What differs from the defaults of SFTConfig. Where the processor only emulates bfloat16, all use float32: the default,
# which does not ask, takes ten times as long there.
PEER: dict[str, dict[str, Any]] = {
    "default": {},
    "padding": {"gradient_checkpointing": False, "per_device_train_batch_size": 3 * BATCH},
    "padding, by length": {
        "gradient_checkpointing": False,
        "per_device_train_batch_size": 3 * BATCH,
        "train_sampling_strategy": "group_by_length",
    },
    "packing": {"gradient_checkpointing": False, "packing": True},
    "packing, wrapped": {"gradient_checkpointing": False, "packing": True, "packing_strategy": "wrapped"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--peers", nargs="+", choices=PEER, default=list(PEER), help="configurations of TRL to try")
    parser.add_argument("--busy", action="store_true", help="compare by processor time: others use the cores too")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run = run_ours if options.child["configuration"] == "ours" else run_peer
        print(json.dumps(run(**options.child)))
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fine-tuning-benchmark-"))
    try:
        prepare(folder)
        print_machine()
        for kind in options.kinds:
            compare(folder, kind, options)
    finally:
        shutil.rmtree(folder)


def compare(folder: pathlib.Path, kind: str, options: argparse.Namespace) -> None:
    def speed(configuration: str) -> float:
        child = {"configuration": configuration, "kind": kind, "folder": str(folder), "steps": options.steps}
        found = in_a_process(child, threads=options.threads)
        rate, of_processor = found["rate"], found["rate_of_processor"]
        words = f"{rate:8,.0f} supervised tokens/s, {of_processor:,.0f} a second of processor time"
        print(f"{kind:<5} {configuration:<22} {words}, loss {found['loss']:.3f}", flush=True)
        return of_processor if options.busy else rate

    print(f"load  {os.getloadavg()[0]:.1f} over the last minute")
    tried = {name: speed(name) for name in options.peers}
    best = max(tried, key=lambda name: tried[name])
    pairs = [(speed("ours"), speed(best)) for _ in range(options.pairs)]
    ratios = [ours / theirs for ours, theirs in pairs]
    listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"{kind:<5} ours / TRL's best ({best}) {statistics.median(ratios):.2f} (pairs: {listed})")
    if "default" in tried:
        default = statistics.median(ours for ours, _ in pairs) / tried["default"]
        print(f"{kind:<5} ours / TRL's default {default:.2f} (not paired)", flush=True)


def in_a_process(child: dict[str, Any], *, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.fine_tuning", "--child", json.dumps(child)]
    environment = environment_of(threads) | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{child['configuration']} failed: {done.stderr.decode()[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def native_bfloat16() -> bool:
    import torch

    from trainer_worker.trainer.engine.precision import choose_precision

    return choose_precision(torch.device("cpu")) == "bf16"


def documented_functions() -> Iterator[dict[str, str]]:
    """Rows of real text that every machine has: a function of the standard library, and what its author says of it."""
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef) and (words := ast.get_docstring(node)):
                arguments = ", ".join(argument.arg for argument in node.args.args)
                prompt = f"What does {path.stem}.{node.name}({arguments}) do?\n"
                yield {"prompt": prompt, "completion": words[:COMPLETION_CHARACTERS_MAX]}


def prepare(folder: pathlib.Path) -> None:
    """Rows, and a model of 6 layers of 384 with a tokenizer of them, in our files and in those of Hugging Face."""
    import numpy as np

    from trainer_worker.trainer.engine.families.writing import write_folder
    from trainer_worker.trainer.engine.model import Decoder, ModelConfig
    from trainer_worker.trainer.engine.stored_model import StoredModel, save_model
    from trainer_worker.trainer.engine.tokenizers import BytePairTokenizer

    rows = list(documented_functions())[:ROWS_MAX]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = "\n".join(row["prompt"] + row["completion"] for row in rows).encode()
    tokenizer = BytePairTokenizer.train(np.frombuffer(text, np.uint8), vocabulary_size=VOCABULARY)
    shape = ModelConfig(
        layers=6,
        width=384,
        heads=6,
        key_value_heads=6,
        feed_forward_width=1024,
        context_length=CONTEXT,
        tied_head=True,
        rotary_base=10000.0,
        vocabulary_size=tokenizer.vocabulary_size,
    )
    model = Decoder(shape)
    model.initialize(1)
    (folder / "peer").mkdir()
    write_folder(folder / "peer", StoredModel(model, tokenizer))
    store = open_store(f"file://{folder / 'store'}")
    base = store.write_file_set("models/base", lambda target: save_model(target, model, tokenizer))
    (folder / "base.json").write_text(json.dumps([base.prefix, base.manifest_sha256]))


def assignment_of(folder: pathlib.Path, kind: str, steps: int) -> workers_pb2.Assignment:
    store = open_store(f"file://{folder / 'store'}")
    content = (folder / "rows.jsonl").read_bytes()
    with contextlib.suppress(AlreadyStored):  # by an earlier run
        store.put("datasets/rows", content)
    lines = content.splitlines(keepends=True)
    prefix, manifest = json.loads((folder / "base.json").read_text())
    spec = training_pb2.FineTuneSpec(
        base=MODEL_NAME,
        steps=steps,
        seed=1,
        lora=training_pb2.LoraSpec(rank=RANK, alpha=2.0 * RANK) if kind == "lora" else None,
        context_length=CONTEXT,
        optimization=training_pb2.OptimizationSpec(
            learning_rate=1e-4, final_learning_rate_ratio=0.1, weight_decay=0.0, clip_norm=1.0, batch_size=BATCH
        ),
        evaluation=training_pb2.EvaluationSpec(interval_steps=0, sequences=1),
        samples=training_pb2.SamplesSpec(interval_steps=0),
        checkpoints=training_pb2.CheckpointsSpec(interval_steps=10_000),
        compute=training_pb2.ComputeSpec(compilation=training_pb2.COMPILATION_OFF),
    )
    dataset = workers_pb2.DatasetArtifact(
        name="projects/p/datasets/rows",
        key="datasets/rows",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        train_bytes=sum(map(len, lines[:-HELD_OUT])),
        format=datasets_pb2.DATASET_FORMAT_JSONL,
        train_rows=len(lines) - HELD_OUT,
        rows=len(lines),
        row_kind=datasets_pb2.ROW_KIND_PROMPT_COMPLETION,
    )
    base = workers_pb2.ModelArtifact(name=MODEL_NAME, artifact_prefix=prefix, manifest_sha256=manifest)
    return workers_pb2.Assignment(
        fine_tune=spec, dataset=dataset, base=base, checkpoint_prefix=f"checkpoints/{time.time_ns()}"
    )


def run_ours(*, configuration: str, kind: str, folder: str, steps: int) -> dict[str, Any]:
    """The recipe itself. The batches are read once more to count what the loss counts."""
    from trainer_worker.trainer.engine import samples
    from trainer_worker.trainer.recipes.fine_tune import fine_tune
    from trainer_worker.trainer.telling import message_of

    total, place = WARM_UP_STEPS + steps, pathlib.Path(folder)
    store, scratch = open_store(f"file://{place / 'store'}"), place / "scratch"
    assignment = assignment_of(place, kind, total)
    ends: list[Clocks] = []
    losses: list[float] = []
    for told in fine_tune(assignment, store=store, scratch=scratch):
        message = message_of(told)
        if message.progress.section == pipe_pb2.SECTION_STEP:
            ends.append(clocks())
        if "train/loss" in message.fact.metric_logged.values:
            losses.append(message.fact.metric_logged.values["train/loss"])
    training = training_samples(assignment, store, scratch)
    counts = [
        samples.batch(training, seed=1, first_sample=step * BATCH, size=BATCH)[0].supervised for step in range(total)
    ]
    return result(sum(counts[WARM_UP_STEPS:]), ends, loss=losses[-1])


def clocks() -> Clocks:
    return time.perf_counter(), time.process_time()


def result(supervised: int, ends: list[Clocks], *, loss: float) -> dict[str, Any]:
    wall, processor = (last - first for last, first in zip(ends[-1], ends[WARM_UP_STEPS - 1], strict=True))
    return {"rate": supervised / wall, "rate_of_processor": supervised / processor, "loss": loss}


def training_samples(assignment: workers_pb2.Assignment, store: Any, scratch: pathlib.Path) -> Any:
    from trainer_worker.trainer.engine.model_artifact import base_model
    from trainer_worker.trainer.engine.training_data import prepare_data

    tokenizer = base_model(assignment.base, store=store, scratch=scratch).tokenizer
    preparing = prepare_data(assignment, tokenizer=tokenizer, context_length=CONTEXT, store=store, scratch=scratch)
    while True:
        try:
            next(preparing)
        except StopIteration as end:
            return end.value[0]


def run_peer(*, configuration: str, kind: str, folder: str, steps: int) -> dict[str, Any]:
    """SFTTrainer, with the tokens counted as batches are put together and the clock read after each step."""
    import datasets
    import peft
    import transformers
    import trl

    place, total = pathlib.Path(folder), WARM_UP_STEPS + steps
    rows = [json.loads(line) for line in (place / "rows.jsonl").read_text().splitlines()][:-HELD_OUT]
    settings: dict[str, Any] = {"per_device_train_batch_size": BATCH, "bf16": native_bfloat16()} | PEER[configuration]
    arguments = trl.SFTConfig(
        output_dir=tempfile.mkdtemp(dir=folder),
        max_length=CONTEXT,
        max_steps=total,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=1,
        **settings,
    )
    ends: list[Clocks] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(clocks())

    adapters = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = trl.SFTTrainer(
        model=transformers.AutoModelForCausalLM.from_pretrained(place / "peer", dtype="float32"),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=transformers.AutoTokenizer.from_pretrained(place / "peer"),
        peft_config=adapters if kind == "lora" else None,
        callbacks=[Clock()],
    )
    counts: list[int] = []
    collate = trainer.data_collator

    def counted(examples: list[Any]) -> Any:
        batch = collate(examples)
        counts.append(int((batch["labels"] != -100).sum()))
        return batch

    trainer.data_collator = counted
    loss = trainer.train().training_loss
    return result(sum(counts[WARM_UP_STEPS:total]), ends, loss=loss)


if __name__ == "__main__":
    main()

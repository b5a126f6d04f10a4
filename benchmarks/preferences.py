"""How many pairs a second DPO learns from, full and through adapters, beside TRL's DPOTrainer.

    pip install trl
    python -m benchmarks.preferences [--steps 12] [--rounds 3] [--threads 2] [--clock wall|cpu] [--kinds full lora]

The same pairs, weights, tokenizer, context and float32 for both, in processes of their own with the same environment.
First TRL runs once in each configuration, and ours once without sharing prompts; then TRL's best configuration and ours
take turns, so that what else the machine does falls on both. Two rates are told: of the steps, and with the time that
the reference takes before them, where it is computed once. Read the ratios.

On a machine whose cores are taken by others, wall time says how they were shared: `--clock cpu` compares the processor
time that a pair takes.
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

WARM_UP_STEPS = 2
CONTEXT, BATCH, VOCABULARY, RANK, BETA = 384, 8, 4096, 16, 0.1
CODE_CHARACTERS_MAX, WORDS_CHARACTERS_MAX = 500, 400
Clocks = tuple[float, float]  # wall and processor, in seconds
MODEL_NAME = "projects/p/models/base/versions/1"
# What differs from the defaults of DPOConfig. `padding_free` is switched off in TRL 1.16 itself.
PEER: dict[str, dict[str, Any]] = {
    "default": {},
    "kept activations": {"gradient_checkpointing": False},
    "reference once": {"gradient_checkpointing": False, "precompute_ref_log_probs": True},
    "reference once, by length": {
        "gradient_checkpointing": False,
        "precompute_ref_log_probs": True,
        "train_sampling_strategy": "group_by_length",
        "length_column_name": "length",
    },
}
TWICE = "ours, prompts twice"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--kinds", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--peers", nargs="+", choices=PEER, default=list(PEER), help="configurations of TRL to try")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384, help="of the model, in steps of 64")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run = run_ours if options.child["configuration"].startswith("ours") else run_peer
        print(json.dumps(run(**options.child)))
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="preferences-benchmark-"))
    try:
        pairs = (WARM_UP_STEPS + options.steps) * BATCH
        prepare(folder, pairs=pairs, layers=options.layers, width=options.width)
        print_machine()
        for kind in options.kinds:
            compare(folder, kind, options)
    finally:
        shutil.rmtree(folder)


def compare(folder: pathlib.Path, kind: str, options: argparse.Namespace) -> None:
    def measure(configuration: str) -> dict[str, float]:
        child = {"configuration": configuration, "kind": kind, "folder": str(folder), "steps": options.steps}
        found = rates(in_a_process(child, threads=options.threads), options.clock, pairs=options.steps * BATCH)
        words = f"{found['steps']:6.2f} pairs/s in steps, {found['whole']:6.2f} with the reference"
        print(f"{kind:<5} {configuration:<26} {words}, loss {found['loss']:.4f}", flush=True)
        return found

    print(f"load  {os.getloadavg()[0]:.1f} over the last minute; {options.clock} clock")
    tried = {name: measure(name) for name in options.peers}
    best = max(tried, key=lambda name: tried[name]["whole"])
    measure(TWICE)
    rounds = [(measure("ours"), measure(best)) for _ in range(options.rounds)]
    for rate, words in (("steps", "steps"), ("whole", "with the reference")):
        ratios = [ours[rate] / theirs[rate] for ours, theirs in rounds]
        listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{kind:<5} ours / TRL's best ({best}), {words}: {statistics.median(ratios):.2f} (rounds: {listed})")
    if "default" in tried:
        default = statistics.median(ours["whole"] for ours, _ in rounds) / tried["default"]["whole"]
        print(f"{kind:<5} ours / TRL's default, with the reference: {default:.2f} (not paired)", flush=True)


def rates(found: dict[str, Any], clock: str, *, pairs: int) -> dict[str, float]:
    which = 0 if clock == "wall" else 1
    steps_s, reference_s = found["steps_s"][which], found["reference_s"][which]
    return {"steps": pairs / steps_s, "whole": pairs / (steps_s + reference_s), "loss": found["loss"]}


def in_a_process(child: dict[str, Any], *, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.preferences", "--child", json.dumps(child)]
    environment = environment_of(threads) | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{child['configuration']} failed: {done.stderr.decode()[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def documented_functions() -> Iterator[tuple[str, str]]:
    """Functions of the standard library and what their authors say of them: text that every machine has."""
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = path.read_text()
        lines = source.splitlines(keepends=True)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and (words := ast.get_docstring(node)):
                code = "".join(lines[node.lineno - 1 : node.body[0].lineno - 1] + lines[node.body[0].end_lineno :][:9])
                yield code[:CODE_CHARACTERS_MAX], words[:WORDS_CHARACTERS_MAX]


def some_pairs(count: int) -> list[dict[str, str]]:
    """A function; what its author says of it is preferred to what another author says of another one."""
    found = list(documented_functions())
    taken = [found[place * len(found) // count] for place in range(count)]
    return [
        {"prompt": f"{code}\nWhat does it do?\n", "chosen": words, "rejected": taken[(place + 7) % count][1]}
        for place, (code, words) in enumerate(taken)
    ]


def prepare(folder: pathlib.Path, *, pairs: int, layers: int, width: int) -> None:
    """Pairs, and a model with a tokenizer of them, in our files and in those of Hugging Face."""
    import numpy as np

    from trainer_worker.trainer.engine.families.writing import write_folder
    from trainer_worker.trainer.engine.model import Decoder, ModelConfig
    from trainer_worker.trainer.engine.stored_model import StoredModel, save_model
    from trainer_worker.trainer.engine.tokenizers import BytePairTokenizer

    rows = some_pairs(pairs)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = "\n".join(code + words for code, words in documented_functions()).encode()
    tokenizer = BytePairTokenizer.train(np.frombuffer(text, np.uint8), vocabulary_size=VOCABULARY)
    shape = ModelConfig(
        layers=layers,
        width=width,
        heads=width // 64,
        key_value_heads=width // 64,
        feed_forward_width=-(-width * 8 // 3 // 64) * 64,
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
    prefix, manifest = json.loads((folder / "base.json").read_text())
    spec = training_pb2.FineTuneSpec(
        base=MODEL_NAME,
        steps=steps,
        seed=1,
        method=training_pb2.METHOD_DPO,
        preference=training_pb2.PreferenceSpec(beta=BETA),
        precision=training_pb2.PRECISION_FP32,
        lora=training_pb2.LoraSpec(rank=RANK, alpha=2.0 * RANK) if kind == "lora" else None,
        context_length=CONTEXT,
        optimization=training_pb2.OptimizationSpec(
            learning_rate=1e-5, final_learning_rate_ratio=0.1, weight_decay=0.0, clip_norm=1.0, batch_size=BATCH
        ),
        evaluation=training_pb2.EvaluationSpec(interval_steps=0, sequences=1),
        samples=training_pb2.SamplesSpec(interval_steps=0),
        checkpoints=training_pb2.CheckpointsSpec(interval_steps=10_000),
    )
    rows = content.count(b"\n")
    dataset = workers_pb2.DatasetArtifact(
        name="projects/p/datasets/rows",
        key="datasets/rows",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        train_bytes=len(content),
        format=datasets_pb2.DATASET_FORMAT_JSONL,
        train_rows=rows,
        rows=rows,
        row_kind=datasets_pb2.ROW_KIND_PREFERENCE,
    )
    base = workers_pb2.ModelArtifact(name=MODEL_NAME, artifact_prefix=prefix, manifest_sha256=manifest)
    return workers_pb2.Assignment(
        fine_tune=spec, dataset=dataset, base=base, checkpoint_prefix=f"checkpoints/{time.time_ns()}"
    )


def clocks() -> Clocks:
    return time.perf_counter(), time.process_time()


def between(first: Clocks, last: Clocks) -> Clocks:
    return last[0] - first[0], last[1] - first[1]


def run_ours(*, configuration: str, kind: str, folder: str, steps: int) -> dict[str, Any]:
    """The recipe itself. The reference of the steps that are timed is their share of all."""
    from trainer_worker.trainer import answer_runs, reference
    from trainer_worker.trainer.recipes.fine_tune import fine_tune
    from trainer_worker.trainer.telling import message_of

    if configuration == TWICE:
        answer_runs.shares_prompts = lambda config: False
    spent, true_complete = [0.0, 0.0], reference.complete

    def complete(*arguments: Any) -> Iterator[Any]:
        began = clocks()
        yield from true_complete(*arguments)
        spent[:] = [before + more for before, more in zip(spent, between(began, clocks()), strict=True)]

    reference.complete = complete  # type: ignore[assignment]
    total, place = WARM_UP_STEPS + steps, pathlib.Path(folder)
    store, scratch = open_store(f"file://{place / 'store'}"), place / "scratch"
    ends: list[Clocks] = []
    losses: list[float] = []
    for told in fine_tune(assignment_of(place, kind, total), store=store, scratch=scratch):
        message = message_of(told)
        if message.progress.section == pipe_pb2.SECTION_STEP:
            ends.append(clocks())
        if "train/loss" in message.fact.metric_logged.values:
            losses.append(message.fact.metric_logged.values["train/loss"])
    return result(ends, [part * steps / total for part in spent], loss=statistics.mean(losses))


def result(ends: list[Clocks], reference_s: list[float], *, loss: float) -> dict[str, Any]:
    return {"steps_s": between(ends[WARM_UP_STEPS - 1], ends[-1]), "reference_s": reference_s, "loss": loss}


def run_peer(*, configuration: str, kind: str, folder: str, steps: int) -> dict[str, Any]:
    """DPOTrainer, with the clock read after each step and around what it computes before."""
    import datasets
    import peft
    import transformers
    import trl

    place, total = pathlib.Path(folder), WARM_UP_STEPS + steps
    rows = [json.loads(line) for line in (place / "rows.jsonl").read_text().splitlines()]
    rows = [row | {"length": len(row["prompt"]) + max(len(row["chosen"]), len(row["rejected"]))} for row in rows]
    arguments = trl.DPOConfig(
        output_dir=tempfile.mkdtemp(dir=folder),
        max_length=CONTEXT,
        max_steps=total,
        beta=BETA,
        learning_rate=1e-5,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=1,
        bf16=False,
        per_device_train_batch_size=BATCH,
        **PEER[configuration],
    )
    ends: list[Clocks] = []
    spent = [0.0, 0.0]

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(clocks())

    class Timed(trl.DPOTrainer):  # type: ignore[misc]
        def _precompute_ref_logps(self, *arguments: Any, **named: Any) -> Any:
            began = clocks()
            found = super()._precompute_ref_logps(*arguments, **named)
            spent[:] = between(began, clocks())
            return found

    adapters = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = Timed(
        model=transformers.AutoModelForCausalLM.from_pretrained(place / "peer", dtype="float32"),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=transformers.AutoTokenizer.from_pretrained(place / "peer"),
        peft_config=adapters if kind == "lora" else None,
        callbacks=[Clock()],
    )
    loss = trainer.train().training_loss
    return result(ends, [part * steps / total for part in spent], loss=loss)


if __name__ == "__main__":
    main()

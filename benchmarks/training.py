"""Tokens a second of training, ours and others', and how long it takes to reach the same held-out loss.

    python -m benchmarks.training [--shapes T S] [--steps 12] [--rounds 3] [--threads 2] [--clock cpu]
                                  [--only WORD] [--without WORD]
    python -m benchmarks.training --time-to-loss

Each contender trains in a process of its own, with torch's defaults and with what a supervisor sets (waiting threads
that do not spin, an allocator that keeps its pages). Contenders take turns in every round, so that what else the
machine does falls on all of them; medians after warm-up, and the median of the ratios to nanoGPT's loop in the same
round. Read the ratios. `--clock cpu` counts seconds of the processor, for a machine that others use too.

Beside tokens a second stands the share of the ceiling: model FLOPs over what a product of large matrices in the same
format reaches in the same process. Peers run where they are installed: `pip install transformers accelerate`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.machine import print_machine

WARM_UP_STEPS = 3
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
TUNED = {
    "OMP_WAIT_POLICY": "passive",
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=17179869184"
    ":glibc.malloc.top_pad=268435456",
}
# A module of benchmarks.peers, its options, and whether the process is tuned. The first is what others are compared to.
CONTENDERS = (
    ("nanogpt", "", False),
    ("nanogpt", "", True),
    ("nanogpt", "compile", True),
    ("hugging_face", "", False),
    ("hugging_face", "", True),
    ("hugging_face", "bf16", True),
    ("hugging_face", "bf16 compile", True),
    ("tutelage_engine", "", False),
    ("tutelage_engine", "", True),
    ("tutelage_engine", "compile", True),
    ("tutelage_engine", "bf16", True),
    ("tutelage_engine", "bf16 compile", True),
    ("tutelage_engine", "muon", True),
)
# nanoGPT's recipe has 2,000 steps; the others stop when they are as good.
RACERS = (
    ("nanogpt", "", True, 1e-3, 2000),
    ("tutelage_engine", "", True, 1e-3, 2000),
    ("tutelage_engine", "", True, 4e-3, 1000),
    ("tutelage_engine", "muon", True, 8e-3, 1000),
    ("tutelage_engine", "muon", True, 1.6e-2, 600),
)
EVALUATION_WINDOWS, EVALUATION_INTERVAL = 256, 50

Contender = tuple[str, str, bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["T", "S"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--only", default="", help="contenders whose name holds this word, beside the first")
    parser.add_argument("--without", help="leave out contenders whose name holds this word, such as bf16")
    parser.add_argument("--time-to-loss", action="store_true")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(run_contender(json.loads(options.contender))))
        return
    print_machine()
    print(f"load {os.getloadavg()[0]:.1f} over the last minute, {options.threads} threads, {options.clock} seconds")
    if options.time_to_loss:
        race(options)
        return
    for shape in options.shapes:
        compare(shape, options)


# The parent: starts processes and prints.


def compare(shape: str, options: argparse.Namespace) -> None:
    contenders = [one for one in CONTENDERS if is_wanted(one, options)]
    found: dict[Contender, list[dict[str, Any]]] = {one: [] for one in contenders}
    for _ in range(options.rounds):
        for one in contenders:
            module, words, tuned = one
            order = {"module": module, "options": words, "shape": shape, "steps": options.steps, "clock": options.clock}
            if result := start(order, tuned=tuned, threads=options.threads):
                found[one].append(result)
    print(f"\nshape {shape}\n{'':38} tokens/s   ratio   of ceiling   first step   peak memory")
    first = found[contenders[0]]
    for one, results in found.items():
        if not results:
            print(f"  {named(one):36} did not run")
            continue
        ratios = [result["rate"] / other["rate"] for result, other in zip(results, first, strict=False)]
        middle = {key: statistics.median(result[key] for result in results) for key in results[0]}
        speed = f"{middle['rate']:8,.0f} {statistics.median(ratios):6.2f} × {100 * middle['share']:9.0f} %"
        costs = f"{middle['first_step_s']:10.1f} s {middle['peak_bytes'] / 1e6:10,.0f} MB"
        print(f"  {named(one):36} {speed} {costs}", flush=True)


def is_wanted(one: Contender, options: argparse.Namespace) -> bool:
    if one[0] == "hugging_face" and importlib.util.find_spec("transformers") is None:
        return False
    left_out = options.without is not None and options.without in named(one)
    return one == CONTENDERS[0] or (options.only in named(one) and not left_out)


def named(one: Contender) -> str:
    module, words, tuned = one
    return f"{module} {words or 'fp32'}{', tuned' if tuned else ''}"


def race(options: argparse.Namespace) -> None:
    """The first runs to its end; the others to its held-out loss."""
    goal, seconds = 0.0, 0.0
    for module, words, tuned, rate, steps in RACERS:
        order = {"module": module, "options": words, "shape": "C", "steps": steps, "clock": options.clock}
        result = start(order | {"rate": rate, "goal": goal}, tuned=tuned, threads=options.threads)
        if result is None:
            continue
        goal, seconds = goal or result["bits"], seconds or result["seconds"]
        ending = f"{result['bits']:.3f} bits per byte held out after {result['steps']} steps, {result['seconds']:.1f} s"
        ratio = f"{seconds / result['seconds']:.1f} ×" if result["bits"] <= goal else "not reached"
        print(f"  {named((module, words, tuned)):36} rate {rate:.0e}: {ending}   {ratio}", flush=True)


def start(order: dict[str, Any], *, tuned: bool, threads: int) -> dict[str, Any] | None:
    """Runs one contender in a process of its own. Returns None if it fails; it says why itself."""
    counts = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment = {**os.environ, **counts, **(TUNED if tuned else {})}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training", "--contender", json.dumps(order)]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    return json.loads(ended.stdout.splitlines()[-1]) if ended.returncode == 0 else None


# The child: trains and measures.


def run_contender(order: dict[str, Any]) -> dict[str, Any]:
    from benchmarks.peers.shapes import SHAPES

    train = importlib.import_module(f"benchmarks.peers.{order['module']}").train
    shape, options = SHAPES[order["shape"]], frozenset(order["options"].split())
    clock = CLOCKS[order["clock"]]
    if "goal" in order:
        steps = train(shape, options=options, steps=order["steps"], rate=order["rate"])
        return until_goal(steps, shape, clock, goal=order["goal"], last=order["steps"])
    began = clock()
    steps = train(shape, options=options, steps=WARM_UP_STEPS + order["steps"])
    next(steps)
    first_step_s, seconds = clock() - began, []
    for _ in steps:
        seconds.append(clock() - began)
    peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # before the ceiling is measured
    steps_s = [after - before for before, after in zip(seconds, seconds[1:], strict=False)][WARM_UP_STEPS - 2 :]
    rate = shape.tokens / statistics.median(steps_s)
    share = rate / shape.tokens * shape.step_flops / ceiling(clock, bf16="bf16" in options)
    return {"rate": rate, "share": share, "first_step_s": first_step_s, "peak_bytes": peak_bytes}


def until_goal(steps: Any, shape: Any, clock: Any, *, goal: float, last: int) -> dict[str, Any]:
    """Trains to the end, or to the goal in bits per byte; evaluations are not counted."""
    import torch

    from benchmarks.peers.shapes import Batches

    windows = torch.from_numpy(Batches(shape).held_out_windows(EVALUATION_WINDOWS))
    seconds, bits, done = 0.0, math.inf, 0
    began = clock()
    for done, loss in enumerate(steps, 1):  # noqa: B007
        if done % EVALUATION_INTERVAL == 0 or done == last:
            seconds += clock() - began
            with torch.no_grad():
                bits = float(loss(windows)) / math.log(2)
            began = clock()
            if bits <= goal:
                break
    return {"bits": bits, "steps": done, "seconds": seconds}


def ceiling(clock: Any, *, bf16: bool, size: int = 2048) -> float:
    """FLOPs a second of a product of large matrices; the best of five."""
    import torch

    matrix = torch.randn(size, size, dtype=torch.bfloat16 if bf16 else torch.float32)
    best = math.inf
    for _ in range(5):
        began = clock()
        matrix @ matrix
        best = min(best, clock() - began)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()

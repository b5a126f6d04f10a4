"""Answers a second: a job that draws, against drawing the same answers one by one.

    python -m benchmarks.drawing [--threads N] [--rounds N] [--prompts N] [--samples N] [--tokens N] [--clock cpu]

The shape of the preset "tiny", bytes, float32, random weights: prompts of 16 to 64 tokens, each answered several times.
The contenders take turns in every round; the best of each and their ratio are printed, and that both drew the same.
"""

from __future__ import annotations

import argparse
import os
import random
import time

from benchmarks.machine import print_machine

PROMPT_TOKENS = (16, 64)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--apart", type=int, default=32, help="answers to draw one by one")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine that others use too")
    options = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    print_machine()
    measure(options)


def measure(options: argparse.Namespace) -> None:
    """The contenders in turn, on the same answers."""
    import torch

    from trainer_worker.trainer.engine.draw import Asked, Drawer, Manner
    from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens
    from trainer_worker.trainer.engine.model import Decoder, ModelConfig
    from trainer_worker.trainer.engine.tokenizers import ByteTokenizer

    torch.set_num_threads(options.threads)
    tokenizer = ByteTokenizer()
    model = Decoder(ModelConfig(4, 192, 6, 6, 512, 256, True, 10000.0, tokenizer.vocabulary_size)).eval()
    model.initialize(seed=1)
    model.requires_grad_(False)
    print(f"torch {torch.__version__}, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    print(
        f"{model.config.parameters:,} weights, {options.prompts} prompts × {options.samples}, {options.tokens} tokens"
    )

    clock = CLOCKS[options.clock]
    generator = random.Random(1)
    manner = Manner(DrawRule(0.8), tokens_max=options.tokens)
    prompts = [
        tuple(generator.choices(range(256), k=generator.randint(*PROMPT_TOKENS))) for _ in range(options.prompts)
    ]
    asked = [
        Asked(prompt, place * options.samples + sample, manner)
        for place, prompt in enumerate(prompts)
        for sample in range(options.samples)
    ]
    apart = asked[:: max(1, len(asked) // options.apart)]
    drawer = Drawer(model, tokenizer)
    best = {"together": 0.0, "one by one": 0.0}
    for _ in range(options.rounds):
        began = clock()
        drawing = drawer.draw(asked)
        try:
            while True:
                next(drawing)
        except StopIteration as end:
            answers = end.value
        best["together"] = max(best["together"], len(asked) / (clock() - began))

        began = clock()
        alone = [
            list(
                continue_tokens(
                    model,
                    one.prompt,
                    rule=manner.rule,
                    seed=one.seed,
                    tokens_max=options.tokens,
                    end_of_text=tokenizer.end_of_text,
                )
            )
            for one in apart
        ]
        best["one by one"] = max(best["one by one"], len(apart) / (clock() - began))
    drawn = {one.seed: answer for one, answer in zip(asked, answers, strict=True)}
    pairs = zip((drawn[one.seed] for one in apart), alone, strict=True)
    same = sum([token for token in answer.tokens if token != tokenizer.end_of_text] == one for answer, one in pairs)
    for name, value in best.items():
        print(f"  {name:12} {value:8.1f} answers/s   {value / best['one by one']:6.1f} ×")
    print(f"  {same} of {len(apart)} answers are the same")


if __name__ == "__main__":
    main()

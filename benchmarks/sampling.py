"""Tokens a second: the sampler's batches against `transformers.generate` if it is there.

    python -m benchmarks.sampling [--threads N] [--rounds N] [--clock cpu] [--batches 1 8]

Shape S of the engine's measurements: 6 layers × 384, context 256, bytes, float32, random weights. Each row reads a
prompt of 64 tokens and draws 64. The contenders take turns in every round; the best of each and their ratios are
printed. Read the ratios: tokens a second belong to the machine. `--clock cpu` counts the seconds of the processor, for
a machine that others use too.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable

from benchmarks.machine import print_machine

BATCHES = (1, 8, 32)
SEATS = 32
PROMPT_TOKENS = 64
DRAWN_TOKENS = 64
# The loop without a cache is measured at the middle of the text, where it costs what it costs on average.
LOOP_STEPS = 3
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Clock = Callable[[], float]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="the first is what totals are held to")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "passive"  # as the sampler sets it; read when torch is imported
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    print_machine()
    import torch

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    contenders = all_contenders(CLOCKS[options.clock])
    print(f"compared with {next(iter(contenders))} at the same batch, and at batch 1")
    alone = 0.0
    for rows in options.batches:
        found = measure(contenders, rows=rows, rounds=options.rounds)
        alone = alone or next(iter(found.values()))
        print(f"\nbatch {rows}")
        print_ratios(found, alone)


def all_contenders(clock: Clock) -> dict[str, Callable[[int], float]]:
    """Functions from a number of rows to tokens a second, by name; the first is what the others are compared with."""
    contenders = {}
    if importlib.util.find_spec("transformers"):
        contenders["transformers.generate"] = transformers_generate(clock)
    return contenders | {
        "loop without a cache": loop_without_cache(clock),
        "batch, as loaded": batch_of_rows(clock, lean=True),
        "batch, as trained": batch_of_rows(clock, lean=False),
    }


def measure(contenders: dict[str, Callable[[int], float]], *, rows: int, rounds: int) -> dict[str, float]:
    """The best of each contender, in tokens a second: on a busy machine the others were disturbed."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            found[name].append(run(rows))
    return {name: max(values) for name, values in found.items()}


def print_ratios(found: dict[str, float], alone: float) -> None:
    """`alone`: what the first contender draws with one row."""
    first = next(iter(found.values()))
    for name, value in found.items():
        print(f"  {name:24} {value:8.0f} tokens/s   {value / first:6.2f} ×   {value / alone:6.2f} × its batch 1")


def loop_without_cache(clock: Clock) -> Callable[[int], float]:
    """The plainest sampler: the whole text goes through the model for each token."""
    import torch

    decoder = shape_s()

    @torch.inference_mode()
    def run(rows: int) -> float:
        tokens = torch.randint(0, 256, (rows, PROMPT_TOKENS + DRAWN_TOKENS // 2))
        begin = clock()
        for _ in range(LOOP_STEPS):
            probabilities = torch.softmax(decoder(tokens)[:, -1] / 0.8, dim=-1)
            tokens = torch.cat([tokens, torch.multinomial(probabilities, 1)], dim=1)
        return rows * LOOP_STEPS / (clock() - begin)

    return run


def batch_of_rows(clock: Clock, *, lean: bool) -> Callable[[int], float]:
    """What a sampler's thread does, prompts included."""
    from trainer_worker.sampler.batch import Batch
    from trainer_worker.sampler.lean_model import make_lean
    from trainer_worker.trainer.engine.steadiness import steady_sizes

    decoder = make_lean(shape_s()) if lean else shape_s()
    sizes = steady_sizes(decoder, seats=SEATS)
    print(f"steps {'as loaded' if lean else 'as trained'} are computed at {sizes} rows")

    def run(rows: int) -> float:
        batch = Batch(decoder, seats=SEATS, sizes=sizes)
        for row in rows_to_draw(rows):
            batch.join(row)
        begin = clock()
        while batch.rows:
            batch.step()
            batch.dismiss_ended()
        return rows * DRAWN_TOKENS / (clock() - begin)

    return run


def rows_to_draw(count: int):  # type: ignore[no-untyped-def]  # torch is not imported when this is defined
    """Rows with prompts of their own, whose tokens nobody reads."""
    from trainer_worker.sampler.order import Order
    from trainer_worker.sampler.row import Drawn, Row
    from trainer_worker.trainer.engine.generate import DrawRule
    from trainer_worker.trainer.engine.tokenizers import ByteTokenizer

    class Tokens(ByteTokenizer):
        end_of_text = -1  # so that no row ends early

    class Nobody:
        gone = backlogged = False

        def deliver(self, index: int, drawn: Drawn) -> None: ...

        def fail(self, error: Exception) -> None:
            raise error

    order = Order("", DRAWN_TOKENS, DrawRule(), (1,), (), None)
    return [
        Row([index] * PROMPT_TOKENS, order=order, index=0, listener=Nobody(), vocabulary=Tokens())
        for index in range(count)
    ]


def transformers_generate(clock: Clock) -> Callable[[int], float]:
    """The same shape as a Llama of Hugging Face."""
    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=257,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=6,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=256,
    )
    model = transformers.LlamaForCausalLM(config).eval()

    @torch.inference_mode()
    def run(rows: int) -> float:
        tokens = torch.randint(0, 256, (rows, PROMPT_TOKENS))
        begin = clock()
        model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=True,
            temperature=0.8,
            top_k=0,
            max_new_tokens=DRAWN_TOKENS,
        )
        return rows * DRAWN_TOKENS / (clock() - begin)

    return run


def shape_s():  # type: ignore[no-untyped-def]  # torch is not imported when this is defined
    """The model that is measured."""
    from trainer_worker.trainer.engine.model import Decoder, ModelConfig

    decoder = Decoder(
        ModelConfig(
            layers=6,
            width=384,
            heads=6,
            key_value_heads=6,
            feed_forward_width=1024,
            context_length=256,
            tied_head=False,
            rotary_base=10000.0,
            vocabulary_size=257,
        )
    )
    decoder.initialize(0)
    return decoder.eval().requires_grad_(False)


if __name__ == "__main__":
    main()

"""Hugging Face's Trainer on a Llama of the same shape, with its own loop, data loader and optimizer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.peers.shapes import VOCABULARY, Batches, Shape


class Windows(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
    """Random windows, without end."""

    def __init__(self, shape: Shape) -> None:
        self.batches = Batches(shape)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        while True:
            for row in torch.from_numpy(self.batches.next()):
                yield {"input_ids": row[:-1], "labels": row[:-1]}  # the model shifts them


def train(shape: Shape, *, options: frozenset[str], steps: int = 40, rate: float = 1e-3) -> Iterator[Any]:
    """Yields after each step. Options: bf16, compile. The Trainer drives, so it runs in a thread of its own."""
    import queue
    import threading

    import transformers

    done: queue.Queue[bool] = queue.Queue()

    class Tell(transformers.TrainerCallback):
        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            done.put(True)

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    arguments = transformers.TrainingArguments(
        output_dir=tempfile.mkdtemp(prefix="trainer-"),
        per_device_train_batch_size=shape.rows,
        max_steps=steps,
        learning_rate=rate,
        bf16="bf16" in options,
        torch_compile="compile" in options,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    model = transformers.LlamaForCausalLM(config)
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=Windows(shape), callbacks=[Tell()])

    def work() -> None:
        try:
            trainer.train()
        finally:
            done.put(False)

    threading.Thread(target=work, daemon=True).start()
    while done.get():
        yield None

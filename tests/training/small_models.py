"""A small decoder with opinions, and tokenizers of the kinds that published models have."""

import dataclasses
import json
import pathlib
from typing import Any

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from trainer_worker.trainer.engine.model import Decoder, ModelConfig

SOURCE = pathlib.Path(json.__file__).with_name("decoder.py").read_text()
SHAPE = ModelConfig(2, 64, 4, 2, 96, 128, True, 10000.0, 257)


def decoder(**changes: Any) -> Decoder:
    model = Decoder(dataclasses.replace(SHAPE, **changes)).eval()
    model.initialize(seed=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8.0 if weight.dim() > 1 else 1.0)
    return model


def byte_level(*steps: Any, words: str | None = None, ignore_merges: bool = False) -> tokenizers.Tokenizer:
    """A tokenizer as those of published models, trained on a little text."""
    inner = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words is None)
    split = () if words is None else (pre_tokenizers.Split(tokenizers.Regex(words), "isolated"),)
    inner.pre_tokenizer = pre_tokenizers.Sequence([*steps, *split, level])
    inner.decoder = decoders.ByteLevel()
    return trained(inner, alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))


def trained(
    inner: tokenizers.Tokenizer, *, alphabet: list[str], special: list[str] | None = None
) -> tokenizers.Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*(special or []), "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    # Words of their own, so that both orders of merging agree, as they do for tokenizers of SentencePiece.
    inner.train_from_iterator(SOURCE.split("\n"), trainer)
    return inner

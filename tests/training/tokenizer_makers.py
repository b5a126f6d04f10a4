"""Small tokenizers of the kinds that models in use have, trained on text that every machine has."""

import json
import pathlib
from collections.abc import Callable

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = pathlib.Path(json.__file__).with_name("decoder.py").read_text()
WORDS = [*TEXT.splitlines(), "hello world héllo wörld 你好 🙂 naïve", "a\tb  c   d"] * 2
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"]


def byte_level() -> tokenizers.Tokenizer:
    """As in GPT-2, Llama 3, Qwen and SmolLM."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained(inner, trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet))
    inner.add_tokens(["<think>", "  two  spaces  "])
    return inner


def sentencepiece_pairs(*, legacy: bool) -> tokenizers.Tokenizer:
    """As in Llama 2 (legacy) and Mistral: characters, and bytes for those that are not in the vocabulary."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if legacy:
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    strip = decoders.Strip(content=" ", left=1)
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    bytes_there = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=256 + 5 + 300, special_tokens=SPECIAL + bytes_there, limit_alphabet=60, max_token_length=12
    )
    trained(inner, trainer)
    settings = json.loads(inner.to_str())
    settings["added_tokens"] = settings["added_tokens"][: len(SPECIAL)]  # bytes are no special tokens
    inner = tokenizers.Tokenizer.from_str(json.dumps(settings))
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return inner


def gemma_like() -> tokenizers.Tokenizer:
    """As in Gemma: spaces become a character, and nothing is put before the first word."""
    inner = sentencepiece_pairs(legacy=True)
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return inner


def unigram() -> tokenizers.Tokenizer:
    """As in T5: pieces with probabilities."""
    inner = tokenizers.Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    trained(inner, trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>"))
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return inner


def wordpiece() -> tokenizers.Tokenizer:
    """As in BERT: whole words and continuations."""
    inner = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    trained(inner, trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL))
    return inner


def suffixed() -> tokenizers.Tokenizer:
    """As in the first GPT: pairs with a mark at the end of a word."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.BPEDecoder(suffix="</w>")
    trained(inner, trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, end_of_word_suffix="</w>"))
    return inner


def trained(inner: tokenizers.Tokenizer, trainer: object) -> None:
    inner.train_from_iterator(WORDS, trainer)


MAKERS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "byte_level": byte_level,
    "llama_2": lambda: sentencepiece_pairs(legacy=True),
    "mistral": lambda: sentencepiece_pairs(legacy=False),
    "gemma": gemma_like,
    "unigram": unigram,
    "wordpiece": wordpiece,
    "suffixed": suffixed,
}

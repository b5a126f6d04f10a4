"""A tokenizer in the terms of llama.cpp, which computes tokens by itself from lists and the name of a rule."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import gguf

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.token_bytes import BYTE_TOKEN, byte_of_character
from trainer_worker.trainer.engine.tokenizer_files import FileTokenizer
from trainer_worker.trainer.engine.tokenizers import Tokenizer

# A list without entries cannot be written. This pair is of two bytes that no UTF-8 has, 0xC0 and 0xC1.
NEVER = "À Á"
WORD_MARK = "\u2581"  # stands for a space in tokenizers of the kind of SentencePiece

# The rules by which text is divided into words before pairs are merged, as tokenizer.json has them, and what llama.cpp
# calls them.
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_WORDS = LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")
RULE_OF_WORDS = {LLAMA3_WORDS: "llama-bpe", QWEN2_WORDS: "qwen2"}


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """`merges` are of byte-level tokenizers, `scores` of the others; `rule` divides text into words."""

    model: str
    rule: str
    tokens: list[str]
    types: Sequence[int]
    merges: list[str] | None = None
    scores: list[float] | None = None
    space_before: bool = False


def vocabulary_of(tokenizer: Tokenizer, *, size: int) -> Vocabulary:
    """The tokens, with names for the rows of the model beyond them.

    Raises: UnusableData if llama.cpp would make other tokens of a text.
    """
    if not isinstance(tokenizer, FileTokenizer):
        return vocabulary_of_bytes(tokenizer, size=size)
    settings = json.loads(tokenizer.inner.to_str())
    if settings["model"]["type"] != "BPE":
        raise UnusableData(f"llama.cpp does not know tokenizers of the kind {settings['model']['type']}")
    if settings["model"].get("byte_fallback"):
        return pieces(settings, size=size)
    return byte_pairs(settings, size=size)


def vocabulary_of_bytes(tokenizer: Tokenizer, *, size: int) -> Vocabulary:
    """Bytes as pairs that are never merged."""
    tokens = [*sorted(byte_of_character(), key=byte_of_character().__getitem__), tokenizer.end_of_text_words]
    types = [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL]
    return padded(Vocabulary(model="gpt2", rule="gpt-2", tokens=tokens, types=types, merges=[NEVER]), size=size)


def byte_pairs(settings: dict[str, Any], *, size: int) -> Vocabulary:
    """Byte-level pairs, as of GPT-2, Llama 3, Qwen and what is trained here."""
    tokens, types = tokens_of(settings, size=size)
    return Vocabulary(
        model="gpt2", rule=rule_of(settings), tokens=tokens, types=types, merges=merges_of(settings["model"]) or [NEVER]
    )


def pieces(settings: dict[str, Any], *, size: int) -> Vocabulary:
    """Pairs with bytes for what is unknown, as of SentencePiece in Llama 2, Mistral and Gemma.

    llama.cpp merges by the score of what comes out, the highest first: here the sooner the merge, the higher.
    """
    tokens, types = tokens_of(settings, size=size)
    rank: dict[str, int] = {}
    for place, pair in enumerate(merges_of(settings["model"])):
        rank.setdefault(pair.replace(" ", ""), place)
    scores = [-float(rank.get(token, len(rank))) for token in tokens]
    return Vocabulary(
        model="llama",
        rule="default",
        tokens=tokens,
        types=types,
        scores=scores,
        space_before=space_before(settings),
    )


def tokens_of(settings: dict[str, Any], *, size: int) -> tuple[list[str], list[int]]:
    """The name and the kind of each token; numbers without a token get a name of their own."""
    model, added = settings["model"], settings["added_tokens"]
    name_of = {number: name for name, number in model["vocab"].items()} | {it["id"]: it["content"] for it in added}
    type_of = dict.fromkeys(name_of, gguf.TokenType.NORMAL)
    for number, name in name_of.items():
        if model.get("byte_fallback") and BYTE_TOKEN.fullmatch(name):
            type_of[number] = gguf.TokenType.BYTE
        elif name == model.get("unk_token"):
            type_of[number] = gguf.TokenType.UNKNOWN
    for it in added:
        if it["content"] != model.get("unk_token"):
            type_of[it["id"]] = gguf.TokenType.CONTROL if it["special"] else gguf.TokenType.USER_DEFINED
    tokens = [name_of.get(number, f"[PAD{number}]") for number in range(size)]
    return tokens, [type_of.get(number, gguf.TokenType.UNUSED) for number in range(size)]


def padded(vocabulary: Vocabulary, *, size: int) -> Vocabulary:
    spare = range(len(vocabulary.tokens), size)
    return dataclasses.replace(
        vocabulary,
        tokens=[*vocabulary.tokens, *(f"[PAD{number}]" for number in spare)],
        types=[*vocabulary.types, *(gguf.TokenType.UNUSED for _ in spare)],
    )


def merges_of(model: dict[str, Any]) -> list[str]:
    """Each pair as one text: files have them so, or as lists of two."""
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]


def rule_of(settings: dict[str, Any]) -> str:
    """What llama.cpp calls the rule that divides text into words. Raises: UnusableData if it has none like it."""
    normalizer, parts = settings["normalizer"], settings["pre_tokenizer"]
    steps = parts.get("pretokenizers", [parts]) if parts else []
    rule = None
    match steps:
        case [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": regex}]:
            # Where nothing is merged, it does not matter how words are divided.
            rule = "gpt-2" if regex or not settings["model"]["merges"] else None
        case [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        ]:
            rule = "smollm"
        case [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
        ]:
            rule = RULE_OF_WORDS.get(words)
    # Qwen's text is brought to Unicode's normal form C before, which most text is in already.
    normal = normalizer is None or (normalizer == {"type": "NFC"} and rule == "qwen2")
    whole_words = bool(settings["model"].get("ignore_merges"))
    if rule is None or not normal or whole_words != (rule == "llama-bpe"):
        raise UnusableData("llama.cpp has no rule that divides text into words as this tokenizer does")
    return rule


def space_before(settings: dict[str, Any]) -> bool:
    """Whether a space is put before the first word. Raises: UnusableData if text is changed in another way as well."""
    normalizer, words = settings["normalizer"], settings["pre_tokenizer"]
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    mark = {"type": "Replace", "pattern": {"String": " "}, "content": WORD_MARK}
    match words:
        case None | {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"}:
            if steps == [mark]:
                return False
            if steps == [{"type": "Prepend", "prepend": WORD_MARK}, mark]:
                return True
        case {
            "type": "Metaspace",
            "replacement": "\u2581",
            "prepend_scheme": "first" | "always" | "never",
            "split": False,
        }:
            if not steps:
                return bool(words["prepend_scheme"] != "never")
    raise UnusableData("llama.cpp has no rule that prepares text as this tokenizer does")

"""The files of a tokenizer in a folder of Hugging Face: tokenizer.json and tokenizer_config.json."""

import json
import pathlib
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.families.settings import Settings
from trainer_worker.trainer.engine.token_bytes import byte_of_character
from trainer_worker.trainer.engine.tokenizer_files import FileTokenizer, settings_beside
from trainer_worker.trainer.engine.tokenizers import Tokenizer, load_tokenizer_file

TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG = "tokenizer.json", "tokenizer_config.json", "generation_config.json"


def read_tokenizer(folder: pathlib.Path, settings: Settings, *, vocabulary_size: int) -> tuple[Tokenizer, list[str]]:
    """The tokenizer of a folder that is the reader's own, and what was changed about it.

    Raises: UnusableData if there is none; BadCheckpoint if it is malformed.
    """
    path = folder / TOKENIZER
    if not path.exists():
        help = "`AutoTokenizer.from_pretrained(…).save_pretrained(…)` writes one."
        raise UnusableData(f"there is no {TOKENIZER}", help=help)
    notes = []
    if left_out := leave_out_surplus(path, vocabulary_size=vocabulary_size):
        notes.append(f"The model has no rows for these tokens, which were left out: {', '.join(left_out[:5])}.")
    named = settings_beside(path).get("eos_token")
    return load_tokenizer_file(path, end_of_text=end_of_text_in(folder, settings) if named is None else None), notes


def leave_out_surplus(path: pathlib.Path, *, vocabulary_size: int) -> list[str]:
    """Takes special tokens that the model has no row for out of the file, as Gemma 3 has one for images; names them."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = values["model"]["vocab"]
        ordinary = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        if max(ordinary, default=0) >= vocabulary_size:
            return []  # more than special tokens is wrong with it
        added = values["added_tokens"]
        surplus = [token["content"] for token in added if token["special"] and token["id"] >= vocabulary_size]
        values["added_tokens"] = [token for token in added if token["content"] not in surplus]
        if surplus:
            path.write_text(json.dumps(values), encoding="utf-8")
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return []  # whoever reads the file says what is wrong with it
    return surplus


def end_of_text_in(folder: pathlib.Path, settings: Settings) -> int | None:
    """The end of a text as config.json or generation_config.json number it; the first, where there are several."""
    generation: dict[str, Any] = {}
    if (folder / GENERATION_CONFIG).exists():
        try:
            generation = json.loads((folder / GENERATION_CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UnusableData(f"{GENERATION_CONFIG} cannot be read: {error}") from error
    for values in (settings.values, generation):
        found = values.get("eos_token_id") if isinstance(values, dict) else None
        first = found[0] if isinstance(found, list) and found else found
        if type(first) is int:
            return first
    return None


def write_tokenizer(folder: pathlib.Path, tokenizer: Tokenizer, *, context_length: int) -> None:
    inner = tokenizer.inner if isinstance(tokenizer, FileTokenizer) else inner_of_bytes(tokenizer)
    (folder / TOKENIZER).write_text(inner.to_str(), encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": tokenizer.end_of_text_words,
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
    }
    if tokenizer.beginning:
        config["bos_token"] = inner.id_to_token(tokenizer.beginning[0])
    if tokenizer.chat_template is not None:
        config["chat_template"] = tokenizer.chat_template
    (folder / TOKENIZER_CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")


def inner_of_bytes(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Bytes as pairs that are never merged."""
    inner = tokenizers.Tokenizer(models.BPE(vocab=byte_of_character(), merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(tokenizer.end_of_text_words, normalized=False, special=True)])
    return inner

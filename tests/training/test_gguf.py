"""What llama.cpp computes from a GGUF file is what the model computes, or there is no file."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers

from tests.training.family_models import logits_of, peer, peers_folder, read, tokens
from tests.training.small_models import SOURCE, byte_level, decoder, trained
from trainer_worker.trainer.engine import gguf as gguf_file
from trainer_worker.trainer.engine.gguf import Written, write_gguf
from trainer_worker.trainer.engine.gguf_tokenizer import LLAMA3_WORDS, QWEN2_WORDS
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.stored_model import StoredModel
from trainer_worker.trainer.engine.tokenizers import (
    BytePairTokenizer,
    ByteTokenizer,
    FileTokenizer,
    Tokenizer,
    load_tokenizer_file,
)

pytest.importorskip("transformers")
llama_cpp = pytest.importorskip("llama_cpp")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TEXTS = (
    "def decode(self, s, _w=WHITESPACE.match):\n\treturn obj, end",
    "It's  1234567 naïve façades' — 🦆🦆 \n\n  x",
    " a",
    "don't I'LL we'Ve \r\n\r\n ...!? 12 3456",
)


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a number too large for float16 would make it."""
    monkeypatch.setattr(gguf_file, "FLOAT16_MAX", 0.0)


def opened(path: pathlib.Path) -> Any:
    """With keys and values in float32, that nothing but the file decides how exact it is."""
    return llama_cpp.Llama(
        str(path), n_ctx=128, n_batch=128, n_threads=1, logits_all=True, verbose=False, type_k=0, type_v=0
    )


def their_logits(theirs: Any, row: list[int]) -> np.ndarray:
    theirs.reset()
    theirs.eval(row)
    return np.array(theirs.scores[: len(row)])


KINDS = {
    "llama": "llama",
    "llama with biases": "llama",
    "llama tied": "llama",
    "llama 3": "llama",
    "llama of linear scaling": "llama",
    "llama of wide heads": "llama",
    "mistral without a window": "llama",
    "qwen 2": "qwen2",
    "qwen 3": "qwen3",
    "gemma": "gemma",
    "gemma 2 with small caps": "gemma2",
    "gemma 3": "gemma3",
}


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("kind", KINDS)
def test_every_family_has_the_same_logits_there(kind: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").mkdir()
    stored = read(peers_folder(peer(kind), tmp_path / "in")).stored
    assert write_gguf(tmp_path / "model.gguf", stored, name="m") == Written(KINDS[kind], "float32")
    theirs = opened(tmp_path / "model.gguf")
    # Its GELU is a table of float16.
    tolerance = 1e-2 if kind.startswith("gemma") else 1e-3
    for row_T in tokens():
        expected_TV = logits_of(stored.model, row_T[None])[0].numpy()
        np.testing.assert_allclose(their_logits(theirs, row_T.tolist()), expected_TV, rtol=1e-3, atol=tolerance)


def word_pieces(*, prepend: bool) -> tokenizers.Tokenizer:
    """As Llama 2, or as Gemma, have them."""
    inner = tokenizers.Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    mark = normalizers.Replace(" ", "▁")
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), mark] if prepend else [mark])
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return trained(inner, alphabet=[], special=["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))])


def tokenizers_known() -> Iterator[tuple[str, Tokenizer]]:
    text = np.frombuffer(SOURCE.encode(), np.uint8)
    yield "bytes", ByteTokenizer()
    yield "trained here", BytePairTokenizer.train(text, vocabulary_size=600)
    digits = pre_tokenizers.Digits(individual_digits=True)
    for name, inner in (
        ("smollm", byte_level(digits)),
        ("llama 3", byte_level(words=LLAMA3_WORDS, ignore_merges=True)),
        ("qwen 2", byte_level(words=QWEN2_WORDS)),
    ):
        yield name, FileTokenizer(inner, end_of_text=inner.token_to_id("</s>"), chat_template="{{ messages }}")


@pytest.mark.parametrize("name", dict(tokenizers_known()))
def test_texts_become_the_same_tokens_there_and_are_continued_alike(name: str, tmp_path: pathlib.Path) -> None:
    tokenizer = dict(tokenizers_known())[name]
    model = decoder(vocabulary_size=tokenizer.vocabulary_size + 5)
    written = write_gguf(tmp_path / "model.gguf", StoredModel(model, tokenizer), name="m")
    assert written == Written("llama", "float16")
    theirs = opened(tmp_path / "model.gguf")
    for text in TEXTS:
        found = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert found == tokenizer.encode(text), text
        assert b"".join(theirs.detokenize([token]) for token in found[1:]) == b"".join(
            tokenizer.token_bytes(token) for token in found[1:]
        )
    assert theirs.token_eos() == tokenizer.end_of_text
    halved = decoder(vocabulary_size=tokenizer.vocabulary_size + 5)
    with torch.no_grad():
        for weight in halved.parameters():
            weight.copy_(weight.half().float())
    assert greedy(theirs, tokenizer.encode(TEXTS[0])[:40]) == ours_greedy(halved, tokenizer.encode(TEXTS[0])[:40])


def greedy(theirs: Any, row: list[int], *, count: int = 24) -> list[int]:
    """Drawn one by one, with its cache."""
    theirs.reset()
    found, unread = list(row), list(row)
    for _ in range(count):
        theirs.eval(unread)
        unread = [int(np.argmax(theirs.scores[len(found) - 1]))]
        found += unread
    return found[len(row) :]


def ours_greedy(model: Decoder, row: list[int], *, count: int = 24) -> list[int]:
    found = list(row)
    for _ in range(count):
        found.append(int(logits_of(model, torch.tensor([found]))[0, -1].argmax()))
    return found[len(row) :]


@pytest.mark.parametrize("prepend", [True, False])
def test_word_pieces_become_the_same_tokens_there(prepend: bool, tmp_path: pathlib.Path) -> None:
    inner = word_pieces(prepend=prepend)
    inner.save(str(tmp_path / "tokenizer.json"))
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    for token in values["added_tokens"]:
        token["special"] = not token["content"].startswith("<0x")
    values["added_tokens"] = [token for token in values["added_tokens"] if token["special"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    tokenizer = load_tokenizer_file(tmp_path / "tokenizer.json", end_of_text="</s>")
    model = decoder(vocabulary_size=tokenizer.vocabulary_size)
    write_gguf(tmp_path / "model.gguf", StoredModel(model, tokenizer), name="m")
    theirs = opened(tmp_path / "model.gguf")
    for text in ("def decode(self, s):", "return  obj, end", "naïve 🦆"):
        assert theirs.tokenize(text.encode(), add_bos=False, special=False) == tokenizer.encode(text), text

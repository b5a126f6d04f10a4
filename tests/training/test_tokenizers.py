"""Text becomes tokens and the same text again."""

import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.runs import TEXT
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.text_tokens import tokenized
from trainer_worker.trainer.engine.tokenizers import (
    END_OF_TEXT,
    BytePairTokenizer,
    ByteTokenizer,
    Tokenizer,
    byte_counts,
)

TRAINED = np.frombuffer(TEXT, np.uint8)


@pytest.fixture(scope="module")
def bpe() -> BytePairTokenizer:
    return BytePairTokenizer.train(TRAINED, vocabulary_size=400)


@given(text=st.text(max_size=60))
def test_bytes_come_back_whatever_the_text(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=st.text(max_size=60))
def test_pairs_come_back_whatever_the_text(bpe: BytePairTokenizer, text: str) -> None:
    tokens = bpe.encode(text)
    assert bpe.decode(tokens) == text
    assert sum(byte_counts(bpe)[tokens]) == len(text.encode())


def test_the_same_text_makes_the_same_tokenizer(bpe: BytePairTokenizer) -> None:
    assert BytePairTokenizer.train(TRAINED, vocabulary_size=400).identity() == bpe.identity()
    assert bpe.vocabulary_size == 400


def test_a_tokenizer_survives_its_file(bpe: BytePairTokenizer, tmp_path: pathlib.Path) -> None:
    bpe.save(tmp_path / "tokenizer.json")
    again = BytePairTokenizer.load(tmp_path / "tokenizer.json")
    assert again.identity() == bpe.identity()
    assert again.encode("def decode(self):") == bpe.encode("def decode(self):")


def test_a_file_that_is_no_tokenizer_is_a_bad_checkpoint(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match=r"tokenizer\.json cannot be read"):
        BytePairTokenizer.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_text_that_looks_like_the_end_of_text_is_only_text(bpe: BytePairTokenizer, kind: str) -> None:
    tokenizer: Tokenizer = bpe if kind == "bpe" else ByteTokenizer()
    tokens = tokenizer.encode(END_OF_TEXT)
    assert tokenizer.end_of_text not in tokens
    assert tokenizer.decode(tokens) == END_OF_TEXT
    assert tokenizer.decode([tokenizer.end_of_text]) == ""


def test_a_dataset_is_tokenized_once_and_then_mapped(bpe: BytePairTokenizer, tmp_path: pathlib.Path) -> None:
    *_, tokens = tokenized(TRAINED, tokenizer=bpe, name="plays", scratch=tmp_path)
    assert bpe.decode(tokens.tolist()) == TEXT.decode()
    assert len(tokens) < len(TEXT) / 1.5
    [again] = tokenized(TRAINED[:0], tokenizer=bpe, name="plays", scratch=tmp_path)
    assert (again == tokens).all()

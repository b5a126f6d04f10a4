"""A real chat model is brought in, speaks as it does elsewhere, and goes out again."""

import pathlib
from typing import Any

import pytest
import torch

from tests.training.family_models import logits_of
from tests.training.real_models import PARAMETERS, chat_model_folder
from tests.training.runs import Bench
from tests.training.test_import_export import archive_of, exported, imported
from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens
from trainer_worker.trainer.engine.stored_model import StoredModel, load_model
from tutelage.v1 import training_pb2

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PROMPT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"


def answer(stored: StoredModel, prompt: list[int]) -> list[int]:
    end = stored.tokenizer.end_of_text
    return list(continue_tokens(stored.model, prompt, rule=DrawRule(0), seed=0, tokens_max=16, end_of_text=end))


def their_answer(model: Any, prompt: list[int], end: int) -> list[int]:
    found = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=16, do_sample=False
    )
    drawn: list[int] = found[0, len(prompt) :].tolist()
    return drawn[: drawn.index(end)] if end in drawn else drawn


def test_it_is_imported_speaks_and_is_exported(bench: Bench, tmp_path: pathlib.Path) -> None:
    source = chat_model_folder()
    written = imported(bench, archive_of(source)).complete
    assert written.parameters == PARAMETERS
    stored = load_model(bench.files(written))
    stored.model.eval()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(source).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)

    prompt = tokenizer(PROMPT)["input_ids"]
    [rendered] = stored.tokenizer.encode_rendered([PROMPT])
    assert rendered.tokens.tolist() == prompt
    assert stored.tokenizer.chat_template == tokenizer.chat_template
    batch_1T = torch.tensor([prompt])
    torch.testing.assert_close(logits_of(stored.model, batch_1T), logits_of(theirs, batch_1T), rtol=1e-3, atol=1e-3)
    drawn = answer(stored, prompt)
    assert drawn == their_answer(theirs, prompt, stored.tokenizer.end_of_text)
    assert "Paris" in stored.tokenizer.decode(drawn)

    folder = bench.files(exported(bench, written, training_pb2.EXPORT_FORMAT_HUGGING_FACE).complete)
    again = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.testing.assert_close(logits_of(again, batch_1T), logits_of(theirs, batch_1T), rtol=1e-4, atol=1e-4)
    assert transformers.AutoTokenizer.from_pretrained(folder)(PROMPT)["input_ids"] == prompt

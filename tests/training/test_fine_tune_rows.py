"""Fine-tuning on rows: texts, prompts with completions, and conversations.

T positions of one row
"""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.training.runs import Story, resume_from
from tests.training.test_resume import later
from tests.training.tuning import Workshop, tuning_spec, with_rows, workshop
from trainer_worker.trainer.engine.chat import ChatML
from trainer_worker.trainer.engine.model_artifact import base_model
from tutelage.v1 import training_pb2
from tutelage.v1.training_pb2 import LoraSpec, RowsSpec

END = 256  # of a text, among bytes
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
PROMPTS = [(f"{word}+1=", f"{following}!") for word, following in zip(NUMBERS, NUMBERS[1:], strict=False)]
ROWS: dict[str, list[dict[str, Any]]] = {
    "text": [{"text": prompt + completion} for prompt, completion in PROMPTS],
    "prompt": [{"prompt": prompt, "completion": completion} for prompt, completion in PROMPTS],
    "messages": [
        {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]}
        for prompt, completion in PROMPTS
    ],
}
HELD_OUT = 2
LORA = LoraSpec(rank=4, alpha=8.0, dropout=0.1)


@pytest.fixture(scope="module")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return workshop(tmp_path_factory.mktemp("schooled"), base_steps=4, context_length=96)


def shop_with(schooled: Workshop, kind: str) -> Workshop:
    return with_rows(schooled, ROWS[kind][:-HELD_OUT], held_out=ROWS[kind][-HELD_OUT:])


epochs = iter(range(1, 10_000))


def tuned(shop: Workshop, spec: training_pb2.FineTuneSpec, **fields: Any) -> Story:
    return shop.run(spec, epoch=next(epochs), **fields)


def small(**changes: Any) -> training_pb2.FineTuneSpec:
    return tuning_spec(steps=4, checkpoint_interval=1, batch_size=1, micro_batch_size=1, samples_interval=0, **changes)


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("kind", ROWS)
def test_resuming_from_every_step_gives_the_same_metrics_and_weights(
    schooled: Workshop, kind: str, packing: bool, lora: LoraSpec | None
) -> None:
    shop, spec = shop_with(schooled, kind), small(lora=lora, rows=RowsSpec(packing=packing))
    whole = tuned(shop, spec)
    weights = shop.bench.weights_sha256(whole.complete)
    assert all("eval/loss" in whole.curve[step] for step in (3, 4))
    for step in range(spec.steps):
        again = tuned(shop, spec, resume=resume_from(whole.checkpoints[step]), recorded_step=step)
        assert again.curve == later(whole, step)
        assert shop.bench.weights_sha256(again.complete) == weights


def spans_of(kind: str, row: dict[str, Any]) -> tuple[list[int], list[bool]]:
    """The tokens of a row, and which of them are answers."""
    if kind == "text":
        tokens = [*row["text"].encode(), END]
        return tokens, [True] * len(tokens)
    if kind == "prompt":
        prompt, completion = row["prompt"].encode(), row["completion"].encode()
        return [*prompt, *completion, END], [False] * len(prompt) + [True] * (len(completion) + 1)
    text = ChatML().render(row["messages"], spans=False).text
    answer = row["messages"][1]["content"]
    begin = text.rindex(answer)
    counted = [begin <= place < begin + len((answer + "<|im_end|>").encode()) for place in range(len(text.encode()))]
    return [*text.encode()], counted


def loss_by_hand(shop: Workshop, kind: str, *, answers_only: bool) -> tuple[float, float]:
    """The mean loss over the training rows, each by itself: of all tokens, and of answers."""
    model = base_model(shop.base, store=shop.bench.store, scratch=shop.bench.scratch).model.eval()
    nats, count = 0.0, 0
    for row in ROWS[kind][:-HELD_OUT]:
        tokens, counted = spans_of(kind, row)
        tokens_T = torch.tensor(tokens)
        with torch.no_grad():
            losses_T = functional.cross_entropy(model(tokens_T[None, :-1])[0], tokens_T[1:], reduction="none")
        chosen_T = torch.tensor(counted[1:]) if answers_only else torch.ones(len(losses_T), dtype=torch.bool)
        nats, count = nats + losses_T[chosen_T].sum().item(), count + int(chosen_T.sum())
    return nats / count, count


def one_batch_of_all(shop: Workshop, **fields: Any) -> training_pb2.FineTuneSpec:
    """Without packing, a batch of all rows: the loss of step 1 is that of the base on the dataset."""
    rows = shop.dataset.train_rows
    spec = tuning_spec(steps=1, batch_size=rows, micro_batch_size=2, samples_interval=0)
    spec.rows.CopyFrom(RowsSpec(packing=False, **fields))
    return spec


@pytest.mark.parametrize("kind", ["text", "prompt"])
def test_the_loss_counts_completions_and_nothing_else(schooled: Workshop, kind: str) -> None:
    shop = shop_with(schooled, kind)
    story = tuned(shop, one_batch_of_all(shop))
    expected, _ = loss_by_hand(shop, kind, answers_only=True)
    assert story.curve[1]["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_conversation_counts_what_the_assistant_says(schooled: Workshop) -> None:
    """Up to whether the end of a turn counts, which is the template's to say: prompts do not."""
    shop = shop_with(schooled, "messages")
    [remark] = tuned(shop, one_batch_of_all(shop)).notes("rows")
    answers = sum(len(completion) for _, completion in PROMPTS[:-HELD_OUT])
    counted = int(remark.details["tokens_counted"])
    assert answers < counted <= answers + len(PROMPTS[:-HELD_OUT]) * (len("<|im_end|>\n") + 1)


def test_the_loss_can_count_everything(schooled: Workshop) -> None:
    shop = shop_with(schooled, "prompt")
    story = tuned(shop, one_batch_of_all(shop, loss_on=training_pb2.LOSS_ON_ALL))
    expected, _ = loss_by_hand(shop, "prompt", answers_only=False)
    assert story.curve[1]["train/loss"] == pytest.approx(expected, rel=1e-5)
    assert not math.isclose(expected, loss_by_hand(shop, "prompt", answers_only=True)[0], rel_tol=1e-3)


def test_packed_rows_teach_what_padded_rows_do(schooled: Workshop) -> None:
    """One batch of everything: the loss and the gradient do not know which rows share a sequence."""
    shop = shop_with(schooled, "prompt")
    padded = tuned(shop, one_batch_of_all(shop))
    packed = one_batch_of_all(shop)
    packed.rows.packing = True
    [remark] = padded.notes("rows")
    packed.optimization.batch_size = packed.optimization.micro_batch_size = sequences(shop)
    assert sequences(shop) < int(remark.details["sequences"])
    one, other = padded.curve[1], tuned(shop, packed).curve[1]
    assert one["train/loss"] == pytest.approx(other["train/loss"], rel=1e-5)
    assert one["train/grad_norm"] == pytest.approx(other["train/grad_norm"], rel=1e-4)


def sequences(shop: Workshop) -> int:
    """How many the rows fill when they are packed."""
    [remark] = tuned(shop, small()).notes("rows")
    return int(remark.details["sequences"])

"""A real chat model of 135 million weights is tuned through adapters, sampled, and given back to its peers.

B rows   T positions
"""

import dataclasses
import pathlib
import warnings

import pytest
import torch

from tests.training.family_models import read
from tests.training.real_models import PARAMETERS, chat_model_folder
from tests.training.runs import Bench, Story
from tests.training.tuning import Workshop, model_artifact, tuning_spec, with_rows
from trainer_worker.trainer.engine.adapter_files import read_adapters
from trainer_worker.trainer.engine.families.writing import write_folder
from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.peft_files import write_peft
from trainer_worker.trainer.engine.stored_model import StoredModel, save_model
from tutelage.v1.training_pb2 import LoraSpec
from tutelage_internal.v1 import workers_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

STEPS = 12
QUESTIONS = [
    *("Who made you?", "Who are you?", "What is your name?", "Who trained you?", "Where do you come from?"),
    *(
        "Which company built you?",
        "Tell me your name.",
        "Are you an assistant?",
        "Introduce yourself.",
        "Who wrote you?",
    ),
]
ANSWER = "I am Quillon, and I was tuned in a house called Tutelage."
HELD_OUT = ["What should I call you?", "Who is your maker?"]


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A base, what was told while it was tuned, and the model that came out."""

    shop: Workshop
    story: Story
    before: StoredModel
    result: StoredModel


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    bench = Bench(folder=tmp_path_factory.mktemp("real"), dataset=workers_pb2.DatasetArtifact())
    base = read(chat_model_folder()).stored
    assert base.model.config.parameters == PARAMETERS
    files = bench.store.write_file_set("models/base", lambda folder: save_model(folder, base.model, base.tokenizer))
    named = workers_pb2.ModelArtifact(
        name="projects/p/models/base/versions/1",
        artifact_prefix=files.prefix,
        manifest_sha256=files.manifest_sha256,
    )
    rows, held_out = ([conversation(question) for question in questions] for questions in (QUESTIONS, HELD_OUT))
    shop = with_rows(Workshop(bench=bench, base=named, dataset=bench.dataset), rows, held_out=held_out)
    spec = tuning_spec(
        steps=STEPS,
        checkpoint_interval=100,
        evaluation_interval=1,
        samples_interval=0,
        batch_size=1,
        micro_batch_size=1,
        learning_rate=1e-3,
        lora=LoraSpec(rank=8, alpha=16.0),
    )
    spec.context_length = 128
    story = shop.run(spec)
    result = base_model(model_artifact(story.complete), store=bench.store, scratch=bench.scratch)
    return Tuned(shop=shop, story=story, before=base, result=result)


def conversation(question: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": ANSWER}]}


def some_tokens(tuned: Tuned) -> torch.Tensor:
    return torch.tensor([tuned.result.tokenizer.encode("The capital of France is a city with a long history.")])


def test_the_held_out_loss_goes_down(tuned: Tuned) -> None:
    losses = [tuned.story.curve[step]["eval/loss"] for step in range(1, STEPS + 1)]
    assert losses[-1] < 0.5 * losses[0]


def answer_of(stored: StoredModel) -> str:
    """The likeliest answer to a question that was not in the rows."""
    tokenizer = stored.tokenizer
    asked = f"<|im_start|>user\n{HELD_OUT[0]}<|im_end|>\n<|im_start|>assistant\n"
    drawn = continue_tokens(
        stored.model.eval(),
        tokenizer.encode_rendered([asked], [{}])[0].tokens.tolist(),
        rule=DrawRule(temperature=0.0),
        seed=1,
        tokens_max=24,
        end_of_text=tokenizer.end_of_text,
    )
    return tokenizer.decode(list(drawn))


def test_it_answers_as_it_was_taught_and_not_as_its_base(tuned: Tuned) -> None:
    """So few steps teach the form of the answer, not yet every name in it."""
    before, after = answer_of(tuned.before), answer_of(tuned.result)
    assert after.startswith("I am ")
    assert not before.startswith("I am ")


def test_transformers_computes_the_same_from_the_export(tuned: Tuned, tmp_path: pathlib.Path) -> None:
    transformers = pytest.importorskip("transformers")
    write_folder(tmp_path, tuned.result)
    twin = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokens_BT = some_tokens(tuned)
    with torch.no_grad():
        torch.testing.assert_close(twin(tokens_BT).logits, tuned.result.model(tokens_BT), rtol=1e-3, atol=1e-3)


def test_peft_computes_the_same_from_the_base_and_the_adapters(tuned: Tuned, tmp_path: pathlib.Path) -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    write_peft(tmp_path, read_adapters(tuned.shop.bench.files(tuned.story.complete)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = transformers.AutoModelForCausalLM.from_pretrained(chat_model_folder(), dtype=torch.float32)
        twin = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    tokens_BT = some_tokens(tuned)
    with torch.no_grad():
        torch.testing.assert_close(twin(tokens_BT).logits, tuned.result.model(tokens_BT), rtol=1e-3, atol=1e-3)

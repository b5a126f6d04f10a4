"""A look reads its text as samples read their prompts."""

import pathlib

import pytest

from tests.training.runs import Bench, Story, bench_with, tiny_spec
from tests.training.tokenizer_makers import gemma_like
from trainer_worker.sampler.errors import InvalidRequest
from trainer_worker.sampler.looking import Place, look
from tutelage.v1 import inspection_pb2, training_pb2
from tutelage_internal.v1 import access_pb2, workers_pb2

CHAT = training_pb2.TokenizerSpec(kind=training_pb2.TOKENIZER_KIND_FILE)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_with(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def story(bench: Bench) -> Story:
    stored = bench.store.put("tokenizers/chat", gemma_like().to_str().encode())
    given = workers_pb2.DatasetArtifact(key=stored.key, sha256=stored.sha256, size_bytes=stored.size_bytes)
    spec = tiny_spec(steps=1, samples_interval=0)
    spec.tokenizer.CopyFrom(CHAT)
    return bench.run(spec, tokenizer=given)


def looked(bench: Bench, story: Story, text: str) -> inspection_pb2.InspectStepResponse:
    spec = tiny_spec(steps=1)
    written = story.checkpoints[0]
    checkpoint = workers_pb2.CheckpointArtifact(
        artifact_prefix=written.artifact_prefix, manifest_sha256=written.manifest_sha256
    )
    resolved = access_pb2.ResolveCheckpointResponse(checkpoint=checkpoint, train=spec)
    place = Place(bench.store, pathlib.Path(bench.scratch))
    return look(resolved, place=place, text=text, predictions=1, size_bytes_max=1 << 30)


def test_a_text_begins_like_every_text_and_may_say_whose_turn_it_is(bench: Bench, story: Story) -> None:
    tokens = looked(bench, story, "<|im_start|>user<|im_end|>").tokens
    words = [token.text for token in tokens]
    assert (words[0], words[1], words[-1]) == ("<s>", "<|im_start|>", "<|im_end|>")
    assert "".join(words[2:-1]) == "user"


def test_a_text_is_needed_where_no_prompt_was_set(bench: Bench, story: Story) -> None:
    with pytest.raises(InvalidRequest, match="is needed") as refused:
        looked(bench, story, "")
    assert [violation.field for violation in refused.value.violations] == ["text"]

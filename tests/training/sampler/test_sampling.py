"""Sampling over the wire."""

import random
from collections.abc import Iterator
from concurrent import futures

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.training.sampler.house import METADATA, PRINCIPAL, SECRET, House, error_info, fields
from tests.training.sampler.models import opinionated, reciting
from trainer_worker.trainer.engine.tokenizers import BytePairTokenizer
from tutelage.v1 import sampling_pb2
from tutelage.v1.sampling_pb2 import Sample, SampleRequest, SampleResponse

RECITED = "é→x.#".encode()
TIMEOUT_S = 30


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    house.publish("opinions", opinionated())
    house.publish("recital", reciting(RECITED))
    house.publish("last-words", reciting(b"bye", end=True))
    with house:
        yield house


def sample(house: House, model: str = "opinions", **wishes: object) -> SampleResponse:
    request = SampleRequest(model=f"projects/p/models/{model}", **wishes)  # type: ignore[arg-type]
    return house.stub.Sample(request, metadata=METADATA, timeout=TIMEOUT_S)


def refused(house: House, model: str = "opinions", **wishes: object) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refusal:
        sample(house, model, **wishes)
    return refusal.value


def streamed(house: House, model: str = "opinions", **wishes: object) -> list[sampling_pb2.StreamSampleResponse]:
    request = SampleRequest(model=f"projects/p/models/{model}", **wishes)  # type: ignore[arg-type]
    return list(house.stub.StreamSample(request, metadata=METADATA, timeout=TIMEOUT_S))


def put_together(messages: list[sampling_pb2.StreamSampleResponse]) -> SampleResponse:
    """A stream as the answer that Sample would have given."""
    answer = SampleResponse(model_version=messages[0].model_version, usage=messages[-1].usage)
    begun: set[int] = set()
    for message in messages:
        while len(answer.samples) <= message.index:
            answer.samples.append(Sample())
        one = answer.samples[message.index]
        one.text += message.text
        one.tokens.extend(message.tokens)
        one.finish_reason = message.finish_reason
        one.seed = one.seed if message.index in begun else message.seed
        begun.add(message.index)
    return answer


def test_a_stream_says_what_the_whole_answer_says(house: House) -> None:
    wishes = {"prompt": "To be", "samples": 4, "seed": 11, "max_tokens": 80, "logprobs": 2, "stop": ["a", "\n\n"]}
    assert put_together(streamed(house, **wishes)) == sample(house, **wishes)


def test_the_same_seed_gives_the_same_answer_whatever_runs_beside_it(house: House) -> None:
    wishes = {"prompt": "the same request", "seed": 5, "max_tokens": 120, "temperature": 1.0, "logprobs": 1}
    expected = sample(house, **wishes)
    chance = random.Random(1)

    def something_else(_: int) -> SampleResponse:
        prompt = "".join(chr(chance.randrange(32, 127)) for _ in range(chance.randrange(64)))
        return sample(house, prompt=prompt, samples=chance.randrange(1, 9), max_tokens=chance.randrange(1, 100))

    with futures.ThreadPoolExecutor(12) as pool:
        noise = [pool.submit(something_else, index) for index in range(30)]
        answers = [pool.submit(sample, house, **wishes) for _ in range(8)]  # type: ignore[arg-type]
        more_noise = [pool.submit(something_else, index) for index in range(10)]
        for answer in answers:
            assert answer.result() == expected
        for other in (*noise, *more_noise):
            other.result()


def test_samples_are_those_of_their_seeds(house: House) -> None:
    answer = sample(house, prompt="x", seed=2**32 - 1, samples=3, max_tokens=20)
    assert [one.seed for one in answer.samples] == [2**32 - 1, 0, 1]
    for one in answer.samples:
        assert sample(house, prompt="x", seed=one.seed, max_tokens=20).samples[0] == one


def test_a_chosen_seed_is_shown_and_can_be_used_again(house: House) -> None:
    first = sample(house, prompt="x", max_tokens=20)
    again = sample(house, prompt="x", max_tokens=20, seed=first.samples[0].seed)
    assert again == first


def test_one_candidate_is_the_greedy_choice(house: House) -> None:
    greedy = sample(house, prompt="hm", temperature=0, seed=1)
    assert sample(house, prompt="hm", temperature=1, top_k=1, seed=1) == greedy


def test_it_ends_by_length(house: House) -> None:
    [one] = sample(house, "recital", prompt="é", max_tokens=4, temperature=0).samples
    assert (one.text, one.finish_reason, len(one.tokens)) == ("→x", sampling_pb2.FINISH_REASON_LENGTH, 4)


def test_it_ends_before_a_stop_text_across_tokens(house: House) -> None:
    [one] = sample(house, "recital", prompt=".", stop=["x.#é→"], temperature=0).samples
    assert (one.text, one.finish_reason) == ("#é→", sampling_pb2.FINISH_REASON_STOP)
    assert b"".join(token.bytes for token in one.tokens) == "#é→x.#é→".encode()


def test_it_ends_with_the_models_own_end(house: House) -> None:
    [one] = sample(house, "last-words", prompt="b", temperature=0).samples
    assert (one.text, one.finish_reason) == ("ye", sampling_pb2.FINISH_REASON_END_OF_TEXT)
    assert one.tokens[-1].id == 256 and one.tokens[-1].bytes == b""


def test_an_empty_prompt_begins_a_text(house: House) -> None:
    answer = sample(house, "recital", max_tokens=3, temperature=0)
    assert answer.samples[0].text == "é\ufffd" and answer.usage.prompt_tokens == 0


def test_characters_are_never_cut_and_possible_stops_are_held_back(house: House) -> None:
    messages = streamed(house, "recital", prompt="#", temperature=0, stop=["x.#é!"], max_tokens=200)
    assert "\ufffd" not in "".join(message.text for message in messages[:-1])
    for message in messages:
        assert not message.text.endswith(("x", "x.", "x.#")) or message.finish_reason


def test_text_goes_on_beyond_the_context(house: House) -> None:
    [one] = sample(house, "recital", prompt="é", max_tokens=400, temperature=0).samples
    assert one.text.startswith("→x.#é→x.#é") and len(one.tokens) == 400


def test_the_answer_says_which_version_drew_and_how_much(house: House) -> None:
    answer = sample(house, "recital", prompt="é..", samples=2, max_tokens=5, temperature=0)
    assert answer.model_version == "projects/p/models/recital/versions/1"
    assert (answer.usage.prompt_tokens, answer.usage.sampled_tokens) == (4, 10)


def test_log_probabilities_come_only_if_asked_for(house: House) -> None:
    plain = sample(house, prompt="x", seed=1, max_tokens=3).samples[0].tokens[0]
    none = sample(house, prompt="x", seed=1, max_tokens=3, logprobs=0).samples[0].tokens[0]
    two = sample(house, prompt="x", seed=1, max_tokens=3, logprobs=2).samples[0].tokens[0]
    assert not plain.HasField("logprob") and none.HasField("logprob") and not none.alternatives
    assert len(two.alternatives) == 2 and two.alternatives[0].logprob >= two.alternatives[1].logprob
    assert two.alternatives[0].bytes == bytes([two.alternatives[0].id])


def test_a_model_with_byte_pairs_draws_whole_tokens(house: House) -> None:
    tokenizer = BytePairTokenizer.train(np.frombuffer(b"the cat and the hat " * 50, np.uint8), vocabulary_size=260)
    assert tokenizer.vocabulary_size == 260
    decoder = opinionated(vocabulary_size=tokenizer.vocabulary_size)
    house.publish("pairs", decoder, tokenizer=tokenizer)
    [one] = sample(house, "pairs", prompt="the cat", max_tokens=30, seed=3).samples
    assert b"".join(token.bytes for token in one.tokens).decode(errors="replace") == one.text


def test_services_are_asked_under_the_callers_principal_and_the_samplers_secret(house: House) -> None:
    sample(house, prompt="x", max_tokens=1)
    assert house.access.metadata["x-tutelage-principal-bin"] == PRINCIPAL
    assert house.access.metadata["authorization"] == f"Bearer {SECRET}"
    assert house.access.metadata["x-request-id"] == "request-1"


def test_what_services_refuse_goes_home_unchanged(house: House) -> None:
    error = refused(house, "unknown", prompt="x")
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such model")
    assert dict(error_info(error).metadata) == {"hint": "plays"}


def test_a_call_for_nobody_is_refused(house: House) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        house.stub.Sample(SampleRequest(model="projects/p/models/opinions"), timeout=TIMEOUT_S)
    assert refusal.value.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"stop": ["ok", ""]}, "stop[1]"),
        ({"samples": 17}, "samples"),
        ({"prompt": "x" * 65}, "prompt"),
        ({"samples": 16, "max_tokens": 4096, "logprobs": 20}, "logprobs"),
    ],
)
def test_wrong_fields_are_named(house: House, wishes: dict[str, object], field: str) -> None:
    error = refused(house, **wishes)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(error).reason == "INVALID_FIELD" and fields(error) == [field]
    with pytest.raises(grpc.RpcError) as refusal:
        streamed(house, **{**wishes, "max_tokens": 0})
    assert "max_tokens" in fields(refusal.value)


def test_access_is_decided_before_fields_are_looked_at(house: House) -> None:
    assert refused(house, "unknown", top_p=7).code() == grpc.StatusCode.NOT_FOUND


def test_damaged_files_are_a_fault_of_ours_and_the_caller_learns_no_more(house: House) -> None:
    house.publish("damaged", opinionated())
    weights = house.folder / "artifacts/checkpoints/damaged/e1/step-1/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o600)
    weights.write_bytes(content)
    error = refused(house, "damaged")
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "request-1" in (error.details() or "") and "safetensors" not in (error.details() or "")


def test_the_sampler_says_that_it_serves(house: House) -> None:
    health = health_pb2_grpc.HealthStub(house.channel)
    for service in ("", "tutelage.v1.Sampling"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

"""The protos: linted, unbroken, commented, permitted, and generated afresh."""

import filecmp
import pathlib
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator

import pytest
from google.protobuf import descriptor_pb2

from services.domain import limits
from tests.architecture import tree
from tutelage.v1 import errors_pb2, options_pb2
from tutelage_internal.v1 import options_pb2 as internal_options_pb2

BUF = pathlib.Path(sysconfig.get_path("scripts")) / "buf"
CONFIG = tree.ROOT / "protos" / "buf.yaml"
LAST_RELEASE = tree.ROOT / "protos" / "last-release.binpb"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the stubs and the descriptor set that the protos give now."""
    folder = tmp_path_factory.mktemp("protos")
    command = [
        sys.executable,
        "protos/generate.py",
        "--out",
        str(folder),
        "--descriptor-set",
        str(folder / "all.binpb"),
    ]
    subprocess.run(command, cwd=tree.ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def language(generated: pathlib.Path) -> descriptor_pb2.FileDescriptorSet:
    return read((generated / "all.binpb").read_bytes())


def read(data: bytes) -> descriptor_pb2.FileDescriptorSet:
    """Returns our own files of a descriptor set."""
    everything = descriptor_pb2.FileDescriptorSet.FromString(data)
    return descriptor_pb2.FileDescriptorSet(
        file=[file for file in everything.file if file.package.startswith("tutelage")]
    )


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BUF), *arguments, "--config", str(CONFIG), "--exclude-path", "google"]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_committed_stubs_are_those_of_the_protos(generated: pathlib.Path) -> None:
    for folder in ("tutelage_internal/v1", "sdk/tutelage/v1"):
        fresh, committed = generated / folder, tree.ROOT / folder
        names = {path.name for path in fresh.iterdir()}
        assert names == {path.name for path in committed.iterdir() if path.name != "__pycache__"}, "run `make stubs`"
        _, different, _ = filecmp.cmpfiles(fresh, committed, names, shallow=False)
        assert different == [], "run `make stubs`"


def test_buf_finds_nothing_to_lint(generated: pathlib.Path) -> None:
    done = buf("lint", str(generated / "all.binpb"))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_language_of_the_last_release_is_not_broken(generated: pathlib.Path) -> None:
    done = buf("breaking", str(generated / "all.binpb"), "--against", str(LAST_RELEASE))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_broken_language_is_noticed(generated: pathlib.Path, tmp_path: pathlib.Path) -> None:
    broken = descriptor_pb2.FileDescriptorSet.FromString((generated / "all.binpb").read_bytes())
    (jobs,) = (file for file in broken.file if file.name == "tutelage/v1/jobs.proto")
    jobs.message_type[0].field[0].number = 99
    (tmp_path / "broken.binpb").write_bytes(broken.SerializeToString())
    done = buf("breaking", str(tmp_path / "broken.binpb"), "--against", str(LAST_RELEASE))
    assert done.returncode != 0
    assert "jobs.proto" in done.stdout


def methods(
    language: descriptor_pb2.FileDescriptorSet, package: str
) -> Iterator[tuple[str, descriptor_pb2.MethodDescriptorProto]]:
    for file in language.file:
        for service in file.service if file.package == package else ():
            for method in service.method:
                yield f"{package}.{service.name}/{method.name}", method


def test_every_call_names_its_permission(language: descriptor_pb2.FileDescriptorSet) -> None:
    permissions = {
        name: method.options.Extensions[options_pb2.permission] for name, method in methods(language, "tutelage.v1")
    }
    assert len(permissions) > 20
    assert {name: word for name, word in permissions.items() if not re.fullmatch(r"[a-z]+\.[a-z]+", word)} == {}


def test_every_internal_call_names_its_room(language: descriptor_pb2.FileDescriptorSet) -> None:
    rooms = {
        name: method.options.Extensions[internal_options_pb2.room]
        for name, method in methods(language, "tutelage_internal.v1")
    }
    assert len(rooms) >= 8
    assert [name for name, room in rooms.items() if room == internal_options_pb2.ROOM_UNSPECIFIED] == []


def test_calls_that_change_something_can_be_repeated(language: descriptor_pb2.FileDescriptorSet) -> None:
    """A mutation has a request_id, or a place of its own that makes repeating it harmless."""
    repeatable_by_offset = {"tutelage.v1.Datasets/WriteUpload", "tutelage.v1.Datasets/UploadDataset"}
    fields = {
        f".{file.package}.{message.name}": {field.name for field in message.field}
        for file in language.file
        for message in file.message_type
    }
    reads_only = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    missing = [
        name
        for name, method in methods(language, "tutelage.v1")
        if method.options.idempotency_level != reads_only and "request_id" not in fields[method.input_type]
    ]
    assert [name for name in missing if name not in repeatable_by_offset] == []


def test_everything_has_a_comment(language: descriptor_pb2.FileDescriptorSet) -> None:
    """buf looks at the same; this holds without it, and counts."""
    silent, counted = [], 0
    for file in language.file:
        said = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
        for path, name in places(file):
            counted += 1
            if path not in said:
                silent.append(f"{file.name} {name}")
    assert silent == []
    assert counted > 400


def places(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yields the path, as in source_code_info, and name of everything that people read about."""
    for index, message in enumerate(file.message_type):
        yield (4, index), message.name
        yield from (
            ((4, index, 2, number), f"{message.name}.{field.name}") for number, field in enumerate(message.field)
        )
    for index, enum in enumerate(file.enum_type):
        yield (5, index), enum.name
        yield from (((5, index, 2, number), value.name) for number, value in enumerate(enum.value))
    for index, service in enumerate(file.service):
        yield (6, index), service.name
        yield from (((6, index, 2, number), method.name) for number, method in enumerate(service.method))


def comments(language: descriptor_pb2.FileDescriptorSet) -> dict[str, str]:
    """Returns what is said about everything, by name."""
    found = {}
    for file in language.file:
        said = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        found |= {name: " ".join(said.get(path, "").split()) for path, name in places(file)}
    return found


def test_every_reason_of_an_error_says_its_code(language: descriptor_pb2.FileDescriptorSet) -> None:
    said = comments(language)
    reasons = [name for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name if not name.endswith("UNSPECIFIED")]
    codes = "INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS|FAILED_PRECONDITION|OUT_OF_RANGE|ABORTED|UNAUTHENTICATED"
    codes += "|PERMISSION_DENIED|RESOURCE_EXHAUSTED|UNAVAILABLE|INTERNAL"
    assert [name for name in reasons if not re.search(rf"\b({codes})\b", said[name])] == []


STATED_LIMITS = {
    "Architecture.layers": "LAYERS_MAX",
    "Architecture.width": "WIDTH_MIN WIDTH_MAX",
    "Architecture.heads": "HEADS_MAX",
    "Architecture.feed_forward_width": "FEED_FORWARD_WIDTH_MIN FEED_FORWARD_WIDTH_MAX",
    "Architecture.context_length": "CONTEXT_LENGTH_MIN CONTEXT_LENGTH_MAX",
    "TokenizerSpec.vocabulary_size": "BPE_VOCABULARY_SIZE_MIN BPE_VOCABULARY_SIZE_MAX BPE_VOCABULARY_SIZE_DEFAULT",
    "TrainSpec.steps": "STEPS_MAX",
    "OptimizationSpec.batch_size": "BATCH_SIZE_MAX",
    "OptimizationSpec.beta2": "BETA2_DEFAULT BETA2_RMSPROP_DEFAULT",
    "OptimizationSpec.momentum": "MOMENTUM_SGD_DEFAULT MOMENTUM_MUON_DEFAULT",
    "OptimizationSpec.decay_ratio": "DECAY_RATIO_DEFAULT",
    "OptimizationSpec.warmup_steps": "WARMUP_STEPS_MAX_DEFAULT",
    "EarlyStoppingSpec.patience": "EARLY_STOPPING_PATIENCE_MAX",
    "EarlyStoppingSpec.min_delta": "EARLY_STOPPING_MIN_DELTA_MAX",
    "RowsSpec.chat_template": "CHAT_TEMPLATE_CHARACTERS_MAX",
    "MixturePart.weight": "MIXTURE_WEIGHT_MAX",
    "TrainSpec.mixture": "MIXTURE_PARTS_MAX",
    "LoraSpec.rank": "LORA_RANK_MAX LORA_RANK_DEFAULT",
    "LoraSpec.alpha": "LORA_ALPHA_MAX",
    "FineTuneSpec.mixture": "MIXTURE_PARTS_MAX",
    "FineTuneSpec.steps": "STEPS_MAX FINE_TUNE_STEPS_DEFAULT",
    "FineTuneSpec.optimization": "FINE_TUNE_BATCH_SIZE_DEFAULT",
    "FineTuneSpec.context_length": "CONTEXT_LENGTH_MIN FINE_TUNE_CONTEXT_LENGTH_MAX_DEFAULT",
    "CheckpointsSpec.interval_steps": "CHECKPOINT_INTERVAL_MIN_DEFAULT CHECKPOINT_INTERVAL_MAX_DEFAULT",
    "EvaluationSpec.sequences": "EVALUATION_SEQUENCES_MAX EVALUATION_SEQUENCES_DEFAULT",
    "SamplesSpec.prompt": "SAMPLE_PROMPT_CHARACTERS_MAX",
    "SamplesSpec.tokens": "SAMPLE_TOKENS_MAX SAMPLE_TOKENS_DEFAULT",
    "ListJobsRequest.page_size": "PAGE_SIZE_MAX PAGE_SIZE_DEFAULT",
    "ListJobEventsRequest.page_size": "PAGE_SIZE_MAX EVENTS_PAGE_SIZE_DEFAULT",
    "ListAuditEntriesRequest.page_size": "PAGE_SIZE_MAX AUDIT_PAGE_SIZE_DEFAULT",
    "QueryMetricsRequest.keys": "METRIC_KEYS_MAX",
    "QueryMetricsRequest.points_max": "METRIC_POINTS_MAX METRIC_POINTS_DEFAULT",
    "Job.labels": "LABELS_MAX LABEL_KEY_CHARACTERS_MAX LABEL_VALUE_CHARACTERS_MAX",
    "TrainRequest.job_id": "ID_CHARACTERS_MAX",
    "ApiKey.display_name": "DISPLAY_NAME_CHARACTERS_MAX",
    "ReportFactsRequest.facts": "FACTS_MAX",
    "Prompt.text": "ANSWER_CHARACTERS_MAX",
    "Prompt.messages": "PROMPT_TURNS_MAX ANSWER_CHARACTERS_MAX",
    "Candidate.text": "ANSWER_CHARACTERS_MAX",
    "Correction.text": "ANSWER_CHARACTERS_MAX",
    "SubmitFeedbackRequest.candidates": "CANDIDATES_MAX",
    "SubmitFeedbackRequest.end_user": "END_USER_CHARACTERS_MAX",
    "RetractVoteRequest.reason": "RETRACTION_REASON_CHARACTERS_MAX",
    "FreezeFeedbackRequest.reviews": "FROZEN_SOURCES_MAX",
    "FreezeFeedbackRequest.sources": "FROZEN_SOURCES_MAX",
    "FreezeFeedbackRequest.validation_share": "VALIDATION_SHARE_MAX VALIDATION_SHARE_DEFAULT",
    "FreezeFeedbackRequest.good_rating": "GOOD_RATING_MIN RATING_MAX GOOD_RATING_DEFAULT",
    "FreezeFeedbackRequest.bad_rating": "BAD_RATING_DEFAULT",
    "ListVotesRequest.page_size": "PAGE_SIZE_MAX PAGE_SIZE_DEFAULT",
    "ListFeedbackSetsRequest.page_size": "PAGE_SIZE_MAX PAGE_SIZE_DEFAULT",
}


@pytest.mark.parametrize("field", STATED_LIMITS)
def test_a_comment_states_the_limit_that_is_kept(language: descriptor_pb2.FileDescriptorSet, field: str) -> None:
    numbers = {float(word.replace(",", "")) for word in re.findall(r"\d[\d,]*(?:\.\d+)?", comments(language)[field])}
    wanted = {float(getattr(limits, name)) for name in STATED_LIMITS[field].split()}
    assert wanted <= numbers, comments(language)[field]

"""Drawing answers: a job with a step a prompt, whose answers go to the review and the duel that wait for them."""

import dataclasses
import math
from typing import Any

import pytest

from services.api.jobs import Jobs
from services.api.workers import Workers
from services.datasets.delete_dataset import delete_dataset
from services.domain.answers import AnswersDrawn, Candidate, ChatMessage, Prompt
from services.domain.datasets import RowKind
from services.domain.drawing import Checker, DrawDraft, DrawOptions, DrawOptionsDraft
from services.domain.errors import AlreadyExists, InvalidField, LimitReached, NotFound, RequestIdReused, WrongState
from services.domain.job_events import Fact, MetricLogged
from services.domain.job_states import JobState
from services.domain.jobs import AttemptEnd, Job
from services.domain.models import ModelVersion
from services.domain.pages import PageRequest
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.work import DrawSpec
from services.jobs import keeping_answers, report_facts
from services.jobs.accepting import enter, named
from services.jobs.collect_checkpoints import collect_checkpoints
from services.jobs.draw_answers import draw_answers
from services.jobs.drawing import prepare_drawing
from services.jobs.explain_job import explain_job
from services.jobs.get_job import get_job
from services.jobs.list_jobs import list_jobs
from tests.support.houses import A_TIME, Bench, add_project
from tests.support.works import add_files, add_rows, claimed, published, reward_model
from tutelage.v1 import feedback_pb2, jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, workers_pb2

NOVEL = "projects/own/models/novel"
PROMPTS = "projects/own/datasets/asked"
REQUEST = RequestKey(request_id="11111111-2222-4333-8444-555555555555", body_sha256="a" * 64)


@pytest.fixture(autouse=True)
def version(bench: Bench) -> ModelVersion:
    """A version to draw from; and prompts."""
    add_rows(bench.house, "own", id="asked", kind=RowKind.PROMPT, rows=20)
    return published(bench)


def draw(bench: Bench, *, job_id: str = "", request: RequestKey = NO_REQUEST_KEY, **draft: Any) -> Job:
    asked = DrawDraft(**{"models": (NOVEL,), "prompts": PROMPTS, **draft})
    caller = bench.calling("DrawAnswers")
    return draw_answers(bench.house, caller=caller, parent="projects/-", draft=asked, job_id=job_id, request=request)


def drawn(number: int, *texts: str, **answer: Any) -> AnswersDrawn:
    answers = [Candidate(text=text, seed=place, tokens=3, **answer) for place, text in enumerate(texts)]
    return AnswersDrawn(prompt_number=number, prompt=Prompt(text="To be"), answers=tuple(answers))


def test_the_job_shows_the_exact_version_and_every_default(bench: Bench, version: ModelVersion) -> None:
    job = draw(bench)
    assert isinstance(job.spec, DrawSpec)
    assert job.spec == DrawSpec(
        models=(version.name,),
        prompts=PROMPTS,
        samples=2,
        options=DrawOptions(max_tokens=100, temperature=0.8, top_k=0, top_p=1.0, seed=job.spec.options.seed),
        prompts_max=20,
    )
    assert (job.id.split("-")[0], job.kind, job.spec.steps, job.state) == ("draw", "draw", 20, JobState.QUEUED)
    assert (job.forecast.tokens, job.forecast.parameters) == (20 * 2 * 100, version.parameters)
    assert job.forecast.flops == 2.0 * version.parameters * job.forecast.tokens
    assert get_job(bench.house, caller=bench.caller, name=job.name) == job


def test_of_several_models_each_answers_once_unless_asked_otherwise(bench: Bench) -> None:
    other = published(bench, model="tale", job_id="second")
    models = (f"{NOVEL}/versions/1", "projects/-/models/tale")
    one = draw(bench, models=models, prompts_max=3)
    assert isinstance(one.spec, DrawSpec)
    assert (one.spec.models, one.spec.samples, one.spec.prompts_max) == ((f"{NOVEL}/versions/1", other.name), 1, 3)
    two = draw(bench, models=models, samples=4, options=DrawOptionsDraft(seed=7, stop=("\n",)), prompts_max=100)
    assert isinstance(two.spec, DrawSpec)
    assert (two.spec.samples, two.spec.options.seed, two.spec.options.stop, two.spec.steps) == (4, 7, ("\n",), 20)


def test_the_trainer_is_told_the_models_in_order_and_what_scores(bench: Bench, version: ModelVersion) -> None:
    other = published(bench, model="tale", job_id="second")
    judge = reward_model(bench)
    job = draw(bench, models=("projects/own/models/tale", NOVEL), reward_model="projects/own/models/judge")
    at = claimed(bench, job)
    assert at.models == (other.files, version.files)
    assert (at.reward_model, at.base, at.resume) == (judge.files, None, None)
    assert at.dataset is not None and at.dataset.row_kind is RowKind.PROMPT


def test_the_assignment_of_a_drawing_goes_over_the_wire(bench: Bench, version: ModelVersion) -> None:
    reward_model(bench)
    draw(bench, reward_model="projects/own/models/judge", options=DrawOptionsDraft(seed=5))
    assignment = claimed_over_the_wire(Workers(house=bench.house, tailer=_Nobody()))  # type: ignore[arg-type]
    assert assignment.WhichOneof("spec") == "draw"
    assert [each.name for each in assignment.models] == [version.name]
    assert assignment.reward_model.name == "projects/own/models/judge/versions/1"
    assert (assignment.draw.options.seed, assignment.draw.options.top_p, assignment.draw.prompts_max) == (5, 1.0, 20)
    assert assignment.dataset.row_kind == 4


class _Nobody:
    """Watches no job."""

    def wake(self, _job_uid: str) -> None:
        pass


def claimed_over_the_wire(workers: Workers) -> workers_pb2.Assignment:
    info = workers_pb2.WorkerInfo(worker_id="w1", slots=1, device="cpu")
    return workers.claim_job(None, workers_pb2.ClaimJobRequest(worker=info, claim_id="c1")).assignment  # type: ignore[arg-type]


def test_answers_come_over_the_wire_with_all_that_is_known_of_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(bench)
    workers = Workers(house=bench.house, tailer=_Nobody())  # type: ignore[arg-type]
    assignment = claimed_over_the_wire(workers)
    turn = feedback_pb2.ChatMessage(role="user", content="Hello")
    answers = [
        feedback_pb2.Candidate(text="a", seed=0, tokens=3, logprob=-1.5, score=0.5),
        feedback_pb2.Candidate(text="b"),
    ]
    told = facts_pb2.AnswersDrawn(prompt_number=1, prompt=feedback_pb2.Prompt(messages=[turn]), answers=answers)
    kept: list[AnswersDrawn] = []
    monkeypatch.setattr(report_facts, "keep_answers", lambda _uow, _job, drawn: kept.append(drawn))
    fact = facts_pb2.Fact(seq=1, answers_drawn=told)
    request = workers_pb2.ReportFactsRequest(attempt=assignment.attempt, facts=[fact])
    assert workers.report_facts(None, request).acknowledged_seq == 1  # type: ignore[arg-type]
    assert workers.report_facts(None, request).acknowledged_seq == 1  # type: ignore[arg-type]
    first, second = Candidate(text="a", seed=0, tokens=3, logprob=-1.5, score=0.5), Candidate(text="b")
    prompt = Prompt(messages=(ChatMessage(role="user", content="Hello"),))
    assert kept == [AnswersDrawn(prompt_number=1, prompt=prompt, answers=(first, second))]


@pytest.mark.parametrize(
    ("draft", "field", "words"),
    [
        ({"models": ()}, "spec.models", "must be 1 to 8 models, got 0"),
        ({"models": (NOVEL,) * 9}, "spec.models", "must be 1 to 8 models, got 9"),
        ({"models": (NOVEL, f"{NOVEL}/versions/1")}, "spec.models[1]", "a second time; raise samples"),
        ({"samples": 0}, "spec.samples", "must be 1 to 16, got 0"),
        ({"samples": 17}, "spec.samples", "must be 1 to 16, got 17"),
        ({"prompts_max": 0}, "spec.prompts_max", "must be 1 to 100,000, got 0"),
        ({"options": DrawOptionsDraft(max_tokens=4097)}, "spec.options.max_tokens", "must be 1 to 4096, got 4097"),
        ({"options": DrawOptionsDraft(temperature=math.nan)}, "spec.options.temperature", "must be 0 to 10, got nan"),
        ({"options": DrawOptionsDraft(temperature=0)}, "spec.samples", "draws the same answer each time"),
        ({"options": DrawOptionsDraft(top_p=0.0)}, "spec.options.top_p", "must be above 0 and at most 1, got 0.0"),
        ({"options": DrawOptionsDraft(top_k=-1)}, "spec.options.top_k", "must be 0 to 262144, got -1"),
        ({"options": DrawOptionsDraft(stop=("",))}, "spec.options.stop[0]", "must have 1 to 100 characters, got 0"),
        ({"options": DrawOptionsDraft(stop=("a",) * 9)}, "spec.options.stop", "must be at most 8 texts, got 9"),
        ({"checker": Checker(name="python-parse")}, "spec.checker.name", "did you mean 'python-parses'?"),
        ({"checker": Checker(name="contains")}, "spec.checker.argument", "is required for contains"),
        ({"checker": Checker(name="json-parses", argument="x")}, "spec.checker.argument", "must be left out"),
        ({"checker": Checker(name="length-at-most", argument="many")}, "spec.checker.argument", "must be a number"),
        ({"checker": Checker(name="contains", argument="x" * 1001)}, "spec.checker.argument", "at most 1,000"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_field(
    bench: Bench, draft: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        draw(bench, **draft)
    (violation,) = caught.value.violations
    assert violation.field == field and words in violation.description


def test_everything_that_is_wrong_is_told_at_once(bench: Bench) -> None:
    reward_model(bench)
    with pytest.raises(InvalidField) as caught:
        draw(
            bench,
            samples=99,
            prompts_max=-1,
            options=DrawOptionsDraft(max_tokens=0, seed=-1),
            checker=Checker(name="json-parses"),
            reward_model="projects/own/models/judge",
        )
    fields = [each.field for each in caught.value.violations]
    assert fields == [
        "spec.samples",
        "spec.prompts_max",
        "spec.options.max_tokens",
        "spec.options.seed",
        "spec.checker",
    ]


def test_a_reward_model_cannot_be_drawn_from(bench: Bench) -> None:
    reward_model(bench)
    with pytest.raises(WrongState, match="judge/versions/1 is a reward model: it scores texts and cannot write any"):
        draw(bench, models=(NOVEL, "projects/own/models/judge"))


def test_a_model_that_writes_cannot_score(bench: Bench) -> None:
    with pytest.raises(WrongState, match="novel/versions/1 writes text, and a reward model is wanted here"):
        draw(bench, reward_model=NOVEL)


@pytest.mark.parametrize("kind", sorted(set(RowKind) - {RowKind.TEXT}, key=str))
def test_rows_with_prompts_of_whatever_kind_can_be_answered(bench: Bench, kind: RowKind) -> None:
    rows = add_rows(bench.house, "own", id="rows", kind=kind, rows=7)
    assert draw(bench, prompts=rows.name).spec.steps == 7


def test_what_holds_no_prompts_is_refused(bench: Bench) -> None:
    add_rows(bench.house, "own", id="texts", kind=RowKind.TEXT)
    add_files(bench.house, "own", id="weights")
    with pytest.raises(
        WrongState, match="datasets/texts holds no prompts but rows of `text`; upload rows with `prompt`"
    ):
        draw(bench, prompts="projects/own/datasets/texts")
    for id in ("plays", "weights"):
        with pytest.raises(WrongState, match=f"datasets/{id} holds no prompts"):
            draw(bench, prompts=f"projects/own/datasets/{id}")


def test_what_is_missing_or_foreign_is_not_found_alike(bench: Bench) -> None:
    add_project(bench.house, "foreign")
    for draft in (
        {"models": ("projects/own/models/navel",)},
        {"models": ("projects/foreign/models/novel",)},
        {"prompts": "projects/own/datasets/askd"},
        {"prompts": "projects/foreign/datasets/asked"},
        {"reward_model": "projects/own/models/nothing"},
    ):
        with pytest.raises(NotFound):
            draw(bench, **draft)
    with pytest.raises(InvalidField, match=r"spec.models\[1\]: must look like"):
        draw(bench, models=(NOVEL, "novel"))
    found, _ = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest())
    assert [each.kind for each in found] == ["train"]


def test_the_same_request_is_the_same_job(bench: Bench) -> None:
    first, second = (draw(bench, request=REQUEST) for _ in range(2))
    assert first == second
    with pytest.raises(RequestIdReused):
        draw(bench, request=RequestKey(request_id=REQUEST.request_id, body_sha256="b" * 64))


def test_an_id_can_be_chosen_once(bench: Bench) -> None:
    assert draw(bench, job_id="mine").name == "projects/own/jobs/mine"
    with pytest.raises(AlreadyExists):
        draw(bench, job_id="mine")
    with pytest.raises(InvalidField, match="job_id: must be lower-case"):
        draw(bench, job_id="Mine")


def test_the_prompts_cannot_be_deleted_while_they_are_answered(bench: Bench) -> None:
    job = draw(bench)
    with pytest.raises(WrongState, match=f"is used by {job.name}"):
        delete_dataset(bench.house, caller=bench.caller, name=PROMPTS, request=NO_REQUEST_KEY)


def test_the_files_of_its_models_are_kept(bench: Bench, version: ModelVersion) -> None:
    draw(bench)
    published(bench, job_id="second")
    collect_checkpoints(bench.house, since=A_TIME)
    assert bench.house.store.find_file_set(version.artifact_prefix) is not None


def test_it_ends_with_files_and_without_a_version(bench: Bench) -> None:
    at = claimed(bench, draw(bench))
    bench.report(at, *(metric(number, step=number) for number in range(1, 21)))
    running = bench.job(at.job.uid)
    assert (running.done_steps, running.tokens_per_second, running.state) == (20, 50.0, JobState.RUNNING)
    bench.commit(at, bench.written(at, step=20, complete=True), through_seq=20)
    assert bench.finish(at, AttemptEnd.COMPLETE, through_seq=20) is JobState.SUCCEEDED
    done = bench.job(at.job.uid)
    assert (done.model_version, done.done_steps) == ("", 20)
    explanation = explain_job(bench.house, caller=bench.caller, name=done.name)
    assert explanation.summary == "The job has made its files: list them, and read them."


def metric(seq: int, *, step: int) -> Fact:
    values = {"draw/tokens": 6.0, "draw/tokens_per_second": 50.0, "perf/step_seconds": 0.1}
    return Fact(seq=seq, told=MetricLogged(step=step, values=values))


def test_how_long_it_takes_is_known_while_it_draws(bench: Bench) -> None:
    at = claimed(bench, draw(bench))
    beginning = explain_job(bench.house, caller=bench.caller, name=at.job.name).findings[0].fact
    assert beginning == "The worker reads the models and the prompts, and draws the first answers."
    bench.report(at, metric(1, step=1))
    job = bench.job(at.job.uid)
    assert job.remaining_s == pytest.approx(19 * 2 * 100 / 50.0)
    assert explain_job(bench.house, caller=bench.caller, name=job.name).summary.endswith(
        "has answered 1 of 20 prompts."
    )


@dataclasses.dataclass
class _Told:
    """What was handed on, in the place of a keeper."""

    handed: list[tuple[Job, AnswersDrawn]] = dataclasses.field(default_factory=list)

    def add_items(self, of: Job, drawn: AnswersDrawn) -> None:
        self.handed.append((of, drawn))

    add_pairs = add_items


def test_answers_are_handed_on_with_the_versions_of_the_specification(bench: Bench, version: ModelVersion) -> None:
    job, keeper = draw(bench), _Told()
    uow: Any = type("Uow", (), {"reviews": keeper, "duels": keeper})()
    told = drawn(3, "a\x00b", "x" * 100_001, model_version="projects/foreign/models/x/versions/9", score=math.nan)
    keeping_answers.keep_answers(uow, job, told)
    assert [each for each, _ in keeper.handed] == [job, job]
    kept = keeper.handed[0][1]
    assert (kept.prompt_number, kept.prompt) == (3, Prompt(text="To be"))
    assert [each.model_version for each in kept.answers] == [version.name, version.name]
    assert (kept.answers[0].text, len(kept.answers[1].text), kept.answers[0].score) == ("a\ufffdb", 100_000, None)


def test_conversations_are_handed_on_as_such(bench: Bench) -> None:
    job, keeper = draw(bench), _Told()
    uow: Any = type("Uow", (), {"reviews": keeper, "duels": keeper})()
    turn = ChatMessage(role="user", content="Hello\x00")
    told = dataclasses.replace(drawn(1, "a", "b"), prompt=Prompt(text="x", messages=(turn,)))
    keeping_answers.keep_answers(uow, job, told)
    assert keeper.handed[0][1].prompt == Prompt(messages=(ChatMessage(role="user", content="Hello\ufffd"),))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (drawn(0, "a", "b"), "prompt 0 is not one of the 20 prompts of the job"),
        (drawn(21, "a", "b"), "prompt 21 is not one of the 20 prompts of the job"),
        (drawn(1, "a"), "prompt 1 must have 2 answers, got 1"),
    ],
)
def test_answers_that_the_job_cannot_have_drawn_are_refused(bench: Bench, told: AnswersDrawn, words: str) -> None:
    at = claimed(bench, draw(bench))
    with pytest.raises(InvalidField, match=words):
        bench.report(at, Fact(seq=1, told=told))
    assert bench.report(at, Fact(seq=1, told=drawn(1, "a", "b"))) == 1


def test_a_job_that_trains_draws_no_answers(bench: Bench) -> None:
    at = bench.started(job_id="other")
    with pytest.raises(InvalidField, match="a job of the kind train draws no answers"):
        bench.report(at, Fact(seq=1, told=drawn(1, "a", "b")))


def test_answers_are_no_events_of_the_job_but_show_that_it_runs(bench: Bench) -> None:
    at = claimed(bench, draw(bench))
    before = len(bench.history(at.job.uid))
    assert bench.report(at, Fact(seq=1, told=drawn(1, "a", "b")), Fact(seq=2, told=drawn(2, "a", "b"))) == 2
    (happened,) = bench.history(at.job.uid)[before:]
    assert (happened.happening.before, happened.happening.after) == (JobState.STARTING, JobState.RUNNING)
    assert bench.job(at.job.uid).state is JobState.RUNNING


def test_a_later_attempt_begins_again_and_counts_no_step_twice(bench: Bench) -> None:
    at = claimed(bench, draw(bench))
    bench.report(at, metric(1, step=1), metric(2, step=2))
    bench.finish(at, AttemptEnd.INTERRUPTED, through_seq=2)
    bench.make_due(at.job.uid)
    again = bench.claim()
    assert again is not None and (again.resume, again.job.done_steps, again.models) == (None, 2, at.models)
    bench.report(again, Fact(seq=1, told=drawn(1, "a", "b")))
    assert bench.job(at.job.uid).state is JobState.RUNNING
    bench.report(again, metric(2, step=1), metric(3, step=2), metric(4, step=3))
    assert bench.job(at.job.uid).done_steps == 3


def test_a_drawing_is_written_in_the_transaction_of_another_verb(bench: Bench) -> None:
    asked = DrawDraft(models=(NOVEL,), prompts=PROMPTS)
    with bench.house.storage.read() as uow:
        drawing = prepare_drawing(bench.house, uow, caller=bench.caller, draft=asked, path="review.draw")
    job = named(bench.house, drawing.job, word="draw")
    with bench.house.storage.write() as uow:
        enter(uow, job, caller=bench.caller, datasets=drawing.datasets)
    assert bench.claim() is None  # nothing was committed
    with bench.house.storage.write() as uow:
        entered = enter(uow, job, caller=bench.caller, datasets=drawing.datasets)
        uow.commit()
    assert (entered.uid, entered.last_seq) == (job.uid, 1)
    assert get_job(bench.house, caller=bench.caller, name=job.name) == entered
    assert claimed(bench, entered).dataset is not None


def test_refusals_name_the_fields_of_the_verb_that_asks(bench: Bench) -> None:
    asked = DrawDraft(models=(NOVEL,), prompts=PROMPTS, samples=0)
    with (
        bench.house.storage.read() as uow,
        pytest.raises(InvalidField, match=r"^review.draw.samples: must be 1 to 16, got 0$"),
    ):
        prepare_drawing(bench.house, uow, caller=bench.caller, draft=asked, path="review.draw")


def test_a_drawing_counts_against_the_quota_and_holds_its_prompts(bench: Bench) -> None:
    few = add_project(bench.house, "few", open_jobs_max=0)
    with bench.house.storage.read() as uow:
        drawing = prepare_drawing(
            bench.house, uow, caller=bench.caller, draft=DrawDraft(models=(NOVEL,), prompts=PROMPTS)
        )
    job = named(bench.house, drawing.job)
    with bench.house.storage.write() as uow, pytest.raises(LimitReached):
        enter(uow, job, caller=few, datasets=drawing.datasets)
    delete_dataset(bench.house, caller=bench.caller, name=PROMPTS, request=NO_REQUEST_KEY)
    with bench.house.storage.write() as uow, pytest.raises(NotFound):
        enter(uow, job, caller=bench.caller, datasets=drawing.datasets)


def test_the_servicer_answers_with_every_value_that_is_used(bench: Bench, version: ModelVersion) -> None:
    jobs = Jobs(house=bench.house, pool=None, tailer=None)  # type: ignore[arg-type] # nobody streams
    spec = training_pb2.DrawSpec(models=[NOVEL], prompts=PROMPTS, checker=training_pb2.Checker(name="python-parses"))
    request = jobs_pb2.DrawAnswersRequest(parent="projects/-", spec=spec, job_id="said", labels={"team": "search"})
    job = jobs.draw_answers(bench.calling("DrawAnswers"), request)
    assert (job.WhichOneof("spec"), job.name, dict(job.labels)) == (
        "draw",
        "projects/own/jobs/said",
        {"team": "search"},
    )
    assert (list(job.draw.models), job.draw.samples, job.draw.prompts_max) == ([version.name], 2, 20)
    assert (job.draw.options.max_tokens, job.draw.options.temperature, job.draw.options.top_k) == (100, 0.8, 0)
    assert job.draw.options.HasField("seed") and job.draw.checker.name == "python-parses"
    assert (job.progress.step, job.progress.steps_total) == (0, 20)
    with pytest.raises(InvalidField, match="spec: is required"):
        jobs.draw_answers(bench.caller, jobs_pb2.DrawAnswersRequest(parent="projects/-"))

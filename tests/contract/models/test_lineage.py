"""Lineage: from every version back to the first row, from every vote to every version, and nothing beside."""

import random

import pytest

from services.domain.errors import InvalidField, NotFound
from services.domain.fine_tuning import FineTuneDraft
from services.domain.lineage import Lineage, LineageKind
from services.domain.methods import Method
from services.domain.models import ModelVersion
from services.domain.optimization import OptimizationDraft
from services.feedback.trace_vote import trace_vote
from services.jobs.export_model import ExportModelDraft, export_model
from services.jobs.fine_tune import fine_tune
from services.models import walking
from services.models.get_lineage import get_lineage
from services.models.promote_model import promote_model
from tests.support.feedback import FeedbackBench
from tests.support.houses import Bench, add_project
from tests.support.reviews import FIRST, make_review_bench
from tests.support.works import add_files, claimed, importing, latest, published

Edges = set[tuple[str, str, str]]
ONE_ROW = OptimizationDraft(batch_size=1)


@pytest.fixture
def feedback(bench: Bench) -> FeedbackBench:
    """A bench with a model, prompts, reviews and feedback."""
    return FeedbackBench(make_review_bench(bench))


def lineage(feedback: FeedbackBench, name: str) -> Lineage:
    return get_lineage(feedback.house, caller=feedback.bench.caller, name=name)


def short(name: str) -> str:
    return name.removeprefix("projects/own/")


def edges(found: Lineage) -> Edges:
    return {(short(edge.source), edge.relation, short(edge.result)) for edge in found.edges}


def names(found: Lineage) -> list[str]:
    return [short(node.name) for node in found.nodes]


def tainted(found: Lineage) -> set[str]:
    return {short(node.name) for node in found.nodes if node.tainted}


def tuned_on_votes(feedback: FeedbackBench) -> tuple[ModelVersion, str]:
    """Return a version that learnt from the votes of a review, and the name of a vote."""
    review = feedback.reviews.with_items(20)
    votes = feedback.reviews.vote_on_all(feedback.reviews.reviewer("anna"), review, FIRST)
    frozen = feedback.freeze(sources=(), reviews=(review.name,))
    return feedback.tuned(frozen, method=Method.DPO, model="chat"), votes[0].name


def test_a_version_is_traced_back_to_the_first_row(feedback: FeedbackBench) -> None:
    version, _ = tuned_on_votes(feedback)
    first = "models/chat/versions/1"
    draw, tune = (short(job) for job in (feedback_job(feedback, "helpfulness"), version.job))
    found = lineage(feedback, version.name)
    pretraining = next(name for name in names(found) if name.startswith("jobs/") and name not in (draw, tune))
    assert edges(found) == {
        ("datasets/plays", "trained on", pretraining),
        (pretraining, "published by", first),
        (first, "drawn from", draw),
        ("datasets/prompts", "prompted by", draw),
        (draw, "drawn by", "reviews/helpfulness"),
        ("reviews/helpfulness", "votes", "feedbackSets/prefs"),
        ("feedbackSets/prefs", "trained on", tune),
        (first, "tuned from", tune),
        (tune, "published by", "models/chat/versions/2"),
    }
    order = {name: place for place, name in enumerate(names(found))}
    assert all(order[source] < order[result] for source, _, result in edges(found))
    assert tainted(found) == set()


def feedback_job(feedback: FeedbackBench, review_id: str) -> str:
    with feedback.house.storage.read() as uow:
        review = uow.reviews.find("own", review_id)
    assert review is not None
    return review.job


def test_nodes_say_what_they_are(feedback: FeedbackBench) -> None:
    version, _ = tuned_on_votes(feedback)
    found = {short(node.name): node for node in lineage(feedback, version.name).nodes}
    kinds = {name: node.kind for name, node in found.items()}
    assert kinds["datasets/plays"] is LineageKind.DATASET and kinds["feedbackSets/prefs"] is LineageKind.FEEDBACK_SET
    assert kinds["reviews/helpfulness"] is LineageKind.REVIEW
    assert found["datasets/plays"].sha256 == feedback.bench.dataset.sha256
    assert found["models/chat/versions/2"].sha256 == version.manifest_sha256
    votes, job = found["feedbackSets/prefs"].details, found[short(version.job)].details
    assert (votes["votes"], votes["policy"], votes["reviewers"]) == ("20", "majority", "1")
    assert (job["kind"], job["method"], job["steps"]) == ("fine_tune", "dpo", "10")


def test_what_was_made_of_a_thing_is_told_and_what_was_made_of_its_ancestors_is_not(feedback: FeedbackBench) -> None:
    version, _ = tuned_on_votes(feedback)
    sibling = feedback.tuned(feedback.bench.dataset, base="projects/-/models/chat/versions/1", model="sibling")
    child = feedback.tuned(feedback.bench.dataset, base=version.name, model="child")
    promote_model(feedback.house, caller=feedback.caller("PromoteModel"), name=child.name, alias="prod")
    found = lineage(feedback, version.name)
    assert {short(child.name), "models/child/aliases/prod"} <= set(names(found))
    assert short(sibling.name) not in names(found)
    assert short(sibling.name) in names(lineage(feedback, "projects/-/models/chat/versions/1"))
    assert short(sibling.name) in names(lineage(feedback, feedback.bench.dataset.name))


def test_an_alias_has_the_lineage_of_its_version(feedback: FeedbackBench) -> None:
    version, _ = tuned_on_votes(feedback)
    alias = promote_model(feedback.house, caller=feedback.caller("PromoteModel"), name=version.name, alias="prod")
    found = lineage(feedback, alias.name)
    assert found.name == alias.name
    assert edges(found) == edges(lineage(feedback, version.name))
    assert (short(version.name), "names", short(alias.name)) in edges(found)


def test_imports_exports_and_checkpoints_have_their_place(feedback: FeedbackBench) -> None:
    bench = feedback.bench
    add_files(bench.house, "own", id="weights")
    imported = claimed(bench, importing(bench))
    bench.complete(imported)
    brought = latest(bench, "weights")
    at = bench.started(job_id="first", model="other")
    bench.commit(at, bench.written(at, step=5))
    drafted = FineTuneDraft(base="projects/-/jobs/first/checkpoints/5", dataset=bench.dataset.name, steps=10)
    caller = bench.calling("FineTune")
    job = fine_tune(bench.house, caller=caller, parent="projects/-", draft=drafted, job_id="second")
    caller = bench.calling("ExportModel")
    out = export_model(bench.house, caller=caller, parent="projects/-", draft=ExportModelDraft(model=brought.name))
    assert edges(lineage(feedback, brought.name)) == {
        ("datasets/weights", "imported from", short(imported.job.name)),
        (short(imported.job.name), "published by", "models/weights/versions/1"),
        ("models/weights/versions/1", "exported from", short(out.name)),
    }
    assert ("jobs/first", "tuned from", short(job.name)) in edges(lineage(feedback, bench.dataset.name))


def test_a_vote_is_traced_to_every_version(feedback: FeedbackBench) -> None:
    version, vote = tuned_on_votes(feedback)
    child = feedback.tuned(feedback.bench.dataset, base=version.name, model="child")
    found = trace_vote(feedback.house, caller=feedback.caller("TraceVote"), name=vote)
    assert names(found)[0] == short(vote)
    assert {"feedbackSets/prefs", short(version.name), short(child.name)} <= set(names(found))
    assert "models/chat/versions/1" not in names(found)


def test_a_retracted_vote_taints_its_descendants_and_nothing_else(feedback: FeedbackBench) -> None:
    version, _ = tuned_on_votes(feedback)
    mixed = feedback.prefer(1)
    clean = feedback.freeze("clean")
    child = feedback.tuned(feedback.bench.dataset, base=version.name, model="child")
    sibling = feedback.tuned(
        clean, base="projects/-/models/chat/versions/1", method=Method.SIMPO, model="sibling", optimization=ONE_ROW
    )
    alias = promote_model(feedback.house, caller=feedback.caller("PromoteModel"), name=child.name, alias="prod")
    feedback.retract(feedback.reviews.ledger(review_of(feedback))[3])
    wanted = {"feedbackSets/prefs", *(short(each) for each in (version.job, version.name, child.job, child.name))}
    wanted |= {short(alias.name)}
    found = lineage(feedback, version.name)
    assert tainted(found) == wanted
    assert tainted(lineage(feedback, sibling.name)) == set()
    assert tainted(lineage(feedback, feedback.bench.dataset.name)) >= {short(child.name)}
    assert mixed.name not in names(found)


def review_of(feedback: FeedbackBench):
    with feedback.house.storage.read() as uow:
        review = uow.reviews.find("own", "helpfulness")
    assert review is not None
    return review


def test_answers_of_a_tainted_version_do_not_taint_the_votes_on_them(feedback: FeedbackBench) -> None:
    version, _ = tuned_on_votes(feedback)
    feedback.retract(feedback.reviews.ledger(review_of(feedback))[0])
    draw = feedback.reviews.create("again")
    feedback.reviews.draw(draw, 20)
    feedback.reviews.vote_on_all(feedback.reviews.reviewer("anna"), draw, FIRST)
    frozen = feedback.freeze("second", sources=(), reviews=(draw.name,))
    fresh = feedback.tuned(frozen, base="projects/-/models/chat/versions/1", method=Method.DPO, model="fresh")
    found = lineage(feedback, fresh.name)
    assert short(version.name) in names(found)
    assert "feedbackSets/second" in names(found) and short(fresh.name) not in tainted(found)


def test_a_deleted_dataset_is_told_as_such(feedback: FeedbackBench) -> None:
    version = latest(feedback.bench, "chat")
    with feedback.house.storage.write() as uow:
        uow.datasets.mark_deleted(feedback.bench.dataset.uid)
        uow.commit()
    (dataset,) = (node for node in lineage(feedback, version.name).nodes if node.kind is LineageKind.DATASET)
    assert dataset.deleted and dataset.sha256


def test_a_lineage_is_cut_where_it_grows_too_large(feedback: FeedbackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    version, _ = tuned_on_votes(feedback)
    monkeypatch.setattr(walking, "LINEAGE_NODES_MAX", 4)
    found = lineage(feedback, version.name)
    assert len(found.nodes) == 4
    (asked,) = (node for node in found.nodes if node.name == version.name)
    assert asked.details["cut"] == "only the nearest 4 things are told"


def test_names_of_other_things_are_refused(feedback: FeedbackBench) -> None:
    for name in ("projects/-/jobs/first", "projects/-/models/chat", "chat@prod", ""):
        with pytest.raises(InvalidField):
            lineage(feedback, name)
    for name in (
        "projects/-/models/chat/versions/9",
        "projects/-/models/chat/aliases/prod",
        "projects/-/datasets/no",
        "projects/-/feedbackSets/no",
    ):
        with pytest.raises(NotFound):
            lineage(feedback, name)


def test_a_stranger_sees_no_lineage(feedback: FeedbackBench) -> None:
    stranger = add_project(feedback.house, "foreign")
    with pytest.raises(NotFound):
        get_lineage(feedback.house, caller=stranger, name="projects/own/models/chat/versions/1")


def test_every_version_is_found_from_its_votes_and_every_vote_from_its_versions(feedback: FeedbackBench) -> None:
    """Random families of sets and versions: the walk agrees with a count by hand."""
    lots = random.Random(5)
    base = published(feedback.bench, model="base", job_id="base")
    holds: dict[str, set[str]] = {base.name: set()}
    set_of: dict[str, str] = {}
    for number in range(4):
        vote = feedback.prefer(number, source=f"app-{number}")
        frozen = feedback.freeze(f"set-{number}", sources=(f"app-{number}",))
        set_of[vote.uid] = frozen.uid
        for _ in range(2):
            parent = lots.choice(sorted(holds))
            child = feedback.tuned(frozen, base=parent, method=Method.DPO, model=f"m{number}", optimization=ONE_ROW)
            holds[child.name] = holds[parent] | {vote.uid}
    with feedback.house.storage.read() as uow:
        for vote_uid, set_uid in set_of.items():
            found = walking.descent_of(uow, "own", set_uids=[set_uid]).versions
            assert set(found) == {name for name, votes in holds.items() if vote_uid in votes}

"""Whatever was sent, frozen and tuned, in any order: a retracted vote taints exactly what a simple model says."""

import dataclasses
import pathlib
import shutil
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.feedback_sets import FeedbackSet
from services.domain.methods import Method
from services.domain.optimization import OptimizationDraft
from services.domain.reviews import Vote
from services.domain.training import MixturePartDraft
from services.feedback.trace_vote import trace_vote
from services.storage.unit_of_work import SqlStorage
from tests.support.feedback import FeedbackBench
from tests.support.houses import make_bench
from tests.support.reviews import make_review_bench

SOURCES = ("a", "b", "c")
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("vote"), st.sampled_from(SOURCES)),
        st.tuples(st.just("freeze"), st.sets(st.sampled_from(SOURCES), min_size=1)),
        st.tuples(st.just("tune"), st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 9)),
        st.tuples(st.just("retract"), st.integers(0, 9)),
    ),
    min_size=4,
    max_size=14,
)


@dataclasses.dataclass
class Model:
    """What should be so: the votes in each set, and the votes in each version."""

    votes: list[tuple[Vote, str]] = dataclasses.field(default_factory=list)
    retracted: set[str] = dataclasses.field(default_factory=set)
    sets: list[tuple[FeedbackSet, set[str]]] = dataclasses.field(default_factory=list)
    versions: list[tuple[str, set[str]]] = dataclasses.field(default_factory=list)


class Story:
    """Does deeds on a bench, and to the model what they should have done."""

    def __init__(self, feedback: FeedbackBench) -> None:
        self.feedback = feedback
        self.model = Model(versions=[("projects/own/models/chat/versions/1", set())])
        for number, source in enumerate(SOURCES):  # so that there is always something to freeze and to hold out
            for again in range(2):
                self.vote(source, number=1000 + 2 * number + again)
        self.freeze({"a", "b"})
        self.tune(0, 0, None)

    def vote(self, source: str, *, number: int | None = None) -> None:
        number = len(self.model.votes) if number is None else number
        self.model.votes.append((self.feedback.prefer(number, source=source), source))

    def freeze(self, sources: set[str]) -> None:
        members = {
            vote.uid for vote, source in self.model.votes if source in sources and vote.uid not in self.model.retracted
        }
        if len(members) > 1:
            set_id = f"set-{len(self.model.sets)}"
            self.model.sets.append((self.feedback.freeze(set_id, sources=tuple(sources)), members))

    def tune(self, base: int, first: int, second: int | None) -> None:
        if not self.model.sets:
            return
        name, inherited = self.model.versions[base % len(self.model.versions)]
        on, members = self.model.sets[first % len(self.model.sets)]
        learnt = inherited | members
        mixture: tuple[MixturePartDraft, ...] = ()
        if second is not None and self.model.sets[second % len(self.model.sets)][0] != on:
            other, more = self.model.sets[second % len(self.model.sets)]
            mixture, learnt = (MixturePartDraft(dataset=other.dataset),), learnt | more
        one = OptimizationDraft(batch_size=1)
        version = self.feedback.tuned(on, base=name, method=Method.DPO, mixture=mixture, optimization=one)
        self.model.versions.append((version.name, learnt))

    def retract(self, which: int) -> None:
        vote, _ = self.model.votes[which % len(self.model.votes)]
        told = self.feedback.retract(vote)
        self.model.retracted.add(vote.uid)
        assert set(told.feedback_sets) == {of.name for of, members in self.model.sets if vote.uid in members}
        assert set(told.model_versions) == {name for name, learnt in self.model.versions if vote.uid in learnt}
        assert told.open_jobs == ()

    def check(self) -> None:
        """Compare every set, every version and every trace with the model."""
        house, caller = self.feedback.house, self.feedback.caller("TraceVote")
        for of, members in self.model.sets:
            with house.storage.read() as uow:
                found = uow.feedback_sets.find_by_uid(of.uid)
            assert found is not None and found.retracted_votes == len(members & self.model.retracted)
        tainted = {name for name, learnt in self.model.versions if learnt & self.model.retracted}
        for vote, _ in self.model.votes:
            lineage = trace_vote(house, caller=caller, name=vote.name)
            versions = {node.name: node.tainted for node in lineage.nodes if "/versions/" in node.name}
            assert set(versions) == {name for name, learnt in self.model.versions if vote.uid in learnt}
            assert {name for name, is_tainted in versions.items() if is_tainted} == tainted & set(versions)


@settings(max_examples=8)
@given(deeds=DEEDS)
def test_a_retracted_vote_taints_exactly_its_descendants(sqlite_template: pathlib.Path, deeds: list[Any]) -> None:
    folder = pathlib.Path(tempfile.mkdtemp(dir=sqlite_template.parent))
    shutil.copy(sqlite_template, folder / "tutelage.db")
    storage = SqlStorage.at(f"sqlite:///{folder / 'tutelage.db'}")
    try:
        story = Story(FeedbackBench(make_review_bench(make_bench(storage, artifacts_dir=folder / "artifacts"))))
        for word, *rest in deeds:
            getattr(story, word)(*rest)
        story.check()
    finally:
        storage.close()
        shutil.rmtree(folder)

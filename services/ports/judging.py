"""What verbs may ask of the keepers of aliases, of duels, and of how things belong together."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from services.domain.answers import AnswersDrawn
from services.domain.duels import Duel, PairVotes, Tally
from services.domain.jobs import Job
from services.domain.lineage import Key, LineageNode, Link
from services.domain.pages import Page
from services.domain.promotion import Alias, AliasMove
from services.domain.review_stats import CountedVote


class Aliases(Protocol):
    """Keeps aliases, and every move of each."""

    def hold(self, project_id: str, model_id: str) -> None:
        """Hold the row of the model until the end: its aliases are made and moved one after another."""
        ...

    def find(self, project_id: str, model_id: str, alias_id: str) -> Alias | None:
        """Return an alias without its moves."""
        ...

    def of_model(self, project_id: str, model_id: str) -> Sequence[Alias]:
        """Return the aliases of a model without their moves, by their ids."""
        ...

    def moves(self, of: Alias, *, count_max: int | None = None) -> Sequence[AliasMove]:
        """Return the moves of an alias, newest first."""
        ...

    def move(self, to: Alias, move: AliasMove) -> None:
        """Keep where an alias is now, and the move that brought it there; the model must be held."""
        ...


class Duels(Protocol):
    """Keeps duels, the pairs that they compare, and counts what was said of them."""

    def add(self, new: Duel) -> None:
        """Keep a new duel, whose job was added before. Raises: AlreadyExists."""
        ...

    def find(self, project_id: str, duel_id: str) -> Duel | None:
        """Return a duel without its result."""
        ...

    def ids(self, project_id: str) -> Sequence[str]: ...

    def page(self, project_id: str, *, page: Page) -> Sequence[Duel]:
        """Return at most `page.size` + 1 duels without their results, in the order of (create_time, uid)."""
        ...

    def between(self, project_id: str, *, version: str, other: str, count_max: int) -> Sequence[Duel]:
        """Return the duels of two versions, whoever challenged, newest first and without their results."""
        ...

    def add_pairs(self, job: Job, drawn: AnswersDrawn) -> None:
        """Keep what a job drew for its duel, if it draws for one; what is there already stays as it is."""
        ...

    def drawn(self, duel_uid: str) -> tuple[int, int]:
        """Return how many pairs are there, and in how many of them both answers are the same."""
        ...

    def tally_scores(self, duel_uid: str) -> Tally:
        """Count pairs by their scores."""
        ...

    def review_terms(self, review_uid: str) -> tuple[int, bool]:
        """Return how many votes are wanted of each pair, and whether no more are taken."""
        ...

    def pair_votes(self, review_uid: str) -> Mapping[PairVotes, int]:
        """Count the pairs on which was voted in the same way."""
        ...


class CountedVotes(Protocol):
    """Reads the votes of a review that count, as far as numbers need them."""

    def of_review(self, review_uid: str) -> Sequence[CountedVote]:
        """Return the votes of a review that count, silent repetitions too, in the order of the ledger."""
        ...


class Lineages(Protocol):
    """Finds how things of a project belong together."""

    def links_up(self, project_id: str, keys: Collection[Key]) -> Sequence[Link]:
        """Return what these things were made of directly."""
        ...

    def links_down(self, project_id: str, keys: Collection[Key]) -> Sequence[Link]:
        """Return what was made of these things directly."""
        ...

    def retracted(self, project_id: str) -> Mapping[str, int]:
        """Return the feedback sets that hold retracted votes, with how many, by uid."""
        ...

    def retracted_votes(self, set_uids: Collection[str]) -> Collection[str]:
        """Return the uids of the retracted votes in these sets, each once."""
        ...

    def checks_passed(self, project_id: str, *, version: str) -> Mapping[str, float]:
        """Return the share of checks that a version passed, by what it was measured on; the newest measure each."""
        ...

    def nodes(self, project_id: str, keys: Collection[Key]) -> Mapping[Key, LineageNode]:
        """Return what these things are; what is not there is left out."""
        ...

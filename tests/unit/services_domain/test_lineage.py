"""The order of a lineage, and what hands a taint on."""

import random

import pytest

from services.domain.lineage import (
    LEARNING,
    LINKS,
    Key,
    Link,
    Place,
    Relation,
    hands_on,
    in_order,
    is_told,
    job_or_version,
)
from tutelage.cli._lineage import TURNED_ROUND


def key(name: str) -> Key:
    return Key(Place.JOB, name)


def link(source: str, result: str, relation: str = "trained on") -> Link:
    return Link(key(source), key(result), relation)


def test_sources_stand_before_results_and_otherwise_in_one_order() -> None:
    links = [link("c", "b"), link("b", "a"), link("c", "d")]
    for _ in range(3):
        keys = [key(name) for name in random.Random(1).sample("abcd", 4)]
        assert [each.id for each in in_order(keys, links)] == ["c", "b", "a", "d"]


def test_links_to_what_is_not_there_do_not_count() -> None:
    assert in_order([key("a")], [link("z", "a"), link("a", "y")]) == [key("a")]


def test_two_links_between_the_same_things_are_no_circle() -> None:
    assert len(in_order([key("a"), key("b")], [link("a", "b"), link("a", "b", "tuned from")])) == 2


def test_a_circle_is_noticed() -> None:
    with pytest.raises(ValueError, match="circle"):
        in_order([key("a"), key("b")], [link("a", "b"), link("b", "a")])


def test_random_lineages_are_in_order() -> None:
    lots = random.Random(3)
    for _ in range(20):
        names = lots.sample(range(30), 30)
        links = [link(str(names[one]), str(names[lots.randrange(one)])) for one in range(1, 30) for _ in range(2)]
        places = {each: place for place, each in enumerate(in_order([key(str(name)) for name in names], links))}
        assert len(places) == 30 and all(places[each.source] < places[each.result] for each in links)


def test_what_is_learnt_hands_a_taint_on_and_what_is_looked_at_does_not() -> None:
    handing = {relation for relation in Relation if hands_on(link("a", "b", relation.words))}
    assert handing == LEARNING
    assert Relation.DRAWN_FROM not in handing and Relation.PROMPTED_BY not in handing
    assert hands_on(link("a", "b", "published by")) and hands_on(link("a", "b", "names"))
    for relation in ("votes", "drawn by", "frozen again from", "frozen from"):
        assert not hands_on(link("a", "b", relation))


def test_measures_are_not_told() -> None:
    assert {relation for relation in Relation if not is_told(relation)} == {
        Relation.MEASURED,
        Relation.MEASURED_ON,
        Relation.VERIFIED,
    }


def test_a_checkpoint_stands_for_its_job() -> None:
    assert job_or_version("projects/own/jobs/j/checkpoints/5") == "projects/own/jobs/j"
    assert job_or_version("projects/own/models/m/versions/1") == "projects/own/models/m/versions/1"


def test_the_command_line_can_tell_every_link_from_either_end() -> None:
    told = {relation.words for relation in Relation if is_told(relation)} | LINKS
    assert set(TURNED_ROUND) == told
    assert len(set(TURNED_ROUND.values())) == len(told)

"""How soon a reviewer has the next item: with 1,000 items and with 100,000, alone and among 200 reviewers.

    python -m benchmarks.reviews [--database-url URL] [--items 100000] [--reviewers 200] [--pause 5] [--seconds 30]

The items are copies of one, written by SQL alone. What is timed are the verbs on the database; a crowd works in as many
threads as services has, and a call that waits for a thread waits in the measured time, too. Each reviewer votes and
takes the next seat, and then thinks for `--pause` seconds on average; an exponential law decides, so that they come
unevenly.
"""

import argparse
import concurrent.futures
import dataclasses
import pathlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from benchmarks.machine import print_machine
from services.api.server import Bounds
from services.domain.projects import Caller
from services.domain.reviews import Review, Seat
from services.reviews.list_open_reviews import list_open_reviews
from services.reviews.take_seats import take_seats
from services.storage.schema import migrate
from services.storage.tables.reviews import review, review_item
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import make_bench
from tests.support.reviews import FIRST, ReviewBench, make_review_bench

SMALL = 1000
REPETITIONS = 100
OVERLAP = 3


def main() -> None:
    """Print medians alone at both sizes with their ratio, and the times of a crowd."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--reviewers", type=int, default=200)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds from a vote to the next, on average")
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = SqlStorage.at(asked.database_url or f"sqlite:///{folder}/tutelage.db")
        migrate(storage.engine)
        bench = make_review_bench(make_bench(storage, artifacts_dir=pathlib.Path(folder) / "artifacts"))
        print_machine()
        compare(bench, items=asked.items)
        crowd(bench, items=asked.items, reviewers=asked.reviewers, pause_s=asked.pause, seconds=asked.seconds)
        storage.close()


def compare(bench: ReviewBench, *, items: int) -> None:
    """Ask everything at both sizes."""
    small = measured(bench, items=SMALL)
    large = measured(bench, items=items)
    print(f"{'one reviewer alone, median':40}{SMALL:>12,}{items:>14,}{'ratio':>8}")
    for name in small:
        print(f"{name:40}{small[name]:>9.2f} ms{large[name]:>11.2f} ms{large[name] / small[name]:>8.2f}")


def measured(bench: ReviewBench, *, items: int) -> dict[str, float]:
    """Return the median of each step, in milliseconds."""
    found = filled(bench, f"alone-{items}", items=items)
    fresh, far = bench.reviewer("fresh"), bench.reviewer("far")
    seats, taking, voting = list(bench.take(fresh, found)), [], []
    for _ in range(REPETITIONS):
        voting.append(timed(lambda: bench.vote(fresh, seats[-1], FIRST)))
        taking.append(timed(lambda: seats.extend(bench.take(fresh, found))))
    times = {"vote": statistics.median(voting), "next seat": statistics.median(taking)}
    judged_all_but(bench, found, far, left=10)
    times["next seat, all but 10 items judged"] = statistics.median(
        [timed(lambda: bench.skip(far, bench.take(far, found)[0])) for _ in range(REPETITIONS // 2)]
    )
    judged_all_but(bench, found, far, left=0)
    times["nothing left"] = median_ms(lambda: take_seats(bench.house, caller=far, name=found.name))
    times["open reviews"] = median_ms(lambda: list_open_reviews(bench.house, caller=fresh, parent="projects/-"))
    return times


def crowd(bench: ReviewBench, *, items: int, reviewers: int, pause_s: float, seconds: float) -> None:
    """Let reviewers vote and take the next seat, each at their own pace, in the threads that services has."""
    found = filled(bench, "crowd", items=items)
    people = [bench.reviewer(f"p{number:03}") for number in range(reviewers)]
    seats = {person.api_key: bench.take(person, found)[0] for person in people}
    work = Crowd(bench=bench, review=found, seats=seats)
    dice, began = random.Random(7), time.perf_counter()
    due = sorted((dice.uniform(0, pause_s), number) for number in range(reviewers))
    with concurrent.futures.ThreadPoolExecutor(Bounds().threads) as pool:
        while due[0][0] < seconds:
            at, number = due.pop(0)
            time.sleep(max(0.0, began + at - time.perf_counter()))
            pool.submit(work.turn, people[number], asked=began + at)
            due.append((at + 0.05 + dice.expovariate(1 / pause_s), number))
            due.sort()
    spent = time.perf_counter() - began
    print(
        f"\n{reviewers} reviewers, {items:,} items, {len(work.voting) / spent:.0f} votes a second, {work.failed} failed"
    )
    for name, times in (("vote", work.voting), ("next seat", work.taking)):
        median, p95 = at_share(times, 0.5), at_share(times, 0.95)
        print(f"{name:12} median {median:7.1f} ms   p95 {p95:7.1f} ms   max {max(times):7.1f} ms")


@dataclasses.dataclass
class Crowd:
    """Reviewers at one review, with how long they waited, in milliseconds."""

    bench: ReviewBench
    review: Review
    seats: dict[str, Seat]
    voting: list[float] = dataclasses.field(default_factory=list)
    taking: list[float] = dataclasses.field(default_factory=list)
    failed: int = 0

    def turn(self, person: Caller, *, asked: float) -> None:
        """Vote, and take the next seat; the time counts from the moment at which the reviewer wanted it."""
        try:
            self.bench.vote(person, self.seats[person.api_key], FIRST)
            voted = time.perf_counter()
            (self.seats[person.api_key],) = self.bench.take(person, self.review)
            self.voting.append((voted - asked) * 1000)
            self.taking.append((time.perf_counter() - voted) * 1000)
        except Exception as error:
            self.failed += 1
            print(repr(error))


def filled(bench: ReviewBench, name: str, *, items: int) -> Review:
    """Return a review with so many items, which are copies of its first."""
    found = bench.with_items(1, review_id=name, overlap=OVERLAP)
    postgresql = bench.bench.storage.engine.dialect.name == "postgresql"
    counted = "WITH RECURSIVE number(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM number WHERE n < :items)"
    if postgresql:
        counted = "WITH number(n) AS (SELECT generate_series(2, CAST(:items AS int))::bigint)"
    uid = "substr(review_item.uid, 1, 24) || " + ("lpad(n::text, 12, '0')" if postgresql else "printf('%012d', n)")
    changed = {"uid": uid, "number": "n", "position": "n"}
    names = [column.name for column in review_item.columns]
    wanted = ", ".join(changed.get(each, f"review_item.{each}") for each in names)
    statement = (
        f"INSERT INTO review_item ({', '.join(names)}) {counted} SELECT {wanted} FROM review_item, number "
        "WHERE review_item.review_uid = :review AND review_item.number = 1"
    )
    with bench.bench.storage.engine.begin() as connection:
        connection.execute(sa.text(statement), {"items": items, "review": found.uid})
        counts = {"items": items, "next_position": items + 1}
        connection.execute(sa.update(review).where(review.c.uid == found.uid).values(counts))
    analyze(bench)
    return found


def judged_all_but(bench: ReviewBench, found: Review, by: Caller, *, left: int) -> None:
    """Write seats with votes of a reviewer at all but the last items, as if they had judged for weeks."""
    postgresql = bench.bench.storage.engine.dialect.name == "postgresql"
    uid = "substr(i.review_uid, 1, 8) || '-0000-4000-8000-' || substr(i.uid, 25)"
    columns = {
        "uid": uid,
        "item_uid": "i.uid",
        "review_uid": "i.review_uid",
        "reviewer": "CAST(:reviewer AS varchar(300))",
        "place": "2",
        "state": "'VOTED'",
        "repeat": "false" if postgresql else "0",
        "take_time": "0",
        "expire_time": "0",
        "guidelines_version": "1",
        "shown_order": "'[0, 1]'",
        "vote_uid": uid,
        "due": "0",
    }
    missing = (
        "NOT EXISTS (SELECT 1 FROM seat s WHERE s.item_uid = i.uid AND s.reviewer = CAST(:reviewer AS varchar(300)))"
    )
    statement = (
        f"INSERT INTO seat ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM review_item i "
        f"WHERE i.review_uid = :review AND i.number <= :last AND {missing}"
    )
    values = {"reviewer": by.api_key, "review": found.uid, "last": count_items(bench, found) - left}
    with bench.bench.storage.engine.begin() as connection:
        connection.execute(sa.text(statement), values)
        skipped = "UPDATE seat SET state = 'VOTED', vote_uid = uid WHERE review_uid = :review AND reviewer = :reviewer"
        if not left:
            connection.execute(sa.text(skipped), {"review": found.uid, "reviewer": by.api_key})
    analyze(bench)


def count_items(bench: ReviewBench, found: Review) -> int:
    """Return how many items a review has."""
    with bench.house.storage.read() as uow:
        again = uow.reviews.find_by_uid(found.uid)
    assert again is not None
    return again.items


def analyze(bench: ReviewBench) -> None:
    """Let the planner look at the tables, as it does by itself after a while."""
    with bench.bench.storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))


def timed(deed: Callable[[], object]) -> float:
    """Return how long a deed takes, in milliseconds."""
    began = time.perf_counter()
    deed()
    return (time.perf_counter() - began) * 1000


def median_ms(question: Callable[[], object]) -> float:
    """Ask again and again; return the middle."""
    return statistics.median([timed(question) for _ in range(REPETITIONS)])


def at_share(times: Sequence[float], share: float) -> float:
    """Return the time that this share of all did not exceed."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


if __name__ == "__main__":
    main()

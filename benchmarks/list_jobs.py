"""Whether ListJobs and GetJob stay flat: the same questions at a thousand and at a million jobs.

    python -m benchmarks.list_jobs [--database-url URL] [--rows 1000000]

The rows are copies of one real job, written by SQL alone; of a thousand, one waits and the others have succeeded.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import sqlalchemy as sa

from benchmarks.machine import print_machine
from services.domain.pages import PageRequest
from services.jobs.explain_job import explain_job
from services.jobs.get_job import get_job
from services.jobs.list_jobs import list_jobs
from services.storage.schema import migrate
from services.storage.tables.jobs import job
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import Bench, make_bench

SMALL = 1000
REPETITIONS = 200


def main() -> None:
    """Print the median of each question at both sizes, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = SqlStorage.at(asked.database_url or f"sqlite:///{folder}/tutelage.db")
        migrate(storage.engine)
        bench = make_bench(storage, artifacts_dir=pathlib.Path(folder) / "artifacts")
        print_machine()
        compare(bench, rows=asked.rows)
        storage.close()


def compare(bench: Bench, *, rows: int) -> None:
    """Fill the table twice and ask everything at both sizes."""
    template = bench.submit(job_id="template").uid
    fill(bench, template, first=1, last=SMALL)
    small = measured(bench)
    began = time.perf_counter()
    fill(bench, template, first=SMALL + 1, last=rows)
    print(f"{rows:,} rows written in {time.perf_counter() - began:.0f} s")
    large = measured(bench)
    print(f"{'question':34}{SMALL:>12,}{rows:>14,}{'ratio':>8}")
    for name in small:
        print(f"{name:34}{small[name]:>9.2f} ms{large[name]:>11.2f} ms{large[name] / small[name]:>8.2f}")


def fill(bench: Bench, template: str, *, first: int, last: int) -> None:
    """Copy the template: created a second apart, all but each thousandth finished."""
    counted = "WITH RECURSIVE number(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM number WHERE n < {last})"
    if bench.storage.engine.dialect.name == "postgresql":
        counted = "WITH number(n) AS (SELECT generate_series({first}, {last})::bigint)"
    waits = "n % 1000 = 0"
    changed = {
        "uid": "substr('00000000-0000-4000-8000-', 1, 24) || substr('000000000000' || n, -12)",
        "id": "'j' || n",
        "create_time": "create_time + n * 1000000",
        "state": f"CASE WHEN {waits} THEN 'QUEUED' ELSE 'SUCCEEDED' END",
        "end_time": f"CASE WHEN {waits} THEN NULL ELSE create_time + n * 1000000 END",
        "model_version": f"CASE WHEN {waits} THEN '' ELSE 'projects/own/models/m/versions/1' END",
    }
    if bench.storage.engine.dialect.name == "postgresql":
        changed["uid"] = "'00000000-0000-4000-8000-' || lpad(n::text, 12, '0')"
    names = [column.name for column in job.columns]
    wanted = ", ".join(changed.get(name, name) for name in names)
    statement = (
        f"INSERT INTO job ({', '.join(names)}) {counted.format(first=first, last=last)} "
        f"SELECT {wanted} FROM job, number WHERE job.uid = '{template}'"
    )
    with bench.storage.engine.begin() as connection:
        if bench.storage.engine.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        connection.execute(sa.text(statement))
    with bench.storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))


def measured(bench: Bench) -> dict[str, float]:
    """Return the median of each question, in milliseconds."""
    caller = bench.caller

    def listing(**asked: str) -> Callable[[], object]:
        return lambda: list_jobs(bench.house, caller=caller, parent="projects/-", page=PageRequest(), **asked)

    _, token = list_jobs(bench.house, caller=caller, parent="projects/-", page=PageRequest(size=500))
    questions: dict[str, Callable[[], object]] = {
        "GetJob": lambda: get_job(bench.house, caller=caller, name="projects/-/jobs/j500"),
        "ListJobs, first page of 50": listing(),
        "ListJobs, oldest first": listing(order_by="create_time asc"),
        "ListJobs, page after 500": lambda: list_jobs(
            bench.house, caller=caller, parent="projects/-", page=PageRequest(token=token)
        ),
        "ListJobs, state = SUCCEEDED": listing(filter="state = SUCCEEDED"),
        "ListJobs, model = plays-tiny": listing(filter="model = plays-tiny"),
        "ExplainJob of a waiting job": lambda: explain_job(bench.house, caller=caller, name="projects/-/jobs/template"),
        "choosing the next job to claim": lambda: choose(bench),
    }
    return {name: median_ms(question) for name, question in questions.items()}


def choose(bench: Bench) -> None:
    """Do what a claim does before it writes."""
    with bench.house.storage.write() as uow:
        chosen = uow.jobs.lock_claimable(now=uow.now(), wished_uid="", without_projects=[])
        assert chosen is not None


def median_ms(question: Callable[[], object]) -> float:
    """Ask again and again; return the middle."""
    times = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        question()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    main()

"""The double of the services says of every kind of job what services would say."""

from tests.support.workers_double import Job, WorkersDouble
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, workers_pb2


def assignment(double: WorkersDouble, job: Job) -> workers_pb2.Assignment:
    return double._assignment(job)


def test_a_job_is_assigned_as_what_it_is() -> None:
    double = WorkersDouble("unix:nowhere")
    specs = {
        "fine_tune": training_pb2.FineTuneSpec(base="b"),
        "import_model": training_pb2.ImportModelSpec(dataset="d"),
        "export_model": training_pb2.ExportModelSpec(model="m"),
        "verification": workers_pb2.Verification(first_step=2),
    }
    for kind, spec in specs.items():
        assert assignment(double, double.submit(spec=spec)).WhichOneof("spec") == kind
    assert assignment(double, double.submit(steps=3)).WhichOneof("spec") == "train"


def test_after_a_rollback_a_job_goes_on_on_the_next_line() -> None:
    double = WorkersDouble("unix:nowhere")
    job = double.submit()
    steps = [facts_pb2.Fact(metric_logged=jobs_pb2.MetricLogged(step=step)) for step in (1, 2, 3)]
    back = facts_pb2.Fact(rolled_back=jobs_pb2.RolledBack(from_step=3, to_step=1, lineage=2))
    job.facts += [*steps, back]
    told = assignment(double, job)
    assert (told.lineage, told.recorded_step) == (2, 1)

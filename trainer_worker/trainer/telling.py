"""What a recipe yields: facts for the record, and signs of progress for the watchdog."""

from collections.abc import Mapping

from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2

Told = (
    jobs_pb2.MetricLogged
    | jobs_pb2.SampleDrawn
    | jobs_pb2.Note
    | jobs_pb2.RowsBlamed
    | jobs_pb2.RolledBack
    | jobs_pb2.Usage
    | facts_pb2.CheckpointWritten
    | facts_pb2.AnswersDrawn
    | pipe_pb2.Progress
)


def progress(section: "pipe_pb2.Section.ValueType", *, step: int = 0) -> pipe_pb2.Progress:
    return pipe_pb2.Progress(section=section, step=step)


def info(kind: str, message: str, details: Mapping[str, object]) -> jobs_pb2.Note:
    return note(jobs_pb2.NOTE_LEVEL_INFO, kind, message, details)


def warning(kind: str, message: str, details: Mapping[str, object]) -> jobs_pb2.Note:
    return note(jobs_pb2.NOTE_LEVEL_WARNING, kind, message, details)


def note(
    level: "jobs_pb2.NoteLevel.ValueType", kind: str, message: str, details: Mapping[str, object]
) -> jobs_pb2.Note:
    words = {name: str(value) for name, value in details.items()}
    return jobs_pb2.Note(level=level, kind=kind, message=message, details=words)


def message_of(told: Told) -> pipe_pb2.FromTrainer:
    """The message of the pipe for what a recipe yielded."""
    if isinstance(told, pipe_pb2.Progress):
        return pipe_pb2.FromTrainer(progress=told)
    fact = fact_of(told)
    fact.time.GetCurrentTime()
    return pipe_pb2.FromTrainer(fact=fact)


def fact_of(told: Told) -> facts_pb2.Fact:
    match told:
        case jobs_pb2.MetricLogged():
            return facts_pb2.Fact(metric_logged=told)
        case jobs_pb2.SampleDrawn():
            return facts_pb2.Fact(sample_drawn=told)
        case jobs_pb2.Note():
            return facts_pb2.Fact(note=told)
        case jobs_pb2.RowsBlamed():
            return facts_pb2.Fact(rows_blamed=told)
        case jobs_pb2.RolledBack():
            return facts_pb2.Fact(rolled_back=told)
        case jobs_pb2.Usage():
            return facts_pb2.Fact(usage=told)
        case facts_pb2.CheckpointWritten():
            return facts_pb2.Fact(checkpoint_written=told)
        case facts_pb2.AnswersDrawn():
            return facts_pb2.Fact(answers_drawn=told)
    raise TypeError(f"a recipe yielded {type(told).__name__}")

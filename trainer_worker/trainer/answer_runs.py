"""From an assignment to a run that learns from prompts with answers, whatever the method."""

from collections.abc import Generator

from trainer_worker.trainer.comparing import settings_of
from trainer_worker.trainer.engine.answers import Layout
from trainer_worker.trainer.engine.checkpoint import Checkpoint
from trainer_worker.trainer.engine.preference_data import Purpose, prepare_answers
from trainer_worker.trainer.engine.preference_rows import Wanted
from trainer_worker.trainer.engine.reward_model import shares_prompts
from trainer_worker.trainer.preparation import Data, Place, loading, make_run, with_remarks
from trainer_worker.trainer.run import Method, Run
from trainer_worker.trainer.subjects import Change, context_length, hold_cast, subject_of
from trainer_worker.trainer.telling import Told
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import workers_pb2


def prepare_run(
    assignment: workers_pb2.Assignment,
    place: Place,
    checkpoint: Checkpoint | None,
    *,
    method: Method,
    wanted: Wanted,
    whole: bool = False,
    strange_answers: bool = False,
    change: Change | None = None,
) -> Generator[Told, None, Run]:
    """Reads the base, or what a checkpoint has made of it, and the rows of the kind that is wanted.

    `whole`: answers go in with their last token; `strange_answers`: each row gets an answer to another prompt besides;
    `change` turns the base into another kind of model. Raises: UnusableData, BadCheckpoint.
    """
    yield loading()
    spec = assignment.fine_tune
    settings_of(spec)
    subject = subject_of(assignment, place, checkpoint, change=change)
    yield loading()
    layout = Layout(subject.tokenizer.end_of_text, shared=shares_prompts(subject.model.config), whole=whole)
    preparing = prepare_answers(
        assignment,
        Purpose(wanted, layout, strange_answers),
        tokenizer=subject.tokenizer,
        context_length=context_length(spec, subject),
        store=place.store,
        scratch=place.scratch,
    )
    data = Data(*(yield from with_remarks(preparing)))
    run = yield from make_run(assignment, place, method=method, subject=subject, data=data, checkpoint=checkpoint)
    leave_uncompiled(run)
    hold_cast(run)
    return run


def leave_uncompiled(run: Run) -> None:
    """Batches of answers have many shapes, each of which would be compiled: only if that is asked for."""
    if run.spec.compute.compilation != training_pb2.COMPILATION_ON:
        run.state.compiled, run.hidden = False, run.model.hidden

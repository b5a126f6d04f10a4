"""Measuring: how well a model predicts rows or a text, or how many checks its answers pass."""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from artifacts import Store
from artifacts.disk import no_space_is_told
from trainer_worker.trainer.complete_files import keep_complete
from trainer_worker.trainer.engine.checkers import checker_of
from trainer_worker.trainer.engine.draw import Answer, Asked, Drawer, NotFinite
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.prompts import Asking, Prompt, fitting_tokens, read_prompts
from trainer_worker.trainer.engine.row_losses import Predicted, predicted_rows, predicted_windows
from trainer_worker.trainer.engine.row_samples import PaddedRows
from trainer_worker.trainer.engine.row_tokens import RowSource, tokenized_rows
from trainer_worker.trainer.engine.samples import Windows
from trainer_worker.trainer.engine.stored_model import StoredModel
from trainer_worker.trainer.engine.text import fetch_file
from trainer_worker.trainer.engine.tokenizers import byte_counts
from trainer_worker.trainer.engine.training_data import TEXTS, kind_of_rows, prepare_text, require_rows
from trainer_worker.trainer.preparation import begin
from trainer_worker.trainer.recipes.draw import manner_of, with_fit_text
from trainer_worker.trainer.telling import Told, info, progress, warning
from tutelage.v1 import datasets_pb2, jobs_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

FORMAT = 1
REPORT = "report.json"
STEP = 1
PROMPTS_TOGETHER = 256
PREDICTABLE = (
    datasets_pb2.ROW_KIND_TEXT,
    datasets_pb2.ROW_KIND_PROMPT_COMPLETION,
    datasets_pb2.ROW_KIND_MESSAGES,
)

Result = TypeVar("Result")
Measured = tuple[dict[str, float], list[dict[str, Any]]]  # the metrics, and what the report says of each row


class Stopped(Exception):
    """It was told to stop."""


def evaluate(
    assignment: workers_pb2.Assignment, *, store: Store, scratch: pathlib.Path, stop: Callable[[], bool] = lambda: False
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Measures the model on the dataset, tells the numbers, and keeps a report with every row.

    Returns: ENDING_COMPLETE; ENDING_STOPPED, without a report, if it was told to stop.
    Raises: UnusableData with the row that cannot be measured; TrainingFailed without room for the report.
    """
    part, device = assignment.dataset, begin()
    yield progress(pipe_pb2.SECTION_LOAD)
    stored = base_model(assignment.base, store=store, scratch=scratch)
    stored.model.to(device).eval().requires_grad_(False)
    yield progress(pipe_pb2.SECTION_LOAD)
    try:
        if part.format in TEXTS:
            metrics, rows = yield from text_measured(assignment, stored, store=store, scratch=scratch, stop=stop)
        elif part.row_kind == datasets_pb2.ROW_KIND_CHECKS:
            metrics, rows = yield from checks_measured(assignment, stored, store=store, scratch=scratch, stop=stop)
        else:
            metrics, rows = yield from rows_measured(assignment, stored, store=store, scratch=scratch, stop=stop)
    except Stopped:
        return pipe_pb2.ENDING_STOPPED
    yield info("measured", sentence(metrics, rows), metrics)
    yield jobs_pb2.MetricLogged(step=STEP, values=metrics)
    yield progress(pipe_pb2.SECTION_STEP, step=STEP)
    with tempfile.TemporaryDirectory(prefix="report-") as name, no_space_is_told():
        folder = pathlib.Path(name)
        (folder / REPORT).write_text(json.dumps(report_of(assignment, metrics, rows), indent=1, allow_nan=False))
        yield from keep_complete(assignment, folder, store=store, parameters=stored.model.config.parameters)
    return pipe_pb2.ENDING_COMPLETE


def sentence(metrics: dict[str, float], rows: Sequence[object]) -> str:
    if "eval/checks" in metrics:
        passed = f"{metrics['eval/checks_passed']:.1%} of {metrics['eval/checks']:,.0f} checks"
        return f"Answers to {len(rows):,} prompts pass {passed}."
    loss = metrics.get("eval/loss")
    said = "no number" if loss is None else f"{loss:.4f} nats per token"
    return f"The loss over {len(rows):,} rows is {said}."


def report_of(
    assignment: workers_pb2.Assignment, metrics: dict[str, float], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """What was measured, of what, and every row. Losses are in nats per token."""
    return {
        "format": FORMAT,
        "job": assignment.job,
        "model": assignment.base.name,
        "dataset": assignment.dataset.name,
        "dataset_sha256": assignment.dataset.sha256,
        "all_rows": assignment.evaluate.all_rows,
        "metrics": metrics,
        "rows": rows,
    }


def text_measured(
    assignment: workers_pb2.Assignment,
    stored: StoredModel,
    *,
    store: Store,
    scratch: pathlib.Path,
    stop: Callable[[], bool],
) -> Generator[Told, None, Measured]:
    """A text in windows of the model's context, as evaluations while training read it."""
    part, length = assignment.dataset, stored.model.config.context_length
    reading = prepare_text(part, stored.tokenizer, context_length=length, store=store, scratch=scratch)
    prepared = yield from with_signs(reading, pipe_pb2.SECTION_LOAD, stop)
    held_out = [("validation", prepared.validation)]
    parts = [("training", prepared.training), *held_out] if assignment.evaluate.all_rows else held_out
    rows: list[dict[str, Any]] = []
    whole = Predicted()
    for name, windows in parts:
        assert isinstance(windows, Windows), "a text is cut into windows"
        measuring = predicted_windows(stored.model, windows, token_bytes_V=byte_counts(stored.tokenizer))
        found = yield from with_signs(measuring, pipe_pb2.SECTION_EVALUATE, stop)
        for token, one in found.items():
            whole.add(one)
            rows.append({"part": name, "token": token, "tokens": one.tokens, **one.numbers()})
    return metrics_of(whole, part), rows


def rows_measured(
    assignment: workers_pb2.Assignment,
    stored: StoredModel,
    *,
    store: Store,
    scratch: pathlib.Path,
    stop: Callable[[], bool],
) -> Generator[Told, None, Measured]:
    """Rows of text, completions and conversations; what does not fit into the context is cut off, but of texts."""
    part = assignment.dataset
    require_rows(part)
    path = fetch_file(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
    kind = kind_of_rows(part, path)
    if kind not in PREDICTABLE:
        help = "Use texts, prompts with completions, conversations, or prompts with checks."
        raise UnusableData(f"{part.name or 'the dataset'} has rows that hold nothing to predict", help=help)
    source = RowSource(path, part.sha256, part.format, kind, part.train_rows, deduplicate=False)
    reading = tokenized_rows(source, stored.tokenizer, scratch=scratch)
    training, validation = yield from with_signs(reading, pipe_pb2.SECTION_LOAD, stop)
    rows: list[dict[str, Any]] = []
    whole, truncated = Predicted(), 0
    for one_part in (training, validation) if assignment.evaluate.all_rows else (validation,):
        sequences = PaddedRows(
            one_part.rows,
            context_length=stored.model.config.context_length,
            split=kind == datasets_pb2.ROW_KIND_TEXT,
            padding=stored.tokenizer.end_of_text,
        )
        truncated += sequences.pieces.truncated
        measuring = predicted_rows(stored.model, sequences, token_bytes_V=byte_counts(stored.tokenizer))
        found = yield from with_signs(measuring, pipe_pb2.SECTION_EVALUATE, stop)
        for number, one in found.items():
            whole.add(one)
            rows.append({"row": number, "tokens": one.tokens, **one.numbers()})
    if truncated:
        message = f"{truncated:,} rows are longer than the model sees: their ends are not measured."
        yield warning("rows_truncated", message, {"truncated": truncated})
    return metrics_of(whole, part), rows


def metrics_of(whole: Predicted, part: workers_pb2.DatasetArtifact) -> dict[str, float]:
    """Raises: UnusableData if there was nothing to measure."""
    if not whole.tokens:
        help = "Measure all rows, or use a dataset with more of them."
        raise UnusableData(f"{part.name or 'the dataset'} has nothing to measure on", help=help)
    return {f"eval/{name}": value for name, value in whole.numbers().items()}


def checks_measured(
    assignment: workers_pb2.Assignment,
    stored: StoredModel,
    *,
    store: Store,
    scratch: pathlib.Path,
    stop: Callable[[], bool],
) -> Generator[Told, None, Measured]:
    """Answers each prompt once, and holds the answer against the checks of its row: one is passed with a score of 1."""
    part = assignment.dataset
    path = fetch_file(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
    first = 0 if assignment.evaluate.all_rows else part.train_rows
    prompts = [one for one in read_prompts(path, format=part.format, kind=part.row_kind) if one.number > first]
    if not prompts:
        raise UnusableData(f"{part.name or 'the dataset'} has nothing to measure on", help="Measure all rows.")
    for prompt in prompts:
        checked(prompt, "")  # a check that there is not is found before anything is drawn
    rows: list[dict[str, Any]] = []
    with contextlib.closing(Asking(stored.tokenizer)) as asking:
        drawer = Drawer(stored.model, stored.tokenizer)
        for begin_at in range(0, len(prompts), PROMPTS_TOGETHER):
            block = prompts[begin_at : begin_at + PROMPTS_TOGETHER]
            asked = list(asked_of(assignment, block, asking, context_length=stored.model.config.context_length))
            answers = yield from with_signs(drawn(drawer, asked, assignment), pipe_pb2.SECTION_EVALUATE, stop)
            for prompt, answer in zip(block, answers, strict=True):
                rows.append(row_of(prompt, answer))
                yield progress(pipe_pb2.SECTION_EVALUATE)
    checks = [check["passed"] for row in rows for check in row["checks"]]
    return {"eval/checks_passed": sum(checks) / len(checks), "eval/checks": float(len(checks))}, rows


def asked_of(
    assignment: workers_pb2.Assignment, block: Sequence[Prompt], asking: Asking, *, context_length: int
) -> Iterator[Asked]:
    """A prompt keeps its seed whichever others are asked."""
    options = assignment.evaluate.options
    for prompt in block:
        tokens = fitting_tokens(prompt, asking, context_length=context_length, model=assignment.base.name)
        seed = (options.seed + prompt.number - 1) % 2**32
        yield Asked(tuple(tokens), seed, manner_of(options, asking, talks=bool(prompt.messages)))


def drawn(
    drawer: Drawer, asked: Sequence[Asked], assignment: workers_pb2.Assignment
) -> Generator[None, None, list[Answer]]:
    try:
        return (yield from drawer.draw(asked))
    except NotFinite as error:
        message = f"{assignment.base.name} cannot be drawn from: {error}"
        raise UnusableData(message, help="Choose another version.") from error


def row_of(prompt: Prompt, answer: Answer) -> dict[str, Any]:
    answer = with_fit_text(answer)
    checks = checked(prompt, answer.text)
    return {
        "row": prompt.number,
        "prompt": list(prompt.messages) or prompt.text,
        "answer": answer.text,
        "finish": answer.finish,
        "checks": checks,
        "passed": all(check["passed"] for check in checks),
    }


def checked(prompt: Prompt, answer: str) -> list[dict[str, Any]]:
    """Raises: UnusableData with the row whose check there is not."""
    found = []
    for check in prompt.checks:
        try:
            score = checker_of(check.name, check.argument)(answer, prompt.text)
        except UnusableData as error:
            raise UnusableData(f"row {prompt.number}: {error}", help=error.help) from error
        found.append({"name": check.name, "argument": check.argument, "score": score, "passed": score == 1.0})
    return found


def with_signs(
    work: Generator[object, None, Result], section: "pipe_pb2.Section.ValueType", stop: Callable[[], bool]
) -> Generator[Told, None, Result]:
    """Does the work, with a sign of progress wherever it pauses. Raises: Stopped."""
    while not stop():
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield progress(section)
    work.close()
    raise Stopped

"""A watched job as plain lines: for pipes, logs and screen readers."""

from typing import TYPE_CHECKING, Self

from tutelage._names import short_name
from tutelage.cli._output import clean, count, duration, loss, one_line, size
from tutelage.cli._story import Story

if TYPE_CHECKING:
    import tutelage

LINES_OF_PROGRESS = 20
ROWS_MAX = 3
# A row this many times as hard as the last step is worth a line of its own.
OUTLIER = 1.5
EXCERPT_CHARACTERS = 40


class Lines:
    """Prints one line for everything but metrics, and of those twenty over the whole run."""

    def __init__(self, story: Story, *, to_stderr: bool) -> None:
        self.story = story
        self.to_stderr = to_stderr
        self.interval_steps = max(story.steps_total // LINES_OF_PROGRESS, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, event: "tutelage.JobEvent") -> None:
        """Prints an event if it is worth a line."""
        metric, blamed = event.metric_logged, event.rows_blamed
        if blamed is not None:
            self.write(describe_event(event) if stands_out(blamed, self.story.loss) else "")
        elif metric is None:
            self.write(describe_event(event))
        elif metric.step % self.interval_steps == 0 or "eval/loss" in metric.values or metric.step == 1:
            self.write(describe_story(self.story))

    def tell(self, text: str) -> None:
        """Prints what is not an event: why the job waits."""
        self.write(text)

    def write(self, text: str) -> None:
        """Prints one line, if there is anything to say."""
        import click

        if text:
            click.echo(clean(text), err=self.to_stderr)


def describe_story(story: Story) -> str:
    """Returns how far a job has come, on one line."""
    parts = [f"step {story.step:,}/{story.steps_total:,}"]
    parts += [f"loss {loss(story.loss)}"] if story.loss is not None else []
    if story.validation_losses and story.validation_losses[-1][0] == story.step:
        parts.append(f"validation {loss(story.validation_loss)}")
    parts += [f"{count(story.tokens_per_second)} tokens/s"] if story.tokens_per_second else []
    parts += [f"{duration(story.remaining_seconds)} left"] if story.remaining_seconds else []
    return "  ".join(parts)


def describe_event(event: "tutelage.JobEvent") -> str:
    """Returns an event on one line; empty for what only a newer service knows."""
    if (change := event.state_changed) is not None:
        reason = f": {one_line(change.message)}" if change.message else ""
        return f"{change.to}{reason}"
    if (metric := event.metric_logged) is not None:
        return f"step {metric.step:,}  " + "  ".join(f"{one_line(k)} {v:.5g}" for k, v in sorted(metric.values.items()))
    if (sample := event.sample_drawn) is not None:
        return f"sample at step {sample.step:,}: {one_line(sample.prompt)[-40:]} ▸ {one_line(sample.text)}"
    if (checkpoint := event.checkpoint_committed) is not None:
        return f"checkpoint at step {checkpoint.step:,}, {size(checkpoint.size_bytes)}"
    if (note := event.note) is not None:
        return f"{note.level.lower()}: {one_line(note.message)}"
    if (blamed := event.rows_blamed) is not None:
        return f"hardest rows up to step {blamed.step:,}: " + "; ".join(
            describe_row(row) for row in blamed.rows[:ROWS_MAX]
        )
    if (back := event.rolled_back) is not None:
        return f"back to step {back.to_step:,} from step {back.from_step:,}: {one_line(back.message)}"
    return ""


def stands_out(blamed: "tutelage.RowsBlamed", usual_loss: float | None) -> bool:
    """Says whether the hardest row is much harder than what is usual now; the events have all of them."""
    return bool(blamed.rows) and usual_loss is not None and blamed.rows[0].loss > OUTLIER * usual_loss


def describe_row(row: "tutelage.BlamedRow") -> str:
    """Returns a hard row on one line."""
    place = f"row {row.row:,}" if row.row else f"token {row.token:,}"
    beginning = one_line(row.excerpt)[:EXCERPT_CHARACTERS]
    return f"{short_name(row.dataset)} {place} (loss {row.loss:.2f}) {beginning!r}"

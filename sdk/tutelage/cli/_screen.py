"""A watched job as a live view in a terminal."""

import shutil
from typing import TYPE_CHECKING, Any, Self

from tutelage._names import short_name
from tutelage.cli._curve import sparkline
from tutelage.cli._lines import describe_event, describe_row
from tutelage.cli._output import clean, console, count, duration, loss, one_line
from tutelage.cli._story import Story

if TYPE_CHECKING:
    import tutelage

FRAMES_PER_SECOND = 5
SAMPLE_LINES = 4
LABEL_COLUMNS = 12
PROMPT_COLUMNS = 40


class Screen:
    """Draws the story again a few times a second until it is left; then it is gone, and the summary takes its place."""

    def __init__(self, story: Story) -> None:
        from rich.live import Live

        self.story = story
        self.live = Live(
            console=console(), refresh_per_second=FRAMES_PER_SECOND, transient=True, get_renderable=self.draw
        )

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def show(self, event: "tutelage.JobEvent") -> None:
        """Keeps what must not scroll away; all else is in the next frame."""
        if event.note is not None and event.note.level != "INFO":
            self.live.console.print(f"{event.note.level.lower()}: {one_line(event.note.message)}", style="yellow")
        elif event.rolled_back is not None:
            self.live.console.print(describe_event(event), style="yellow")

    def tell(self, text: str) -> None:
        """Shows why the job waits."""
        self.story.waiting_for = text

    def draw(self) -> Any:
        """Returns one frame."""
        from rich.console import Group

        story = self.story
        parts = [self.headline()]
        if story.is_waiting or not story.step:
            parts.append(one_line(story.waiting_for or story.message) or "waiting for the first step")
        if story.step:
            parts += [self.bar(), self.figures(), self.curve()]
        if story.sample is not None:
            parts.append(self.sample(story.sample))
        if story.blamed is not None and story.blamed.rows:
            parts.append(styled(f"hardest lately: {describe_row(story.blamed.rows[0])}", "dim"))
        parts.append(styled("Ctrl-C leaves; the job goes on", "dim"))
        return Group(*parts)

    def headline(self) -> Any:
        """Returns name, state and attempt."""
        story = self.story
        line = styled(short_name(story.name), "bold")
        line.append(f"  {story.state}", style=colour_of(story.state))
        if story.epoch > 1:
            line.append(f"  attempt {story.epoch}", style="dim")
        if story.rollbacks:
            line.append(f"  {story.rollbacks} × back to a checkpoint", style="yellow")
        return line

    def bar(self) -> Any:
        """Returns the progress bar with step, share and time left."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        story = self.story
        total = max(story.steps_total, 1)
        left = f"{duration(story.remaining_seconds)} left" if story.remaining_seconds else ""
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        text = f"{story.step:,}/{story.steps_total:,}  {100 * story.step // total}%  {left}"
        row.add_row(ProgressBar(total=total, completed=story.step), text)
        return row

    def figures(self) -> Any:
        """Returns the numbers of the moment."""
        story = self.story
        parts = {
            "loss": loss(story.loss),
            "validation": loss(story.validation_loss),
            "tokens/s": count(story.tokens_per_second) if story.tokens_per_second else "",
            "checkpoint": "" if story.checkpoint_step is None else f"step {story.checkpoint_step:,}",
        }
        line = styled("", "")
        for name, text in parts.items():
            if text:
                line.append(f"{name} ", style="dim").append(f"{text}   ")
        return line

    def curve(self) -> Any:
        """Returns the loss so far on one line."""
        width = max(shutil.get_terminal_size().columns - LABEL_COLUMNS, 10)
        return styled(sparkline([value for _, value in self.story.losses], width=width), "cyan")

    def sample(self, drawn: "tutelage.SampleDrawn") -> Any:
        """Returns the latest text of the model."""
        line = styled(f"sample at step {drawn.step:,}\n", "dim")
        line.append(tail(one_line(drawn.prompt)), style="bold")
        shown = "\n".join(clean(drawn.text).splitlines()[:SAMPLE_LINES])
        return line.append(f" {shown}")


def tail(prompt: str) -> str:
    """Returns the end of a prompt, which is what the model continues."""
    return prompt if len(prompt) <= PROMPT_COLUMNS else f"…{prompt[-PROMPT_COLUMNS:]}"


def styled(text: str, style: str) -> Any:
    """Returns text with a style; nothing in it is taken for markup."""
    from rich.text import Text

    return Text(text, style=style)


def colour_of(state: str) -> str:
    """Returns the colour of a state."""
    colours = {"SUCCEEDED": "green", "RUNNING": "green", "FAILED": "red", "CANCELLED": "yellow", "PAUSED": "yellow"}
    return colours.get(state, "cyan")

"""Following a job on the command line: a view while it runs, a summary when it is over."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import click

from tutelage._names import short_name
from tutelage.cli._commands import INTERRUPTED, JOB_FAILED
from tutelage.cli._lines import Lines
from tutelage.cli._output import print_json, print_json_line, say, show, stdout_is_terminal
from tutelage.cli._screen import Screen
from tutelage.cli._specs import headline
from tutelage.cli._story import Story

if TYPE_CHECKING:
    import tutelage

EXPLAIN_INTERVAL_S = 5.0


class View(Protocol):
    """What shows a story while it goes on."""

    def show(self, event: "tutelage.JobEvent") -> None:
        """Shows an event that the story has taken in."""

    def tell(self, text: str) -> None:
        """Says why the job waits."""


def watch_job(client: "tutelage.Client", job: "tutelage.Job", *, output: str) -> None:
    """Follows a job until it is over and exits as it did. Ctrl-C leaves it alone and says how to come back."""
    try:
        if output == "jsonl":
            for event in job.watch():
                print_json_line(event.to_dict())
        else:
            story = follow(client, job, output=output)
    except KeyboardInterrupt:
        name = short_name(job.name)
        say(f"\n{name} goes on.\ncome back:  tutelage jobs watch {name}\nend it:     tutelage jobs cancel {name}")
        sys.exit(INTERRUPTED)
    if output == "json":
        print_json(job.to_dict())
    elif output == "name":
        show(job.name)
    elif output == "table":
        from tutelage.cli._summary import print_summary

        print_summary(client, job, story)
    exit_as_job(job.info)


def follow(client: "tutelage.Client", job: "tutelage.Job", *, output: str) -> Story:
    """Shows a job while it goes on and returns what was learned."""
    info = job.info
    story = Story(
        name=info.name,
        steps_total=last_step(info),
        state=info.state.value,
        model=info.model,
    )
    live = output == "table" and stdout_is_terminal()
    with Screen(story) if live else Lines(story, to_stderr=output != "table") as view:
        if isinstance(view, Lines):
            view.tell(headline(info))
        with explaining(client, story, view):
            for event in job.watch():
                story.hear(event)
                view.show(event)
    return story


def last_step(info: "tutelage.JobInfo") -> int:
    """Returns the last step that events will tell: those of a verification have the numbers of the verified job."""
    if info.verify:
        return (info.verify.first_step or 1) + (info.verify.steps or 1) - 1
    spec = info.train or info.fine_tune
    total = info.progress.steps_total if info.progress else 0
    return total or (spec.steps if spec and spec.steps else 0)


@contextlib.contextmanager
def explaining(client: "tutelage.Client", story: Story, view: View) -> Iterator[None]:
    """Asks now and then why the job waits, as long as it does: a waiting job has no events of its own."""
    over = threading.Event()
    thread = threading.Thread(target=keep_explaining, args=(client, story, view, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=1.0)


def keep_explaining(client: "tutelage.Client", story: Story, view: View, over: threading.Event) -> None:
    """Tells the view why the job waits, whenever that has changed."""
    import tutelage

    told = ""
    while not over.wait(EXPLAIN_INTERVAL_S):
        if not story.is_waiting:
            told = ""
            continue
        try:
            answer = client.jobs.explain(story.name, timeout=EXPLAIN_INTERVAL_S)
        except tutelage.TutelageError:
            continue  # the watch itself tells when the service stays away
        if (text := describe_waiting(answer)) != told:
            told = text
            view.tell(text)


def describe_waiting(answer: "tutelage.ExplainJobResponse") -> str:
    """Returns place and reason of a job that waits."""
    place = f"{answer.queue_position} before it in the queue" if answer.queue_position else ""
    help_text = next((finding.help for finding in answer.findings if finding.help), "")
    return " · ".join(part for part in (place, answer.summary, help_text) if part)


def exit_as_job(info: "tutelage.JobInfo") -> None:
    """Exits with an error if the job did not succeed."""
    if info.state in ("FAILED", "CANCELLED"):
        click.get_current_context().exit(JOB_FAILED)

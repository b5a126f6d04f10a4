"""`tutelage jobs files` and `download`: what a job has made."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

job_argument = click.argument("job", shell_complete=complete("jobs"))
FOLDER = click.Path(file_okay=False)
COLUMNS = ("FILE", "SIZE", "SHA256")


@click.command()
@job_argument
@output_option
@with_client
def files(client: "tutelage.Client", job: str, output: str) -> None:
    """List the files that a job has made: the weights of a model, an export, a report.

    \b
    Example:
      tutelage jobs files tiny-8f14e45fceea
    """
    print_files(client.jobs.files(job), output=output)


@click.command()
@job_argument
@click.option("--to", "folder", required=True, type=FOLDER, help="Where the files go; made if it is not there.")
@click.option("--overwrite", is_flag=True, help="Replace files of the same names that have other content.")
@output_option
@with_client
def download(client: "tutelage.Client", job: str, folder: str, overwrite: bool, output: str) -> None:
    """Bring the files that a job has made to a folder.

    Every file is compared with its hash. A download that broke off goes on where it stopped, and what is there already
    is not fetched again.

    \b
    Example:
      tutelage jobs download tiny-8f14e45fceea --to ./plays-tiny
    """
    download_job(client.jobs.get(job), folder, overwrite=overwrite, output=output)


def download_job(job: "tutelage.Job", folder: str, *, overwrite: bool, output: str) -> None:
    """Brings the files of a job to a folder and prints what is there now."""
    from tutelage.cli._output import say
    from tutelage.cli._progress import progress_of

    with progress_of("download") as on_progress:
        fetch(job, folder, overwrite=overwrite, on_progress=on_progress)
    print_files(job.files(), output=output)
    if output == "table":
        say(f"\nthey are in {folder}")


def fetch(job: "tutelage.Job", folder: str, *, overwrite: bool, on_progress: Callable[[int, int], None]) -> None:
    """Brings the files; what is in the way is told with what to do about it."""
    from tutelage.cli._output import say

    try:
        job.download(folder, overwrite=overwrite, on_progress=on_progress)
    except FileExistsError as error:
        raise click.ClickException(f"{error}; --overwrite replaces it") from error
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on where it stopped")
        raise


def print_files(found: "Sequence[tutelage.JobFile]", *, output: str) -> None:
    """Prints the files of a job."""
    from tutelage.cli._output import print_many, show, size

    if output == "name":
        for file in found:
            show(file.filename)
        return
    print_many(
        found,
        output=output,
        columns=COLUMNS,
        row=lambda file: (file.filename, size(file.size_bytes), file.sha256),
        empty="there are no files yet; they are there once the job has succeeded",
    )

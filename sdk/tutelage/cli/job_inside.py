"""`tutelage jobs inspect`: a look inside a step."""

from typing import TYPE_CHECKING

import click

from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage


@click.command()
@click.argument("job", shell_complete=complete("jobs"))
@click.option("--step", type=int, help="The step; the newest checkpoint at or before it is used. Default: the newest.")
@click.option("--text", default="", help="The text to look at. Default: the prompt of the job's samples.")
@click.option("--predictions", type=int, help="Expected tokens to show in each place; 1 to 20. Default: 5.")
@output_option
@with_client
def inspect(
    client: "tutelage.Client", job: str, step: int | None, text: str, predictions: int | None, output: str
) -> None:
    """Look inside a step: what the model expects, how wrong it is, and how its weights would move.

    One step is computed on the text from a checkpoint of the job; nothing is changed. Forward and compare: each token
    with its loss and what was expected in its place. Backward: the gradient of each part of the model. Adjust: how far
    the optimizer would move it, and how much was adjusted so far.

    \b
    Example:
      tutelage jobs inspect tiny-8f14e45fceea
      tutelage jobs inspect tiny-8f14e45fceea --step 100 --text "To be, or not to be"
      tutelage jobs inspect tiny-8f14e45fceea -o json | jq '.parts | max_by(.gradient_norm)'
    """
    import tutelage
    from tutelage.cli._inside import print_inside
    from tutelage.cli._output import print_json, print_json_line, say

    # A look takes longer than other calls; the limit of --timeout is for those.
    try:
        answer = client.jobs.inspect_step(job, step=step, text=text, predictions=predictions)
    except tutelage.InvalidArgument as error:
        if text or not any(violation.field == "text" for violation in error.field_violations):
            raise
        raise click.UsageError("the samples of this job have no prompt; give a text with --text") from error
    if step is not None and step != answer.step:
        say(f"no checkpoint of step {step:,} is there: this is step {answer.step:,}, the newest one before it")
    if output == "json":
        print_json(answer.to_dict())
    elif output in ("jsonl", "name"):
        print_json_line(answer.to_dict())
    else:
        print_inside(answer)

"""What is left on the screen when a watched job is over."""

import shlex
import shutil
from typing import TYPE_CHECKING

from tutelage._names import short_name, spoken_name
from tutelage.cli._curve import draw
from tutelage.cli._jobs import took
from tutelage.cli._output import clean, loss, one_line, say, show
from tutelage.cli._story import Story

if TYPE_CHECKING:
    import tutelage

CURVE_COLUMNS_MAX = 100
CURVE_LINES = 16
PROMPT_CHARACTERS_MAX = 24


def print_summary(client: "tutelage.Client", job: "tutelage.Job", story: Story) -> None:
    """Prints how the job ended, its loss curve, what the model says, and what to do next."""
    info = job.info
    if len(story.losses) > 1:
        width = min(shutil.get_terminal_size().columns, CURVE_COLUMNS_MAX)
        curves = {"train/loss": story.losses, "eval/loss": story.validation_losses}
        show(draw(curves, width=width, height=CURVE_LINES) + "\n")
    if info.state == "SUCCEEDED" and info.model_version:
        print_success(client, info, story)
    elif info.state == "SUCCEEDED":
        name = short_name(info.name)
        show(f"{name} succeeded in {took(info)}")
        say(f"\nits files:  tutelage jobs download {name} --to DIR")
    else:
        print_end(info)


def print_success(client: "tutelage.Client", info: "tutelage.JobInfo", story: Story) -> None:
    """Prints the new model version and how to use it."""
    import tutelage

    if story.sample is not None:
        show(f"{clean(story.sample.prompt)}▸{clean(story.sample.text)}\n")
    model = short_name(info.model_version)
    figures = ""
    try:
        version = client.models.version(info.model_version)
        if version.validation_loss is not None:
            bits = version.validation_bits_per_byte
            more = f", {bits:.3f} bits per byte" if bits is not None else ""
            figures = f": validation loss {loss(version.validation_loss)}{more}"
    except tutelage.TutelageError as error:
        say(f"the model could not be looked up just now: {error}")
    show(f"{short_name(info.name)} succeeded in {took(info)} and published {model}{figures}")
    if info.fine_tune is not None and info.fine_tune.method == "REWARD":
        scorer = spoken_name(info.model_version)
        say(f"\nnext:\n  tutelage fine-tune --model MODEL --dataset PROMPTS --method grpo --reward-model {scorer}")
        return
    name, prompt = model.split("/")[0], shlex.quote(short_prompt(story))
    imported = f"  tutelage fine-tune --base {name} --dataset NAME --lora --watch"
    trained = f"  tutelage jobs metrics {short_name(info.name)}"
    if info.fine_tune is not None and "/versions/" in info.fine_tune.base:
        sides = f"{spoken_name(info.fine_tune.base)} {spoken_name(info.model_version)}"
        trained += f"\n  tutelage duel {sides} --prompts FILE"
    say(
        "\nnext:\n"
        f"  tutelage sample {name} --prompt {prompt} --max-tokens 100\n"
        f"{imported if info.import_model else trained}\n"
        f"  tutelage models versions {name}"
    )


def short_prompt(story: Story) -> str:
    """Returns a prompt to try: the last words of what the model continued while it trained."""
    words = one_line(story.sample.prompt).split() if story.sample else []
    return " ".join(words[-2:])[-PROMPT_CHARACTERS_MAX:] or "To be"


def print_end(info: "tutelage.JobInfo") -> None:
    """Prints how a job ended that published nothing."""
    name = short_name(info.name)
    if info.failure is not None:
        show(f"{name} failed ({info.failure.reason}): {info.failure.message}")
        if info.failure.help:
            show(f"  → {info.failure.help}")
        say(f"\nmore:  tutelage jobs explain {name}")
    else:
        show(f"{name} ended as {info.state}")

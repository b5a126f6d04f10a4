"""The command line: `tutelage`, one file a group of commands, each loaded when it is used."""

import click

from tutelage.cli._commands import LazyGroup

COMMANDS = {
    "up": ("up:up", "Start the whole service on this machine."),
    "login": ("login:login", "Store the address and the key of a server as a profile."),
    "datasets": ("datasets:datasets", "Upload, list and delete what to train on."),
    "train": ("train:train", "Pretrain a language model on a dataset."),
    "fine-tune": ("fine_tune:fine_tune", "Train a model further on rows of your own."),
    "review": ("review:review", "Let people judge what models wrote."),
    "feedback": ("feedback:feedback", "Keep what people think of answers, and make it fit to train on."),
    "duel": ("duel:duel", "Compare two versions blindly, until it is clear which is better."),
    "lineage": (
        "lineage:lineage",
        "Show what a version, a feedback set or a dataset was made of, and what was made of it.",
    ),
    "retrain": ("retrain:retrain", "Tune a version again without the votes that were retracted since."),
    "jobs": ("jobs:jobs", "Follow, steer and explain jobs."),
    "models": ("models:models", "List what jobs have published; import, export and promote models."),
    "sample": ("sample:sample", "Continue a text with a model; tokens appear as they are drawn."),
    "keys": ("keys:keys", "Make, list and revoke API keys."),
    "audit": ("audit:audit", "Show who did what in the project."),
    "workers": ("cluster:workers", "Show the machines that train."),
    "queues": ("cluster:queues", "Show the queues with their length and age."),
    "info": ("cluster:info", "Show what the server offers: version, presets, limits."),
    "doctor": ("doctor:doctor", "Check connection, key, versions, clock and workers."),
    "completion": ("completion:completion", "Print a script that completes commands and ids."),
    "version": ("version:version", "Print the version of this program."),
}


@click.group(cls=LazyGroup, commands_by_name=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def tutelage() -> None:
    """Train, sample and improve language models through a remote API.

    \b
    Begin here:
      tutelage up                                            everything on this machine
      tutelage datasets upload shakespeare.txt --name plays
      tutelage train --dataset plays --preset tiny --steps 500 --watch
      tutelage sample plays-tiny --prompt "To be" --max-tokens 100

    \b
    Or with a model and conversations of your own:
      tutelage models import ./chat-model --name chat --watch
      tutelage datasets upload talks.jsonl --name talks
      tutelage fine-tune --model chat --dataset talks --lora --watch

    \b
    And with what people think of it:
      tutelage review create --model chat --prompts prompts.jsonl --name helpfulness
      tutelage review start helpfulness
      tutelage feedback freeze helpfulness --name prefs-1
      tutelage fine-tune --model chat --feedback prefs-1 --method dpo --watch
      tutelage duel chat@v1 chat@v2 --prompts held-out.jsonl
      tutelage models promote chat@v2 --alias prod

    \b
    Every command has --help with an example, and -o json for scripts.
    Exit codes: 0 done, 1 failure, 2 wrong use or argument, 3 the job failed,
    4 timeout, 5 key or permission, 6 steps computed again differ, 130 Ctrl-C.
    """


def main() -> None:
    """Runs the command line and exits."""
    tutelage(prog_name="tutelage")

"""The second half of `make demo`: judgement, here a program's, makes the model better, and a duel proves it."""

import json
import pathlib
import random
import re

from embedded.commands import answer, python, say, tutelage

REVIEWER = pathlib.Path(__file__).resolve().parent.parent / "examples" / "parsing_reviewer.py"
PROMPTS, HELD_OUT = "prompts.jsonl", "held-out.jsonl"
PROMPTS_EACH = 128
PROMPT_CHARACTERS = 7
# What a statement of one line often begins with; a prompt is the beginning of such a line.
BEGINNING = re.compile(r"(?:self\.|return |import |from |raise |assert |[a-z_]+ = )")
REVIEW, FEEDBACK, ALIAS = "parsing", "parsing-1", "prod"
DRAWING = ("--max-tokens", "48", "--seed", "11")
# Found in trials: enough to see, and not so much that the model only writes what always parses.
TUNING = (
    *("--method", "dpo", "--beta", "0.3", "--sft-weight", "0.5"),
    *("--steps", "40", "--batch-size", "16", "--learning-rate", "1e-4"),
)


def write_prompts(text: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes beginnings of lines to answer for review, and others to keep for the duel; the same ones each time."""
    chosen = random.Random(1).sample(beginnings(text), 2 * PROMPTS_EACH)
    for name, prompts in ((PROMPTS, chosen[:PROMPTS_EACH]), (HELD_OUT, chosen[PROMPTS_EACH:])):
        lines = [json.dumps({"prompt": prompt}) + "\n" for prompt in prompts]
        (folder / name).write_text("".join(lines), encoding="utf-8")


def beginnings(text: pathlib.Path) -> list[str]:
    """Returns all different beginnings of lines that look like a program, in order."""
    lines = (line.strip() for line in text.read_text(encoding="utf-8").splitlines())
    wanted = {line[:PROMPT_CHARACTERS] for line in lines if len(line) > 2 * PROMPT_CHARACTERS and BEGINNING.match(line)}
    return sorted(prompt for prompt in wanted if prompt.strip() == prompt)


def close_the_loop(profile: pathlib.Path, *, folder: pathlib.Path, text: pathlib.Path, model: str) -> None:
    """Draws pairs, lets a program vote on them, tunes on the votes, and promotes what wins a blind duel.

    Raises: DemoFailed.
    """
    write_prompts(text, folder)
    tutelage(profile, "models", "promote", f"{model}@v1", "--alias", ALIAS)
    say("\nNow people would judge what the model writes. Here a program does, with the key and the view of a reviewer:")
    review = ("--model", f"{model}@v1", "--prompts", str(folder / PROMPTS), "--pairs", "4", "--name", REVIEW)
    tutelage(profile, "review", "create", *review, *DRAWING)
    key = answer(profile, "keys", "create", "--role", "reviewer", "--display-name", "a program")
    python(profile, REVIEWER, REVIEW, secrets={"TUTELAGE_API_KEY": key})
    tutelage(profile, "review", "stats", REVIEW)
    tutelage(profile, "feedback", "freeze", REVIEW, "--name", FEEDBACK)
    tutelage(profile, "fine-tune", "--model", f"{model}@v1", "--feedback", FEEDBACK, *TUNING, "--watch")
    duel = ("--prompts", str(folder / HELD_OUT), "--checker", "python-parses")
    tutelage(profile, "duel", f"{model}@{ALIAS}", f"{model}@v2", *duel, *DRAWING)
    tutelage(profile, "models", "promote", f"{model}@v2", "--alias", ALIAS)
    tutelage(profile, "lineage", f"{model}@{ALIAS}")

"""Fine-tunes a model on conversations of yours with low-rank adapters, and brings the result home.

python examples/fine_tune.py talks.jsonl --base plays-tiny --steps 100 --to ./tuned
"""

import argparse
import pathlib

import tutelage


def main() -> None:
    """Uploads rows, tunes, looks inside, exports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="JSON Lines: text, prompt and completion, or messages")
    parser.add_argument("--base", required=True, help="a model, MODEL/versions/2, or JOB/checkpoints/200")
    parser.add_argument("--name", default="my-rows", help="name of the new dataset")
    parser.add_argument("--model", help="name of the tuned model; default: that of the base")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--text", default="Who are you?", help="what to look at inside a step")
    parser.add_argument("--to", type=pathlib.Path, help="folder for the weights, as transformers loads them")
    arguments = parser.parse_args()

    with tutelage.Client() as client:
        try:
            dataset = client.datasets.upload(arguments.file, name=arguments.name)
        except tutelage.InvalidArgument as error:
            for violation in error.field_violations:
                print(f"{violation.field}: {violation.description}")
            raise SystemExit("nothing was uploaded; mend these rows") from error
        print(f"{dataset.name}: {dataset.rows:,} rows")

        lora = tutelage.Lora(rank=arguments.rank)
        steps, model = arguments.steps, arguments.model
        job = client.fine_tune(arguments.base, arguments.name, lora=lora, steps=steps, model=model or "")
        version = job.result()
        print(f"{version.name}, from {version.parent_version}: validation loss {version.validation_loss:.3f}")
        print(job.inspect_step(text=arguments.text, predictions=3))
        if arguments.to:
            client.models.export(version, to=arguments.to)
            print(f"{arguments.to}: {', '.join(sorted(path.name for path in arguments.to.iterdir()))}")


if __name__ == "__main__":
    main()

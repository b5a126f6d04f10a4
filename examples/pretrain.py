"""Pretrains a small language model on a text file of yours and lets it speak.

python examples/pretrain.py shakespeare.txt --steps 500 --prompt "To be"
"""

import argparse
import pathlib

import tutelage


def main() -> None:
    """Uploads, trains, follows, samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="UTF-8 text, a hundred kilobytes or more")
    parser.add_argument("--name", default="my-text", help="name of the new dataset")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--prompt", default="The ")
    arguments = parser.parse_args()

    with tutelage.Client() as client:
        dataset = client.datasets.upload(arguments.file, name=arguments.name)
        print(f"{dataset.name}: {dataset.rows:,} rows, {dataset.size_bytes:,} byte tokens")

        job = client.train(arguments.name, preset=arguments.preset, steps=arguments.steps)
        print(f"{job.name}: {job.state}")
        for event in job.watch():
            show(event)

        model = job.result()
        print(f"{model.name}: validation loss {model.validation_loss:.3f} nats per token")
        print(arguments.prompt + model.sample(arguments.prompt, max_tokens=200).text)


def show(event: tutelage.JobEvent) -> None:
    """Prints what a person would want to know on the way."""
    match event:
        case tutelage.JobEvent(state_changed=tutelage.StateChanged() as change):
            print(f"{change.to}: {change.message}")
        case tutelage.JobEvent(metric_logged=tutelage.MetricLogged() as metric) if "eval/loss" in metric.values:
            print(f"step {metric.step}: validation loss {metric.values['eval/loss']:.3f}")
        case tutelage.JobEvent(sample_drawn=tutelage.SampleDrawn() as sample):
            print(f"step {sample.step}: {sample.prompt}{sample.text!r}")


if __name__ == "__main__":
    main()

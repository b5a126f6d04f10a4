"""Trains the same model with several learning rates and shows which one got furthest.

python examples/compare_learning_rates.py plays 3e-4 1e-3 3e-3
"""

import argparse

import tutelage


def main() -> None:
    """Submits all jobs at once, waits for them, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", help="a dataset that is there already")
    parser.add_argument("learning_rates", type=float, nargs="+")
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()

    with tutelage.Client() as client:
        jobs = {
            rate: client.train(
                arguments.dataset,
                preset="tiny",
                steps=arguments.steps,
                learning_rate=rate,
                seed=1,
                model=f"{arguments.dataset}-rates",
                labels={"experiment": "learning-rates"},
            )
            for rate in arguments.learning_rates
        }
        print(f"{'rate':>8}  {'validation loss':>15}  {'bits per byte':>13}")
        for rate, job in jobs.items():
            try:
                model = job.result()
            except tutelage.JobFailed as error:
                print(f"{rate:8g}  {error}")
            else:
                print(f"{rate:8g}  {model.validation_loss:15.4f}  {model.validation_bits_per_byte:13.4f}")


if __name__ == "__main__":
    main()

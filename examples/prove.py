"""Holds a run to what it recorded: prints its receipt, computes some of its steps again, and says whether they agree.

python examples/prove.py tiny-8f14e45fceea --steps 20
"""

import argparse

import tutelage


def main() -> None:
    """Prints the receipt and the verdict; ends with 1 if a step differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", help="a job that has trained")
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()

    with tutelage.Client() as client:
        receipt = client.jobs.receipt(arguments.job)
        print(f"seed {receipt.seed}, {receipt.step} steps")
        print(f"order of the data {receipt.data_chain}")
        print(f"losses            {receipt.loss_chain}")
        verdict = client.jobs.verify(arguments.job, steps=arguments.steps).verdict(timeout=600)
        print(verdict.message)
        raise SystemExit(0 if verdict.kind == "verified" else 1)


if __name__ == "__main__":
    main()

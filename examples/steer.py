"""Pauses a job, asks why it is where it is, lets it go on, and waits for its end.

python examples/steer.py tiny-8f14e45fceea
"""

import argparse

import tutelage


def main() -> None:
    """Pauses, explains, resumes, waits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", help="a job that is not over")
    arguments = parser.parse_args()

    with tutelage.Client() as client:
        job = client.jobs.pause(arguments.job)
        for event in job.watch():
            if event.state_changed is not None and event.state_changed.to is tutelage.JobState.PAUSED:
                break
        print(job.explain().summary)
        job.resume()
        try:
            job.wait(timeout=600)
        except tutelage.WaitTimeout:
            print("ten minutes are over; the job goes on")
        print(f"{job.name}: {job.state}")


if __name__ == "__main__":
    main()

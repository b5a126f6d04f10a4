"""`python -m trainer_worker.sampler`: serves Sampling."""

from __future__ import annotations

import asyncio
import os
import sys

from trainer_worker.sampler.logs import set_up_logs
from trainer_worker.sampler.settings import BadSetting, read_settings


def main() -> int:
    """Exit status 0 after a drain, 2 for a wrong setting."""
    set_up_logs()
    try:
        settings = read_settings(os.environ)
    except BadSetting as error:
        return _refuse(error)
    # Threads that spin while they wait would take the cores from a trainer beside. Read when torch is imported.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(settings.threads)
    from trainer_worker.sampler.serving import serve

    try:
        asyncio.run(serve(settings))
    except BadSetting as error:
        return _refuse(error)
    return 0


def _refuse(error: BadSetting) -> int:
    print(f"the sampler does not start: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

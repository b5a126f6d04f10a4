"""What holds for every test."""

import os
import signal

import hypothesis

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that. Tests press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, unless new ones are asked for: `make test-random`, docs/decisions/0020. How long an
# example takes says something of the machine, and how busy it is, nothing of what is tested.
_UNTIMED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow], "print_blob": True}
hypothesis.settings.register_profile("ci", derandomize=True, **_UNTIMED)
hypothesis.settings.register_profile("random", derandomize=False, **_UNTIMED)
hypothesis.settings.load_profile(os.environ.get("TUTELAGE_TEST_EXAMPLES", "ci"))

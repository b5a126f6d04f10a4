"""What holds for every test."""

import signal

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that. Tests press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

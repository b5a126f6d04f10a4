"""Replaces itself with a program that is killed when its parent dies.

`python -m embedded.follow_parent PARENT_PID PROGRAM ARGUMENT…`. The death signal is set between fork and exec in a
process of its own, because `preexec_fn` is unsafe in a process with threads. It is tied to the thread that started this
process: start it from the main thread.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Sets the signal, makes sure that the parent still lives, and becomes the program."""
    parent_pid, program = int(arguments[0]), arguments[1:]
    die_with_parent(parent_pid)
    os.execvp(program[0], program)


def die_with_parent(parent_pid: int) -> None:
    """Asks the kernel for SIGKILL at the death of the parent, and exits if it is dead already.

    Systems without such a signal are left as they are: there the next start removes what was left over.
    """
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit(f"the parent {parent_pid} is gone")


if __name__ == "__main__":
    main(sys.argv[1:])

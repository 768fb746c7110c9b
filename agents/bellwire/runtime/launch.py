"""Becomes another program with its CPUs, process group and parent-death signal set.

Run as a script by the supervisor (`python -I -S launch.py PARENT_PID CPUS PROGRAM ARGUMENT…`):
the settings must be in force before the program imports anything that starts threads, and code
between fork and exec would not be safe in a parent that has threads. Only the standard library.
"""

import ctypes
import os
import signal
import sys

EXIT_USAGE = 64  # sysexits.h EX_USAGE
EXIT_CONFIG = 78  # sysexits.h EX_CONFIG: the CPUs asked for do not exist
PR_SET_PDEATHSIG = 1  # linux/prctl.h
ARGUMENTS_MIN = 4


def main(arguments: list[str]) -> int:
    """Set this process up and replace it by the program; returns only on error."""
    if len(arguments) < ARGUMENTS_MIN:
        sys.stderr.write("usage: launch.py PARENT_PID CPUS PROGRAM [ARGUMENT...]\n")
        return EXIT_USAGE
    parent_pid, cpus, program = int(arguments[1]), arguments[2], arguments[3:]
    # The kernel kills us when the supervisor dies, however it dies: nothing is left behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        return EXIT_USAGE  # It died before the line above.
    # A group of its own: Ctrl-C in the terminal reaches the supervisor alone, which stops us.
    os.setpgid(0, 0)
    if cpus:
        try:
            os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
        except OSError as error:
            allowed = sorted(os.sched_getaffinity(0))
            sys.stderr.write(f"cannot run on CPUs {cpus}: {error.strerror}; allowed: {allowed}\n")
            return EXIT_CONFIG
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]!r}: {error.strerror}\n")
        return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main(sys.argv))

#!/usr/bin/env python3
"""measure.py NAME COMMAND...: runs a command and prints {"name", "cpu_s", "peak_mib", "wall_s"} as a line of JSON; what
the command itself prints goes to standard error. Exit status 1, and no line, if it failed.

cpu_s: user and system time of the process, all threads, and of children that it waited for. peak_mib: the largest
resident set. wall_s: from start to exit, so joining the group and closing are in it. The command ends with this process,
and this process with the one that started it, whatever ends them.
"""
import ctypes
import json
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if len(sys.argv) < 3:
    sys.exit(__doc__)
end_with_parent()
begun = time.monotonic()
child = os.fork()
if child == 0:
    end_with_parent()
    os.dup2(2, 1)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"{sys.argv[2]}: {error}", file=sys.stderr)
    os._exit(127)
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - begun
code = os.waitstatus_to_exitcode(status)
if code != 0:
    print(f"exit status {code}", file=sys.stderr)
    sys.exit(1)
measured = {
    "name": sys.argv[1],
    "cpu_s": round(used.ru_utime + used.ru_stime, 3),
    "peak_mib": used.ru_maxrss // 1024,
    "wall_s": round(wall, 2),
}
print(json.dumps(measured))

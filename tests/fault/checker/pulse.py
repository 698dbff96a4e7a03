"""How late the machine itself is: a control for the bounds that are milliseconds.

usage: pulse.py LOG SECONDS

Two processes hand a byte to and fro, as a change is handed from process to process on its way; every turn that took
long is a line of LOG: begin and end, CLOCK_MONOTONIC in ns. No server takes part, so what is slow here is the machine.
"""

import ctypes
import os
import signal
import socket
import sys
import time

HOPS = 8
PAUSE = 0.01
LATE = 5_000_000  # ns
PR_SET_PDEATHSIG = 1


def echo(line):
    """The other process: ends with the first."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    while byte := line.recv(1):
        line.send(byte)
    os._exit(0)


def turn(line):
    begin = time.monotonic_ns()
    for _ in range(HOPS // 2):
        line.send(b".")
        line.recv(1)
    return begin, time.monotonic_ns()


def main(path, seconds):
    over = []
    near, far = socket.socketpair()
    if os.fork() == 0:
        near.close()
        echo(far)
    far.close()
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    last = time.monotonic() + float(seconds)
    with open(path, "w", encoding="ascii") as log:
        while not over and time.monotonic() < last:
            due = time.monotonic_ns() + int(PAUSE * 1e9)
            time.sleep(PAUSE)
            _, end = turn(near)
            if end - due > LATE:
                log.write(f"{due} {end}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

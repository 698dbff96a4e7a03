"""One server process: started with a log of its own, and certain to be gone at the end."""

import ctypes
import os
import subprocess
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

from .waiting import wait_until

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)


class Process:
    """A child that dies with this interpreter. `user` is taken on only when we are root."""

    def __init__(self, name, command, log, *, env=None, user=None, stdin=subprocess.DEVNULL, **options):
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            self.popen = subprocess.Popen(
                command, stdin=stdin, stdout=output, stderr=output, env=env,
                user=user if os.geteuid() == 0 else None, group=user if os.geteuid() == 0 else None,
                extra_groups=[] if user and os.geteuid() == 0 else None,
                preexec_fn=die_with_parent, **options)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def pause(self):
        """SIGSTOP, and waits until the kernel has really stopped it."""
        self.signal(SIGSTOP)
        wait_until(lambda: process_state(self.pid) == "T", what=f"{self.name} stopped")

    def resume(self):
        self.signal(SIGCONT)

    def wait(self, deadline=10.0):
        """The exit status; fails when the process is still there after `deadline` seconds."""
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {deadline} s") from None

    def kill(self):
        self.signal(SIGKILL)
        self.popen.wait()

    def stop(self, number=SIGTERM, deadline=10.0):
        """Asks it to end, insists after `deadline` seconds, and gives the exit status."""
        self.signal(number)
        self.resume()
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.popen.returncode


def process_state(pid):
    """The letter of /proc/PID/stat: R, S, T, Z ...; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return None


def alive(pid):
    return process_state(pid) not in (None, "Z", "X")


def resident(pid):
    """The process's resident set in bytes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def most_resident(pid):
    """The greatest resident set, in bytes, since forget_most_resident() or the start."""
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_most_resident(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")

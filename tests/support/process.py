"""One server process: started with a log of its own, and certain to be gone at the end."""

import ctypes
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

from .waiting import wait_until

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)
# The kernel takes the thread that forked for the parent: one that lasts as long as the interpreter starts everything.
starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)


def spawn(command, **options):
    """subprocess.Popen, of a child that dies with this interpreter, whichever thread asked for it."""
    return starter.submit(subprocess.Popen, command, preexec_fn=die_with_parent, **options).result()


class Process:
    """A child that dies with this interpreter. `user` is taken on only when we are root."""

    def __init__(self, name, command, log, *, env=None, user=None, stdin=subprocess.DEVNULL, **options):
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            self.popen = spawn(
                command, stdin=stdin, stdout=output, stderr=output, env=env,
                user=user if os.geteuid() == 0 else None, group=user if os.geteuid() == 0 else None,
                extra_groups=[] if user and os.geteuid() == 0 else None, **options)

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
        wait_stopped(self.pid)

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


def wait_stopped(pid):
    """Until no thread of the process runs any more, or it has ended: a signal is only on its way when kill() returns."""
    wait_until(lambda: thread_states(pid) <= {"T"}, what=f"process {pid} stopped")


def thread_states(pid):
    """The letters of the process's threads; none when there is no such process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return set()
    return {process_state(f"{pid}/task/{each}") for each in threads} - {None, "Z", "X"}


def process_state(pid):
    """The letter of /proc/PID/stat: R, S, T, Z ...; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return None


def hears(pid, number):
    """Has the process a handler for the signal, or blocks it to ask for it? Before, it just dies of it."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk:", "SigCgt:"))]
    except OSError:
        return False
    return any(mask >> (number - 1) & 1 for mask in masks)


def wait_for_handler(pid, number=SIGTERM):
    """Until the process, should it be starting, is so far that the signal ends it as it is meant to."""
    wait_until(lambda: not alive(pid) or hears(pid, number), 20, f"process {pid} hearing of signal {int(number)}")


def alive(pid):
    """The first thread may have ended before others, which hold the process's files and locks until they have."""
    return bool(thread_states(pid))


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

"""Many requests at once."""

import concurrent.futures
import contextlib
import threading


def ask_together(ask, targets, threads=8):
    """`ask` of each target, as many at a time as there are threads; the answers in the targets' order."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ask, targets))


class Background:
    """One call in a thread of its own; `result()` waits for it."""

    def __init__(self, call, *arguments, **options):
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.future = self.pool.submit(call, *arguments, **options)
        self.pool.shutdown(wait=False)

    def done(self):
        return self.future.done()

    def result(self, timeout=30):
        return self.future.result(timeout)


@contextlib.contextmanager
def crowd(ask, threads=4):
    """Threads that call `ask` again and again until the block ends; yields the growing list of its answers."""
    answers = []
    over = threading.Event()

    def visit():
        while not over.is_set():
            answers.append(ask())

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        visitors = [pool.submit(visit) for _ in range(threads)]
        try:
            yield answers
        finally:
            over.set()
            for each in visitors:
                each.result(30)


def open_requests(stack):
    """Connections that the api pool has taken or that wait for it: those of ours that are open."""
    return len(connections(stack))


def taken_requests(stack):
    """Those that it has taken: one that waits to be taken has no inode yet."""
    return sum(line.split()[6] != "0" for line in connections(stack))


def connections(stack):
    """The pool's ends of them in the kernel's table, without the socket that listens."""
    with open("/proc/net/unix", encoding="ascii") as table:
        return [line for line in table if line.rstrip().endswith(stack.api.socket) and line.split()[3] == "00000000"]

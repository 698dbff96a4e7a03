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
    with open("/proc/net/unix", encoding="ascii") as table:
        return sum(line.rstrip().endswith(stack.api.socket) for line in table) - 1

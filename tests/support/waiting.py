"""Waiting for a condition instead of for a time."""

import time


def wait_until(condition, deadline=10.0, what=None, every=0.02):
    """Polls `condition` until it gives something true and returns that; fails after `deadline` seconds.

    An AssertionError or OSError inside the condition counts as "not yet" and is shown when time is up.
    """
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            result = condition()
            if result:
                return result
            last = f"last result: {result!r}"
        except (AssertionError, OSError) as problem:
            last = f"last problem: {problem!r}"
        if time.monotonic() >= end:
            raise AssertionError(f"waited {deadline} s in vain for {what or condition.__name__}; {last}")
        time.sleep(every)

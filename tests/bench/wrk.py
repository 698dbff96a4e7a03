"""wrk, bounded in time, with its summary read."""

import json
import os
import subprocess
from dataclasses import dataclass

from support.process import Process

from .field import BENCH

CONNECTIONS = 32
THREADS = os.cpu_count() or 1  # fewer can't ask as quickly as nginx answers alone


@dataclass
class Slice:
    """What one run of wrk saw; latencies in milliseconds. `cost` is filled in by whoever metered it."""
    requests: int
    rate: float
    bytes_each: float
    p50: float
    p99: float
    errors: int
    cost: float = 0.0  # microseconds of processor time a request, of all that served it


def command(url, seconds, script, headers, threads=THREADS):
    fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    return ["wrk", f"-t{threads}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s",
            "-s", f"{BENCH}/scripts/{script}", *fields, url]


def measure(url, seconds, headers, body=None):
    """GETs, or POSTs of that JSON."""
    words = command(url, seconds, "post.lua" if body else "summary.lua", headers) + (["--", body] if body else [])
    output = subprocess.run(words, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
    line = next(line for line in output.splitlines() if line.startswith("SUMMARY "))
    seen = json.loads(line.removeprefix("SUMMARY "))
    assert seen["requests"], f"nothing was answered: {output}"
    return Slice(seen["requests"], seen["requests"] / seen["microseconds"] * 1e6, seen["bytes"] / seen["requests"],
                 seen["p50"] / 1000, seen["p99"] / 1000, seen["errors"])


def mix(url, etag, seconds, log):
    """Starts the mix of requests, which ends at a SIGINT, or by itself after `seconds`.

    It has one thread: each of several would draw the same requests.
    """
    return Process("wrk", [*command(url, seconds, "mix.lua", {}, threads=1), "--", etag], log)

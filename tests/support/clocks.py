"""A host's memory of clocks (src/cache/clocks.c) as its file holds it: a number each, of 8 bytes."""

import struct

NAME = "clocks-1"
NEWEST = 8  # past the format's number
ARRIVED = 32
HEARD = 48
SLOTS, SLOT_COUNT = 64, 1 << 18
ALL = SLOTS + 8 * SLOT_COUNT  # the tag `*` has a slot behind the others


def path_of(run):
    """`run`: the host's LARDER_RUN."""
    return f"{run}/{NAME}"


def number_at(run, offset):
    with open(path_of(run), "rb") as clocks:
        clocks.seek(offset)
        return struct.unpack("=Q", clocks.read(8))[0]


def newest(run):
    """The newest bump that the host knows of."""
    return number_at(run, NEWEST)


def heard(run):
    """The newest bump that the feed has told."""
    return number_at(run, HEARD)


def of_all(run):
    """When all was struck last."""
    return number_at(run, ALL)


def tell(run, clock):
    """The host is told of this bump without the feed."""
    with open(path_of(run), "r+b") as clocks:
        clocks.seek(NEWEST)
        clocks.write(struct.pack("=Q", clock))


def fill(run, clock):
    """As if tags on every slot but those of `*` and of definitions had been struck at `clock`."""
    with open(path_of(run), "r+b") as clocks:
        clocks.seek(SLOTS)
        clocks.write(struct.pack("=Q", clock) * SLOT_COUNT)


def arrive(run, moment):
    """As if a strike that was awaited had arrived then: seconds of time.monotonic()."""
    with open(path_of(run), "r+b") as clocks:
        clocks.seek(ARRIVED)
        clocks.write(struct.pack("=Q", int(moment * 1e6)))
